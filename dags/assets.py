"""What DAGs hand to each other: one event per noun, keyed by its id, so none is lost."""

from airflow.sdk import Asset

VERSION = Asset(name="version", uri="geoml://version", group="geoml")
RETRAIN = Asset(name="retrain", uri="geoml://retrain", group="geoml")
EVALUATION = Asset(name="evaluation", uri="geoml://evaluation", group="geoml")
CHAMPION = Asset(name="champion", uri="geoml://champion", group="geoml")

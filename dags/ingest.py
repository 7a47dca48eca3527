"""Deliveries in the drop folder become verdicts, and the accepted ones a version."""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.assets import VERSION
from dags.common import TASKS, places


@dag(
    schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=TASKS,
    doc_md=__doc__,
)
def ingest() -> None:
    """Sweep, judge each delivery by itself, track what was accepted."""

    @task
    def collect() -> list[str]:
        from geoml_ops.steps import drop as step

        return list(step.collect(places()))

    @task(map_index_template="{{ delivery }}")
    def check(name: str) -> str:
        from airflow.sdk import get_current_context

        from geoml_ops.steps import ingest as step

        get_current_context()["delivery"] = name
        return step.check(places(), name).id

    @task(outlets=[VERSION], trigger_rule=TriggerRule.NONE_FAILED)
    def track(*, outlet_events=None) -> str:
        from geoml_ops.steps import decisions
        from geoml_ops.steps import tracking as step

        version = step.track(places())
        # Asked of the nouns and not of this run: a run that died before its event must not lose it.
        if version is None or decisions.weighed(places(), version.id):
            raise AirflowSkipException("no version that monitoring has not weighed yet")
        outlet_events[VERSION].extra = {version.id: version.as_json()}
        outlet_events[VERSION].add_partitions([version.id])
        return version.id

    check.expand(name=collect()) >> track()


ingest()

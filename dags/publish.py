"""An evaluated model becomes a registered bundle; the gate decides whether it becomes the champion."""

from __future__ import annotations

from airflow.sdk import PartitionedAssetTimetable, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.assets import CHAMPION, EVALUATION
from dags.common import TASKS, places


@dag(
    schedule=PartitionedAssetTimetable(assets=EVALUATION),
    catchup=False,
    max_active_runs=1,
    default_args=TASKS,
    doc_md=__doc__,
)
def publish() -> None:
    """Export and register, judge, release."""

    @task
    def register(*, dag_run=None) -> str:
        from geoml_ops.steps import publish as step

        evaluation = step.evaluation_for(places(), dag_run.partition_key)
        return step.register(places(), step.export(places(), evaluation).id).id

    @task
    def judge(entry: str) -> str:
        from geoml_ops.steps import publish as step

        return step.judge(places(), entry).id

    @task(outlets=[CHAMPION])
    def release(judgement: str, *, outlet_events=None) -> str:
        from geoml_ops.steps import publish as step

        entry = step.release(places(), judgement)
        if entry is None:
            raise AirflowSkipException("the gate did not promote; the champion stays")
        outlet_events[CHAMPION].extra = {entry.id: entry.as_json()}
        outlet_events[CHAMPION].add_partitions([entry.id])
        return entry.id

    release(judge(register()))


publish()

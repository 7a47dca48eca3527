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
    """Export, register and judge; then release what was promoted."""

    @task
    def judge(*, dag_run=None) -> str:
        from geoml_ops.steps import publish as step

        here = places()
        bundle = step.export(here, step.evaluation_for(here, dag_run.partition_key))
        return step.judge(here, step.register(here, bundle.id).id).id

    @task(outlets=[CHAMPION])
    def release(judgement: str, *, outlet_events=None) -> str:
        from geoml_ops.steps import dashboard
        from geoml_ops.steps import releasing as step

        here = places()
        entry = step.release(here, judgement)
        dashboard.summarise(here)
        if entry is None:
            raise AirflowSkipException("the gate did not promote; the champion stays")
        outlet_events[CHAMPION].extra = {entry.id: entry.as_json()}
        outlet_events[CHAMPION].add_partitions([entry.id])
        return entry.id

    release(judge())


publish()

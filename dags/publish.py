"""An evaluated model becomes a registered bundle; the gate, and people where the policy asks them, make it champion."""

from __future__ import annotations

from airflow.sdk import PartitionedAssetTimetable, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.asking import Ask, answer_of
from dags.assets import CHAMPION, EVALUATION
from dags.common import TASKS, places, summarise


@dag(
    schedule=PartitionedAssetTimetable(assets=EVALUATION),
    catchup=False,
    # A question may wait for days, and its run with it: later models must not wait behind it.
    max_active_runs=16,
    default_args=TASKS,
    doc_md=__doc__,
)
def publish() -> None:
    """Export, register and judge; ask people where the policy says so; then release."""

    @task(max_active_tis_per_dag=1)
    def judge(*, dag_run=None) -> str:
        from geoml_ops.steps import publish as step

        here = places()
        bundle = step.export(here, step.evaluation_for(here, dag_run.partition_key))
        return step.judge(here, step.register(here, bundle.id).id).id

    @task(trigger_rule="none_failed")
    def record(judgement: str, *, ti=None) -> str:
        from geoml_ops.steps import approvals as step

        answers = [answer for answer in (answer_of(ti, "ask"), answer_of(ti, "agree")) if answer]
        if not answers:
            raise AirflowSkipException("nobody was asked")
        return step.record(places(), judgement, answers).id

    @task(trigger_rule="none_failed", outlets=[CHAMPION])
    def release(judgement: str, *, outlet_events=None) -> str:
        from geoml_ops.steps import approvals
        from geoml_ops.steps import releasing as step

        here = places()
        said = approvals.standing_of(here, judgement)
        entry = None if said.decision == "Reject" else step.release(here, judgement)
        summarise()
        if entry is None:
            why = said.sentence if said.decision else "the gate did not promote"
            raise AirflowSkipException(f"the champion stays: {why}")
        outlet_events[CHAMPION].extra = {entry.id: entry.as_json()}
        outlet_events[CHAMPION].add_partitions([entry.id])
        return entry.id

    judgement = judge()
    ask, agree = Ask(task_id="ask"), Ask(task_id="agree", first="ask")
    decided = record(judgement)
    judgement >> ask >> agree >> decided >> release(judgement)


publish()

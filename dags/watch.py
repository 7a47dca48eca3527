"""Predictions are compared with the champion's ground; what follows from it is decided and written down.

``watch`` weighs every new version, ``patrol`` looks once a day; both do the same two things. ``patrol``
also removes days of the prediction log that are too old, and journals of maps that were given up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, PartitionedAssetTimetable, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.assets import RETRAIN, VERSION
from dags.common import TASKS, places, summarise, tidy
from dags.notifying import Decided

#: Whose runs bring a training about or are one.
UNDER_WAY = ("watch", "patrol", "train", "publish")


def rounds(dag_id: str, schedule: Any, *, tidies: bool = False) -> None:
    """Declares a DAG that compares, decides and, where a training is due, says so to ``train``; it may tidy up too."""

    @dag(dag_id=dag_id, schedule=schedule, catchup=False, max_active_runs=1, default_args=TASKS, doc_md=__doc__)
    def flow() -> None:
        @task(on_success_callback=[Decided()])
        def decide(*, dag_run=None, ti=None) -> dict[str, Any]:
            from geoml_ops.steps import announcing, decisions

            here, version = places(), dag_run.partition_key or ""
            if decisions.gather(here):
                # Only now: Evidently alone takes longer to load than the rest of this task to run.
                from geoml_ops.steps import watch

                found = [(turn.decision, turn.retrain) for turn in watch.rounds(here, version)]
            else:
                found = [decisions.decide(here, "", version)]
            summarise()
            alone = sum(ti.get_dr_count(name, states=["queued", "running"]) for name in UNDER_WAY) <= 1
            events = [retrain for _, retrain in found if retrain is not None]
            retrain = announcing.due(here, f"{dag_id} {dag_run.run_id}", events, is_idle=alone)
            told = {"decisions": [decision.id for decision, _ in found]}
            if retrain is not None:
                # A training that starts is the answer.
                return {**told, "decision": retrain.decision, "retrain": retrain.id, "because": retrain.because}
            decision = found[-1][0]
            return {**told, "decision": decision.id, "retrain": "", "because": decision.because}

        @task(outlets=[RETRAIN])
        def announce(outcome: dict[str, Any], *, outlet_events=None) -> str:
            if not outcome["retrain"]:
                raise AirflowSkipException(outcome["because"])
            outlet_events[RETRAIN].extra = {outcome["retrain"]: {"because": outcome["because"]}}
            outlet_events[RETRAIN].add_partitions([outcome["retrain"]])
            return str(outcome["retrain"])

        announce(decide())
        if tidies:
            task(tidy)()

    flow()


rounds("watch", PartitionedAssetTimetable(assets=VERSION))
# Without the zero Airflow 3.3 also makes up for a patrol that was due up to 2.4 hours before the first start.
rounds("patrol", CronTriggerTimetable("0 4 * * *", timezone="UTC", run_immediately=timedelta(0)), tidies=True)

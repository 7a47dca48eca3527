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
from dags.common import TASKS, places, tidy


def rounds(dag_id: str, schedule: Any, *, tidies: bool = False) -> None:
    """Declares a DAG that compares, decides and, where a training is due, says so to ``train``; it may tidy up too."""

    @dag(dag_id=dag_id, schedule=schedule, catchup=False, max_active_runs=1, default_args=TASKS, doc_md=__doc__)
    def flow() -> None:
        @task
        def decide(*, dag_run=None) -> dict[str, Any]:
            from geoml_ops.steps import dashboard, decisions

            here, version = places(), dag_run.partition_key or ""
            if decisions.gather(here):
                # Only now: Evidently alone takes longer to load than the rest of this task to run.
                from geoml_ops.steps import watch

                found = [(turn.decision, turn.retrain) for turn in watch.rounds(here, version)]
            else:
                found = [decisions.decide(here, "", version)]
            dashboard.summarise(here)
            # A training that starts is the answer; otherwise what was decided last.
            decision, retrain = next(((d, r) for d, r in found if r), found[-1])
            return {"decision": decision.id, "retrain": retrain.id if retrain else "", "because": decision.because}

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

"""A retrain event becomes an evaluated model: samples, folds, one recipe per family, the best of them."""

from __future__ import annotations

from typing import Any

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.assets import EVALUATION, RETRAIN
from dags.common import TASKS, places


@dag(
    schedule=PartitionedAssetTimetable(assets=RETRAIN),
    catchup=False,
    max_active_runs=1,
    default_args=TASKS,
    doc_md=__doc__,
)
def train() -> None:
    """Tabulate, evaluate each family on identical folds, choose."""

    @task
    def tabulate(*, dag_run=None) -> list[dict[str, Any]]:
        from geoml_ops.steps import tabulating as step

        table = step.tabulate(places(), step.version_for(places(), dag_run.partition_key))
        plans = [plan.id for plan in step.plan(places(), table.id)]
        return [{"plans": plans, "family": name} for name in step.families(places())]

    @task(map_index_template="{{ family }}")
    def evaluate(recipe: dict[str, Any]) -> str:
        from airflow.sdk import get_current_context

        from geoml_ops.steps import train as step

        get_current_context()["family"] = recipe["family"]
        return step.evaluate(places(), recipe["plans"], recipe["family"]).id

    @task(outlets=[EVALUATION])
    def choose(evaluations: list[str], *, outlet_events=None) -> str:
        from geoml_ops.steps import train as step

        best = step.choose(places(), tuple(evaluations))
        outlet_events[EVALUATION].extra = {best.id: {"family": best.family}}
        outlet_events[EVALUATION].add_partitions([best.id])
        return best.id

    choose(evaluate.expand(recipe=tabulate()))


train()

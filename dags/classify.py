"""Stored scenes become maps by the champion, one after the other; killed, a map goes on where it was."""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from dags.common import TASKS, places


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=TASKS,
    params={
        "scenes": Param([], type="array", items={"type": "string"}, description="names; none for the newest version's"),
        "mmu_ha": Param(0.0, type="number", minimum=0, description="minimum mapping unit of the outlines in hectares"),
        "outlines": Param(False, type="boolean", description="write a GeoPackage beside each map"),
    },
    doc_md=__doc__,
)
def classify() -> None:
    """Choose scenes; map each of them by itself."""

    @task
    def choose(*, params=None) -> list[str]:
        from geoml_ops.steps import scenes as step

        return list(step.to_map(places(), params["scenes"]))

    @task(map_index_template="{{ scene }}", max_active_tis_per_dag=1)
    def map_one(scene_id: str, *, params=None) -> str:
        from airflow.sdk import get_current_context

        from geoml_ops.steps import scenes as step

        get_current_context()["scene"] = scene_id
        return step.mapped(places(), scene_id, outlines=params["outlines"], mmu_ha=params["mmu_ha"]).id

    map_one.expand(scene_id=choose())


classify()

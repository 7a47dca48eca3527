"""Each DAG runs by itself, without a scheduler, in a database of its own that is thrown away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Decision, Evaluation, Judgement, Version
from geoml_ops.settings import CHECKOUT, QUIET, Settings
from geoml_ops.steps import deliver
from tests.test_loop import _settings, _world

ALONE = """
import importlib, json, sys
from airflow.utils.db import initdb
initdb()
from pathlib import Path
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
DagBundlesManager().sync_bundles_to_db()
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]), bundle_name="dags-folder")
sync_bag_to_db(bag, "dags-folder", None)
assert not bag.import_errors, bag.import_errors
states = {}
for name in ("ingest", "watch", "train", "publish", "patrol"):
    run = bag.dags[name].test()
    states[name] = {t.task_id: t.state for t in run.get_task_instances()} | {"run": str(run.state)}
print("STATES " + json.dumps(states))
"""


@pytest.mark.slow
def test_each_dag_runs_alone(tmp_path: Path, mlflow_server: str) -> None:
    settings: Settings = _settings(tmp_path).model_copy(update={"tracking_uri": mlflow_server, "model": "alone"})
    _world(tmp_path / "deliveries")
    for name in ("scene", "west"):
        deliver.hand_in(tmp_path / "deliveries" / name, settings.places().drop)
    home = tmp_path / "airflow"
    env = {
        **os.environ,
        **QUIET,
        **settings.as_environment(),
        "PYTHONPATH": str(CHECKOUT),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(CHECKOUT / "dags")],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    line = [x for x in done.stdout.splitlines() if x.startswith("STATES ")]
    assert line, done.stdout[-2000:] + done.stderr[-4000:]
    states = json.loads(line[0].removeprefix("STATES "))
    assert {name: state["run"] for name, state in states.items()} == dict.fromkeys(states, "success"), states
    assert states["train"]["choose"] == "success"
    assert states["publish"]["release"] == "success"
    assert {states["publish"][task] for task in ("ask", "agree", "record")} == {"skipped"}
    shelf = Shelf(settings.places().nouns)
    assert len(list(shelf.all(Version))) == 1
    # One per family, and one of choosing between them.
    assert sorted(len(e.selected_from) for e in shelf.all(Evaluation)) == [0, 0, 2]
    assert next(iter(shelf.all(Judgement))).outcome == "PROMOTE"
    assert [d for d in shelf.all(Decision) if d.fired]

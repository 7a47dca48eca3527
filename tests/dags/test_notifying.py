"""Notifiers in Airflow's own process: a task that decided and a task that failed tell a real server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geoml_ops.core.watched import Diagnosis
from geoml_ops.settings import CHECKOUT, QUIET, Settings
from tests.showing import FIRST, Show, calm
from tests.sinks import sinks

DAG = """
from airflow.sdk import dag, task
from dags.common import TASKS
from dags.notifying import Decided

@dag(schedule=None, catchup=False, default_args={**TASKS, "retries": 0})
def told():
    @task(on_success_callback=[Decided()])
    def decide():
        return [{"decision": DECISIONS[0], "retrain": ""}, {"decision": DECISIONS[1], "because": "nothing"}]

    @task(trigger_rule="all_done")
    def breaks(_):
        from geoml_ops.core.errors import BadInput
        raise BadInput("2 blocks cannot make 5 folds.", "use fewer folds")

    breaks(decide())

told()
"""

RUN = """
import sys
from pathlib import Path
from airflow.utils.db import initdb
initdb()
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
DagBundlesManager().sync_bundles_to_db()
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]), bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, "dags-folder", None)
run = bag.dags["told"].test()
print("STATE", run.state)
"""


@pytest.mark.slow
def test_a_fault_and_a_failure_are_told_from_inside_airflow(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path / "workspace")
    show = Show(settings.places())
    fault = Diagnosis(cause="band swap", action="fix ingest", sentence="B04 looks like B08.")
    decisions = [show.decide(show.scene("s2/r", FIRST, d), "none").id for d in (fault, calm())]
    folder, home = tmp_path / "dags_here", tmp_path / "airflow"
    folder.mkdir()
    home.mkdir()
    (folder / "told.py").write_text(f"DECISIONS = {json.dumps(decisions)}\n{DAG}")
    with sinks() as kept:
        env = {
            **os.environ, **QUIET, **settings.as_environment(),
            "GEOML_NOTIFY_WEBHOOK": kept.webhook, "GEOML_NOTIFY_SMTP": kept.smtp,
            "GEOML_NOTIFY_MAIL_TO": "a@example.org",
            "GEOML_PUBLIC_URL": "https://maps.example.org",
            "PYTHONPATH": str(CHECKOUT), "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(folder)], env=env, cwd=tmp_path, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert "STATE failed" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
        subjects = [body["subject"] for body in kept.bodies]
        assert subjects == ["band swap in s2/r", "told.breaks failed"], done.stderr[-4000:]
        assert len(kept.mails) == 2
    found, failed = kept.bodies
    assert found["links"]["Why"].startswith("https://maps.example.org/dashboard/drifts/drift-")
    assert failed["sentence"] == "BadInput: 2 blocks cannot make 5 folds. Try: use fewer folds"
    assert failed["facts"]["task"] == "breaks"


def test_every_dag_tells_of_its_failures() -> None:
    for path in (CHECKOUT / "dags").glob("*.py"):
        text = path.read_text()
        if "\n@dag(" in text or "@dag(dag_id" in text:
            assert "default_args=TASKS" in text, path.name
    assert '"on_failure_callback": [Failed()]' in (CHECKOUT / "dags" / "common.py").read_text()

"""Airflow's own scheduling, API and timeout sweep in one process, for the DAG ``publish``, without any server.

Started as a program, in an environment that points at an empty database and at a deployment: takes
scenarios by name, answers with what became of each, as one line of JSON. Only what decides *when* a
task runs is done here; the tasks, the questions and their answers are Airflow's.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_S = 40.0


class Scheduling:
    """A database, the DAGs, the API with its users, and a clock that only ticks when it is told to."""

    def __init__(self, dags: Path) -> None:
        from airflow.utils.db import initdb

        initdb()
        from airflow.api_fastapi.app import create_app
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from fastapi.testclient import TestClient

        DagBundlesManager().sync_bundles_to_db()
        self.bag = BundleDagBag(dag_folder=str(dags), bundle_path=dags, bundle_name="dags-folder")
        assert not self.bag.import_errors, self.bag.import_errors
        sync_bag_to_db(self.bag, "dags-folder", None)
        self.runner = SchedulerJobRunner(job=Job(), num_runs=1)
        self.api = TestClient(create_app(), raise_server_exceptions=False)
        self.tokens: dict[str, str] = {}

    def call(self, user: str, method: str, path: str, **options: Any) -> Any:
        """Returns the answer of the REST API to a user who logged in with name and password."""
        if user not in self.tokens:
            login = self.api.post("/auth/token", json={"username": user, "password": f"{user}-secret"})
            self.tokens[user] = login.json()["access_token"]
        return self.api.request(method, path, headers={"Authorization": f"Bearer {self.tokens[user]}"}, **options)

    def start(self, key: str) -> str:
        """Returns the id of a new run of ``publish``."""
        body = {"logical_date": None, "partition_key": key}
        answer = self.call("admin", "POST", "/api/v2/dags/publish/dagRuns", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["dag_run_id"])

    def go_on(self, run: str) -> dict[str, str]:
        """Runs tasks until the run has ended or waits for a person; returns the state of each, and of the run."""
        from airflow.models.dagbag import DBDagBag
        from airflow.models.dagrun import DagRun
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState, TaskInstanceState
        from sqlalchemy import select

        deadline = time.monotonic() + LIMIT_S
        with create_session() as session:
            found = session.scalar(select(DagRun).where(DagRun.run_id == run))
            found.dag = DBDagBag().get_latest_version_of_dag("publish", session=session)
            if found.state == DagRunState.QUEUED:
                found.state = DagRunState.RUNNING
            session.commit()
            while found.state == DagRunState.RUNNING and time.monotonic() < deadline:
                session.expire_all()
                ready, _ = found.update_state(session=session)
                for task in ready:
                    task.try_number += 1
                    task.state = TaskInstanceState.SCHEDULED
                session.commit()
                now = found.get_task_instances(session=session)
                todo = [t for t in now if t.state == TaskInstanceState.SCHEDULED]
                if not todo and any(t.state == TaskInstanceState.AWAITING_INPUT for t in now):
                    break
                if not todo:
                    time.sleep(0.2)
                for task in todo:
                    # A copy: in earnest the answer meets a new process that knows nothing of the question.
                    _run_task(ti=task, task=copy.deepcopy(self.bag.dags["publish"].task_dict[task.task_id]))
            states = {t.task_id: str(t.state) for t in found.get_task_instances(session=session)}
            return {**states, "run": str(found.state)}

    def sweep(self) -> None:
        """Lets the scheduler look for questions whose time is up."""
        self.runner.check_awaiting_input_timeouts()

    def questions(self, user: str, run: str) -> list[dict[str, Any]]:
        """Returns what waits for people, as the page of required actions asks for it."""
        path = f"/api/v2/dags/~/dagRuns/{run}/hitlDetails"
        return list(self.call(user, "GET", path, params={"response_received": False}).json()["hitl_details"])

    def answer(self, user: str, run: str, task: str, option: str, **fields: str) -> int:
        """Returns the status of answering as a user."""
        path = f"/api/v2/dags/publish/dagRuns/{run}/taskInstances/{task}/-1/hitlDetails"
        body = {"chosen_options": [option], "params_input": fields}
        return int(self.call(user, "PATCH", path, json=body).status_code)

    def value(self, run: str, task: str) -> Any:
        """Returns what a task handed on."""
        path = f"/api/v2/dags/publish/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.call("admin", "GET", path, params={"deserialize": "true"}).json().get("value")


def deploy(name: str, **promotion: Any) -> None:
    """Points this process at a registered model and a policy of its own."""
    policy = Path(os.environ["GEOML_WORKSPACE"]) / f"{name}.yaml"
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.write_text(json.dumps({"name": name, "promotion": promotion}))
    os.environ.update(GEOML_MODEL=f"people-{name}", GEOML_POLICY=str(policy))


def main(scenarios: dict[str, Callable[[Scheduling, str], dict[str, Any]]]) -> None:
    """Plays scenarios: ``DAGS KEY NAME…`` on the command line."""
    dags, key, *names = sys.argv[1:]
    world = Scheduling(Path(dags))
    found: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        found[name] = scenarios[name](world, key)
        found[name]["seconds"] = round(time.monotonic() - began, 1)
    print("FOUND " + json.dumps(found))

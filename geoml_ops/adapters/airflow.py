"""Airflow's public REST API, by HTTP: start runs, wait for them, ask what they did."""

from __future__ import annotations

import time
from typing import Any

import httpx

from geoml_ops.core.errors import NotFound, Refused, Unavailable

DONE = ("success", "failed")
PATIENCE_S = 90.0


class Airflow:
    """A client that logs in once and looks things up by name.

    Args:
        url: base address, ``http://127.0.0.1:8080``.
        user: a user with the right to start runs.
        password: its password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url, self._login = url.rstrip("/"), {"username": user, "password": password}
        self._http = httpx.Client(base_url=self.url, timeout=30.0)
        self._token = ""

    def healthy(self) -> bool:
        """True when the API, the scheduler and the DAG processor say so themselves."""
        try:
            answer = self._http.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return False
        return all(
            answer.get(part, {}).get("status") == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Returns the JSON answer of one call.

        Raises:
            Unavailable: nobody answers, or only with a server error.
            NotFound: there is no such thing.
            Refused: the call is not allowed or not valid.
        """
        deadline = time.monotonic() + (PATIENCE_S if method == "GET" else 0.0)
        while True:
            try:
                if not self._token:
                    login = self._http.post("/auth/token", json=self._login).raise_for_status()
                    self._token = login.json()["access_token"]
                answer = self._http.request(method, path, headers={"Authorization": f"Bearer {self._token}"}, **options)
                break
            except httpx.HTTPError as error:
                # A busy server stalls for many seconds while it builds a part of itself for the first time.
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"Airflow at {self.url} does not answer: {type(error).__name__}.", "geoml up"
                    ) from None
                time.sleep(0.5)
        if answer.status_code == 404:
            raise NotFound(f"Airflow knows nothing under {path}.")
        if answer.status_code >= 500:
            raise Unavailable(f"Airflow answered {answer.status_code} to {method} {path}.")
        if answer.status_code >= 400:
            raise Refused(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def dags(self) -> tuple[str, ...]:
        """Returns the names of the DAGs that are known now."""
        return tuple(sorted(d["dag_id"] for d in self.call("GET", "/api/v2/dags")["dags"]))

    def start(self, dag: str, *, key: str | None = None) -> str:
        """Starts a run now, with a partition key where the DAG takes one; returns the run's id."""
        body: dict[str, Any] = {"logical_date": None}
        if key:
            body["partition_key"] = key
        return str(self.call("POST", f"/api/v2/dags/{dag}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Returns the runs of a DAG, newest first."""
        answer = self.call("GET", f"/api/v2/dags/{dag}/dagRuns", params={"order_by": "-run_after", "limit": 100})
        return list(answer["dag_runs"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Returns the task instances of a run with state, start and duration."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances"
        return list(self.call("GET", path, params={"limit": 100})["task_instances"])

    def result(self, dag: str, run: str, task: str) -> Any:
        """Returns what a task handed on, or None where it handed on nothing."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        try:
            return self.call("GET", path, params={"deserialize": "true"})["value"]
        except NotFound:
            return None

    def wait(self, dag: str, run: str, *, limit_s: float = 600.0) -> str:
        """Waits until a run has ended and returns ``success``.

        Raises:
            Refused: it failed; the sentence names the tasks.
            Unavailable: it was still going after ``limit_s``.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            state = str(self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])
            if state == "failed":
                bad = [t["task_id"] for t in self.tasks(dag, run) if t["state"] in ("failed", "upstream_failed")]
                raise Refused(
                    f"Run {run} of {dag} failed in {', '.join(bad) or 'no task'}.", "read the task's log in Airflow"
                )
            if state in DONE:
                return state
            time.sleep(0.3)
        raise Unavailable(f"Run {run} of {dag} had not ended after {limit_s:.0f} s.")

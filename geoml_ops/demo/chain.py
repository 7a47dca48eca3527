"""Follows one event through Airflow: which runs it caused, how they ended, how long each task took."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from geoml_ops.adapters.airflow import DONE, Airflow
from geoml_ops.core.errors import NotFound, Unavailable
from geoml_ops.demo.progress import tell
from geoml_ops.stack import Stack

DAGS = ("ingest", "watch", "patrol", "train", "publish")
#: An event becomes a run within a second; twice that without any run means that nothing more follows.
CALM_S = 2.0


@dataclass
class Chain:
    """Starts a DAG and waits until everything that its events cause has ended."""

    stack: Stack
    seconds: dict[str, float] = field(default_factory=dict)

    def start(self, dag: str, *, limit_s: float = 900.0) -> dict[str, Any]:
        """Starts ``dag`` by hand and waits until no DAG is at work any more.

        A run that was under way already, of the schedule or of a turn that was killed, counts: it may
        have done what this one came for.

        Returns:
            Per DAG that ran, the values its tasks handed on: ``{"ingest": {"track": "version-…"}, …}``.

        Raises:
            Refused: a run failed; the sentence names its tasks.
            Unavailable: there was still work after ``limit_s``.
        """
        client = self.stack.airflow
        ended = {r["dag_run_id"] for name in DAGS for r in client.runs(name) if r["state"] in DONE}
        client.start(dag)
        found: dict[str, Any] = {}
        deadline, calm_since = time.monotonic() + limit_s, time.monotonic()
        while time.monotonic() - calm_since < CALM_S:
            time.sleep(0.3)
            fresh = [(n, r["dag_run_id"]) for n in DAGS for r in client.runs(n) if r["dag_run_id"] not in ended]
            for name, run in fresh:
                client.wait(name, run, limit_s=max(1.0, deadline - time.monotonic()))
                ended.add(run)
                self._note(found, client, name, run)
            if fresh:
                calm_since = time.monotonic()
        return {name: found[name] for name in DAGS if name in found}

    def _note(self, found: dict[str, Any], client: Airflow, dag: str, run: str) -> None:
        tasks: dict[str, str] = {}
        values = found.setdefault(dag, {})
        for item in client.tasks(dag, run):
            name, took = item["task_id"], float(item["duration"] or 0.0)
            tasks[name] = "skipped" if item["state"] == "skipped" else f"{took:.0f} s"
            self.seconds[f"{dag}.{name}"] = round(self.seconds.get(f"{dag}.{name}", 0.0) + took, 2)
            if item["state"] == "success" and item.get("map_index", -1) < 0:
                values[name] = client.result(dag, run, name)
        tell(f"      {dag}: " + ", ".join(f"{name} {what}" for name, what in tasks.items()))


def service_has(url: str, number: int, *, limit_s: float = 60.0) -> dict[str, Any]:
    """Waits until the service answers with this number of the registry and returns its own description.

    Raises:
        Unavailable: it still answers with another one, or not at all, after ``limit_s``.
    """
    deadline = time.monotonic() + limit_s
    seen: Any = None
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/model", timeout=5.0)
            seen = answer.json()
            if answer.status_code == 200 and int(seen["number"]) == number:
                return dict(seen)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, NotFound):
            pass
        time.sleep(0.2)
    raise Unavailable(f"The service did not take up model {number} within {limit_s:.0f} s; it says {str(seen)[:200]}.")


class MemoryGauge:
    """Samples the memory of a stack in the background and keeps the peak."""

    def __init__(self, stack: Stack, every_s: float = 3.0) -> None:
        self.peak_mb = 0.0
        self._stack, self._every_s, self._stop = stack, every_s, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryGauge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.peak_mb = max(self.peak_mb, self._stack.memory_mb())

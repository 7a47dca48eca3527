"""Follows one event through Airflow: which runs it caused, how they ended, how long each task took."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from geoml_ops.adapters.airflow import Airflow
from geoml_ops.core.errors import NotFound, Unavailable
from geoml_ops.demo.progress import tell
from geoml_ops.stack import Stack

NEXT = {"ingest": ("track", "watch"), "watch": ("announce", "train"), "patrol": ("announce", "train"),
        "train": ("choose", "publish")}  # fmt: skip


@dataclass
class Chain:
    """Starts DAGs and walks along the assets that join them."""

    stack: Stack
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def airflow(self) -> Airflow:
        """The stack's Airflow."""
        return self.stack.airflow

    def start(self, dag: str) -> dict[str, Any]:
        """Starts ``dag`` by hand and follows everything it causes.

        Returns:
            Per DAG that ran, the values its tasks handed on: ``{"ingest": {"track": "version-…"}, …}``.
        """
        client = self.airflow
        known = {name: {r["dag_run_id"] for r in client.runs(name)} for name in ("watch", "train", "publish")}
        run = client.start(dag)
        found: dict[str, Any] = {}
        while True:
            client.wait(dag, run)
            found[dag] = self._results(client, dag, run)
            tell(f"      {dag}: " + ", ".join(f"{t} {s}" for t, s in found[dag]["tasks"].items()))
            if dag not in NEXT:
                return found
            task, after = NEXT[dag]
            if not found[dag].get(task):
                return found
            run, dag = self._caused(client, after, known[after]), after

    def _caused(self, client: Airflow, dag: str, known: set[str], limit_s: float = 60.0) -> str:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            fresh = [r["dag_run_id"] for r in client.runs(dag) if r["dag_run_id"] not in known]
            if fresh:
                return str(fresh[-1])
            time.sleep(0.2)
        raise Unavailable(
            f"The event for {dag} started no run within {limit_s:.0f} s.", "look at the assets in Airflow"
        )

    def _results(self, client: Airflow, dag: str, run: str) -> dict[str, Any]:
        tasks: dict[str, str] = {}
        values: dict[str, Any] = {}
        for item in client.tasks(dag, run):
            name, took = item["task_id"], float(item["duration"] or 0.0)
            tasks[name] = "skipped" if item["state"] == "skipped" else f"{took:.0f} s"
            self.seconds[f"{dag}.{name}"] = round(self.seconds.get(f"{dag}.{name}", 0.0) + took, 2)
            if item["state"] == "success" and item.get("map_index", -1) < 0:
                values[name] = client.result(dag, run, name)
        return {"run": run, "tasks": tasks, **values}


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

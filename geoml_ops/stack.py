"""The servers of one machine: Airflow, MLflow, the service, Evidently; started together, stopped for certain."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import httpx
import psutil

from geoml_ops.adapters.airflow import Airflow
from geoml_ops.core.errors import GeomlError, Unavailable
from geoml_ops.platform.files import read_json, sweep_parts, write_json, write_text
from geoml_ops.platform.processes import Child, free_port, memory_mb, start, stop
from geoml_ops.servers import PORTS, commands, environment, new_secrets
from geoml_ops.settings import CHECKOUT, Settings

TELL = Callable[[str], None]


@dataclass
class Stack:
    """One deployment's servers.

    Attributes:
        settings: the machine's settings, with the addresses of this stack filled in by :meth:`prepare`.
        tell: takes one line of progress.
        witnessed: whether every Python process refuses and records connections beyond loopback.
    """

    settings: Settings
    tell: TELL = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: T201
    witnessed: bool = False
    children: list[Child] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Folder of logs, ports and secrets."""
        return self.settings.workspace.resolve() / "stack"

    @property
    def airflow(self) -> Airflow:
        """A client of this stack's Airflow, logged in as its administrator."""
        return Airflow(f"http://127.0.0.1:{self.ports['airflow']}", "admin", self.secrets["admin"])

    @property
    def witness_file(self) -> Path:
        """Where refused connections are written."""
        return self.home / "network.jsonl"

    def prepare(self) -> None:
        """Chooses ports and secrets (kept for the next start) and makes the folders."""
        self.home.mkdir(parents=True, exist_ok=True)
        for folder in self._swept():
            sweep_parts(folder)
        kept = read_json(self.home / "ports.json") if (self.home / "ports.json").exists() else {}
        for name, usual in PORTS.items():
            self.ports[name] = free_port(kept.get(name, usual), self.ports.values())
        write_json(self.home / "ports.json", self.ports)
        self.secrets = self._secrets()
        self.settings = self.settings.model_copy(
            update={
                "tracking_uri": f"http://127.0.0.1:{self.ports['mlflow']}",
                "service_url": f"http://127.0.0.1:{self.ports['service']}",
                "airflow_url": f"http://127.0.0.1:{self.ports['airflow']}",
                "evidently_url": f"http://127.0.0.1:{self.ports['evidently']}",
            }
        )
        places = self.settings.places()
        for folder in (places.drop, places.evidently, places.predictions, places.bundles, places.dashboard):
            folder.mkdir(parents=True, exist_ok=True)

    def _swept(self) -> list[Path]:
        places = self.settings.places()
        return [places.nouns, places.incoming, places.tables, places.models, places.bundles, places.predictions]

    def _secrets(self) -> dict[str, str]:
        path = self.home / "secrets.json"
        if not path.exists():
            write_json(path, new_secrets())
            path.chmod(0o600)
        return dict(read_json(path))

    def _environment(self) -> dict[str, str]:
        return environment(
            self.settings, self.ports, self.secrets, witness=self.witness_file if self.witnessed else None
        )

    def up(self, only: tuple[str, ...] = (), limit_s: float = 240.0) -> None:
        """Starts the servers and waits until each says it is ready.

        Raises:
            GeomlError: one of them ended while starting; the sentence carries the end of its log.
            Unavailable: one of them was not ready in time.
        """
        env = self._environment()
        (self.home / "mlflow").mkdir(exist_ok=True)
        began = time.monotonic()
        wanted = {
            name: command for name, command in commands(self.settings, self.ports).items() if not only or name in only
        }
        # The database is made by one process before any server opens it.
        airflow_needed = any(name.startswith("airflow") for name in wanted)
        migrate = (
            start(
                "airflow-db", [sys.executable, "-m", "airflow", "db", "migrate"], env, self._log("airflow-db"), CHECKOUT
            )
            if airflow_needed
            else None
        )
        for name in [n for n in wanted if not n.startswith("airflow")]:
            self.children.append(start(name, wanted[name], env, self._log(name), CHECKOUT))
        if migrate is not None:
            self.children.append(migrate)
            if migrate.popen.wait() != 0:
                raise GeomlError(f"Airflow's database could not be made:\n{migrate.last_lines()}")
            self.children.remove(migrate)
        for name in [n for n in wanted if n.startswith("airflow")]:
            self.children.append(start(name, wanted[name], env, self._log(name), CHECKOUT))
        self._record()
        self._wait(limit_s)
        self.tell(f"all servers are ready after {time.monotonic() - began:.0f} s")

    def revive(self) -> None:
        """Starts every server again that ended by itself."""
        for child in [c for c in self.children if not c.alive]:
            self.tell(f"{child.name} ended by itself; starting it again:\n{child.last_lines(4)}")
            self.children.remove(child)
            command = commands(self.settings, self.ports)[child.name]
            self.children.append(start(child.name, command, self._environment(), child.log, CHECKOUT))
            self._record()

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _probes(self) -> dict[str, Callable[[], bool]]:
        return {
            "mlflow": lambda: _answers(f"http://127.0.0.1:{self.ports['mlflow']}/health"),
            "airflow-api": lambda: self.airflow.healthy() and len(self.airflow.dags()) >= 5 and self._runs_tasks(),
            "service": lambda: _answers(f"http://127.0.0.1:{self.ports['service']}/livez"),
            "evidently": lambda: _answers(f"http://127.0.0.1:{self.ports['evidently']}/api/version"),
        }

    def _runs_tasks(self) -> bool:
        # The part that tasks report to is built at its first request; the first task need not wait for it.
        return _answers(f"http://127.0.0.1:{self.ports['airflow']}/execution/health", timeout_s=60.0)

    def _wait(self, limit_s: float) -> None:
        names = {child.name for child in self.children}
        waiting = {name: probe for name, probe in self._probes().items() if name in names}
        deadline = time.monotonic() + limit_s
        while waiting:
            for child in self.children:
                if not child.alive:
                    raise GeomlError(f"{child.name} ended while starting:\n{child.last_lines()}", f"read {child.log}")
            for name in [n for n, probe in waiting.items() if _true(probe)]:
                del waiting[name]
                self.tell(f"  {name.removesuffix('-api')} is ready")
            if waiting and time.monotonic() > deadline:
                raise Unavailable(
                    f"{', '.join(waiting)} not ready after {limit_s:.0f} s.", f"read {self.home / 'logs'}"
                )
            time.sleep(0.3)

    def _record(self) -> None:
        rows = {
            c.name: {"pid": c.popen.pid, "started": psutil.Process(c.popen.pid).create_time()}
            for c in self.children
            if c.alive
        }
        write_json(self.home / "pids.json", rows)

    def memory_mb(self) -> float:
        """Returns the memory of all servers and their workers, in MB."""
        return memory_mb(c.popen.pid for c in self.children if c.alive)

    def down(self) -> None:
        """Stops everything that this stack started; safe to call twice."""
        children, self.children = list(self.children), []
        killed = stop(children)
        (self.home / "pids.json").unlink(missing_ok=True)
        if killed:
            self.tell(f"had to kill {', '.join(killed)}")

    def links(self) -> dict[str, str]:
        """Returns the address of each page people open."""
        return {
            "Map and service": f"http://127.0.0.1:{self.ports['service']}/",
            "Monitoring": f"http://127.0.0.1:{self.ports['service']}/dashboard/",
            "Airflow": f"http://127.0.0.1:{self.ports['airflow']}/",
            "MLflow": f"http://127.0.0.1:{self.ports['mlflow']}/",
            "Evidently": f"http://127.0.0.1:{self.ports['evidently']}/",
        }


@contextmanager
def running(stack: Stack, only: tuple[str, ...] = ()) -> Iterator[Stack]:
    """Runs a stack while the block runs; Ctrl-C and SIGTERM end the block, and the servers with it."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        stack.prepare()
        stack.up(only)
        yield stack
    finally:
        # A second Ctrl-C must not leave half of them running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stack.down()
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def serve(settings: Settings) -> None:
    """Keeps a stack up until it is told to stop; writes its page of links."""
    stack = Stack(settings)
    with running(stack):
        write_text(stack.home / "index.html", _page(stack))
        write_json(stack.home / "supervisor.json", {"pid": os.getpid(), "started": psutil.Process().create_time()})
        try:
            while True:
                stack.revive()
                time.sleep(2)
        except KeyboardInterrupt:
            stack.tell("stopping")
        finally:
            (stack.home / "supervisor.json").unlink(missing_ok=True)


def supervisor(settings: Settings) -> psutil.Process | None:
    """Returns the process that keeps this workspace's stack up, or None where there is none."""
    path = settings.workspace.resolve() / "stack" / "supervisor.json"
    if not path.exists():
        return None
    kept = read_json(path)
    try:
        process = psutil.Process(kept["pid"])
        return process if abs(process.create_time() - kept["started"]) < 1 else None
    except psutil.Error:
        return None


def _answers(url: str, timeout_s: float = 2.0) -> bool:
    try:
        return httpx.get(url, timeout=timeout_s).status_code == 200
    except httpx.HTTPError:
        return False


def _true(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except GeomlError:
        return False


def _page(stack: Stack) -> str:
    rows = "".join(f'<tr><th>{name}</th><td><a href="{url}">{url}</a></td></tr>' for name, url in stack.links().items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>GeoML Ops</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:46rem;color:#1c2733}"
        "th{text-align:left;padding:.4rem 2rem .4rem 0}code{background:#eef2f5;padding:.1rem .4rem}</style>"
        f"<h1>GeoML Ops is up</h1><table>{rows}</table>"
        f"<p>Airflow: user <code>admin</code>, password <code>{stack.secrets['admin']}</code>. The others ask "
        "for none; all listen on this machine only.</p>"
        f"<p>Deliveries go to <code>{stack.settings.places().drop}</code>. <code>geoml status</code> shows the state, "
        "<code>make down</code> stops everything.</p></html>"
    )

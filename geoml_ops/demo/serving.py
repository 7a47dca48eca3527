"""One more service beside the stack's own: another workspace, another model, a free port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from geoml_ops.core.errors import GeomlError, Unavailable
from geoml_ops.platform.processes import Child, free_port, start, stop
from geoml_ops.servers import PORTS, commands, environment, new_secrets
from geoml_ops.settings import CHECKOUT, Settings


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        url: its address on this machine.
        child: its leading process.
    """

    url: str
    child: Child

    @property
    def number(self) -> int | None:
        """The number of the registry that answers now; None while no model does."""
        found = httpx.get(f"{self.url}/model", timeout=5.0).json().get("number")
        return None if found is None else int(found)

    @property
    def pids(self) -> frozenset[int]:
        """Its processes; the same set before and after means that none was started again."""
        leader = psutil.Process(self.child.popen.pid)
        return frozenset({leader.pid, *(p.pid for p in leader.children(recursive=True))})


@contextmanager
def serving(settings: Settings, *, witness: Path | None = None, limit_s: float = 120.0) -> Iterator[Service]:
    """Runs the service of these settings while the block runs.

    Args:
        settings: with the workspace and model to serve.
        witness: where its process writes attempts to reach beyond loopback; None for no witness.
        limit_s: how long it may take to start.

    Raises:
        GeomlError: it ended while starting.
        Unavailable: it did not answer in time.
    """
    ports: dict[str, int] = {}
    for name in PORTS:
        ports[name] = free_port(taken=ports.values())
    url = f"http://127.0.0.1:{ports['service']}"
    settings = settings.model_copy(update={"service_url": url})
    for folder in (settings.places().predictions, settings.places().dashboard):
        folder.mkdir(parents=True, exist_ok=True)
    env = environment(settings, ports, new_secrets(), witness=witness)
    command, log = commands(settings, ports)["service"], settings.workspace / "service.log"
    child = start(f"service of {settings.model}", command, env, log, CHECKOUT)
    try:
        _wait(url, child, limit_s)
        yield Service(url, child)
    finally:
        stop([child])


def _wait(url: str, child: Child, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not child.alive:
            raise GeomlError(f"The {child.name} ended while starting:\n{child.last_lines()}", f"read {child.log}")
        try:
            if httpx.get(f"{url}/livez", timeout=2.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise Unavailable(f"The {child.name} was not ready after {limit_s:.0f} s.", f"read {child.log}")

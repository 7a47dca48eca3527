"""Mutants of real GeoTIFFs through everything that an upload goes through, in processes of their own.

2,000 in the ordinary run; ``GEOML_FULL=1`` makes it 20,000 and writes ``workspace/full/fuzz.json``.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geoml_ops.platform import jail
from geoml_ops.platform.files import write_json
from geoml_ops.settings import QUIET
from tests.conftest import ROOT
from tests.fuzz.mutants import mutant
from tests.fuzz.seeds import write_seeds
from tests.fuzz.watching import Canaries, Listener

HANG_S, START_S = 10.0, 120.0
WORKERS = 2
MEMORY_MB = 1_024
"""What a worker may take beside what it has once everything is loaded."""


class Run:
    """Fuzz workers over one range of mutants, and what became of each."""

    def __init__(self, home: Path, n_mutants: int, first: int = 0) -> None:
        self.home, self.n_mutants, self.first = home, n_mutants, first
        (home / "seeds").mkdir()
        self.seeds = write_seeds(home / "seeds")
        self.canary = home / "canary.tif"
        with rasterio.open(self.canary, "w", driver="GTiff", width=32, height=32, count=1, dtype="uint8") as target:
            target.write(np.full((1, 32, 32), 77, np.uint8))
        self.listener = Listener()
        self.words = list(leading(self.canary, self.listener.port))
        self.canaries = Canaries([self.canary])
        self.said: dict[int, dict[str, Any]] = {}
        self.hangs: list[int] = []
        self.crashes: list[tuple[int, int]] = []

    def go(self) -> None:
        """Runs all mutants; returns when each was seen."""
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._lane, range(WORKERS)))
        self.listener.close()

    def _lane(self, lane: int) -> None:
        first = self.first + lane
        while first < self.first + self.n_mutants:
            first = self._work(lane, first)

    def _work(self, lane: int, first: int) -> int:
        """Runs one worker until it ends; returns the number after the one it ended with."""
        home = self.home / f"worker-{lane}-{first}"
        home.mkdir()
        job = {
            "home": str(home),
            "seeds": [str(path) for path in self.seeds],
            "words": self.words,
            "first": first,
            "last": self.first + self.n_mutants,
            "step": WORKERS,
            "memory_mb": MEMORY_MB,
            # Half of all mutants meet the gate alone, so that the jail cannot hide what it lets through.
            "jailed": bool(lane % 2) and bool(jail.available()),
        }
        write_json(home / "job.json", job)
        with (home / "err.txt").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", str(home / "job.json")],
                cwd=ROOT,
                env={**os.environ, **QUIET, "MALLOC_ARENA_MAX": "2"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        return self._watch(process, first)

    def _watch(self, process: subprocess.Popen[str], first: int) -> int:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pumped, args=(process, lines), daemon=True).start()
        at, patience = first - WORKERS, START_S
        while True:
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                process.kill()
                process.wait()
                self.hangs.append(at)
                return at + WORKERS
            patience = HANG_S
            if line is None:
                break
            told = json.loads(line)
            at = told["number"]
            if "said" in told:
                self.said[at] = told
        if process.wait() != 0:
            self.crashes.append((at, process.returncode))
        return at + WORKERS

    def report(self) -> dict[str, Any]:
        """Returns the run in numbers."""
        raised = {n: t["said"] for n, t in self.said.items() if any(s.startswith("!") for s in t["said"].values())}
        return {
            "mutants": self.n_mutants,
            "seen": len(self.said),
            "crashes": self.crashes,
            "hangs": self.hangs,
            "raised": dict(sorted(raised.items())[:20]),
            "n_raised": len(raised),
            "canaries_heard": self.canaries.heard(),
            "connections": len(self.listener.calls),
            "jailed": bool(jail.available()),
            "slowest_cpu_s": max((t["cpu_s"] for t in self.said.values()), default=0.0),
            "peak_mb": max((t["peak_mb"] for t in self.said.values()), default=0),
            "outcomes": {
                stage: dict(Counter(t["said"][stage].split(":")[0] for t in self.said.values()).most_common())
                for stage in ("describe", "window", "extent", "delivered", "codes", "map")
            },
        }


def _pumped(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def leading(canary: Path, port: int) -> Iterator[str]:
    """Yields words that lead from one file to another, for whoever believes them."""
    url = f"/vsicurl/http://127.0.0.1:{port}/x.tif"
    for goal in (str(canary), url):
        for domain, key in (("OVERVIEWS", "OVERVIEW_FILE"), ("GEOLOCATION", "X_DATASET"), ("SUBDATASETS", "A_NAME")):
            for domain_as in (f'domain="{domain}"', f"domain='{domain}'", f'Domain = "{domain.lower()}"'):
                yield f'<GDALMetadata><Item name="{key}" {domain_as}>{goal}</Item></GDALMetadata>'
        yield f"ESRI PE String = +proj=utm +zone=33 +nadgrids={goal}|"
        yield f"<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>{goal}</SourceFilename></VRTDataset>"


def judged(run: Run) -> None:
    """Asserts what has to hold of a run."""
    said = run.report()
    words = json.dumps(said, indent=1)
    assert said["seen"] == said["mutants"], words
    assert (said["crashes"], said["hangs"], said["n_raised"]) == ([], [], 0), words
    assert (said["canaries_heard"], said["connections"]) == (0, 0), words
    assert said["slowest_cpu_s"] < HANG_S, words
    assert said["outcomes"]["map"].get("fine", 0) > said["mutants"] * 0.03, words
    assert said["outcomes"]["describe"].get("BadInput", 0) > said["mutants"] * 0.3, words


def test_witnesses_hear_what_they_should(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    canaries, listener = Canaries([tmp_path / "a"]), Listener()
    assert (canaries.heard(), listener.calls) == (0, [])
    (tmp_path / "a").read_text()
    assert canaries.heard() > 0
    socket.create_connection(("127.0.0.1", listener.port), 2).close()
    deadline = time.monotonic() + 5
    while not listener.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert listener.calls == [b""]
    listener.close()


def test_seeds_are_honest_and_mutants_are_always_the_same(tmp_path: Path) -> None:
    seeds = [path.read_bytes() for path in write_seeds(tmp_path)]
    assert len(seeds) == len(set(seeds))
    words = [b"<GDALMetadata/>"]
    made = [mutant(seeds, number, words) for number in range(300)]
    assert made == [mutant(seeds, number, words) for number in range(300)]
    assert sum(one in seeds for one in made) < 30


def test_mutants_end_in_a_map_or_in_a_sentence(tmp_path: Path) -> None:
    run = Run(tmp_path, 2_000)
    run.go()
    judged(run)


@pytest.mark.full
@pytest.mark.skipif(not os.environ.get("GEOML_FULL"), reason="GEOML_FULL=1 runs 20,000")
def test_twenty_thousand_mutants_end_in_a_map_or_in_a_sentence(tmp_path: Path) -> None:
    run = Run(tmp_path, 20_000)
    began = time.monotonic()
    run.go()
    write_json(ROOT / "workspace" / "full" / "fuzz.json", run.report() | {"wall_s": round(time.monotonic() - began, 1)})
    judged(run)

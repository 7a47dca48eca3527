"""The demonstration as people run it: killed half-way, started again, interrupted; nothing is lost or left over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Entry, FeatureTable, Verdict, Version
from geoml_ops.platform.files import read_json, sha256_of, write_json
from geoml_ops.settings import CHECKOUT

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes many minutes; make full"),
]

NUMBERS = CHECKOUT / "workspace" / "full" / "demo.json"
CHAPTERS = ["first_model", "same_again", "quiet_ground", "shifted_numbers", "new_ground", "second_model"]
LIMIT_S = 1800.0


@dataclass
class Demo:
    """``geoml demo`` in a workspace of its own, as often as it is called."""

    workspace: Path
    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GEOML_", "AIRFLOW"))}
        with self.log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "geoml_ops.cli", "demo"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env=env | {"GEOML_WORKSPACE": str(self.workspace)},
                cwd=CHECKOUT,
                # Started from a script's background, this process ignores Ctrl-C and would hand that on.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )
        self.processes.append(process)
        return process

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, process: subprocess.Popen[bytes], true: Callable[[], bool], limit_s: float = 600.0) -> None:
        deadline = time.monotonic() + limit_s
        while not true():
            assert process.poll() is None, f"it ended with {process.returncode}:\n{self.said()[-3000:]}"
            assert time.monotonic() < deadline, f"not there after {limit_s:.0f} s:\n{self.said()[-3000:]}"
            time.sleep(0.1)

    def to_the_end(self) -> float:
        began = time.monotonic()
        code = self.start().wait(LIMIT_S)
        assert code == 0, f"exit code {code}:\n{self.said()[-3000:]}"
        return time.monotonic() - began

    def left(self) -> list[psutil.Process]:
        """Everything alive that was started with this workspace in its environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("GEOML_WORKSPACE") == str(self.workspace)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def gone_after_s(self, limit_s: float) -> float:
        began = time.monotonic()
        while left := self.left():
            waited = time.monotonic() - began
            assert waited < limit_s, (
                f"still there after {waited:.0f} s: {[p.as_dict(['pid', 'cmdline']) for p in left]}"
            )
            time.sleep(0.2)
        return round(time.monotonic() - began, 2)

    @property
    def shelves(self) -> list[Shelf]:
        """The nouns of the turn, and those of the generated world where the turn needed one."""
        return [Shelf(folder) for folder in sorted(self.workspace.rglob("nouns")) if folder.is_dir()]

    def nouns(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.workspace)): sha256_of(path)
            for shelf in self.shelves
            for path in shelf.folder.rglob("*.json")
        }

    def has(self, kind: type[Version | FeatureTable]) -> bool:
        return any((self.workspace / "nouns" / kind.kind).glob("*.json"))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    workspace = tmp_path.resolve() / "workspace"
    one = Demo(workspace, tmp_path / "stderr.txt")
    yield one
    for process in [p for p in one.processes if p.poll() is None]:
        process.kill()
        process.wait()
    for process in one.left():
        with contextlib.suppress(psutil.Error):
            process.kill()


def _note(name: str, numbers: dict[str, object]) -> None:
    write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


def test_a_killed_demo_goes_on_to_the_end_and_leaves_nothing_running(demo: Demo) -> None:
    began = time.monotonic()
    process = demo.start()
    demo.wait_for(process, lambda: demo.has(FeatureTable))  # the first thing that a training makes
    process.kill()
    process.wait()
    killed_s = time.monotonic() - began
    assert f"[1/{len(CHAPTERS)}]" in demo.said()
    assert f"[2/{len(CHAPTERS)}]" not in demo.said()
    assert not (demo.workspace / "demo" / "progress.json").exists()
    before = demo.nouns()
    gone_s = demo.gone_after_s(120)

    resumed_s = demo.to_the_end()
    assert demo.gone_after_s(20) < 20
    made = demo.nouns()
    assert before.items() <= made.items(), "a noun of the killed turn was lost or changed"
    _check_whole(demo)

    again_s = demo.to_the_end()
    assert demo.nouns() == made
    assert again_s < (killed_s + resumed_s) / 2
    assert "turn is complete" in demo.said(), "a complete turn is answered at once"
    assert demo.gone_after_s(20) < 20
    _note(
        "killed_and_resumed",
        {
            "killed_after_s": round(killed_s, 1),
            "servers_gone_after_kill_s": gone_s,
            "resumed_s": round(resumed_s, 1),
            "again_s": round(again_s, 1),
            "nouns_at_kill": len(before),
            "nouns": len(made),
            "measured": read_json(demo.workspace / "demo" / "measured.json"),
            "chapters_s": {
                name: facts["seconds"] for name, facts in read_json(demo.workspace / "demo" / "progress.json").items()
            },
        },
    )


def _check_whole(demo: Demo) -> None:
    home = demo.workspace / "demo"
    for name in ("report.html", "report.json"):
        assert (home / name).stat().st_size > 1000
    done = read_json(home / "progress.json")
    assert set(CHAPTERS) <= set(done)
    assert set(done) <= {*CHAPTERS, "world"}
    witness = demo.workspace / "stack" / "network.jsonl"
    assert not witness.exists() or witness.read_text() == ""
    assert demo.shelves
    for shelf in demo.shelves:
        for path in shelf.folder.rglob("*.json"):
            for parent in shelf.any(path.stem).parents:
                assert shelf.path_of(parent).exists(), f"{path.stem} was made from {parent}"
        for what in (
            Counter(verdict.delivery for verdict in shelf.all(Verdict)),
            Counter(entry.bundle for entry in shelf.all(Entry)),
        ):
            assert what
            assert set(what.values()) == {1}, f"made twice: {what}"


def test_ctrl_c_in_the_middle_leaves_nothing_running(demo: Demo) -> None:
    process = demo.start()
    demo.wait_for(process, lambda: demo.has(Version))
    running = len(demo.left())
    assert running > len(demo.processes), "servers are up"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    code = process.wait(120)
    stopped_s = time.monotonic() - began
    assert code != 0
    assert demo.gone_after_s(10) < 10
    assert "Traceback" not in demo.said(), demo.said()[-3000:]
    _note("interrupted", {"processes": running, "stopped_s": round(stopped_s, 1), "exit_code": code})

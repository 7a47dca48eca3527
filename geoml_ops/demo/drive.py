"""The demo's driver: starts the stack, turns the loop chapter by chapter, writes the report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from geoml_ops.core.errors import GeomlError
from geoml_ops.demo import chapters, world
from geoml_ops.demo.chain import Chain, MemoryGauge
from geoml_ops.demo.progress import Facts, Progress, tell
from geoml_ops.demo.report import write_report
from geoml_ops.demo.story import Cost
from geoml_ops.demo.turn import Turn
from geoml_ops.platform import network
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import Settings, be_quiet
from geoml_ops.stack import Stack, running, supervisor

N_CHAPTERS = 6
#: Evidently writes its reports without its own page; `make up` shows them.
SERVERS = ("mlflow", "airflow-api", "airflow-scheduler", "airflow-dags", "service")


def main(settings: Settings, *, fresh: bool = False) -> int:
    """Turns the loop, writes ``workspace/demo/report.html`` and ``report.json``, returns the exit code."""
    be_quiet()
    if supervisor(settings) is not None:
        raise GeomlError("The stack of this workspace is up; the demo needs it for itself.", "make down")
    folder = settings.workspace.resolve() / "demo"
    if fresh:
        _forget(settings)
    progress = Progress(folder / "progress.json", N_CHAPTERS)
    if _is_complete(progress) and (folder / "report.html").exists():
        tell(f"This workspace's turn is complete: {folder / 'report.html'}\nTo turn again: geoml demo --fresh")
        return 0
    # Before any thread: from here on this process and its children see loopback and nothing else.
    alone = network.go_alone()
    stack = Stack(settings, witnessed=True)
    tell("One turn of the loop. Airflow, MLflow and the service start on free ports of this machine.")
    tell(
        "Nothing beyond loopback can be reached." if alone else "Connections beyond loopback are refused and recorded."
    )
    with running(stack, SERVERS) as up, MemoryGauge(up) as gauge:
        turn = Turn(up, Chain(up), folder)
        facts = _chapters(turn, progress)
        attempts = up.witness_file.read_text().splitlines() if up.witness_file.exists() else []
        peak_mb = _kept(folder / "measured.json", turn.chain.seconds, gauge.peak_mb)["peak_mb"]
        _report(turn, facts, peak_mb, attempts, alone=alone)
    if attempts:
        raise GeomlError(f"{len(attempts)} connections beyond loopback were tried.", f"read {stack.witness_file}")
    tell(f"\nThe story with its pictures: {folder / 'report.html'}\nNext: make up, and open the links it prints.")
    return 0


def _chapters(turn: Turn, progress: Progress) -> dict[str, Facts]:
    plan = (
        ("first_model", "A scene and western labels arrive: ingest, train, publish", turn.first_model),
        ("same_again", "The same deliveries again: nothing new", turn.same_again),
        ("quiet_ground", "Requests of ground like the training ground", turn.quiet_ground),
        ("shifted_numbers", "The scene with +1000 DN, undeclared and declared", turn.shifted_numbers),
        ("new_ground", "Requests of ground the champion never saw", turn.new_ground),
        ("second_model", "Labels of that ground arrive: retrain, gate, swap or hold", turn.second_model),
    )
    facts = {name: progress.chapter(name, title, work) for name, title, work in plan}
    if facts["second_model"]["outcome"] != "PROMOTE":
        # One small scene may be too little to tell; a swap is then shown where the truth is known.
        facts["world"] = progress.chapter(
            "world",
            "The gate did not promote; the swap itself, on a generated world",
            lambda: world.show(turn.stack.settings, turn.folder, witness=turn.stack.witness_file),
        )
    return facts


def _is_complete(progress: Progress) -> bool:
    last = progress.done.get("second_model")
    return last is not None and (last["outcome"] == "PROMOTE" or "world" in progress.done)


def _kept(path: Path, seconds: dict[str, float], peak_mb: float) -> Facts:
    # A resumed turn adds to what the killed one measured.
    before: Facts = read_json(path) if path.exists() else {"seconds": {}, "peak_mb": 0.0}
    merged = dict(before["seconds"])
    for name, value in seconds.items():
        merged[name] = round(merged.get(name, 0.0) + value, 2)
    kept = {"seconds": merged, "peak_mb": max(before["peak_mb"], round(peak_mb))}
    write_json(path, kept)
    return kept


def _report(turn: Turn, facts: dict[str, Facts], peak_mb: float, attempts: Sequence[str], *, alone: bool) -> None:
    steps = read_json(turn.folder / "measured.json")["seconds"]
    how = "a network with loopback only" if alone else "a witness in every process"
    cost = Cost(
        seconds=tuple(steps.items()),
        sizes=(*chapters.sizes(turn.places), (how, "proved that nothing left the machine")),
        peak_mb=peak_mb,
        total_s=sum(chapter["seconds"] for chapter in facts.values()),
        connections=tuple(attempts),
    )
    write_report(turn.folder, chapters.tell_story(turn.places, turn.folder, facts, cost))


def _forget(settings: Settings) -> None:
    for item in settings.workspace.resolve().iterdir():
        if item.name != "venv":
            shutil.rmtree(item) if item.is_dir() else item.unlink()

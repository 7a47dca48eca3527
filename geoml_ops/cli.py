"""``geoml``: every step by hand. Nouns go to stdout as JSON; words and progress go to stderr."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Noun
from geoml_ops.settings import CHECKOUT, Settings, be_quiet

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="One loop, four verbs: ingest, train, publish, watch."
)
ingest = typer.Typer(no_args_is_help=True, help="Deliveries become verdicts and versions.")
train = typer.Typer(no_args_is_help=True, help="A version becomes an evaluated model.")
publish = typer.Typer(no_args_is_help=True, help="An evaluated model becomes a bundle, an entry, perhaps the champion.")
watch = typer.Typer(
    no_args_is_help=True, help="Predictions are compared with the champion's ground; a decision follows."
)
for _name, _group in (("ingest", ingest), ("train", train), ("publish", publish), ("watch", watch)):
    app.add_typer(_group, name=_name)


def say(line: str) -> None:
    """Writes a line for people to stderr."""
    print(line, file=sys.stderr, flush=True)


def show(*nouns: Noun) -> None:
    """Writes nouns to stdout, one JSON object per line, each with its id."""
    for noun in nouns:
        print(json.dumps({"id": noun.id, "kind": noun.kind, **noun.as_json()}, ensure_ascii=False))


def _places() -> Any:
    be_quiet()
    settings = Settings()
    ports = settings.workspace.resolve() / "stack" / "ports.json"
    if "tracking_uri" not in settings.model_fields_set and ports.exists():
        port = json.loads(ports.read_text())["mlflow"]
        settings = settings.model_copy(update={"tracking_uri": f"http://127.0.0.1:{port}"})
    return settings.places()


# --- ingest ----------------------------------------------------------------------------------


@ingest.command("collect")
def ingest_collect() -> None:
    """List the complete deliveries that have no verdict yet."""
    from geoml_ops.steps import ingest as step

    names = step.collect(_places())
    print(json.dumps(list(names)))
    say(f"{len(names)} to judge; next: geoml ingest check NAME")


@ingest.command("check")
def ingest_check(name: str) -> None:
    """Judge one delivery; a refused one goes to quarantine with its reasons."""
    from geoml_ops.steps import ingest as step

    verdict = step.check(_places(), name)
    show(verdict)
    for reason in verdict.reasons:
        say(f"refused: {reason}")
    say("accepted; next: geoml ingest track" if verdict.accepted else "the delivery is in quarantine")


@ingest.command("track")
def ingest_track() -> None:
    """Make a version of everything accepted so far."""
    from geoml_ops.steps import ingest as step

    version = step.track(_places())
    if version is None:
        say("nothing accepted yet; next: geoml ingest collect")
        return
    show(version)
    say("next: geoml train run")


# --- train -----------------------------------------------------------------------------------


@train.command("tabulate")
def train_tabulate(
    version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "",
) -> None:
    """Draw samples from a version's labels and compute their features."""
    from geoml_ops.steps import train as step

    places = _places()
    table = step.tabulate(places, step.version_for(places, version or None))
    show(table)
    say(f"next: geoml train plan {table.id}")


@train.command("plan")
def train_plan(table: str) -> None:
    """Plan the folds: spatial ones that count, random ones as a labelled baseline."""
    from geoml_ops.steps import train as step

    honest, optimism = step.plan(_places(), table)
    show(honest, optimism)
    say(f"next: geoml train evaluate {honest.id} {optimism.id} FAMILY")


@train.command("evaluate")
def train_evaluate(honest: str, optimism: str, family: str) -> None:
    """Score one family on identical folds."""
    from geoml_ops.steps import train as step

    evaluation = step.evaluate(_places(), (honest, optimism), family)
    show(evaluation)
    say(f"next: geoml train choose {evaluation.id} …")


@train.command("choose")
def train_choose(evaluations: list[str]) -> None:
    """Pick the best by its honest score and refit it on all samples."""
    from geoml_ops.steps import train as step

    best = step.choose(_places(), tuple(evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")


@train.command("run")
def train_run(version: Annotated[str, typer.Argument(help="id of a version; the newest if left out")] = "") -> None:
    """All four steps of a training, one after another."""
    from geoml_ops.steps import train as step

    places = _places()
    table = step.tabulate(places, step.version_for(places, version or None))
    honest, optimism = step.plan(places, table.id)
    evaluations = []
    for family in step.families(places):
        say(f"evaluating {family} …")
        evaluations.append(step.evaluate(places, (honest.id, optimism.id), family))
    best = step.choose(places, tuple(e.id for e in evaluations))
    show(best)
    say(f"next: geoml publish export {best.id}")


# --- publish ---------------------------------------------------------------------------------


@publish.command("export")
def publish_export(evaluation: str) -> None:
    """Export one ONNX bundle; refuse it if it disagrees with the fitted model."""
    from geoml_ops.steps import publish as step

    bundle = step.export(_places(), evaluation)
    show(bundle)
    say(f"next: geoml publish register {bundle.id}")


@publish.command("register")
def publish_register(bundle: str) -> None:
    """Register a bundle under the alias challenger."""
    from geoml_ops.steps import publish as step

    entry = step.register(_places(), bundle)
    show(entry)
    say(f"next: geoml publish judge {entry.id}")


@publish.command("judge")
def publish_judge(entry: str) -> None:
    """Ask the gate."""
    from geoml_ops.steps import publish as step

    judgement = step.judge(_places(), entry)
    show(judgement)
    for objection in judgement.objections:
        say(f"objection: {objection}")
    say(f"{judgement.outcome}; next: geoml publish release {judgement.id}")


@publish.command("release")
def publish_release(judgement: str) -> None:
    """Make a promoted entry the champion; the service follows by itself."""
    from geoml_ops.steps import publish as step

    entry = step.release(_places(), judgement)
    if entry is None:
        say("the gate did not promote it; the champion stays")
        return
    show(entry)
    say("next: geoml status")


# --- watch -----------------------------------------------------------------------------------


@watch.command("run")
def watch_run(version: Annotated[str, typer.Argument(help="id of a version to weigh; none if left out")] = "") -> None:
    """Compare what was predicted since the last look, decide, write the dashboard."""
    from geoml_ops.steps import watch as step

    places = _places()
    drift = step.compare(places, step.gather(places))
    decision, retrain = step.decide(places, drift.id if drift else "", version)
    step.summarise(places)
    show(*[noun for noun in (drift, decision, retrain) if noun is not None])
    say(decision.because)


# --- classify, trace -------------------------------------------------------------------------


@app.command()
def classify(
    raster: Annotated[Path, typer.Argument(help="a GeoTIFF with named bands", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="where the map goes")] = Path("map.tif"),
    url: Annotated[str, typer.Option(help="address of the service; this machine's stack if left out")] = "",
) -> None:
    """Send a raster to the service and keep the map."""
    from geoml_ops import client

    answer = client.classify(url or _service_url(), raster, out)
    print(json.dumps(answer))
    say(f"next: geoml trace {out} --at EASTING,NORTHING")


def _service_url() -> str:
    settings = Settings()
    ports = settings.workspace.resolve() / "stack" / "ports.json"
    if "service_url" not in settings.model_fields_set and ports.exists():
        return f"http://127.0.0.1:{json.loads(ports.read_text())['service']}"
    return settings.service_url


@app.command()
def trace(
    raster: Annotated[Path, typer.Argument(help="a map made by this platform", exists=True, dir_okay=False)],
    at: Annotated[str, typer.Option(help="EASTING,NORTHING in the map's CRS")],
) -> None:
    """Walk from a pixel to its bundle, run, folds, version and scenes."""
    from geoml_ops.core.errors import BadInput
    from geoml_ops.steps import trace as step

    try:
        easting, northing = (float(part) for part in at.split(","))
    except ValueError:
        raise BadInput(f"{at!r} is not a point.", "write --at 330000,5820000") from None
    for link in step.trace(_places(), raster, easting, northing):
        show(link.noun)
        say(link.sentence)


@app.command()
def impact(scene: Annotated[str, typer.Argument(help="a scene's id or name")]) -> None:
    """List everything that was made from a scene."""
    from geoml_ops.steps import trace as step

    nouns = step.impact(_places(), scene)
    show(*nouns)
    say(f"{len(nouns)} things were made from {scene}")


# --- the machine -----------------------------------------------------------------------------


@app.command()
def sample() -> None:
    """Fetch the sample imagery and check it against data.dvc."""
    from geoml_ops.adapters import sample as step

    be_quiet()
    folder = step.fetch(Settings().data)
    say(f"[3/3] sample imagery in {folder}")


@app.command()
def up() -> None:
    """Start every server and leave them on."""
    import subprocess

    from geoml_ops import stack

    settings = Settings()
    home = settings.workspace.resolve() / "stack"
    if stack.supervisor(settings) is None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "index.html").unlink(missing_ok=True)
        with (home / "supervisor.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "geoml_ops.cli", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=CHECKOUT,
            )
        say("starting; the first time takes about a minute")
        shown = 0
        while not (home / "index.html").exists():
            lines = (home / "supervisor.log").read_text(errors="replace").splitlines()
            for line in lines[shown:]:
                say(line)
            shown = len(lines)
            if child.poll() is not None:
                raise GeomlError(
                    "The stack ended while starting.", f"read {home / 'supervisor.log'} and {home / 'logs'}"
                )
            time.sleep(0.5)
    status()
    say(f"the same links as a page: {home / 'index.html'}")


@app.command(hidden=True)
def serve() -> None:
    """Keep the stack up in this process until told to stop."""
    from geoml_ops import stack

    stack.serve(Settings())


@app.command()
def down() -> None:
    """Stop what ``up`` started."""
    from geoml_ops import stack

    process = stack.supervisor(Settings())
    if process is None:
        say("nothing is running")
        return
    process.terminate()
    process.wait(60)
    say("stopped")


@app.command()
def status() -> None:
    """Show what runs and where to look."""
    from geoml_ops import stack

    settings = Settings()
    home = settings.workspace.resolve() / "stack"
    if stack.supervisor(settings) is None:
        say("nothing is running; next: geoml up")
        return
    one = stack.Stack(settings, ports=json.loads((home / "ports.json").read_text()))
    for name, address in one.links().items():
        say(f"  {name:16} {address}")
    say(f"  Airflow login    admin / {json.loads((home / 'secrets.json').read_text())['admin']}")
    say(f"  Drop folder      {settings.places().drop}")


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option(help="forget an earlier turn first")] = False,
) -> None:
    """Turn the loop once on real imagery, from the first delivery to a second champion."""
    from geoml_ops.demo import turn

    raise typer.Exit(turn.main(Settings(), fresh=fresh))


def main() -> None:
    """Runs the command line; a foreseen error becomes one sentence and exit code 1."""
    try:
        app()
    except GeomlError as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()

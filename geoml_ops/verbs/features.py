"""What models are made of: indices, functions, covariates, families; and making covariates by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show

app = typer.Typer(no_args_is_help=True, help="What models are made of, and what an experiment may be written with.")
Sensor = Annotated[str, typer.Option(help="name of a sensor; the experiment's if left out")]


@app.command("list")
def listed(
    find: Annotated[str, typer.Argument(help="text that a name, formula or source holds; everything if left out")] = "",
    sensor: Sensor = "",
) -> None:
    """List indices of the sensor, functions, covariates, families and sensors."""
    from geoml_ops.steps import vocabulary as step

    found = step.words(places(), sensor=sensor, find=find)
    for word in found:
        print(json.dumps(asdict(word), ensure_ascii=False))
    for word in found:
        source = f"  [{word.source}]" if word.source else ""
        say(f"  {word.kind:9} {word.name:28} {word.says}{source}")
    say("next: geoml features show TEXT")


@app.command("show")
def shown(
    texts: Annotated[list[str], typer.Argument(help="features as an experiment writes them")],
    sensor: Sensor = "",
) -> None:
    """Read features as training would: canonical text, bands, halo, range, source."""
    from geoml_ops.steps import vocabulary as step

    contract, found = step.described(places(), texts, sensor=sensor)
    for feature in found:
        low, high = (v if abs(v) != float("inf") else None for v in feature.range)
        facts = {
            "text": feature.text,
            "label": feature.label,
            "bands": feature.bands,
            "halo_px": feature.halo_px,
            "low": low,
            "high": high,
            "source": feature.source,
        }
        print(json.dumps(facts, ensure_ascii=False))
    say(f"{len(found)} features of {contract.sensor}; write them under `features:` of the experiment")


@app.command("make")
def make(
    scene: Annotated[str, typer.Option(help="name of one scene; every scene of the version if left out")] = "",
    version: Annotated[str, typer.Option(help="id of a version; the newest if left out")] = "",
) -> None:
    """Make the experiment's covariates for scenes now; what exists is found again."""
    from geoml_ops.adapters.nouns import Shelf
    from geoml_ops.core.errors import BadInput, NotFound
    from geoml_ops.core.flow import Scene, Version
    from geoml_ops.steps.covariates import make_covariates
    from geoml_ops.steps.experiments import current_experiment
    from geoml_ops.steps.train import version_for

    here = places()
    shelf, experiment = Shelf(here.nouns), current_experiment(here)
    held = shelf.get(Version, version_for(here, version or None))
    if not experiment.covariates:
        raise BadInput(f"The experiment {experiment.name} asks for no covariates.", "write them under `covariates:`")
    scenes = [s for s in (shelf.get(Scene, i) for i in held.scenes) if s.sensor == experiment.sensor]
    chosen = [s for s in scenes if scene in ("", s.name, s.id)]
    if not chosen:
        raise NotFound(f"{held.id} has no scene {scene[:60]!r}.", f"use one of {', '.join(s.name for s in scenes)}")
    for one in chosen:
        say(f"{one.name} …")
        show(*make_covariates(here, held, experiment, one))
    say("next: geoml train tabulate")

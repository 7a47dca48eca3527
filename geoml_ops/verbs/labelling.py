"""The label budget: ask people where it tells most, get their labels back, let them judge and teach."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoml_ops.core.errors import BadInput
from geoml_ops.terminal import places, say, show

if TYPE_CHECKING:
    from geoml_ops.core.flow import Design
    from geoml_ops.steps.labelreturns import State

app = typer.Typer(
    no_args_is_help=True, help="Ask people what is there, where it tells most; their labels judge and teach."
)

DesignId = Annotated[str, typer.Argument(metavar="DESIGN", help="id of a design that geoml labels ask recorded")]


@app.command("ask")
def ask(
    about: Annotated[str, typer.Argument(help="id of a drift or of a prediction: whose map is asked about")],
    units: Annotated[int | None, typer.Option(help="sample units; what the policy's budget says if left out")] = None,
    unit_px: Annotated[int, typer.Option(help="edge of a unit in pixels")] = 1,
    held_share: Annotated[float, typer.Option(help="share that is kept for judging and never learned from")] = 0.5,
    drift_weight: Annotated[float, typer.Option(help="how many times as much hot-spots count")] = 2.0,
    least: Annotated[int, typer.Option(help="units of every stratum")] = 10,
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
) -> None:
    """Draw a probability sample of a map, more of it where drift, doubt and strange ground are, and record it."""
    from geoml_ops.steps import accuracy
    from geoml_ops.steps import labelling as step

    here = places()
    design = step.ask(here, about, step.Wanted(units, unit_px, held_share, drift_weight, least, seed))
    show(design)
    _told(design)
    say(f"{sum(design.n.values())} units, about {step.hours(design):.1f} hours of one person")
    others = accuracy.siblings(here, design)
    if others:
        say(
            f"note: {len(others)} other designs of this map are recorded ({', '.join(others[:3])}); whoever reports "
            "the one that pleases has not sampled at random"
        )
    say(f"next: geoml labels export {design.id}")


@app.command("export")
def export(
    design: DesignId,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder; one of the workspace if left out")] = None,
    tiles: Annotated[str, typer.Option(help="imagery for the labelling tool, a URL with {z}, {x} and {y}")] = "",
    chips: Annotated[bool, typer.Option("--chips", help="also a picture of each unit, from the mapped scene")] = False,
    show_map: Annotated[
        bool, typer.Option("--show-map", help="also tell what the map shows; people tend to agree")
    ] = False,
) -> None:
    """Write the tasks: for QGIS, for the satellite imagery labelling tool, and as a sheet."""
    from geoml_ops.steps import labeltasks as step

    found = step.export(places(), design, out, tiles=tiles, chips=chips, show_map=show_map)
    print(json.dumps({"folder": str(found.folder), "files": found.files, "notes": found.notes}, ensure_ascii=False))
    for note in found.notes:
        say(f"note: {note}")
    say(f"in {found.folder}:")
    say("  units.gpkg with units.qml      open in QGIS, fill label, labeller, sure, note")
    say("  units.geojson, units.csv       the same for other programs; instructions.md says what people are asked")
    say(f"  {step.TOOL}/tasks/*.json     one task a unit for Microsoft's satellite-imagery-labeling-tool")
    say(f"next: people label; then geoml labels return {design} FILE...")


@app.command("return")
def take_back(
    design: DesignId,
    files: Annotated[list[Path] | None, typer.Argument(help="labelled GeoPackage, GeoJSON or CSV")] = None,
    labeller: Annotated[str, typer.Option(help="who labelled, where a file does not say")] = "",
    labelled_on: Annotated[str, typer.Option(help="the day, kept as it is written")] = "",
    tool: Annotated[str, typer.Option(help="what the files were made with, where they do not tell")] = "",
    settle: Annotated[list[str] | None, typer.Option(help="UNIT=LABEL of a second look, with --accept; repeat")] = None,
    withdraw: Annotated[str, typer.Option(help="first digits of a returned file that shall not count")] = "",
    accept: Annotated[str, typer.Option(help="name of who reviewed the labels and accepts them")] = "",
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="leave unlabelled units out")] = False,
) -> None:
    """Take labels back, say what needs a second look, and hand accepted ones in."""
    from geoml_ops.steps import labelacceptance
    from geoml_ops.steps import labelreturns as step

    here = places()
    if withdraw:
        step.withdraw(here, design, withdraw)
    state = step.take_in(here, design, files or [], labeller=labeller, labelled_on=labelled_on, tool=tool)
    if settle:
        state = step.settle(here, design, _pairs(settle), accept)
    _stands(state)
    if not accept:
        print(json.dumps(_summary(state), ensure_ascii=False))
        _next(state)
        return
    found = labelacceptance.accept(here, design, accept, allow_missing=allow_missing)
    show(found.accuracy)
    half = "undefined" if found.accuracy.overall_half is None else f"{found.accuracy.overall_half:.4f}"
    say(f"map accuracy {found.accuracy.overall:.4f} ± {half} (95 %), from {found.accuracy.n} units")
    for caution in found.accuracy.cautions:
        say(f"note: {caution}")
    for name in found.deliveries:
        say(f"in the drop: {name}")
    say("next: the DAG ingest takes them; by hand geoml ingest check NAME for each, then geoml ingest track")
    say("then: geoml train run learns from the labels for learning")
    say("and geoml gate ENTRY --on VERSION judges by those for judging, which nothing learns from")


@app.command("status")
def status(
    design: Annotated[str, typer.Argument(metavar="DESIGN", help="id of a design; all of them if left out")] = "",
) -> None:
    """Say what was asked, what came back, and what needs a second look."""
    from geoml_ops.adapters.nouns import Shelf
    from geoml_ops.core.flow import Design
    from geoml_ops.steps import labelreturns as step

    here = places()
    if design:
        state = step.state_of(here, design)
        print(json.dumps(_summary(state), ensure_ascii=False))
        _told(state.units.design)
        _stands(state)
        _next(state)
        return
    asked = [found for found in Shelf(here.nouns).all(Design) if found.asked is not None]
    for found in asked:
        state = step.state_of(here, found.id)
        print(json.dumps(_summary(state), ensure_ascii=False))
        say(f"{found.id}: {len(state.reviewed.labels)} of {len(state.units.id)} units have a label")
    if not asked:
        say("no labels were asked for yet; next: geoml labels ask DRIFT")


def _told(design: Design) -> None:
    plan = design.asked
    assert plan is not None
    for name, n in design.n.items():
        share = n / plan.units[name]
        say(
            f"  {n:4d} units of {plan.units[name]:,} ({share:.3%}), {plan.n_held[name]} kept for judging, "
            f"expected right {plan.expected[name]:.2f}: {name}"
        )
    held = "" if plan.held_se is None else f", {plan.held_se:.4f} from those kept for judging"
    say(f"expected standard error of overall accuracy {plan.overall_se:.4f}{held}")
    say(plan.rule)


def _stands(state: State) -> None:
    for file in state.files:
        say(f"{file.name} ({file.sha256[:8]}, {file.tool}): {len(file.answers)} labels, {file.n_empty} units without")
    r = state.reviewed
    if state.files:
        say(f"{len(r.labels)} of {len(state.units.id)} units have a label")
        say(r.agreement.sentence)
    for question in state.questions:
        say(question)


def _next(state: State) -> None:
    design, r = state.units.design.id, state.reviewed
    if r.conflicts:
        unit = next(iter(r.conflicts))
        say(f"next: geoml labels return {design} --settle {unit}=LABEL --accept NAME, for each after a second look")
    elif not state.files:
        say(f"next: geoml labels return {design} FILE...")
    elif r.complete:
        say(f"next: geoml labels return {design} --accept NAME, NAME being who looked through them")
    else:
        say(f"next: label the rest; or geoml labels return {design} --accept NAME --allow-missing")


def _summary(state: State) -> dict[str, object]:
    r = state.reviewed
    return {
        "design": state.units.design.id,
        "units": len(state.units.id),
        "labels": len(r.labels),
        "conflicts": r.conflicts,
        "missing": len(r.missing),
        "unclear": list(r.unclear),
        "unsure": len(r.unsure),
        "labellers": r.labellers,
        "agreement": {"n": r.agreement.n, "same": r.agreement.same, "low": r.agreement.low, "high": r.agreement.high},
        "files": [{"name": f.name, "sha256": f.sha256, "tool": f.tool} for f in state.files],
    }


def _pairs(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for item in given:
        unit, equals, label = item.partition("=")
        if not equals or not unit.strip() or not label.strip():
            raise BadInput(f"{item[:60]!r} settles nothing.", "write --settle u012=forest")
        found[unit.strip()] = label.strip()
    return found

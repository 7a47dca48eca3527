"""Folds, audits and verdicts: of the loop's own tables and entries, or of anybody's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from geoml_ops.core.errors import BadInput
from geoml_ops.terminal import places, say, show

FILE = typer.Argument(help="a sheet (CSV), GeoPackage or GeoJSON of labelled points")
Label = Annotated[str, typer.Option(help="column of class names")]
Polygon = Annotated[str, typer.Option(help="column: points of one polygon are never parted")]
Scene = Annotated[str, typer.Option(help="column: the acquisition a point was seen in")]
Date = Annotated[str, typer.Option(help="column: its day, YYYY-MM-DD")]
Patch = Annotated[str, typer.Option(help="column: pixels that a point's patch reaches beyond its own")]
Crs = Annotated[str, typer.Option(help="of a sheet's coordinates, EPSG:32633 for instance")]
East = Annotated[str, typer.Option("--x", help="column of eastings or longitudes")]
North = Annotated[str, typer.Option("--y", help="column of northings or latitudes")]
Pixel = Annotated[float, typer.Option(help="edge of a pixel in metres")]
Halo = Annotated[int, typer.Option(help="pixels that a feature's window reaches beyond its own")]
Buffer = Annotated[float, typer.Option(help="metres left empty around what is tested")]
Column = Annotated[str, typer.Option(help="column that names the fold which tests a sample")]


def folds(
    samples: Annotated[str, typer.Argument(help="a file of labelled points, or the id of a feature table")],
    label: Label = "label",
    method: Annotated[str, typer.Option(help="block, buffered, location, time, kmeans, nndm, knndm, …")] = "block",
    n_folds: Annotated[int, typer.Option(help="number of folds")] = 5,
    block_m: Annotated[str, typer.Option(help="edge of a block in metres, or auto")] = "auto",
    buffer_m: Buffer = 100.0,
    option: Annotated[list[str], typer.Option("--set", help="any other key of the rules: shape=hexagon")] = [],  # noqa: B006
    x: East = "",
    y: North = "",
    crs: Crs = "",
    polygon: Polygon = "",
    scene: Scene = "",
    date: Date = "",
    half_px: Patch = "",
    feature: Annotated[list[str], typer.Option(help="column of a feature; give it several times")] = [],  # noqa: B006
    pixel_m: Pixel = 10.0,
    halo_px: Halo = 0,
    area: Annotated[Path | None, typer.Option(help="raster of what will be mapped (nndm, knndm)", exists=True)] = None,
    mapped: Annotated[Path | None, typer.Option(help="or points spread over it", exists=True)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="the same rows with their fold, as CSV")] = None,
    picture: Annotated[Path | None, typer.Option("--map", help="a map of the folds, as PNG")] = None,
) -> None:
    """Cut folds that keep ground apart, audit them, and say what they are good for."""
    from geoml_ops.adapters.configs import from_words
    from geoml_ops.core.folding import FoldRules
    from geoml_ops.steps import filejudging as step
    from geoml_ops.steps import pointfiles, telling

    table = samples.startswith("table-")
    _needs(method, mapped=table or bool(area or mapped), date=table or bool(date), feature=table or bool(feature))
    if out and Path(samples).resolve() == out.resolve():
        raise BadInput(f"{out} is the file that is read.", "name another file with --out")
    named = pointfiles.Named(label, x, y, polygon, scene, date, half_px, tuple(feature))
    if samples.startswith("table-"):
        file = pointfiles.of_table(places(), samples)
    else:
        file = pointfiles.open_points(Path(samples), named, crs=crs, pixel_m=pixel_m, area=area, mapped=mapped)
    words = {"method": method, "n_folds": n_folds, "block_m": block_m, "buffer_m": buffer_m, **_pairs(option)}
    rules = from_words(words, FoldRules, "the command line")
    say(f"{len(file.samples)} samples of {len(file.classes)} classes in {file.samples.crs}")
    folded = step.fold_file(file, rules, halo_px=halo_px)
    show(folded.plan)
    for line in telling.told_folds(folded, file):
        say(line)
    if out:
        step.write_folds(folded, file, out)
        say(f"written: {out}")
    if picture:
        step.draw_folds(folded, file, picture)
        say(f"drawn: {picture}")
    flags = ["--label", label, "--crs", file.samples.crs, "--buffer-m", f"{folded.plan.buffer_m:g}"]
    flags += [part for name, cell in (("--polygon", polygon), ("--scene", scene), ("--x", x), ("--y", y)) if cell
              for part in (name, cell)]  # fmt: skip
    say(f"next: geoml audit {out} {' '.join(flags)}" if out else "add --out FOLDS.csv to keep them")
    if method != "random" and folded.plan.audit and not folded.plan.audit.passed:
        raise typer.Exit(1)


def audit(
    samples: Annotated[str, typer.Argument(help="a file of points with a column of folds, or the id of a plan")],
    label: Label = "label",
    fold_column: Column = "fold",
    buffer_m: Buffer = 0.0,
    halo_px: Halo = 0,
    x: East = "",
    y: North = "",
    crs: Crs = "",
    polygon: Polygon = "",
    scene: Scene = "",
    date: Date = "",
    half_px: Patch = "",
    pixel_m: Pixel = 10.0,
    keep_scenes: Annotated[bool, typer.Option("--keep-scenes", help="no scene may be on both sides")] = False,
    keep_days: Annotated[bool, typer.Option("--keep-days", help="no acquisition day may be on both sides")] = False,
) -> None:
    """Measure in the folds themselves whether train and test are apart; exit code 1 where they are not."""
    from geoml_ops.domain.folds.promises import Promises
    from geoml_ops.steps import filejudging as step
    from geoml_ops.steps import pointfiles, telling

    for asked, cell, name in ((keep_scenes, scene, "scene"), (keep_days, date, "date")):
        if asked and not cell:
            raise BadInput(f"Nothing says the {name} of a sample.", f"add --{name} COLUMN")
    if samples.startswith("plan-"):
        found = step.audit_plan(places(), samples)
    else:
        named = pointfiles.Named(label, x, y, polygon, scene, date, half_px)
        file = pointfiles.open_points(Path(samples), named, crs=crs, pixel_m=pixel_m)
        promises = Promises(buffer_m=buffer_m, halo_px=halo_px, scenes=keep_scenes, days=keep_days)
        found = step.audit_file(file, promises, column=fold_column)
    print(found.model_dump_json())
    for line in telling.told_audit(found):
        say(line)
    if not samples.startswith("plan-"):
        for name, cell in (("polygon", polygon), ("scene", scene), ("date", date), ("half-px", half_px)):
            if not cell:
                say(f"  to know: no --{name} was named, so nothing is known of it")
    if not found.passed:
        raise typer.Exit(1)


def gate(
    challenger: Annotated[str, typer.Argument(help="id of an entry, or a file of labelled points with answers")],
    on: Annotated[str, typer.Option(help="version with labels of ground that neither model has seen")] = "",
    answers: Annotated[str, typer.Option(help="column of the challenger's answers")] = "challenger",
    against: Annotated[str, typer.Option(help="column of the other's answers")] = "champion",
    label: Label = "label",
    block_m: Annotated[float, typer.Option(help="edge of a block of evidence in metres")] = 2000.0,
    fold_column: Column = "fold",
    learned: Annotated[
        Path | None, typer.Option(help="points that both models learned from, where answers are not out of folds")
    ] = None,
    metric: Annotated[str, typer.Option(help="overall_accuracy or macro_f1")] = "overall_accuracy",
    margin: Annotated[float, typer.Option(help="loss that is still as good, fixed beforehand")] = 0.01,
    class_margin: Annotated[list[str], typer.Option(help="CLASS=LOSS of its F1; give it several times")] = [],  # noqa: B006
    alpha: Annotated[float, typer.Option(help="one-sided error rate of this look")] = 0.05,
    also_class: Annotated[list[str], typer.Option(help="a class that may be answered though none is labelled")] = [],  # noqa: B006
    buffer_m: Buffer = 0.0,
    x: East = "",
    y: North = "",
    crs: Crs = "",
    polygon: Polygon = "",
    pixel_m: Pixel = 10.0,
    halo_px: Halo = 0,
) -> None:
    """Ask the gate whether a challenger may replace a champion."""
    if challenger.startswith("entry-"):
        from geoml_ops.steps import publish

        judgement = publish.judge(places(), challenger, on)
        show(judgement)
        _said(judgement.outcome, judgement.objections)
        say(f"next: geoml publish release {judgement.id}")
        return
    from dataclasses import asdict

    from geoml_ops.adapters.configs import plain_yaml, validated
    from geoml_ops.core.experiment import GateRules
    from geoml_ops.domain.folds.promises import Promises
    from geoml_ops.steps import filejudging as step
    from geoml_ops.steps import pointfiles, telling

    named = pointfiles.Named(label, x, y, polygon)
    file = pointfiles.open_points(Path(challenger), named, crs=crs, pixel_m=pixel_m)
    if on:
        raise BadInput("--on names a version for an entry of the loop, not for a file.", "give --learned POINTS")
    places_only = pointfiles.Named("", x, y)
    seen = pointfiles.open_points(learned, places_only, crs=crs, pixel_m=pixel_m) if learned else None
    margins = {name: plain_yaml(loss, f"margin of {name}") for name, loss in _pairs(class_margin).items()}
    asked = {"metric": metric, "margin": margin, "classes": margins, "alpha": alpha}
    ruling = step.judge_file(
        file,
        validated(asked, GateRules, "the command line"),
        (answers, against),
        block_m=block_m,
        promises=Promises(buffer_m=buffer_m, halo_px=halo_px),
        fold_column=fold_column,
        learned=seen,
        also=tuple(also_class),
    )
    print(json.dumps(asdict(ruling), default=lambda value: value.model_dump(mode="json")))
    for line in telling.told_ruling(ruling, against):
        say(line)
    _said(ruling.outcome, ruling.objections)


def _said(outcome: str, objections: tuple[str, ...]) -> None:
    for objection in objections:
        say(f"  {objection}")
    say(outcome)


def _needs(method: str, *, mapped: bool, date: bool, feature: bool) -> None:
    """Says in words of the command line what a method cannot do without."""
    if method in ("nndm", "knndm") and not mapped:
        raise BadInput(f"{method} matches the distances of what will be mapped, and nothing says what.",
                       "add --area RASTER or --mapped POINTS")  # fmt: skip
    if method in ("time", "location_time") and not date:
        raise BadInput(f"{method} sets days aside, and nothing says the day of a sample.", "add --date COLUMN")
    if method == "environment" and not feature:
        raise BadInput("environment clusters features, and none was named.", "add --feature COLUMN, several times")


def _pairs(options: list[str]) -> dict[str, Any]:
    found = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise BadInput(f"{option!r} is not KEY=VALUE.", "write it without spaces around the sign")
        found[key.strip()] = value.strip()
    return found

"""A delivery of labels on its way into a version: polygons and points to one file of both, a raster as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geoml_ops.adapters import crs, raster, vector
from geoml_ops.adapters.configs import plain_yaml
from geoml_ops.adapters.csvfiles import read_sheet
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Check, Labels, LegendEntry, Scene
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import checks as rules
from geoml_ops.domain.delivery import (
    LabelsDelivery,
    legend_of,
    legend_rows,
    named,
    number_fields,
    plain_labels,
    weight_flaws,
)
from geoml_ops.domain.sampling import Lookup, blocks_of
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.steps.candidates import placed
from geoml_ops.steps.deliveries import Delivery
from geoml_ops.steps.harmonise import Judged
from geoml_ops.steps.labelled import on_ground

MOST_LEGEND_BYTES = 1 << 20
_TABLES, _TEXTS = (".csv", ".tsv"), (".yaml", ".yml", ".json")
_OURS = "label"
_TAKEN = ("fid", "geom", "ogc_fid", "rowid")


def read_labels(
    delivery: Delivery,
    said: LabelsDelivery,
    scenes: Sequence[Scene],
    experiment: Experiment,
    judged: Judged,
    scratch: Path,
) -> None:
    """Reads labels and writes their file and its JSON to ``scratch``, as far as it gets.

    Args:
        delivery: the listed delivery.
        said: its declaration.
        scenes: the accepted ones.
        experiment: whose label names are known.
        judged: what was found is added here.
        scratch: an empty folder.

    Raises:
        BadInput: the file or its legend is missing or unreadable, or codes have no names.
    """
    if said.file not in delivery.files:
        raise BadInput(f"The delivery holds no file {said.file[:120]!r}.", "name a file inside the delivery's folder")
    path, legend = delivery.folder / said.file, _legend(delivery, said)
    asked = (delivery, said, legend, scenes, experiment)
    labels = _coded(path, *asked, judged) if _is_raster(path) else _recorded(path, *asked, judged, scratch)
    if labels is not None:
        judged.noun = labels
        if labels.form == "raster":
            shutil.copyfile(path, scratch / "labels.tif")
        write_json(scratch / "labels.json", labels.as_json())


def known_labels(experiment: Experiment) -> list[str]:
    """Returns every label name that an experiment maps or ignores."""
    return [label for entry in experiment.classes.values() for label in entry.labels] + list(experiment.ignored_labels)


# --- legends ---------------------------------------------------------------------------------


def _legend(delivery: Delivery, said: LabelsDelivery) -> tuple[LegendEntry, ...]:
    """Returns the legend that a delivery names; empty where it names none."""
    if said.legend is None:
        return ()
    if not isinstance(said.legend, str):
        return legend_of(legend_rows(said.legend, "The legend in delivery.yaml"), "The legend in delivery.yaml")
    name = said.legend
    if name not in delivery.files:
        raise BadInput(f"The delivery holds no legend {name[:120]!r}.", "name a file inside the delivery's folder")
    path, suffix = delivery.folder / name, Path(name).suffix.lower()
    if delivery.files[name].size > MOST_LEGEND_BYTES:
        raise BadInput(f"{path.name[:60]} has {delivery.files[name].size} bytes; a legend has less than a million.")
    if suffix in _TABLES:
        sheet = read_sheet(path)
        colours = sheet.texts("colour") if sheet.has("colour") else ("",) * len(sheet.rows)
        return legend_of(zip(sheet.texts("code"), sheet.texts("name"), colours, strict=True), path.name)
    if suffix in _TEXTS:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput(f"{path.name} is not UTF-8.", "save it in UTF-8") from None
        return legend_of(legend_rows(plain_yaml(text, path.name), path.name), path.name)
    raise BadInput(
        f"{path.name[:60]} is no legend that can be read.",
        f"deliver a CSV file with the columns code, name, colour, or YAML ({', '.join(_TABLES + _TEXTS)})",
    )


# --- polygons and points ---------------------------------------------------------------------


def _recorded(
    path: Path,
    delivery: Delivery,
    said: LabelsDelivery,
    legend: Sequence[LegendEntry],
    scenes: Sequence[Scene],
    experiment: Experiment,
    judged: Judged,
    scratch: Path,
) -> Labels | None:
    layer = vector.read_layer(path)
    names = _names(path, layer, said, legend)
    inside = np.zeros(len(names), dtype=bool)
    for theirs in sorted({scene.grid.crs for scene in scenes}):
        ground = [scene.grid.bounds for scene in scenes if scene.grid.crs == theirs]
        inside |= rules.touching(on_ground(layer.geometries, layer.crs, theirs, _all_of(ground)), ground)
    what, weigh = rules.what_they_are(layer.geometries), experiment.sampling.weight_field
    weights = weight_flaws(layer.column(weigh, path.name)) if weigh in layer.columns else []
    degrees = crs.is_geographic(layer.crs)
    rows = rules.describe_records(layer.geometries, names, layer.crs, inside, weights=weights, degrees=degrees)
    judged.ask(what.capitalize(), rows, rules.LABELLED, rules.label_rules(known_labels(experiment), what))
    judged.checks.append(rules.one_class_check(names, what))
    if any(row["problem"] or not row["label"] for row in rows) or not rows:
        return None
    plain = [str(name) for name in names]
    goal, field = scratch / "labels.gpkg", said.class_field
    field = _OURS if field.lower() in _TAKEN else field
    values = {name: column.tolist() for name, column in layer.columns.items()}
    numbers = number_fields(values, field, said.class_field)
    vector.write_labels(goal, layer.geometries, plain, field, layer.crs, numbers=numbers)
    point = np.isin([g.geom_type for g in layer.geometries], rules.POINTS)
    return Labels(
        name=delivery.name,
        crs=layer.crs,
        bounds=_bounds(layer.geometries),
        class_field=field,
        n_polygons=_counts([name for name, is_point in zip(plain, point, strict=True) if not is_point]),
        n_points=_counts([name for name, is_point in zip(plain, point, strict=True) if is_point]),
        fields=tuple(numbers),
        legend=tuple(legend),
        use=said.use,
        design=said.design,
        source=said.source,
        file=_file_ref(goal, f"data/labels/{delivery.name}/labels.gpkg"),
    )


def _names(path: Path, layer: vector.Layer, said: LabelsDelivery, legend: Sequence[LegendEntry]) -> list[str | None]:
    if said.nodata is not None:
        raise BadInput(f"delivery.yaml says nodata, but {path.name} is no raster.", "leave nodata out")
    if not said.class_field:
        has = ", ".join(name[:40] for name in list(layer.columns)[:20])
        raise BadInput(f"delivery.yaml names no class_field of {path.name}.", f"name one of {has or 'its fields'}")
    values = layer.column(said.class_field, path.name)
    return named(values, legend, f"The field {said.class_field}") if legend else plain_labels(values)


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _is_raster(path: Path) -> bool:
    # What is called a raster and is none is refused as a raster.
    return raster.is_geotiff(path) or path.suffix.lower() in (".tif", ".tiff", ".jp2", ".j2k")


def _all_of(ground: Sequence[Bounds]) -> Bounds:
    edges = np.array([bounds.as_tuple() for bounds in ground])
    (left, bottom), (right, top) = edges[:, :2].min(axis=0).tolist(), edges[:, 2:].max(axis=0).tolist()
    return Bounds(left=left, bottom=bottom, right=right, top=top)


def _bounds(geometries: np.ndarray[Any, Any]) -> Bounds:
    left, bottom, right, top = (float(edge) for edge in shapely.total_bounds(geometries))
    # A single point has no extent; a rectangle of the noun must have one.
    grown = max(1e-6, 1e-9 * max(map(abs, (left, bottom, right, top))))
    return Bounds(left=left, bottom=bottom, right=max(right, left + grown), top=max(top, bottom + grown))


# --- rasters ---------------------------------------------------------------------------------


def _coded(
    path: Path,
    delivery: Delivery,
    said: LabelsDelivery,
    legend: Sequence[LegendEntry],
    scenes: Sequence[Scene],
    experiment: Experiment,
    judged: Judged,
) -> Labels | None:
    facts = raster.describe_codes(path)
    if said.class_field:
        raise BadInput(f"{path.name} is a raster and has no field {said.class_field[:60]!r}.", "leave class_field out")
    if not legend:
        raise BadInput(
            f"{path.name} holds codes, and delivery.yaml has no legend that names them.",
            "write legend: {1: forest, 2: water}, or name a CSV file with the columns code, name, colour",
        )
    names = {entry.code: entry.name for entry in legend}
    nodata = facts.nodata if said.nodata is None else None if said.nodata == "none" else said.nodata
    judged.checks.append(_nodata_check(nodata, names, path.name))
    counts = {code: n for code, n in raster.counted(path).items() if code != nodata}
    inside = _seen(path, facts, [code for code in counts if code in names], scenes)
    rows = rules.describe_codes(counts, names, facts.crs, inside)
    judged.ask("Codes", rows, rules.CODED, rules.code_rules(known_labels(experiment)))
    judged.checks.append(rules.one_class_check([names.get(code) for code in counts], "codes"))
    if not counts or not judged.accepted:
        return None
    return Labels(
        name=delivery.name,
        crs=facts.crs,
        bounds=facts.bounds,
        class_field="",
        n_polygons={},
        n_pixels={names[code]: n for code, n in counts.items()},
        legend=tuple(legend),
        nodata=nodata,
        form="raster",
        use=said.use,
        design=said.design,
        source=said.source,
        file=_file_ref(path, f"data/labels/{delivery.name}/labels.tif"),
    )


def _nodata_check(nodata: int | None, names: dict[int, str], file: str) -> Check:
    if nodata in names:
        sentence = (
            f"Code {nodata} of {file[:60]} is nodata, and the legend calls it {names[nodata][:60]!r}: leave it out of "
            "the legend, or say nodata: none (or another code) in delivery.yaml."
        )
        return Check(name="nodata", passed=False, sentence=sentence)
    said = "No code stands for nothing." if nodata is None else f"Code {nodata} stands for no label and for no class."
    return Check(name="nodata", passed=True, sentence=said)


def _seen(path: Path, facts: raster.CodedRaster, codes: Sequence[int], scenes: Sequence[Scene]) -> dict[int, bool]:
    """Returns whether a pixel of each code lies under the centre of a pixel of a scene."""
    found = np.zeros(len(codes), dtype=bool)
    lookup = Lookup({code: place for place, code in enumerate(codes)})
    grids: dict[Grid, None] = dict.fromkeys(scene.grid for scene in scenes)
    with raster.open_codes(path) as source:
        for grid in grids:
            for block in blocks_of(grid, placed(facts, grid), source.at, lookup):
                found[np.unique(block.codes)] = True
                if found.all():
                    break
            if found.all():
                break
    return dict(zip(codes, found.tolist(), strict=True))


def _file_ref(path: Path, home: str) -> FileRef:
    return FileRef(path=home, sha256=sha256_of(path), size=path.stat().st_size)

"""Samples of a version and their features: drawn from labels, computed by the feature graph, kept as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.crs import is_metric
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import Table, read_table
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import FeatureTable, Labels, Scene, Version
from geoml_ops.core.grid import Grid
from geoml_ops.domain.features import label_of
from geoml_ops.domain.folds import PredictionPoints, Samples
from geoml_ops.domain.sampling import FORMS, Candidates, thinned
from geoml_ops.steps.candidates import add_reasons, candidates_on
from geoml_ops.steps.features import FeatureSource
from geoml_ops.steps.labelled import open_labels
from geoml_ops.steps.places import Places

GROUND_PIXELS = 4000
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Tabled:
    """A feature table in memory; all arrays have one entry per sample, in the table's order.

    Attributes:
        samples: where they are; polygons numbered within this table.
        features: float32 ``(n, features)``.
        polygon: name of each sample's polygon, the same in every table.
        keys: ``scene``, ``row``, ``col``.
        weight: ``(n,)`` from 0, how much each counts while a model learns; None where all count the same.
    """

    samples: Samples
    features: NDArray[np.float32]
    polygon: NDArray[np.object_]
    keys: Columns
    weight: NDArray[np.float64] | None = None


def open_table(places: Places, table: FeatureTable) -> Tabled:
    """Returns the samples of a table; raises as :func:`geoml_ops.adapters.tables.read_table`."""
    found = read_table(places.tables, table.file)
    shelf = Shelf(places.nouns)
    days = {
        str(scene): int(shelf.get(Scene, str(scene)).acquired.timestamp() // 86_400)
        for scene in np.unique(found.columns["scene"].astype(str))
    }
    points = None
    if table.ground is not None:
        ground = read_table(places.tables, table.ground).columns
        values = np.column_stack([ground[name] for name in table.features])
        points = PredictionPoints(ground["easting"], ground["northing"], values)
    return _tabled(found, table.features, days, points)


def _tabled(table: Table, names: Sequence[str], days: Mapping[str, int], points: PredictionPoints | None) -> Tabled:
    columns = table.columns
    features = np.column_stack([columns[name] for name in names])
    scenes = columns["scene"].astype(str)
    samples = Samples(
        crs=table.says["crs"],
        projected=is_metric(table.says["crs"]),
        pixel_m=float(table.says["pixel_m"]),
        easting=columns["easting"],
        northing=columns["northing"],
        anchor_easting=columns["anchor_easting"],
        anchor_northing=columns["anchor_northing"],
        polygon=np.unique(columns["polygon"].astype(str), return_inverse=True)[1].astype(np.int64),
        code=columns["code"],
        scene=np.unique(scenes, return_inverse=True)[1].astype(np.int64),
        day=np.asarray([days[scene] for scene in scenes], dtype=np.int64),
        features=features,
        points=points,
    )
    return Tabled(
        samples=samples,
        features=features,
        polygon=columns["polygon"],
        keys={name: columns[name] for name in ("scene", "row", "col")},
        weight=columns.get("weight"),
    )


def draw(
    places: Places, version: Version, experiment: Experiment, source: FeatureSource, *, judging: bool = False
) -> tuple[Columns, dict[str, str], dict[str, int]]:
    """Returns the samples of a version with their features.

    Args:
        places: where things are.
        version: whose scenes and labels they are.
        experiment: what to draw.
        source: computes the features.
        judging: whether samples of labels that are kept from learning are drawn as well.

    Returns:
        Columns by name, ordered by scene, row and column; what the table says about itself; and how many
        polygons and pixels gave nothing, by reason.

    Raises:
        BadInput: scenes in several CRSs, an unknown label, or no samples of a class.
        Refused: a file of the version is not the one its noun names.
    """
    shelf = Shelf(places.nouns)
    scenes = [shelf.get(Scene, scene) for scene in sorted(version.scenes)]
    scenes = one_per_acquisition(scene for scene in scenes if scene.sensor == experiment.sensor)
    systems = sorted({scene.grid.crs for scene in scenes})
    if len(systems) != 1:
        raise BadInput(
            f"Version {version.id} holds {len(scenes)} scenes of {experiment.sensor} in {len(systems)} CRSs: "
            f"{', '.join(systems) or 'none'}.",
            "train on scenes of one UTM zone",
        )
    held = sum(shelf.get(Labels, labels).use == "judging" for labels in version.labels) if not judging else 0
    left_out = {"deliveries_for_judging": held} if held else dict[str, int]()
    opened, n_classes = open_labels(places, version, experiment, judging=judging), len(experiment.class_names)
    found = []
    for scene in scenes:
        candidates, reasons = candidates_on(scene.grid, opened, experiment.sampling, n_classes)
        add_reasons(left_out, reasons)
        found.append(candidates)
    found = _few_enough(found, experiment.sampling.per_class, left_out)
    lacking: dict[str, int] = {}
    parts = [_of_scene(s, c, experiment, source, left_out, lacking) for s, c in zip(scenes, found, strict=True)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    _every_class(columns, experiment, left_out, lacking)
    says = {"crs": systems[0], "pixel_m": repr(scenes[0].grid.pixel_m), "classes": json.dumps(experiment.class_names)}
    return columns, says, left_out


def drawn_from(columns: Columns, experiment: Experiment) -> dict[str, dict[str, int]]:
    """Returns how many samples of each class came from polygons, from points and from rasters."""
    form = columns["drawn_from"].astype(str)
    return {
        name: {what: int(((columns["code"] == code) & (form == what)).sum()) for what in FORMS}
        for code, name in enumerate(experiment.class_names)
    }


def draw_ground(places: Places, version: Version, experiment: Experiment, source: FeatureSource) -> Columns:
    """Returns pixels spread at random over everything that was observed, with their features.

    They stand for "this map" wherever folds or applicability ask what will be mapped: scenes count by
    their area, pixels without an observation are left out, labels play no part.
    """
    shelf = Shelf(places.nouns)
    scenes = [shelf.get(Scene, scene) for scene in sorted(version.scenes)]
    scenes = one_per_acquisition(scene for scene in scenes if scene.sensor == experiment.sensor)
    rng = np.random.default_rng(experiment.sampling.seed)
    sizes = np.array([scene.grid.width * scene.grid.height for scene in scenes], dtype=np.float64)
    parts: list[Columns] = []
    for scene, share in zip(scenes, sizes / sizes.sum(), strict=True):
        drawn = rng.choice(scene.grid.width * scene.grid.height, min(_ground(share), int(sizes.min())), replace=False)
        rows, cols = np.divmod(np.sort(drawn), scene.grid.width)
        values = source.at(scene, rows, cols)
        seen = np.isfinite(values).all(axis=1)
        easting, northing = scene.grid.centres(rows[seen], cols[seen])
        parts.append(
            {
                "scene": np.full(int(seen.sum()), scene.id, dtype=object),
                "row": rows[seen],
                "col": cols[seen],
                "easting": easting,
                "northing": northing,
                **{name: values[seen, position] for position, name in enumerate(source.features)},
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _ground(share: float) -> int:
    return max(1, round(GROUND_PIXELS * share))


def one_per_acquisition(scenes: Iterable[Scene]) -> list[Scene]:
    """Returns one scene per acquisition and grid, that of the newest processing baseline, ordered by id.

    A reprocessed product shows the same moment again; its pixels are no second evidence.
    """
    newest: dict[tuple[datetime, Grid], Scene] = {}
    for scene in sorted(scenes, key=lambda s: (s.baseline, s.id)):
        newest[(scene.acquired, scene.grid)] = scene
    return sorted(newest.values(), key=lambda s: s.id)


def _few_enough(found: list[Candidates], most: int | None, left_out: dict[str, int]) -> list[Candidates]:
    """Returns the candidates of each scene that stay where a class may have no more than so many in all of them."""
    stays = thinned(
        np.concatenate([each.code for each in found]),
        np.concatenate([each.order for each in found]),
        np.concatenate([each.rank for each in found]),
        np.concatenate([each.unit for each in found]),
        most,
    )
    if most is not None:
        add_reasons(left_out, {"pixels_beyond_per_class": int((~stays).sum())})
    ends = np.cumsum([len(each) for each in found])[:-1]
    return [each.part(mine) for each, mine in zip(found, np.split(stays, ends), strict=True)]


def _of_scene(
    scene: Scene,
    found: Candidates,
    experiment: Experiment,
    source: FeatureSource,
    left_out: dict[str, int],
    lacking: dict[str, int],
) -> Columns:
    values = source.at(scene, found.rows, found.cols)
    # The graph answers only where every feature is a finite number; nothing is learned from elsewhere.
    seen = np.asarray(np.isfinite(values).all(axis=1))
    add_reasons(left_out, {"pixels_not_observed": int((~seen).sum())})
    add_reasons(lacking, {f: int(n) for f, n in zip(source.features, np.isnan(values).sum(axis=0), strict=True)})
    found, values = found.part(seen), values[seen]
    easting, northing = scene.grid.centres(found.rows, found.cols)
    weight = {"weight": found.weight} if experiment.sampling.weight_field else {}
    return {
        "scene": np.full(len(found), scene.id, dtype=object),
        "row": found.rows,
        "col": found.cols,
        "easting": easting,
        "northing": northing,
        "anchor_easting": found.anchor_easting,
        "anchor_northing": found.anchor_northing,
        "polygon": found.unit,
        "labels": found.origin,
        "drawn_from": np.asarray(FORMS, dtype=object)[found.form],
        "code": found.code,
        **weight,
        **{name: values[:, position] for position, name in enumerate(source.features)},
    }


def _every_class(columns: Columns, experiment: Experiment, left_out: dict[str, int], lacking: dict[str, int]) -> None:
    codes, names = columns["code"], experiment.class_names
    counts = np.bincount(codes, minlength=len(names))
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        said = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items() if count)
        worst = sorted((f for f, n in lacking.items() if n), key=lambda f: (-lacking[f], f))[:5]
        without = ", ".join(f"{label_of(f)} at {lacking[f]}" for f in worst)
        raise BadInput(
            f"{int(counts.sum())} samples, none of {', '.join(missing)}; left out: {said or 'nothing'}"
            + (f" (no value of {without} pixels)." if without else "."),
            "deliver labels of these classes on the scenes' ground, leave the classes out of the experiment, or leave "
            "out a feature that does not exist there",
        )
    if "weight" in columns:
        sums = np.bincount(codes, weights=columns["weight"], minlength=len(names))
        weightless = [name for name, total in zip(names, sums, strict=True) if not total > 0]
        if weightless:
            raise BadInput(
                f"All samples of {', '.join(weightless)} have weight 0.", "give some of them a weight above 0"
            )

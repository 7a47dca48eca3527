"""Explain: what a model's answers are made of, on its samples and on the ground, and what a challenger changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters import cog, shap, vector
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.plots import explaining as plots
from geoml_ops.adapters.tables import write_table
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.evidence import Score
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, Explanation, FeatureTable, FoldPlan, Scene, Version
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.explaining import Explained, aligned, require_additive, shift
from geoml_ops.domain.features import label_of
from geoml_ops.domain.fitting import Fitted
from geoml_ops.domain.folds import evidence_blocks
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.log import logger
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.features import FeatureSource, features_at
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table

BACKGROUND = 16
MOST_MAP_PIXELS = 20_000
SUMMARY, SHIFT, SAMPLES, MAP = "summary.png", "shift.png", "samples.gpkg", "values.tif"
Progress = Callable[[int, int], None]
_log = logger("explain")


def explain(
    places: Places,
    evaluation_id: str,
    *,
    against: str = "",
    rows: int = 600,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Returns what the model of an evaluation is made of; pictures and a GeoPackage of the rows lie beside it.

    Args:
        places: where things are.
        evaluation_id: whose model was chosen, so that it is kept.
        against: id of another evaluation, the champion's, explained on the same rows; empty for none.
        rows: samples that are explained, spread over the classes.
        seed: of their choice.
        progress: called with rows done and rows in all, where it takes long.

    Raises:
        NotFound: the model is not kept.
        BadInput: models of other classes, or too few rows.
        Refused: the values do not add up to the answers.
    """
    case = _Case.of(places, evaluation_id)
    chosen = _spread(case.tabled.samples.code, rows, seed)
    mine = _explained(case.fitted, case.tabled.features[chosen], case.background(seed), seed, progress)
    other, changes = "", {}
    if against:
        champion = explain(places, against, rows=rows, seed=seed, progress=progress)
        other, changes = champion.id, case.shift(mine, _Case.of(places, against), chosen, seed)
    columns = case.columns(mine, chosen)
    explanation = Shelf(places.nouns).put(
        Explanation(
            evaluation=case.evaluation.id,
            method=mine.method,
            n_rows=len(chosen),
            classes=case.evaluation.classes,
            importance={
                name: {f: float(v) for f, v in zip(case.table.features, values, strict=True)}
                for name, values in zip(case.evaluation.classes, mine.importance, strict=True)
            },
            base={name: float(v) for name, v in zip(case.evaluation.classes, mine.base, strict=True)},
            additivity_gap=float(mine.gap),
            compared_with=other,
            shift={name: score.value for name, score in changes.items()},
            values=write_table(places.tables, columns, {"unit": mine.unit}),
        )
    )
    _show(folder_of(places, explanation), case, explanation, changes, columns, mine.unit)
    _log.info("explained", explanation=explanation.id, method=mine.method, rows=len(chosen))
    return explanation


def folder_of(places: Places, explanation: Explanation) -> Path:
    """Returns where an explanation's pictures, GeoPackage and map lie."""
    return places.workspace / "explanations" / explanation.id


def map_values(
    places: Places,
    explanation_id: str,
    *,
    scene: str = "",
    window: Window | None = None,
    progress: Progress | None = None,
) -> Path:
    """Writes a COG of what every pixel's answer is made of: the SHAP value of each feature for the class it gets.

    The pixels are a regular sample of the window, as fine as :data:`MOST_MAP_PIXELS` allow; the file's own pixel
    size says how fine. Band ``class`` holds the code, the others the features; NaN where there is no answer.

    Args:
        places: where things are.
        explanation_id: of the model.
        scene: name of a scene of its version; the first by name when empty.
        window: part of the scene; all of it when None.
        progress: called with pixels done and pixels in all.

    Raises:
        NotFound: the version has no such scene, or the explanation or its model is not kept.
        BadInput: nothing in the window was observed.
    """
    shelf = Shelf(places.nouns)
    explanation = shelf.get(Explanation, explanation_id)
    case = _Case.of(places, explanation.evaluation)
    version = shelf.get(Version, case.table.version)
    source = FeatureSource(places, version, case.experiment, case.table.features)
    found = _scene_of(shelf, version, case.experiment.sensor, scene)
    grid, rows, cols = _sampled(found.grid, window)
    values = source.at(found, rows, cols)
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    if not seen.any():
        raise BadInput(
            f"None of {len(seen)} pixels of {found.name} was observed in all bands.", "choose another window"
        )
    explained = _explained(case.fitted, values[seen], case.background(0), 0, progress)
    code = case.fitted.probability(values[seen]).argmax(axis=1)
    layers = np.full((1 + values.shape[1], len(seen)), np.nan, dtype=np.float32)
    layers[0, seen] = code
    layers[1:, seen] = explained.values[np.arange(len(code)), code].T
    path = folder_of(places, explanation) / MAP
    path.parent.mkdir(parents=True, exist_ok=True)
    cog.write_numbers(
        path,
        layers.reshape(-1, *grid.shape),
        grid,
        ["class", *map(label_of, case.table.features)],
        {
            "GEOML_EXPLANATION": explanation.id,
            "GEOML_EVALUATION": case.evaluation.id,
            "GEOML_SCENES": found.id,
            "GEOML_UNIT": explained.unit,
            "GEOML_METHOD": explained.method,
            "GEOML_CLASSES": ",".join(case.evaluation.classes),
        },
    )
    return path


@dataclass(frozen=True)
class _Case:
    """A model with everything it was learned from."""

    places: Places
    evaluation: Evaluation
    table: FeatureTable
    experiment: Experiment
    tabled: Tabled
    fitted: Fitted

    @classmethod
    def of(cls, places: Places, evaluation_id: str) -> _Case:
        shelf = Shelf(places.nouns)
        evaluation = shelf.get(Evaluation, evaluation_id)
        table = shelf.get(FeatureTable, evaluation.table)
        fitted = open_model(places, evaluation)
        experiment = experiment_of(places, table.experiment)
        return cls(places, evaluation, table, experiment, open_table(places, table), fitted)

    def background(self, seed: int) -> NDArray[np.float32]:
        """Returns rows that stand for "not told": some of every class."""
        return self.tabled.features[_spread(self.tabled.samples.code, BACKGROUND, seed + 1)]

    def columns(self, explained: Explained, chosen: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Returns the rows of the table that were explained, with their values by class and feature."""
        samples, classes = self.tabled.samples, self.evaluation.classes
        answer = self.fitted.probability(self.tabled.features[chosen]).argmax(axis=1)
        found: dict[str, NDArray[np.generic]] = {
            "sample": chosen,
            "easting": samples.easting[chosen],
            "northing": samples.northing[chosen],
            "label": np.asarray(classes, dtype=object)[samples.code[chosen]],
            "answer": np.asarray(classes, dtype=object)[answer],
        }
        for code, name in enumerate(classes):
            for column, feature in enumerate(self.table.features):
                found[f"{name}: {feature}"] = explained.values[:, code, column]
        return found

    def shift(self, mine: Explained, other: _Case, chosen: NDArray[np.int64], seed: int) -> dict[str, Score]:
        """Returns how shares of importance changed against another model, both explained on these rows."""
        if other.evaluation.classes != self.evaluation.classes:
            raise BadInput(
                f"The champion knows {', '.join(other.evaluation.classes)}, the challenger "
                f"{', '.join(self.evaluation.classes)}.",
                "compare models of the same classes",
            )
        features = self.tabled.features[chosen]
        if (other.table.feature_graph, other.table.features) != (self.table.feature_graph, self.table.features):
            keys = {name: values[chosen] for name, values in self.tabled.keys.items()}
            version = Shelf(self.places.nouns).get(Version, self.table.version)
            features = features_at(self.places, version, keys, other.table.features, other.experiment)
        theirs = _explained(other.fitted, features, other.background(seed), seed, None)
        every = tuple(dict.fromkeys((*self.table.features, *other.table.features)))
        plan = Shelf(self.places.nouns).get(FoldPlan, self.evaluation.plan)
        _, block = evidence_blocks(self.tabled.samples, plan.block_m)
        scores = shift(
            aligned(mine, self.table.features, every),
            aligned(theirs, other.table.features, every),
            block[chosen],
            seed=seed,
        )
        return dict(zip(every, scores, strict=True))


def _explained(
    fitted: Fitted,
    rows: NDArray[np.float32],
    background: NDArray[np.float32],
    seed: int,
    progress: Progress | None,
) -> Explained:
    explained = shap.explain(fitted, rows, background, seed=seed, progress=progress)
    require_additive(explained)
    return explained


def _spread(code: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Returns positions of at most ``most`` samples, as even over the classes as there are samples, ascending."""
    if most < 1:
        raise BadInput(f"{most} rows cannot be explained.", "ask for at least 1")
    rng = np.random.default_rng(seed)
    turn = np.empty(len(code), dtype=np.int64)
    for value in np.unique(code):
        mine = rng.permutation(np.flatnonzero(code == value))
        turn[mine] = np.arange(len(mine))
    return np.sort(np.lexsort((rng.permutation(len(code)), turn))[:most])


def _scene_of(shelf: Shelf, version: Version, sensor: str, name: str) -> Scene:
    scenes = [shelf.get(Scene, scene) for scene in version.scenes]
    held = sorted((s for s in scenes if s.sensor == sensor), key=lambda s: (s.name, s.id))
    found = [s for s in held if name in ("", s.name, s.id)]
    if not found:
        raise NotFound(f"{version.id} has no scene {name[:60]!r}.", f"use one of {', '.join(s.name for s in held)}")
    return found[0]


def _sampled(grid: Grid, window: Window | None) -> tuple[Grid, NDArray[np.int64], NDArray[np.int64]]:
    """Returns a coarser grid over a window, and the row and column of the pixel in the middle of each of its cells."""
    if window and (window.col + window.width > grid.width or window.row + window.height > grid.height):
        raise BadInput(f"The window ends beyond {grid.width} x {grid.height} pixels of the scene.", "choose one inside")
    part = grid.inside(window) if window else grid
    row, col = (window.row, window.col) if window else (0, 0)
    step = max(1, int(np.ceil(np.sqrt(part.width * part.height / MOST_MAP_PIXELS))))
    height, width = max(1, part.height // step), max(1, part.width // step)
    coarse = Grid(crs=part.crs, left=part.left, top=part.top, pixel_m=part.pixel_m * step, width=width, height=height)
    rows, cols = np.mgrid[0:height, 0:width] * step + min(step // 2, part.height - 1)
    return coarse, row + np.minimum(rows.ravel(), part.height - 1), col + np.minimum(cols.ravel(), part.width - 1)


def _show(
    folder: Path,
    case: _Case,
    explanation: Explanation,
    changes: dict[str, Score],
    columns: dict[str, NDArray[np.generic]],
    unit: str,
) -> None:
    """Writes the pictures and the GeoPackage of an explanation."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {feature: label_of(feature) for feature in case.table.features}
    importance = {
        name: {labels[feature]: value for feature, value in values.items()}
        for name, values in explanation.importance.items()
    }
    colours = [entry.colour for entry in case.experiment.classes.values()]
    title = f"{case.evaluation.family}: what {explanation.n_rows} answers are made of"
    pictures = {SUMMARY: plots.summary(importance, colours, title=title, unit=unit)}
    if changes:
        named = {label_of(feature): score for feature, score in changes.items()}
        pictures[SHIFT] = plots.shift(named, title="share of importance: challenger minus champion")
    for name, content in pictures.items():
        with whole_file(folder / name) as part:
            part.write_bytes(content)
    points = shapely.points(columns["easting"].astype(np.float64), columns["northing"].astype(np.float64))
    kept = {name: values for name, values in columns.items() if name not in ("easting", "northing")}
    vector.write_records(folder / SAMPLES, np.asarray(points), kept, case.tabled.samples.crs, "explained")

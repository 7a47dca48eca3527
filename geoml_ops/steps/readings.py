"""A scene in numbers: what the predictions of one unit of evidence showed, pooled over their tiles."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, TALLIES, PredictionLog
from geoml_ops.core.errors import BadInput, GeomlError, NotFound, Refused
from geoml_ops.core.flow import Bundle, Prediction, Reading
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.alarms import Key, key_of
from geoml_ops.domain.alarms.keys import By
from geoml_ops.domain.drift import Table, pool, usable
from geoml_ops.domain.sketch import Columns, Tally, bins_of, tally_from, total
from geoml_ops.platform.files import read_json, sha256_of
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places
from geoml_ops.steps.records import region_of, scenes_of

_WHOLE_SCENE = ("confidence", "edge_density", "outside_share")


@dataclass(frozen=True)
class Seen:
    """A reading with the tiles that it was made from.

    Attributes:
        reading: the noun.
        everything: all tiles in columns.
        tiles: those that are observed well enough, as arrays.
    """

    reading: Reading
    everything: Columns
    tiles: Table


@dataclass(frozen=True)
class When:
    """Which stream a prediction belongs to, and what is known of its acquisition.

    Attributes:
        stream: sensor and region.
        region: of the key.
        baseline: processing baseline; empty where it is not known or scenes differ.
        acquired: of the scene; None where it is not known or scenes are of several days.
    """

    stream: str
    region: str
    baseline: str
    acquired: datetime | None


def when_of(places: Places, prediction: Prediction, bundle: Bundle) -> When:
    """Returns the stream and the acquisition of a prediction, from the scenes that it names."""
    bounds = prediction.grid.bounds
    centre = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    region = region_of(prediction.grid.crs, *centre).replace("/", "-")
    scenes = scenes_of(places, prediction)
    days = {scene.acquired.date() for scene in scenes}
    baselines = {scene.baseline for scene in scenes}
    return When(
        stream=f"{bundle.sensor}/{region}",
        region=region,
        baseline=baselines.pop() if len(baselines) == 1 else "",
        acquired=min(scene.acquired for scene in scenes) if len(days) == 1 else None,
    )


def key_for(when: When, bundle: Bundle, by: By) -> Key | None:
    """Returns the reference key of an acquisition; None where the time is not known or a name cannot be in a key."""
    if when.acquired is None:
        return None
    try:
        return key_of(when.acquired, sensor=bundle.sensor, baseline=when.baseline, region=when.region, by=by)
    except BadInput as error:
        logger("watch").warning("no reference key", stream=when.stream, error=str(error))
        return None


def read(places: Places, predictions: Sequence[Prediction], bundle: Bundle, by: By) -> Seen:
    """Returns what the predictions of one unit of evidence showed.

    Args:
        places: where things are.
        predictions: of one bundle and one stream.
        bundle: what answered.
        by: part of the year that a key names.

    Raises:
        NotFound: the sketches of a prediction are gone.
        Refused: they were altered.
    """
    everything = pool([sketches(places, prediction) for prediction in predictions])
    tiles = usable(everything)
    when, first = when_of(places, predictions[0], bundle), predictions[0].grid
    key = key_for(when, bundle, by)
    same = [p.grid.bounds for p in predictions if p.grid.crs == first.crs]
    summed = _summed(places, predictions, bundle)
    reading = Reading(
        bundle=bundle.id,
        predictions=tuple(p.id for p in predictions),
        scenes=tuple(dict.fromkeys(scene for p in predictions for scene in p.scenes)),
        stream=when.stream,
        key=str(key) if key else "",
        acquired=when.acquired,
        crs=first.crs,
        bounds=_around(same),
        n_tiles=_rows(tiles),
        n_px=sum(p.grid.width * p.grid.height for p in predictions),
        valid_share=_mean(
            [p.valid_share for p in predictions], [float(p.grid.width * p.grid.height) for p in predictions]
        )
        or 0.0,
        statistics=statistics(tiles, bundle),
        sketches={} if summed is None else {s.bins.band: s.to_text() for s in summed.sketches},
        confidences=() if summed is None else summed.confidence,
    )
    return Seen(reading, everything, tiles)


def statistics(tiles: Table, bundle: Bundle) -> dict[str, float | None]:
    """Returns the statistics of a scene from its well observed tiles, each weighed by its observed pixels.

    Spread is that of pixels: within tiles and between their means (law of total variance).
    """
    weights = tiles.get("n_px", np.empty(0)) * tiles.get("valid_share", np.empty(0))
    found: dict[str, float | None] = {}
    for band in bundle.bands:
        mean, sd = tiles.get(f"{band}:mean"), tiles.get(f"{band}:sd")
        centre = _mean(mean, weights)
        found[f"{band}:mean"] = centre
        found[f"{band}:sd"] = None
        if mean is not None and sd is not None and centre is not None:
            variance = _mean(sd**2 + (mean - centre) ** 2, weights)
            found[f"{band}:sd"] = math.sqrt(variance) if variance is not None else None
    for name in (*(f"class:{name}" for name in bundle.classes), *_WHOLE_SCENE):
        found[name] = _mean(tiles.get(name), weights)
    return found


def sketches(places: Places, prediction: Prediction) -> Columns:
    """Returns the sketched tiles of a prediction.

    Raises:
        NotFound: they are gone.
        Refused: they were altered.
    """
    path = PredictionLog(places.predictions).home(prediction.id) / SKETCHES
    if not path.exists():
        raise NotFound(f"The sketches of {prediction.id} are gone.", "ask for the prediction again")
    if sha256_of(path) != prediction.sketches.sha256:
        raise Refused(f"The sketches of {prediction.id} were altered.", "ask for the prediction again")
    content: Columns = json.loads(path.read_text(encoding="utf-8"))
    return content


def tiles_of(places: Places, reading: Reading) -> Columns:
    """Returns the sketched tiles of a reading; without those that are gone or altered."""
    shelf, parts = Shelf(places.nouns), []
    for prediction in reading.predictions:
        try:
            parts.append(sketches(places, shelf.get(Prediction, prediction)))
        except (NotFound, Refused) as error:
            logger("watch").warning("tiles of a reference scene cannot be read", reading=reading.id, error=str(error))
    return pool(parts)


def overlap(one: Bounds, other: Bounds) -> float:
    """Returns the common ground of two rectangles as a share (0 to 1) of the ground of both.

    >>> overlap(Bounds(left=0, bottom=0, right=2, top=1), Bounds(left=1, bottom=0, right=3, top=1))
    0.3333333333333333
    """
    common = one.overlap(other)
    if common is None:
        return 0.0
    areas = [(b.right - b.left) * (b.top - b.bottom) for b in (one, other, common)]
    return areas[2] / (areas[0] + areas[1] - areas[2])


def _summed(places: Places, predictions: Iterable[Prediction], bundle: Bundle) -> Tally | None:
    """Returns the sum of what was counted in the tiles; None where nothing readable was kept."""
    log, found = PredictionLog(places.predictions), []
    try:
        bins = bins_of(bundle.contract)
        for prediction in predictions:
            found += [tally_from(told, bins) for told in read_json(log.home(prediction.id) / TALLIES)]
        return total(found) if found else None
    except (OSError, ValueError, GeomlError):
        return None


def _around(bounds: Sequence[Bounds]) -> Bounds:
    left, bottom, right, top = zip(*(b.as_tuple() for b in bounds), strict=True)
    return Bounds(left=min(left), bottom=min(bottom), right=max(right), top=max(top))


def _mean(
    values: Sequence[float] | NDArray[np.float64] | None, weights: Sequence[float] | NDArray[np.float64]
) -> float | None:
    if values is None or not len(values):
        return None
    values, weights = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    known = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else None


def _rows(table: Table) -> int:
    return int(next(iter(table.values())).size) if table else 0

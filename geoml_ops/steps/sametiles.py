"""The same tiles before and now: what a page draws where a diagnosis rests on matched ground."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.registry import REFERENCE, open_bundle
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Bundle, Drift, Reading, Reference
from geoml_ops.domain.drift import Table, usable
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import tiles_of
from geoml_ops.steps.seen import taken

Pairs = dict[str, list[tuple[float, float]]]
LEAST_MATCHED, MOST_MATCHED, MOST_LOOKED_AT = 8, 400, 12


def pairs_of(
    places: Places, drift: Drift, reading: Reading | None, reference: Reference | None, bundle: Bundle | None
) -> Pairs:
    """Returns means of the same tiles ``(before, now)`` by band; empty where no eight tiles were seen before.

    Before is the newest scene of the reference over that ground, of the same key where there is one; without one the
    ground that the champion learned from.
    """
    if reading is None or bundle is None or drift.diagnosis.picture != "tiles":
        return {}
    now = usable(tiles_of(places, reading))
    for before in _earlier(places, reading, reference, bundle):
        found = matched(before, now, bundle.bands)
        if found:
            return found
    return {}


def matched(before: Table, now: Table, bands: Sequence[str]) -> Pairs:
    """Returns the means of tiles with the same centre, by band; at most four hundred of each."""
    where = [_centres(table) for table in (before, now)]
    both = [(i, j) for place, j in where[1].items() if (i := where[0].get(place)) is not None]
    if len(both) < LEAST_MATCHED:
        return {}
    step = -(-len(both) // MOST_MATCHED)
    old, new = (np.array(side) for side in zip(*sorted(both)[::step], strict=True))
    found: Pairs = {}
    for name in (f"{band}:mean" for band in bands):
        if name in before and name in now:
            points = np.stack([before[name][old], now[name][new]], axis=1)
            kept = points[np.isfinite(points).all(axis=1)]
            found[name.removesuffix(":mean")] = [(float(a), float(b)) for a, b in kept]
    return {band: points for band, points in found.items() if len(points) >= LEAST_MATCHED}


def _centres(table: Table) -> dict[tuple[int, int], int]:
    columns = [table.get(name) for name in ("easting", "northing")]
    if any(column is None or not np.isfinite(column).all() for column in columns) or not columns[0].size:  # type: ignore[union-attr]
        return {}
    at = np.stack([table["easting"], table["northing"]], axis=1)
    # Within a metre it is the same tile; in degrees within a hundred-thousandth.
    unit = 1e-5 if np.abs(at).max() <= 360 else 1.0
    whole = np.rint(np.clip(at / unit, -1e15, 1e15)).astype(np.int64)
    return {(int(x), int(y)): i for i, (x, y) in enumerate(whole)}


def _earlier(places: Places, reading: Reading, reference: Reference | None, bundle: Bundle) -> Iterator[Table]:
    shelf = Shelf(places.nouns)
    ids = [i for i in reversed(reference.readings if reference else ()) if i != reading.id]
    known = [one for one in (taken(shelf, Reading, i) for i in ids[: 10 * MOST_LOOKED_AT]) if one is not None]
    known.sort(key=lambda one: one.key != reading.key)
    for one in known[:MOST_LOOKED_AT]:
        yield usable(tiles_of(places, one))
    try:
        opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
        yield usable(json.loads((opened.folder / REFERENCE).read_text(encoding="utf-8")))
    except (GeomlError, OSError, ValueError):
        return

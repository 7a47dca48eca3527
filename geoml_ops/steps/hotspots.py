"""Where a scene departs from the usual: tiles against the same ground's normal, as raster, squares and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.noun import digest
from geoml_ops.core.watched import DriftMap, Spot
from geoml_ops.domain import hotspots
from geoml_ops.domain.drift import Table
from geoml_ops.domain.hotspots import Departures, Local, Region
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places
from geoml_ops.steps.spotfiles import Drawing, write

#: More cells than this from the first tile to the last are no map for people, and mostly empty.
MOST_CELLS = 4_000_000
MOST_SPOTS = 20
_FAR = 3.0
_AGAINST = {
    "own history": "the same places in scenes in control, in their own standard deviations",
    "same ground": "the same places as they were, in standard deviations of that change over tiles",
    "other ground": "the normal ground as a whole, in standard deviations between tiles",
}
_log = logger("watch")


@dataclass(frozen=True)
class Part:
    """Tiles of one prediction: their CRS, the edge of a whole tile in its units, and their columns."""

    crs: str
    edge_m: float
    table: Table


@dataclass(frozen=True)
class _Found:
    """Departures of a scene, their statistics as tested and as whole hot-spots, and the regions."""

    departures: Departures
    tested: Local
    regions: tuple[Region, ...]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """``(n,)`` number of the region that each tile is in, from 1; 0 for none."""
        number = np.zeros(len(self.departures.largest), dtype=np.int64)
        for position, region in enumerate(self.regions, 1):
            number[region.tiles] = position
        return number


def ground(parts: Sequence[Part]) -> tuple[Part | None, str]:
    """Returns the tiles that can be drawn on one map, one below the other, and a sentence about those that cannot.

    One CRS and one edge of tiles are kept, those of most tiles; None where there is no tile at all.
    """
    groups: dict[tuple[str, float], list[Part]] = {}
    for part in parts:
        if _rows(part.table):
            groups.setdefault((part.crs, round(part.edge_m, 6)), []).append(part)
    if not groups:
        return None, "No prediction has observed tiles."
    chosen = max(groups, key=lambda key: (sum(_rows(p.table) for p in groups[key]), key))
    mine = groups[chosen]
    names = [name for name in mine[0].table if all(name in part.table for part in mine)]
    table = {name: np.concatenate([part.table[name] for part in mine]) for name in names}
    others = [(key, sum(_rows(p.table) for p in group)) for key, group in groups.items() if key != chosen]
    said = "; ".join(f"{n} tiles of {edge:g} m in {crs[:20]}" for (crs, edge), n in sorted(others))
    return Part(chosen[0], mine[0].edge_m, table), f"Not on this map, as it has one CRS and one tile: {said}." * bool(
        said
    )


def draw(
    places: Places,
    name: str,
    now: Part,
    normal: Table,
    bands: Sequence[str],
    *,
    quiet: Sequence[float] = (),
    alpha: float = 0.05,
    said: str = "",
) -> DriftMap | None:
    """Returns where a scene departs from the usual; None, with a line in the log, where there is nothing to draw.

    The files lie in ``maps`` under the dashboard, whole or absent; the same call writes the same bytes.

    Args:
        places: where things are.
        name: of the files, without ending.
        now: observed tiles of the scene.
        normal: tiles of in-control scenes of its key, one below the other, or of the ground that the champion
            learned from.
        bands: to look at.
        quiet: largest mass of a region in each scene in control, see :func:`quiet_masses`; with fewer than
            ``1 / alpha - 1`` of them no region is an alarm, and the sentence says so.
        alpha: share of scenes in control that may show an alarm.
        said: a sentence to carry along, such as that of :func:`ground`.
    """
    try:
        found = _found(now.table, normal, bands, now.edge_m)
    except (BadInput, TooLarge) as error:
        _log.warning("no drift map", name=name, reason=str(error))
        return None
    if found is None:
        _log.info("no drift map", name=name, reason="no observed tile, or no normal one with the same bands")
        return None
    d = found.departures
    # Masses of scenes in control are of the histories of their places, and say nothing of other comparisons.
    limit = hotspots.least_mass(quiet, alpha) if d.against == "own history" else None
    spots = tuple(_spot(d, region, limit) for region in found.regions[:MOST_SPOTS])
    sentence = " ".join(part for part in (_sentence(found, now.crs, quiet, limit), said) if part)
    title = hotspots.where(d.lattice, found.regions, now.crs)
    drawn = Drawing(now.crs, d, found.tested, found.numbers, tuple(spot.alarm for spot in spots), title)
    raster, squares, picture = write(places, name, drawn)
    return DriftMap(
        raster=raster,
        squares=squares,
        picture=picture,
        statistic=f"largest departure over {len(d.bands)} bands from {_AGAINST[d.against]}",
        crs=now.crs,
        spots=spots,
        sentence=sentence,
    )


def quiet_masses(
    places: Places,
    reference_id: str,
    scenes: Sequence[Table],
    bands: Sequence[str],
    *,
    edge_m: float,
    keys: Sequence[str] = (),
) -> tuple[float, ...]:
    """Returns the largest mass of a region in each in-control scene, drawn against the others of its key.

    0 for a scene without a region. Scenes whose key does not have enough others for a history of each place have no
    mass: theirs would be of another kind. Kept beside the workspace's other records under the reference's name; a lost
    or damaged file is made again.

    Args:
        places: where things are.
        reference_id: names the version of the reference that the scenes are of.
        scenes: observed tiles of each scene, of one CRS and one tile edge.
        bands: to look at.
        edge_m: of a whole tile.
        keys: reference key of each scene; empty where all are of one.
    """
    grouped = list(keys) or [""] * len(scenes)
    asked = digest([reference_id, [_rows(s) for s in scenes], grouped, list(bands), edge_m])[:16]
    path = places.workspace / "watch" / f"quiet-{asked}.json"
    kept = _kept(path, asked)
    if kept is not None:
        return kept
    found = [_mass_of(scenes, grouped, number, bands, edge_m) for number in range(len(scenes))]
    masses = tuple(mass for mass in found if mass is not None)
    write_json(path, {"asked": asked, "reference": reference_id, "masses": list(masses)})
    return masses


def _mass_of(
    scenes: Sequence[Table], keys: Sequence[str], number: int, bands: Sequence[str], edge_m: float
) -> float | None:
    mine = [Part("", edge_m, s) for i, s in enumerate(scenes) if i != number and keys[i] == keys[number]]
    others, _ = ground(mine)
    try:
        found = _found(scenes[number], others.table, bands, edge_m) if others else None
    except (BadInput, TooLarge):
        found = None
    return hotspots.largest_mass(found.regions) if found and found.departures.against == "own history" else None


def _kept(path: Path, asked: str) -> tuple[float, ...] | None:
    try:
        told = read_json(path)
        return tuple(float(mass) for mass in told["masses"]) if told["asked"] == asked else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _found(now: Table, normal: Table, bands: Sequence[str], edge_m: float) -> _Found | None:
    departures = hotspots.departures(now, normal, bands, edge_m)
    if departures is None:
        return None
    height, width = departures.lattice.shape
    if height * width > MOST_CELLS:
        raise TooLarge(
            f"The tiles lie in {height * width} cells; a map has at most {MOST_CELLS}.", "look at one region"
        )
    tested = hotspots.local_moran(departures.lattice, departures.largest)
    whole = hotspots.grown(departures.lattice, departures.largest, tested)
    return _Found(departures, tested, hotspots.regions(departures.lattice, departures.largest, whole))


def _spot(departures: Departures, region: Region, limit: float | None) -> Spot:
    signed = departures.signed[region.tiles]
    seen = np.isfinite(signed).any(axis=0)
    means = np.nanmean(signed[:, seen], axis=0)
    direction: Literal["high", "low"] = "high" if means[np.argmax(np.abs(means))] >= 0 else "low"
    alarm = limit is not None and region.mass >= limit
    return Spot(
        bounds=region.bounds,
        n_tiles=len(region.tiles),
        mass=region.mass,
        mean=region.mean,
        direction=direction,
        alarm=alarm,
    )


def _sentence(found: _Found, crs: str, quiet: Sequence[float], limit: float | None) -> str:
    values = found.departures.largest[np.isfinite(found.departures.largest)]
    parts = [hotspots.where(found.departures.lattice, found.regions, crs)]
    if found.regions:
        parts.append(_named(found.departures, found.regions[0]))
    parts.append(
        f"The middle tile departs by {float(np.median(values)):.2g} standard deviations, {(values > _FAR).mean():.0%} "
        f"of {len(values)} tiles by more than {_FAR:g}."
    )
    mass = hotspots.largest_mass(found.regions)
    if found.departures.against != "own history":
        parts.append("Uncalibrated: too few scenes in control show these places.")
    elif limit is None:
        parts.append(f"Uncalibrated: {len(quiet)} scenes in control do not tell how much stands out by chance.")
    elif mass >= limit:
        parts.append(f"That is more than in scenes in control (mass {mass:.3g}, limit {limit:.3g} of {len(quiet)}).")
    elif found.regions:
        parts.append(f"Scenes in control show as much (mass {mass:.3g}, limit {limit:.3g} of {len(quiet)}).")
    return " ".join(parts)


def _named(departures: Departures, region: Region) -> str:
    """Says which band departs most in a region, and which way."""
    means = np.array(
        [float(np.mean(c[np.isfinite(c)])) if np.isfinite(c).any() else 0.0 for c in departures.signed[region.tiles].T]
    )
    most = int(np.argmax(np.abs(means)))
    way = "above" if means[most] >= 0 else "below"
    return f"There {departures.bands[most][:30]} is {abs(means[most]):.2g} standard deviations {way} the usual."


def _rows(table: Table) -> int:
    return int(next(iter(table.values())).size) if table else 0

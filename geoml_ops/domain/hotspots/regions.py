"""Hot-spots as connected ground: how large, where, how far out, and whether that is more than usual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.hotspots.lattice import Lattice, Neighbourhood
from geoml_ops.domain.hotspots.statistics import HIGH_HIGH, LOW_LOW, NO_ANSWER, Local

_EAST, _NORTH = ("west", "", "east"), ("south", "", "north")
_MOST_OF_IT = 0.5


@dataclass(frozen=True, eq=False)
class Region:
    """Tiles of one class that hang together.

    Attributes:
        kind: ``hot`` for high among high, ``cold`` for low among low.
        tiles: positions of its tiles, ascending.
        area_m2: of its cells, where CRS units are metres.
        bounds: around its cells.
        easting: of the middle of its tiles.
        northing: of the middle of its tiles.
        mean: of the numbers in it.
        mass: sum over its tiles of how far the number is from the middle; what regions are ordered by.
    """

    kind: Literal["hot", "cold"]
    tiles: NDArray[np.int64]
    area_m2: float
    bounds: Bounds
    easting: float
    northing: float
    mean: float
    mass: float


def regions(
    lattice: Lattice,
    values: NDArray[np.float64],
    found: Local,
    *,
    around: Neighbourhood = "queen",
    least: float = 0.0,
    least_mass: float = 0.0,
    middle: float | None = None,
) -> tuple[Region, ...]:
    """Returns hot and cold regions, the one of most mass first.

    Args:
        lattice: where the tiles are.
        values: ``(n,)`` the numbers that ``found`` is of.
        found: classes of the tiles.
        around: which tiles hang together.
        least: hot tiles that are not this far above the middle, and cold ones not as far below, are left out.
        least_mass: regions of less are not returned; see :func:`least_mass`.
        middle: what is usual: 0 for standardised numbers, so that drift of most of the ground does not make the rest
            a cold-spot; the median of all where it is not given.
    """
    every: list[Region] = []
    answered = found.classes != NO_ANSWER
    if not answered.any():
        return ()
    usual = float(np.median(values[answered])) if middle is None else middle
    touching = np.ones((3, 3), dtype=int) if around == "queen" else None
    kinds: tuple[tuple[Literal["hot", "cold"], int, int], ...] = (("hot", HIGH_HIGH, 1), ("cold", LOW_LOW, -1))
    for kind, code, sign in kinds:
        mine = np.flatnonzero((found.classes == code) & (sign * (values - usual) >= least))
        every += [_region(lattice, values, tiles, usual, kind) for tiles in _hanging(lattice, mine, touching)]
    kept = [region for region in every if region.mass >= least_mass]
    return tuple(sorted(kept, key=lambda region: (-region.mass, -region.northing, region.easting)))


def _hanging(lattice: Lattice, tiles: NDArray[np.int64], touching: NDArray[np.int_] | None) -> list[NDArray[np.int64]]:
    held = np.zeros(lattice.shape, dtype=np.bool_)
    held[lattice.rows[tiles], lattice.cols[tiles]] = True
    labels, n = ndimage.label(held, structure=touching)
    number = labels[lattice.rows[tiles], lattice.cols[tiles]]
    order = np.argsort(number, kind="stable")
    return np.split(tiles[order], np.searchsorted(number[order], np.arange(2, n + 1))) if n else []


def _region(
    lattice: Lattice, values: NDArray[np.float64], tiles: NDArray[np.int64], middle: float, kind: Literal["hot", "cold"]
) -> Region:
    return Region(
        kind=kind,
        tiles=tiles,
        area_m2=len(tiles) * lattice.edge**2,
        bounds=lattice.bounds(tiles),
        easting=lattice.left + (float(lattice.cols[tiles].mean()) + 0.5) * lattice.edge,
        northing=lattice.top - (float(lattice.rows[tiles].mean()) + 0.5) * lattice.edge,
        mean=float(values[tiles].mean()),
        mass=float(np.abs(values[tiles] - middle).sum()),
    )


def least_mass(in_control: Sequence[float], alpha: float = 0.05) -> float | None:
    """Returns the mass that a region needs to be more than fields in control show; None while that is not known.

    The k-th smallest of their largest masses, ``k = ceil((m + 1)(1 - alpha))``: a new field in control, exchangeable
    with them, holds any region of more than that in at most a share ``alpha`` of cases, however its tiles depend on
    each other. That is the maximum statistic of cluster mass (Bullmore et al. 1999; Nichols and Holmes 2002) with
    earlier fields in place of permutations, which smooth fields do not allow.

    Args:
        in_control: the largest mass of each field in control, 0 for one without regions; see :func:`largest_mass`.
        alpha: share of fields in control that may show a region, 0 to 1; 0.05 needs 19 of them, 0.01 needs 99.

    Raises:
        BadInput: a share outside 0 to 1, or masses that are no numbers.
    """
    if not 0 < alpha < 1 or not all(math.isfinite(mass) and mass >= 0 for mass in in_control):
        raise BadInput("Masses are numbers of 0 and more, and a share lies between 0 and 1.")
    # Rounding up 19.000000000000004 would ask for one field too many.
    place = math.ceil((len(in_control) + 1) * (1 - alpha) - 1e-9)
    if place > len(in_control):
        return None
    return math.nextafter(sorted(in_control)[place - 1], math.inf)


def largest_mass(found: Sequence[Region]) -> float:
    """Returns the mass of the first of ordered regions, 0 where there is none."""
    return found[0].mass if found else 0.0


def where(lattice: Lattice, found: Sequence[Region], crs: str = "") -> str:
    """Returns one sentence about where the regions are, for an alert.

    Args:
        lattice: where the tiles are.
        found: regions in order; the first is described, the others are counted.
        crs: name of the CRS, for the centre; metres.
    """
    if not found:
        return f"No hot-spot among {len(lattice.rows)} tiles."
    first, others = found[0], len(found) - 1
    share = len(first.tiles) / len(lattice.rows)
    place = "over most of the area" if share > _MOST_OF_IT else f"in the {_direction(lattice, first)} of the area"
    n_tiles = f"{len(first.tiles)} tile{'s' * (len(first.tiles) > 1)}"
    more = f", and {others} smaller region{'s' * (others > 1)}" if others else ""
    within = f" {crs[:20]}" if crs else ""
    return (
        f"{first.kind.capitalize()}-spot {place}: {n_tiles}, {_area(first.area_m2)}, mean {first.mean:.3g}, "
        f"centre {first.easting:.0f} E {first.northing:.0f} N{within}{more}."
    )


def _direction(lattice: Lattice, region: Region) -> str:
    """Returns the third of the area, along each axis, that the middle of a region is in."""
    whole = lattice.bounds(np.arange(len(lattice.rows)))
    right = (region.easting - whole.left) / (whole.right - whole.left)
    up = (region.northing - whole.bottom) / (whole.top - whole.bottom)
    north, east = _NORTH[min(2, int(3 * up))], _EAST[min(2, int(3 * right))]
    return "-".join(word for word in (north, east) if word) or "centre"


def _area(area_m2: float) -> str:
    return f"{area_m2 / 1e6:.3g} km2" if area_m2 >= 1e6 else f"{area_m2 / 1e4:.3g} ha"

"""The land itself: fields of several sizes with classes that cluster, how each field departs, and real changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.bands import SENTINEL_2_L1C, Contract
from geoml_ops.core.grid import Grid
from geoml_ops.domain.years.seasons import CLASSES

LEAST_PX = 48
PURE_SHARE = 0.95
CLUSTER_PX = 22.0
Corner = Literal["north-west", "north-east", "south-west", "south-east"]
CORNERS: tuple[Corner, ...] = get_args(Corner)
_Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Ground:
    """A landscape: what is there, and what stays from one date to the next.

    Attributes:
        seed: it was made with.
        grid: of 10 m pixels.
        contract: of the sensor that sees it.
        classes: names by position.
        truth: ``(y, x)`` uint8, position of the class in ``classes``.
        field_of: ``(y, x)`` number of the field.
        boxes: of each field: first row, first column, row and column after the last.
        departs: ``(field, band)`` by how much a field's reflectance departs from its class, logarithms.
        late_days: by how many days each field is late, ``(field,)``.
        texture: ``(y, x)`` what repeats on every date within fields, logarithms.
    """

    seed: int
    grid: Grid
    contract: Contract
    classes: tuple[str, ...]
    truth: NDArray[np.uint8]
    field_of: NDArray[np.int64]
    boxes: tuple[_Box, ...]
    departs: NDArray[np.float64]
    late_days: NDArray[np.float64]
    texture: NDArray[np.float64]

    def after(self, truth: NDArray[np.uint8]) -> Ground:
        """Returns the same land with another truth."""
        return replace(self, truth=truth)

    def labels(self, share: float = 0.6, seed: int = 0) -> tuple[tuple[shapely.Polygon, ...], tuple[str, ...]]:
        """Returns outlines of a share of the fields, inside by one pixel, and the class names under them.

        Fields whose pixels are not nearly all of one class are left out.
        """
        chosen = np.random.default_rng([31, self.seed, seed]).random(len(self.boxes)) < share
        polygons, names = [], []
        for number in np.nonzero(chosen)[0]:
            top, left, bottom, right = self.boxes[number]
            counts = np.bincount(self.truth[top:bottom, left:right].ravel(), minlength=len(self.classes))
            if counts.max() >= PURE_SHARE * counts.sum():
                polygons.append(self._outline(top + 1, left + 1, bottom - 1, right - 1))
                names.append(self.classes[int(counts.argmax())])
        return tuple(polygons), tuple(names)

    def _outline(self, top: int, left: int, bottom: int, right: int) -> shapely.Polygon:
        edge = self.grid.pixel_m
        west, north = self.grid.left + left * edge, self.grid.top - top * edge
        return shapely.box(west, self.grid.top - bottom * edge, self.grid.left + right * edge, north)


def ground(width_px: int = 384, height_px: int = 384, seed: int = 0) -> Ground:
    """Returns a landscape; the same arguments give the same one, another seed another region.

    Raises:
        ValueError: fewer than 48 pixels along an edge.
    """
    if min(width_px, height_px) < LEAST_PX:
        raise ValueError(
            f"{width_px} x {height_px} pixels hold too few fields; give {LEAST_PX} or more along each edge"
        )
    rng, contract = np.random.default_rng([11, seed]), SENTINEL_2_L1C
    # Regions lie apart, as far as their seeds do: no two share ground.
    left = 400_020.0 + 100_000.0 * (seed % 3)
    grid = Grid(
        crs="EPSG:32633",
        left=left,
        top=5_800_020.0 + 100_000.0 * (seed // 3 % 20),
        pixel_m=contract.pixel_m,
        width=width_px,
        height=height_px,
    )
    boxes = _fields(height_px, width_px, rng)
    field_of = np.empty((height_px, width_px), dtype=np.int64)
    for number, (top, low, bottom, high) in enumerate(boxes):
        field_of[top:bottom, low:high] = number
    surfaces = np.stack([smooth((height_px, width_px), CLUSTER_PX, rng) for _ in CLASSES])
    middles = np.array([((top + bottom) // 2, (low + high) // 2) for top, low, bottom, high in boxes])
    codes = surfaces[:, middles[:, 0], middles[:, 1]].argmax(axis=0).astype(np.uint8)
    bright = 0.035 * rng.standard_normal((len(boxes), 1))
    return Ground(
        seed=seed,
        grid=grid,
        contract=contract,
        classes=CLASSES,
        truth=codes[field_of],
        field_of=field_of,
        boxes=boxes,
        departs=bright + 0.03 * rng.standard_normal((len(boxes), len(contract.bands))),
        late_days=4.0 * rng.standard_normal(len(boxes)),
        texture=0.03 * smooth((height_px, width_px), 1.5, rng),
    )


def changed(
    here: Ground, share: float, to: str, seed: int = 0, corner: Corner | None = None, *, source: str = ""
) -> NDArray[np.uint8]:
    """Returns the truth after a real change, ``(y, x)`` uint8; where nothing changed it is as before.

    Whole fields change, in the order of their distance from a random place, until a share of the scene did. In a
    corner all ground of a square does, whatever the fields.

    Args:
        here: the land before.
        share: of the scene's pixels (0 to 1).
        to: class that is there afterwards.
        seed: of the place that the change spreads from.
        corner: where the square lies; None for whole fields.
        source: only ground of this class changes; empty for any other than ``to``.

    Raises:
        ValueError: a class that is not there, or less changeable ground than the share asks for.
    """
    unknown = [name for name in (to, source) if name and name not in here.classes]
    if unknown:
        raise ValueError(f"There is no class {unknown[0][:60]!r}; use one of {', '.join(here.classes)}")
    code = here.classes.index(to)
    may = (here.truth == here.classes.index(source)) if source else (here.truth != code)
    if corner is not None:
        return np.where(corner_of(here.truth.shape, share, corner) & may, code, here.truth).astype(np.uint8)
    wanted = share * here.truth.size
    if may.sum() < wanted:
        raise ValueError(f"{may.mean():.0%} of the scene can become {to}, less than {share:.0%}")
    place = np.random.default_rng([13, here.seed, seed]).uniform((0, 0), here.truth.shape)
    middles = np.array([((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in here.boxes])
    order = np.hypot(*(middles - place).T).argsort(kind="stable")
    gained = np.cumsum(np.bincount(here.field_of[may], minlength=len(here.boxes))[order])
    chosen = order[: int(np.searchsorted(gained, wanted)) + 1] if share > 0 else order[:0]
    return np.where(np.isin(here.field_of, chosen) & may, code, here.truth).astype(np.uint8)


def corner_of(shape: tuple[int, ...], share: float, corner: Corner) -> NDArray[np.bool_]:
    """Returns which pixels ``(y, x)`` lie in the rectangle of a share of the scene (0 to 1) in one corner."""
    height, width = (round(side * share**0.5) for side in shape)
    inside = np.zeros(shape, dtype=np.bool_)
    rows = slice(0, height) if corner.startswith("north") else slice(shape[0] - height, None)
    cols = slice(0, width) if corner.endswith("west") else slice(shape[1] - width, None)
    inside[rows, cols] = True
    return inside


def smooth(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns Gaussian noise of unit variance ``(y, x)``, correlated over about ``scale_px`` pixels."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    kernel = np.exp(-2.0 * (np.pi * scale_px) ** 2 * (fy**2 + fx**2))
    made = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * kernel, s=shape)
    return np.asarray((made - made.mean()) / made.std())


def _fields(height: int, width: int, rng: np.random.Generator) -> tuple[_Box, ...]:
    """Fields in strips, each strip with edges of its own, so that no line runs through the whole scene."""
    return tuple(
        (top, left, bottom, right)
        for top, bottom in pairwise(_edges(height, rng))
        for left, right in pairwise(_edges(width, rng))
    )


def _edges(length: int, rng: np.random.Generator) -> list[int]:
    inner = np.cumsum(rng.integers(9, 23, size=length // 9 + 1))
    return [0, *inner[inner < length - 9].tolist(), length]

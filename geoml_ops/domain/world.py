"""A small generated landscape whose truth is known, as a Sentinel-2 scene would show it.

Fields of several sizes carry classes that cluster on the ground; each field departs from its class a
little, as fields do, and neighbouring pixels share their noise. So pixels of one field repeat each
other, and only folds that keep ground apart estimate honestly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.core.bands import SENTINEL_2_L1C, Contract
from geoml_ops.core.grid import Grid

COARSEST = 6
# Top-of-atmosphere DN in the contract's order, B01 to B12, of a winter scene in Brandenburg.
_SPECTRA: Mapping[str, tuple[int, ...]] = {
    "residential": (1750, 1620, 1480, 1560, 1640, 1800, 1900, 1950, 2050, 560, 14, 2050, 1750),
    "farm": (1640, 1430, 1290, 1420, 1560, 1800, 1950, 2050, 2200, 590, 14, 2600, 1950),
    "meadow": (1610, 1370, 1240, 1190, 1490, 2250, 2550, 2700, 2850, 640, 13, 2250, 1450),
    "forest": (1560, 1240, 1010, 820, 990, 1650, 1900, 1950, 2100, 520, 12, 1150, 640),
    "water": (1600, 1300, 1010, 760, 720, 640, 610, 540, 500, 220, 9, 140, 80),
}
# How a second region differs: drier grass and fields, darker forest, brighter roofs.
_ELSEWHERE: Mapping[str, tuple[float, ...]] = {
    "residential": (1.0, 1.0, 1.05, 1.0, 1.0, 0.85, 0.8, 0.8, 0.8, 1.0, 1.0, 0.72, 0.7),
    "farm": (1.0, 0.95, 0.97, 0.84, 0.95, 1.25, 1.3, 1.32, 1.3, 1.0, 1.0, 0.87, 0.76),
    "meadow": (1.0, 1.05, 1.08, 1.25, 1.12, 0.82, 0.78, 0.77, 0.78, 1.0, 1.0, 1.22, 1.4),
    "forest": (1.0, 1.0, 1.05, 1.1, 1.2, 1.3, 1.3, 1.35, 1.3, 1.0, 1.0, 1.5, 1.7),
    "water": (1.0, 1.1, 1.25, 1.3, 1.3, 1.2, 1.2, 1.2, 1.2, 1.0, 1.0, 1.1, 1.1),
}
CLASSES = tuple(_SPECTRA)


@dataclass(frozen=True)
class World:
    """A landscape, how a sensor sees it, and what is really there.

    Attributes:
        contract: of the sensor.
        grid: the common grid of 10 m pixels.
        bands: delivered numbers of each band ``(y, x)`` at its own pixel size, uint16.
        truth: ``(y, x)`` position of the true class in ``CLASSES``.
        polygons: outlines of labelled fields, inside the field by one pixel.
        labels: class name of each polygon.
    """

    contract: Contract
    grid: Grid
    bands: dict[str, NDArray[np.uint16]]
    truth: NDArray[np.uint8]
    polygons: tuple[shapely.Polygon, ...]
    labels: tuple[str, ...]

    def grid_of(self, band: str) -> Grid:
        """Returns the grid of a band at its own pixel size."""
        height, width = self.bands[band].shape
        edge = self.grid.width * self.grid.pixel_m / width
        return self.grid.model_copy(update={"pixel_m": edge, "height": height, "width": width})

    def side(self, west: bool) -> tuple[tuple[shapely.Polygon, ...], tuple[str, ...]]:
        """Returns the labelled polygons whose centre lies west (or east) of the scene's middle."""
        middle = (self.grid.bounds.left + self.grid.bounds.right) / 2
        kept = [i for i, polygon in enumerate(self.polygons) if (polygon.centroid.x < middle) == west]
        return tuple(self.polygons[i] for i in kept), tuple(self.labels[i] for i in kept)


def landscape(
    width_px: int = 600,
    height_px: int = 480,
    seed: int = 0,
    *,
    noise: float = 0.06,
    unlike_east: float = 0.0,
    labelled_share: float = 0.6,
    wrong_share: float = 0.0,
) -> World:
    """Returns a landscape; the same arguments give the same one.

    Args:
        width_px: columns of the 10 m grid, a multiple of 6.
        height_px: rows of the 10 m grid, a multiple of 6.
        seed: of everything random.
        noise: standard deviation of reflectance inside a field, as a share of it; fields differ by as much.
        unlike_east: how unlike the western half the eastern half looks, 0 (alike) to 1 (another region).
        labelled_share: share of fields that carry a label, 0 to 1.
        wrong_share: share of the labels that name another class than the true one, 0 to 1.

    Raises:
        ValueError: the shape does not divide into pixels of 60 m.
    """
    if width_px % COARSEST or height_px % COARSEST or min(width_px, height_px) < 60:
        raise ValueError(f"{width_px} x {height_px} pixels do not divide into pixels of 60 m; use multiples of 6")
    rng = np.random.default_rng(seed)
    contract = SENTINEL_2_L1C
    grid = Grid(
        crs="EPSG:32633", left=400_000.0, top=5_800_020.0, pixel_m=contract.pixel_m, width=width_px, height=height_px
    )
    rows, cols = _edges(height_px, rng), _edges(width_px, rng)
    codes = _classes(rows, cols, grid.shape, rng)
    field_of = np.repeat(np.repeat(np.arange(codes.size).reshape(codes.shape), np.diff(rows), 0), np.diff(cols), 1)
    truth = codes.ravel()[field_of].astype(np.uint8)
    bands = _observe(truth, field_of, contract, unlike_east, noise, rng)
    polygons, names = _label(rows, cols, codes, grid, labelled_share, wrong_share, rng)
    return World(contract=contract, grid=grid, bands=bands, truth=truth, polygons=polygons, labels=names)


def _edges(length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Field edges along one axis: steps of 10 to 24 pixels, the last field taking the rest."""
    steps = rng.integers(10, 25, size=length // 10 + 1)
    inner = np.cumsum(steps)
    return np.concatenate([[0], inner[inner < length - 10], [length]]).astype(np.int64)


def _smooth(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise of unit variance, correlated over about ``scale_px`` (filtered in the Fourier domain)."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    kernel = np.exp(-2.0 * (np.pi * scale_px) ** 2 * (fy**2 + fx**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * kernel, s=shape)
    return np.asarray((field - field.mean()) / field.std())


def _classes(
    rows: NDArray[np.int64], cols: NDArray[np.int64], shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The class of every field: the highest of one smooth surface per class, at the field's middle."""
    middle = np.ix_((rows[:-1] + rows[1:]) // 2, (cols[:-1] + cols[1:]) // 2)
    surfaces = np.stack([_smooth(shape, 22.0, rng)[middle] for _ in CLASSES])
    return np.asarray(surfaces.argmax(axis=0), dtype=np.int64)


def _observe(
    truth: NDArray[np.uint8],
    field_of: NDArray[np.int64],
    contract: Contract,
    unlike_east: float,
    noise: float,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.uint16]]:
    here = np.array([_SPECTRA[name] for name in CLASSES], dtype=np.float64)
    there = here * np.array([_ELSEWHERE[name] for name in CLASSES])
    east = np.where(np.arange(truth.shape[1]) >= truth.shape[1] // 2, unlike_east, 0.0)
    light = noise * _smooth(truth.shape, 2.0, rng)
    n_fields = int(field_of.max()) + 1
    bands = {}
    for position, band in enumerate(contract.bands):
        pure = (1.0 - east) * here[truth, position] + east * there[truth, position]
        departs = noise * rng.standard_normal(n_fields)[field_of]
        texture = 0.5 * noise * _smooth(truth.shape, 1.2, rng)
        seen = pure * np.exp(light + departs + texture)
        factor = round(band.gsd_m / contract.pixel_m)
        height, width = truth.shape[0] // factor, truth.shape[1] // factor
        mean = seen.reshape(height, factor, width, factor).mean(axis=(1, 3))
        bands[band.name] = np.clip(np.rint(mean), 1, 10_000).astype(np.uint16)
    return bands


def _label(
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    codes: NDArray[np.int64],
    grid: Grid,
    labelled_share: float,
    wrong_share: float,
    rng: np.random.Generator,
) -> tuple[tuple[shapely.Polygon, ...], tuple[str, ...]]:
    chosen = rng.random(codes.shape) < labelled_share
    wrong = rng.random(codes.shape) < wrong_share
    other = (codes + rng.integers(1, len(CLASSES), codes.shape)) % len(CLASSES)
    polygons, names = [], []
    for row, col in zip(*np.nonzero(chosen), strict=True):
        edge = grid.pixel_m
        west, east = grid.left + (cols[col] + 1) * edge, grid.left + (cols[col + 1] - 1) * edge
        north, south = grid.top - (rows[row] + 1) * edge, grid.top - (rows[row + 1] - 1) * edge
        polygons.append(shapely.box(west, south, east, north))
        names.append(CLASSES[other[row, col] if wrong[row, col] else codes[row, col]])
    return tuple(polygons), tuple(names)

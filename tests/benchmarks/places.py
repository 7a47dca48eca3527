"""What covariates of place cost: distances, segments and lags of a scene, against the plain way to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import shapely
from libpysal import weights
from numpy.typing import NDArray
from scipy import ndimage
from skimage import segmentation

from geoml_ops.core.grid import Grid
from geoml_ops.domain.covariates import Stage, Vectors
from geoml_ops.domain.covariates.distance import DistanceOptions, make
from geoml_ops.domain.covariates.lag import LagOptions, lag_of_raster
from geoml_ops.domain.covariates.objects import ObjectOptions, segments
from tests.benchmarks.pairs import Figure, in_turns


def _grid(width: int, height: int) -> Grid:
    return Grid(crs="EPSG:32633", left=500_000.0, top=5_900_000.0, pixel_m=10.0, width=width, height=height)


def _centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, cols = np.mgrid[: grid.height, : grid.width]
    return grid.centres(rows, cols)


def _same(name: str, ours: NDArray[np.floating], against: NDArray[np.floating], most: float) -> None:
    apart = float(np.nanmax(np.abs(ours - against)))
    if apart > most or not np.array_equal(np.isnan(ours), np.isnan(against)):
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")


def to_points(name: str) -> Figure:
    """Distances to points on pixel centres, where scipy's distance transform is exact, too."""
    grid, rng = _grid(1_500, 1_500), np.random.default_rng(0)
    rows, cols = rng.integers(0, 1_500, 3_000), rng.integers(0, 1_500, 3_000)
    free = np.ones(grid.shape, dtype=bool)
    free[rows, cols] = False
    stage = Stage(grid, vectors={"points": Vectors(shapely.points(*grid.centres(rows, cols)))})

    def ours() -> NDArray[np.float32]:
        return make(stage, ("distance",), DistanceOptions())["distance"]

    def against() -> NDArray[np.float64]:
        return np.asarray(ndimage.distance_transform_edt(free, sampling=10.0))

    _same(name, ours(), against(), 1e-3)
    return in_turns(
        name,
        "exact distance of 1,500 x 1,500 pixels to 3,000 points, checks included, against scipy's Euclidean distance "
        "transform of the points burnt into pixels (possible only because they lie on pixel centres)",
        ours,
        against,
        size=grid.width * grid.height,
        unit="pixels/s",
    )


def to_lines(name: str) -> Figure:
    """Distances to crooked lines, against GEOS's tree asked for every pixel."""
    grid, rng = _grid(400, 400), np.random.default_rng(0)
    starts = rng.uniform((495_000, 5_892_000), (509_000, 5_905_000), (400, 1, 2))
    lines = shapely.linestrings(starts + np.cumsum(rng.normal(0, 40, (400, 50, 2)), axis=1))
    pieces = np.stack([shapely.get_coordinates(lines).reshape(400, 50, 2)[:, i : i + 2] for i in range(49)])
    tree = shapely.STRtree(shapely.linestrings(pieces.reshape(-1, 2, 2)))
    stage, centres = Stage(grid, vectors={"lines": Vectors(lines)}), shapely.points(*_centres(grid)).ravel()

    def ours() -> NDArray[np.float32]:
        return make(stage, ("distance",), DistanceOptions())["distance"]

    def against() -> NDArray[np.float64]:
        found = tree.query_nearest(centres, return_distance=True, all_matches=False)[1]
        return np.asarray(found).reshape(grid.shape)

    _same(name, ours(), against(), 1e-3)
    return in_turns(
        name,
        "exact distance of 400 x 400 pixels to 400 lines of 49 pieces, checks included, against shapely's STRtree of "
        "the pieces, built before, asked for all pixels at once",
        ours,
        against,
        size=grid.width * grid.height,
        unit="pixels/s",
    )


def objects(name: str) -> Figure:
    """Segments by SLIC against scikit-image's."""
    rng = np.random.default_rng(0)
    layers = {}
    for feature in ("a", "b", "c", "d"):
        smooth = ndimage.gaussian_filter(rng.normal(size=(800, 800)), 6)
        layers[feature] = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    options = ObjectOptions(ranges=dict.fromkeys(layers, (0.0, 1.0)))
    image = np.stack(list(layers.values()), axis=-1)
    return in_turns(
        name,
        "SLIC segments of 800 x 800 pixels in four features (scaled by given ranges, small ones joined to their "
        "nearest kin) against scikit-image's slic of the same four features",
        lambda: segments(layers, options),
        lambda: segmentation.slic(image, n_segments=1_600, compactness=0.1, convert2lab=False, channel_axis=-1),
        size=800 * 800,
        unit="pixels/s",
    )


def lag(name: str) -> Figure:
    """The lag of a raster over queen neighbours, against libpysal's weights of the same lattice."""
    grid = _grid(300, 300)
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    lattice = weights.lat2W(*grid.shape, rook=False)
    lattice.transform = "r"

    def ours() -> NDArray[np.float32]:
        return lag_of_raster(values, Stage(grid), LagOptions())

    def against() -> NDArray[np.float64]:
        return np.asarray(weights.lag_spatial(lattice, values.ravel().astype(np.float64))).reshape(grid.shape)

    _same(name, ours(), against(), 1e-5)
    return in_turns(
        name,
        "queen lag of 300 x 300 pixels against libpysal's lag_spatial with weights that were built before",
        ours,
        against,
        size=grid.width * grid.height,
        unit="pixels/s",
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "distance_points": to_points,
    "distance_lines": to_lines,
    "objects": objects,
    "lag": lag,
}

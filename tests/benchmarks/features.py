"""The feature graph against the same features in numpy and scipy; each makes sure first that both answer alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.domain.features import bands_needed
from tests.benchmarks.pairs import Figure, in_turns

F32 = NDArray[np.float32]
TILE_PX = 256
INDICES = ("B02", "B03", "B04", "B08", "NDVI", "NDWI", "NDBI", "NBR", "EVI", "SAVI")
WINDOWS = ("NDVI", "mean(NDVI, 9)", "std(NDVI, 9)", "min(NDVI, 5)", "max(NDVI, 5)", "mean(B08, 3)", "std(B08, 3)",
           "range(B08, 9)", "mean(NDBI, 9)", "std(NDBI, 9)")  # fmt: skip


def _dn(n_bands: int) -> F32:
    rng = np.random.default_rng(0)
    dn = rng.integers(200, 4000, (n_bands, TILE_PX, TILE_PX)).astype(np.float32)
    dn[:, rng.random((TILE_PX, TILE_PX)) < 0.02] = np.nan
    return dn


def _ratio(top: F32, bottom: F32) -> F32:
    return np.where(np.abs(bottom) < np.float32(1e-6), np.float32(np.nan), top / bottom).astype(np.float32)


def _normalised(a: F32, b: F32) -> F32:
    return _ratio(a - b, a + b)


def _plain(dn: F32, bands: tuple[str, ...]) -> F32:
    b = dict(zip(bands, dn * np.float32(1e-4), strict=True))
    blue, green, red, nir, swir16, swir22 = (b[name] for name in ("B02", "B03", "B04", "B08", "B11", "B12"))
    f = np.float32
    evi = _ratio((nir - red) * f(2.5), nir + red * f(6.0) - blue * f(7.5) + f(1.0))
    savi = _ratio((nir - red) * f(1.5), nir + red + f(0.5))
    return np.stack([blue, green, red, nir, _normalised(nir, red), _normalised(green, nir), _normalised(swir16, nir),
                     _normalised(nir, swir22), evi, savi])  # fmt: skip


def _moments(layer: F32, window: int) -> tuple[F32, F32]:
    """Returns mean and standard deviation of what is observed, as box means in float64 give them."""
    seen = np.isfinite(layer)
    filled = np.where(seen, layer, 0).astype(np.float64)
    share, mean, square = (
        ndimage.uniform_filter(part, window, mode="constant") for part in (seen.astype(np.float64), filled, filled**2)
    )
    with np.errstate(all="ignore"):
        mean, square = mean / share, square / share
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return (np.where(seen, part, np.nan).astype(np.float32) for part in (mean, spread))  # type: ignore[return-value]


def _ends(layer: F32, window: int) -> tuple[F32, F32]:
    seen = np.isfinite(layer)
    least = ndimage.minimum_filter(np.where(seen, layer, np.float32(np.inf)), window, mode="constant", cval=np.inf)
    most = ndimage.maximum_filter(np.where(seen, layer, np.float32(-np.inf)), window, mode="constant", cval=-np.inf)
    return np.where(seen, least, np.float32(np.nan)), np.where(seen, most, np.float32(np.nan))


def _windowed(dn: F32, bands: tuple[str, ...]) -> F32:
    b = dict(zip(bands, dn * np.float32(1e-4), strict=True))
    ndvi, ndbi = _normalised(b["B08"], b["B04"]), _normalised(b["B11"], b["B08"])
    least, most = _ends(b["B08"], 9)
    return np.stack([ndvi, *_moments(ndvi, 9), *_ends(ndvi, 5), *_moments(b["B08"], 3), most - least,
                     *_moments(ndbi, 9)])  # fmt: skip


def _valid(features: F32) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(features).all(axis=0))


def _figure(name: str, texts: tuple[str, ...], plain: Callable[[F32, tuple[str, ...]], F32], what: str) -> Figure:
    bands = bands_needed(texts, SENTINEL_2_L1C)
    graph, dn = Graph(feature_graph(texts, SENTINEL_2_L1C), threads=1), _dn(len(bands))
    ours, against = graph.features(dn[None])[0], plain(dn, bands)
    apart = float(np.nanmax(np.abs(ours - against)))
    if not np.array_equal(np.isnan(ours), np.isnan(against)) or apart > 1e-5:
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")
    return in_turns(
        name,
        f"{what} and where all exist, of a tile of {TILE_PX} pixels, from DN, in ONNX Runtime against numpy and scipy; "
        "one thread each",
        lambda: graph.features(dn[None]),
        lambda: _valid(plain(dn, bands)),
        size=TILE_PX * TILE_PX,
        unit="pixels/s",
        most_rounds=101,
    )


def indices(name: str) -> Figure:
    """Ten bands and indices, one thread each."""
    return _figure(name, INDICES, _plain, "Four bands and six indices")


def windows(name: str) -> Figure:
    """Ten features of which nine are windowed, one thread each."""
    return _figure(name, WINDOWS, _windowed, "An index and nine focal statistics")


FIGURES: Mapping[str, Callable[[str], Figure]] = {"feature_graph": indices, "feature_windows": windows}

"""Texture and focal statistics against loops over pixels, and against scipy; every pair answers alike first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops

from geoml_ops.adapters.onnx.focal import focal
from geoml_ops.adapters.onnx.texture import glcm
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.adapters.ort import Graph
from geoml_ops.domain.covariates import cooccurrence, texture
from geoml_ops.domain.world import landscape
from tests.benchmarks.pairs import Figure, in_turns

TILE_PX, LOOP_PX = 256, 12
LOW, HIGH = 0.0, 0.5
ANGLES = [0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
MOMENTS = ("contrast", "dissimilarity", "homogeneity", "correlation")
COUNTED = ("energy", "asm", "entropy")
Column = Callable[[Writer, str], str]


def ground() -> NDArray[np.float32]:
    """Returns a generated landscape's near infrared as reflectance, ``(y, x)``."""
    dn = landscape(258, 258, seed=3).bands["B08"][:TILE_PX, :TILE_PX]
    return np.ascontiguousarray(dn.astype(np.float32) * np.float32(1e-4))


def graph_of(columns: Sequence[Column]) -> Graph:
    """Returns a graph of one band with these features, for one thread."""
    writer = Writer()
    writer.op("Concat", *[column(writer, "dn") for column in columns], out="features", axis=1)
    writer.valid("features", out="valid")
    outputs = {"features": (TensorProto.FLOAT, len(columns)), "valid": (TensorProto.UINT8, 1)}
    return Graph(writer.model("features", ("dn", 1), outputs, {}), threads=1)


def loop(level: NDArray[np.uint8], levels: int, window_px: int, statistics: Sequence[str]) -> NDArray[np.float64]:
    """Returns statistics ``(statistic, y, x)`` of the first windows: a matrix per pixel, as tutorials do it."""
    out = np.empty((len(statistics), LOOP_PX, LOOP_PX))
    for row in range(LOOP_PX):
        for col in range(LOOP_PX):
            window = level[row : row + window_px, col : col + window_px]
            matrix = graycomatrix(window, [1], ANGLES, levels, symmetric=True, normed=True)
            for n, name in enumerate(statistics):
                out[n, row, col] = graycoprops(matrix, "ASM" if name == "asm" else name).mean()
    return out


def against_loop(levels: int, window_px: int, statistics: tuple[str, ...], sliding: bool, name: str) -> Figure:
    layer, half = ground(), window_px // 2
    level = cooccurrence.levels_of(layer, LOW, HIGH, levels).astype(np.uint8)
    ours = _sliding(layer, levels, window_px, statistics) if sliding else _graph(layer, levels, window_px, statistics)
    here = slice(half, half + LOOP_PX)
    apart = np.abs(ours()[:, here, here] - loop(level, levels, window_px, statistics)).max()
    if apart > 1e-4:
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")
    place = "counted by a sliding window (numba)" if sliding else "in ONNX Runtime"
    figure = in_turns(
        name,
        f"{', '.join(statistics)} at {levels} levels in windows of {window_px} px, {place}, one thread, on "
        f"{TILE_PX}x{TILE_PX} pixels, against graycomatrix and graycoprops once per pixel on {LOOP_PX}x{LOOP_PX} of "
        "them; speeds are per pixel",
        ours,
        lambda: loop(level, levels, window_px, statistics),
        size=layer.size,
        unit="pixels/s",
    )
    return _per_pixel(figure, layer.size, LOOP_PX**2)


def _per_pixel(figure: Figure, ours: int, against: int) -> Figure:
    """Returns a figure whose two parts worked through different numbers of pixels."""
    more = ours / against
    return replace(
        figure,
        against=round(figure.against / more),
        ratio=round(figure.ratio * more, 1),
        ratio_low=round(figure.ratio_low * more, 1),
        ratio_high=round(figure.ratio_high * more, 1),
    )


def _graph(
    layer: NDArray[np.float32], levels: int, window_px: int, statistics: tuple[str, ...]
) -> Callable[[], NDArray[np.float32]]:
    graph = graph_of([lambda w, dn, s=s: glcm(w, dn, s, window_px, levels, LOW, HIGH, 1) for s in statistics])
    return lambda: graph.features(layer[None, None])[0]


def _sliding(
    layer: NDArray[np.float32], levels: int, window_px: int, statistics: tuple[str, ...]
) -> Callable[[], NDArray[np.float32]]:
    told = texture.Options(low=LOW, high=HIGH, levels=levels, window_px=window_px)
    edged = np.pad(layer, window_px // 2, constant_values=np.nan)
    return lambda: np.stack(list(texture.texture(edged, statistics, told).values()))


def focal_statistics(name: str) -> Figure:
    """Mean, std, min, max and range in one graph against scipy's filters, which know no missing pixels."""
    layer, window_px, half = ground(), 9, 4
    graph = graph_of([lambda w, dn, s=s: focal(w, dn, s, window_px) for s in ("mean", "std", "min", "max", "range")])

    def plain() -> NDArray[np.float64]:
        wide = layer.astype(np.float64)
        mean = ndimage.uniform_filter(wide, window_px)
        spread = np.sqrt(np.maximum(ndimage.uniform_filter(wide * wide, window_px) - mean * mean, 0))
        least, greatest = ndimage.minimum_filter(layer, window_px), ndimage.maximum_filter(layer, window_px)
        return np.stack([mean, spread, least, greatest, greatest - least])

    inside = (slice(None), slice(half, -half), slice(half, -half))
    apart = np.abs(graph.features(layer[None, None])[0][inside] - plain()[inside]).max()
    if apart > 1e-6:
        raise SystemExit(f"{name}: the two parts differ by {apart:.2g}; their speeds say nothing")
    return in_turns(
        name,
        f"mean, std, min, max and range of the observed pixels in windows of {window_px} px, in ONNX Runtime, against "
        "uniform_filter, minimum_filter and maximum_filter of scipy, one thread each",
        lambda: graph.features(layer[None, None]),
        plain,
        size=layer.size,
        unit="pixels/s",
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "focal": focal_statistics,
    "texture_graph": partial(against_loop, 64, 21, MOMENTS, False),
    "texture_graph_7": partial(against_loop, 16, 7, MOMENTS, False),
    "texture_counted": partial(against_loop, 16, 7, COUNTED, False),
    "texture_sliding": partial(against_loop, 64, 21, COUNTED, True),
    "texture_sliding_9": partial(against_loop, 64, 9, cooccurrence.STATISTICS, True),
}
"""The tutorial's own numbers are windows of 21 px and 64 levels."""

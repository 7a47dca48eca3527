"""Texture in the graph: statistics of grey-level co-occurrence from sums over windows.

Contrast, dissimilarity, homogeneity and correlation need no matrix: each is a mean over the pairs of a window, so a
box sum of a number per pair gives it. Energy, ASM and entropy need how often each pair of levels occurs; with up to
:data:`MOST_COUNTED_LEVELS` levels that is one box sum for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from onnx import TensorProto

from geoml_ops.adapters.onnx import windows
from geoml_ops.adapters.onnx.counting import counted
from geoml_ops.adapters.onnx.pairs import Pairs, pairs_of
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates import cooccurrence

Statistic = Literal["contrast", "dissimilarity", "homogeneity", "correlation", "energy", "asm", "entropy"]
MOST_COUNTED_LEVELS = 16
_COUNTED = ("energy", "asm", "entropy")


def glcm(
    writer: Writer,
    layer: str,
    statistic: Statistic,
    window_px: int,
    levels: int,
    low: float,
    high: float,
    distance: int,
) -> str:
    """Adds a statistic of grey-level co-occurrence in a square window around every observed pixel.

    It is taken for each of the four directions and averaged over those that have a pair, as
    ``graycoprops(graycomatrix(window, [distance], angles, symmetric=True, normed=True)).mean()`` of scikit-image on
    the pixels of the window alone. A pair with a pixel that is not observed, or beyond the edge, does not count.

    Args:
        writer: the graph's.
        layer: name of float32 ``[batch, 1, y, x]``; NaN and infinite mean not observed.
        statistic: which one; ``entropy`` is ``-sum p ln p``, ``asm`` is ``sum p^2``, ``energy`` its root per
            direction, ``correlation`` is 1 where all paired pixels have one level.
        window_px: edge of the window, odd.
        levels: number of classes of equal width between ``low`` and ``high``.
        low: lower edge of the first level; smaller numbers lie in it too.
        high: upper edge of the last level, which it belongs to; larger numbers lie in it too.
        distance: pixels between the two of a pair.

    Returns:
        The name of float32 ``[batch, 1, y, x]``, NaN where the pixel is not observed or no pair is.

    Raises:
        BadInput: a number cannot be used, or levels are too many to be counted in a graph.
    """
    cooccurrence.check_pairs(window_px=window_px, levels=levels, low=low, high=high, distance=distance)
    if statistic in _COUNTED and levels > MOST_COUNTED_LEVELS:
        raise BadInput(
            f"{statistic} at {levels} levels counts {levels * (levels + 1) // 2} kinds of pairs, too many for a graph.",
            f"use up to {MOST_COUNTED_LEVELS} levels, or make it once per scene with a covariate of kind texture",
        )
    edged = windows.around(writer, layer, window_px // 2)
    level, seen = _levels(writer, edged, levels, low, high), windows.observed(writer, edged)
    directions = [pairs_of(writer, level, seen, offset, window_px, levels) for offset in cooccurrence.offsets(distance)]
    found = [(_STATISTICS[statistic](pairs), pairs.n) for pairs in directions]
    return writer.op("Where", windows.observed(writer, layer), _mean(writer, found), writer.number(np.nan))


def _levels(writer: Writer, layer: str, levels: int, low: float, high: float) -> str:
    """Adds the level of every pixel as float32, 0 where nothing is observed; like ``cooccurrence.levels_of``."""
    seen = windows.observed(writer, layer)
    wide = writer.op("Cast", writer.op("Where", seen, layer, writer.number(low)), to=TensorProto.DOUBLE)
    scaled = writer.op("Mul", writer.op("Sub", wide, windows.double(writer, low)), windows.double(writer, levels))
    level = writer.op("Floor", writer.op("Div", scaled, windows.double(writer, high - low)))
    ends = windows.double(writer, 0.0), windows.double(writer, levels - 1)
    narrow = writer.op("Cast", writer.op("Clip", level, *ends), to=TensorProto.FLOAT)
    return writer.op("Where", seen, narrow, writer.number(0.0))


def _contrast(pairs: Pairs) -> str:
    squares = pairs.writer.op("Mul", pairs.apart, pairs.apart)
    return pairs.writer.op("Div", pairs.sum(squares, (pairs.levels - 1) ** 2), pairs.n)


def _dissimilarity(pairs: Pairs) -> str:
    return pairs.writer.op("Div", pairs.sum(pairs.apart, pairs.levels - 1), pairs.n)


def _homogeneity(pairs: Pairs) -> str:
    writer = pairs.writer
    wide = writer.op("Cast", pairs.apart, to=TensorProto.DOUBLE)
    below = writer.op("Add", writer.op("Mul", wide, wide), windows.double(writer, 1.0))
    part = writer.op("Round", writer.op("Div", windows.double(writer, cooccurrence.WHOLE), below))
    counted = writer.op("Mul", part, writer.op("Cast", pairs.both, to=TensorProto.DOUBLE))
    mean = writer.op("Div", windows.box_sum(writer, counted, *pairs.box), pairs.n)
    return writer.op("Div", mean, windows.double(writer, cooccurrence.WHOLE))


def _correlation(pairs: Pairs) -> str:
    """Adds ``(4 n sum(ab) - s^2) / (2 n sum(a^2 + b^2) - s^2)`` with ``s = sum(a + b)``: whole numbers throughout."""
    writer, top = pairs.writer, pairs.levels - 1
    a, b = writer.op("Mul", pairs.first, pairs.both), writer.op("Mul", pairs.second, pairs.both)
    s = pairs.sum(writer.op("Add", a, b), 2 * top)
    squares = pairs.sum(writer.op("Add", writer.op("Mul", a, a), writer.op("Mul", b, b)), 2 * top**2)
    products = pairs.sum(writer.op("Mul", a, b), top**2)
    twice = writer.op("Mul", pairs.n, windows.double(writer, 2.0))
    square_of_s = writer.op("Mul", s, s)
    doubled = writer.op("Mul", products, windows.double(writer, 2.0))
    above = writer.op("Sub", writer.op("Mul", twice, doubled), square_of_s)
    below = writer.op("Sub", writer.op("Mul", twice, squares), square_of_s)
    flat = writer.op("LessOrEqual", below, windows.double(writer, 0.0))
    return writer.op("Where", flat, windows.double(writer, 1.0), writer.op("Div", above, below))


def _asm(pairs: Pairs) -> str:
    """Adds ``(sum n_ab^2 + 2 sum n_aa^2) / 2 n^2``: a pair of unequal levels fills two cells of the matrix, by half."""
    writer, n = pairs.writer, pairs.n
    squares = writer.op("Gather", counted(pairs), writer.constant(np.asarray(0)), axis=4)
    return writer.op("Div", squares, writer.op("Mul", writer.op("Mul", n, n), windows.double(writer, 2.0)))


def _energy(pairs: Pairs) -> str:
    return pairs.writer.op("Sqrt", _asm(pairs))


def _entropy(pairs: Pairs) -> str:
    """Adds ``(n ln n - sum n_ab ln n_ab + ln 2 sum n_ab of unequal levels) / n``; both sums over unordered pairs."""
    writer, n = pairs.writer, pairs.n
    whole = windows.double(writer, cooccurrence.WHOLE)
    terms = writer.constant(cooccurrence.entropy_terms(pairs.most))
    order = writer.op("Gather", terms, writer.op("Cast", n, to=TensorProto.INT32))
    gap = writer.op("Sub", order, writer.op("Gather", counted(pairs), writer.constant(np.asarray(1)), axis=4))
    apart = writer.op("Cast", writer.op("Less", writer.number(0.0), pairs.apart), to=TensorProto.FLOAT)
    unequal = writer.op("Mul", pairs.sum(apart, 1.0), windows.double(writer, cooccurrence.LN_2))
    return writer.op("Div", writer.op("Add", writer.op("Div", gap, whole), unequal), n)


def _mean(writer: Writer, found: list[tuple[str, str]]) -> str:
    """Adds the mean over the directions that have a pair, float32; NaN where none has."""
    none = windows.double(writer, 0.0)
    any_pair = [writer.op("Less", none, n) for _, n in found]
    values = [writer.op("Where", has, value, none) for has, (value, _) in zip(any_pair, found, strict=True)]
    total, n = values[0], writer.op("Cast", any_pair[0], to=TensorProto.DOUBLE)
    for value, has in zip(values[1:], any_pair[1:], strict=True):
        total = writer.op("Add", total, value)
        n = writer.op("Add", n, writer.op("Cast", has, to=TensorProto.DOUBLE))
    mean = writer.op("Cast", writer.op("Div", total, n), to=TensorProto.FLOAT)
    return writer.op("Where", writer.op("Less", none, n), mean, writer.number(np.nan))


_STATISTICS: dict[str, Callable[[Pairs], str]] = {
    "contrast": _contrast,
    "dissimilarity": _dissimilarity,
    "homogeneity": _homogeneity,
    "correlation": _correlation,
    "energy": _energy,
    "asm": _asm,
    "entropy": _entropy,
}

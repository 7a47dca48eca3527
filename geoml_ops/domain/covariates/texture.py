"""Texture with many levels: co-occurrence of grey levels, counted by a window that slides along every row.

The definitions are those of ``adapters/onnx/texture.py``, and the numbers are the same to the bit where both can be
asked. One step to the right takes one column of pairs into the count and lets one go, so a pixel costs eight columns
of pairs however many levels there are. Everything that is added and taken away again is a whole number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value
from geoml_ops.domain.covariates import cooccurrence
from geoml_ops.domain.covariates.compiling import compiled
from geoml_ops.domain.covariates.cooccurrence import LN_2, MAX_LEVELS, STATISTICS, WHOLE
from geoml_ops.domain.covariates.naming import asked, per_input
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage

_HARALICK = "Haralick, Shanmugam & Dinstein 1973, doi:10.1109/TSMC.1973.4309314"
_ROWS_AT_ONCE = 512
_Levels = NDArray[np.int16]
_Whole = NDArray[np.int64]
_Doubles = NDArray[np.float64]


class Options(Value):
    """How texture is counted.

    Attributes:
        low: lower edge of the first level, in the feature's own numbers; what is smaller lies in it too.
        high: upper edge of the last level; what is greater lies in it too.
        levels: levels of equal width between them.
        window_px: edge of the window, an odd number of pixels.
        distance: pixels between the two of a pair.
    """

    low: float
    high: float
    levels: int = 64
    window_px: int = 9
    distance: int = 1

    @model_validator(mode="after")
    def _countable(self) -> Options:
        try:
            cooccurrence.check_pairs(**self.model_dump())
        except BadInput as error:
            raise ValueError(f"{error.fact.rstrip('.')}; {error.remedy}") from None
        return self


def texture(layer: NDArray[np.floating[Any]], products: tuple[str, ...], options: Options) -> Made:
    """Returns statistics of the windows that lie wholly in a layer, each averaged over the directions with a pair.

    Args:
        layer: ``(y, x)``, not finite where nothing is observed.
        products: any of :data:`geoml_ops.domain.covariates.cooccurrence.STATISTICS`.
        options: window, levels and distance.

    Returns:
        Per product float32 ``(y - window + 1, x - window + 1)``; NaN where the window's middle is not observed or
        the window holds no pair.
    """
    height, width = layer.shape
    level = np.empty((height, width), dtype=np.int16)
    for row in range(0, height, _ROWS_AT_ONCE):
        rows = layer[row : row + _ROWS_AT_ONCE].astype(np.float32)
        level[row : row + _ROWS_AT_ONCE] = cooccurrence.levels_of(rows, options.low, options.high, options.levels)
    inside = max(height - options.window_px + 1, 0), max(width - options.window_px + 1, 0)
    out = np.full((len(products), *inside), np.nan, dtype=np.float32)
    wanted = np.array([STATISTICS.index(name) for name in products], dtype=np.int64)
    if out.size:
        _count(level, options.levels, options.window_px, _tables(options), wanted, out)
    return dict(zip(products, out, strict=True))


class _Tables(NamedTuple):
    """What the count looks up: offsets of the four directions, and terms in whole parts."""

    offsets: _Whole
    homogeneity: _Whole
    entropy: _Whole


class _State(NamedTuple):
    """One window's pairs in one direction: the upper triangle of the matrix, and sums over it."""

    counts: NDArray[np.int32]
    sums: _Whole


_N, _APART, _SQUARED, _NEAR, _SUM, _PRODUCT, _UNEQUAL, _COUNTS_SQUARED, _N_LOG_N = range(9)
"""Positions in ``_State.sums``."""


def _tables(options: Options) -> _Tables:
    return _Tables(
        offsets=np.array(cooccurrence.offsets(options.distance), dtype=np.int64),
        homogeneity=cooccurrence.homogeneity_terms(options.levels).astype(np.int64),
        entropy=cooccurrence.entropy_terms(options.window_px**2).astype(np.int64),
    )


@compiled
def _count(level: _Levels, levels: int, window: int, tables: _Tables, wanted: _Whole, out: NDArray[np.float32]) -> None:
    """Fills ``out (product, y, x)`` row by row."""
    height, width = out.shape[1:]
    state = _State(np.zeros((levels, levels), dtype=np.int32), np.zeros(9, dtype=np.int64))
    total = np.zeros((7, width), dtype=np.float64)
    directions = np.zeros(width, dtype=np.int64)
    middle = window // 2
    for y in range(height):
        total.fill(0.0)
        directions.fill(0)
        for direction in range(len(tables.offsets)):
            _slide(level, y, tables.offsets[direction], window, tables, state, total, directions)
        for x in range(width):
            if directions[x] and level[y + middle, x + middle] >= 0:
                for n in range(len(wanted)):
                    out[n, y, x] = total[wanted[n], x] / directions[x]


@compiled
def _slide(
    level: _Levels,
    y: int,
    offset: _Whole,
    window: int,
    tables: _Tables,
    state: _State,
    total: _Doubles,
    directions: _Whole,
) -> None:
    """Adds one direction's statistics of one row of windows to ``total (statistic, x)``."""
    state.counts.fill(0)
    state.sums.fill(0)
    found = np.zeros(7, dtype=np.float64)
    first, last = max(-offset[1], 0), window - 1 - max(offset[1], 0)
    for x in range(first, last):
        _take(level, y, x, offset, window, 1, tables, state)
    for x in range(len(directions)):
        _take(level, y, x + last, offset, window, 1, tables, state)
        if state.sums[_N]:
            _describe(state.sums, tables.entropy, found)
            for n in range(len(found)):
                total[n, x] += found[n]
            directions[x] += 1
        _take(level, y, x + first, offset, window, -1, tables, state)


@compiled
def _take(
    level: _Levels, y: int, x: int, offset: _Whole, window: int, sign: int, tables: _Tables, state: _State
) -> None:
    """Counts (sign 1) or forgets (sign -1) the pairs whose upper pixel lies in a column, from row y down."""
    # Of local numbers the compiler knows that nothing else changes them: they stay in registers.
    n, difference, squared, near, level_sum, product, unequal, counts_squared, n_log_n = 0, 0, 0, 0, 0, 0, 0, 0, 0
    counts = state.counts
    for row in range(y, y + window - offset[0]):
        a, b = level[row, x], level[row + offset[0], x + offset[1]]
        if a < 0 or b < 0:
            continue
        least, most = min(a, b), max(a, b)
        apart = most - least
        before = counts[least, most]
        after = before + sign
        counts[least, most] = after
        n += 1
        difference += apart
        squared += apart * apart
        near += tables.homogeneity[apart]
        level_sum += least + most
        product += least * most
        unequal += apart > 0
        counts_squared += (after * after - before * before) * (1 if apart else 2)
        n_log_n += tables.entropy[after] - tables.entropy[before]
    sums = state.sums
    sums[_N] += sign * n
    sums[_APART] += sign * difference
    sums[_SQUARED] += sign * squared
    sums[_NEAR] += sign * near
    sums[_SUM] += sign * level_sum
    sums[_PRODUCT] += sign * product
    sums[_UNEQUAL] += sign * unequal
    sums[_COUNTS_SQUARED] += counts_squared
    sums[_N_LOG_N] += n_log_n


@compiled
def _describe(sums: _Whole, n_log_n: _Whole, found: _Doubles) -> None:
    """Fills ``found`` with the statistics of one window and direction, in the order of ``STATISTICS``."""
    n = float(sums[_N])
    found[0] = sums[_SQUARED] / n
    found[1] = sums[_APART] / n
    found[2] = sums[_NEAR] / n / WHOLE
    of_s = float(sums[_SUM] * sums[_SUM])
    above = 4.0 * n * sums[_PRODUCT] - of_s
    below = 2.0 * n * (sums[_SQUARED] + 2 * sums[_PRODUCT]) - of_s
    found[3] = above / below if below > 0.0 else 1.0
    found[5] = sums[_COUNTS_SQUARED] / (2.0 * n * n)
    found[4] = np.sqrt(found[5])
    found[6] = ((n_log_n[sums[_N]] - sums[_N_LOG_N]) / WHOLE + sums[_UNEQUAL] * LN_2) / n


def _make(stage: Stage, products: tuple[str, ...], options: Options) -> Made:
    wanted = asked(products, tuple(stage.rasters), _statistics(options.levels))
    made: Made = {}
    for text, layer in stage.rasters.items():
        names = {product: statistic for product, (of, statistic) in wanted.items() if of == text}
        if names:
            statistics = tuple(dict.fromkeys(names.values()))
            found = texture(_edged(layer, options.window_px // 2 - stage.margin_px), statistics, options)
            made.update({product: found[statistic] for product, statistic in names.items()})
    return made


def _edged(layer: NDArray[np.floating[Any]], beyond: int) -> NDArray[np.floating[Any]]:
    """Returns a layer with ``beyond`` pixels of nothing more on each side; fewer pixels where that is below 0."""
    if beyond > 0:
        return np.pad(layer, beyond, constant_values=np.nan)
    inner = slice(-beyond, beyond or None)
    return layer[inner, inner]


def _statistics(levels: int) -> Mapping[str, Product]:
    top, most_disorder = float(levels - 1), np.nextafter(np.float32(2.0 * math.log(levels)), np.float32(np.inf))
    says = {
        "contrast": ((0.0, top**2), "mean squared difference of the levels of a pair"),
        "dissimilarity": ((0.0, top), "mean difference of the levels of a pair"),
        "homogeneity": ((0.0, 1.0), "mean of 1 / (1 + d^2) over the pairs, d their difference in levels"),
        "correlation": ((-1.0, 1.0), "correlation of the levels of a pair, 1 where there is one level only"),
        "energy": ((0.0, 1.0), "root of ASM"),
        "asm": ((0.0, 1.0), "sum of squared shares of the kinds of pairs"),
        "entropy": ((0.0, float(most_disorder)), "-sum p ln p over the kinds of pairs"),
    }
    return {name: Product("1", valid, _HARALICK, text) for name, (valid, text) in says.items()}


RECIPE = Recipe(
    reads="features",
    products=_statistics(MAX_LEVELS),
    options=Options,
    margin_px=lambda options, _: options.window_px // 2,
    make=_make,
    more=lambda of, options: per_input(of, _statistics(options.levels)),
)

"""Focal statistics: what the observed pixels of a window say, for every pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from onnx import TensorProto

from geoml_ops.adapters.onnx import windows
from geoml_ops.adapters.onnx.writer import Writer

Statistic = Literal["mean", "std", "min", "max", "range"]
_SPLIT = 2.0**41 + 1.0
"""Leaves 12 of a double's 53 bits in the head of a number (Dekker 1971), and 12 of a float32's in its tail."""


def focal(writer: Writer, layer: str, statistic: Statistic, window_px: int) -> str:
    """Adds a statistic of the observed pixels of a square window around every observed pixel.

    ``std`` is that of the population (divided by n). Whatever else a graph computes, and however a scene is cut
    into tiles, a pixel gets the same bits.

    Args:
        writer: the graph's.
        layer: name of float32 ``[batch, 1, y, x]``; NaN and infinite mean not observed, as beyond the edge.
        statistic: which one.
        window_px: edge of the window, odd.

    Returns:
        The name of float32 ``[batch, 1, y, x]``, NaN where the pixel itself is not observed.

    Raises:
        BadInput: the window is even, too small or too large.
    """
    windows.check_window(window_px)
    found = _STATISTICS[statistic](writer, windows.around(writer, layer, window_px // 2), window_px)
    return writer.op("Where", windows.observed(writer, layer), found, writer.number(np.nan))


def _mean(writer: Writer, edged: str, window_px: int) -> str:
    total = windows.box_sum(writer, _filled(writer, edged), window_px, window_px)
    return writer.op("Cast", writer.op("Div", total, _count(writer, edged, window_px)), to=TensorProto.FLOAT)


def _std(writer: Writer, edged: str, window_px: int) -> str:
    """Adds the root of ``n sum(v^2) - sum(v)^2``, over n, for numbers cut in two: v = head + tail.

    On bright flats the two terms are nearly equal. With head and tail each of 12 bits every sum below is exact
    (up to about 10 bits of difference in size between neighbours), and so is the first difference:

        n sum(v^2) - sum(v)^2 = [n sum(h^2) - sum(h)^2] + [n sum(t (h + v)) - sum(t) sum(h + v)]
    """

    def total(values: str) -> str:
        return windows.box_sum(writer, values, window_px, window_px)

    v, n = _filled(writer, edged), _count(writer, edged, window_px)
    wide = writer.op("Mul", v, windows.double(writer, _SPLIT))
    h = writer.op("Sub", wide, writer.op("Sub", wide, v))
    products = writer.op("Mul", writer.op("Sub", v, h), writer.op("Add", h, v))
    sum_v, sum_h = total(v), total(h)
    heads = writer.op("Mul", n, total(writer.op("Mul", h, h)))
    coarse = writer.op("Sub", heads, writer.op("Mul", sum_h, sum_h))
    tails = writer.op("Mul", writer.op("Sub", sum_v, sum_h), writer.op("Add", sum_v, sum_h))
    fine = writer.op("Sub", writer.op("Mul", n, total(products)), tails)
    spread = writer.op("Clip", writer.op("Add", coarse, fine), windows.double(writer, 0.0))
    return writer.op("Cast", writer.op("Div", writer.op("Sqrt", spread), n), to=TensorProto.FLOAT)


def _max(writer: Writer, edged: str, window_px: int) -> str:
    lowest = writer.number(-np.inf)
    return _greatest(writer, writer.op("Where", windows.observed(writer, edged), edged, lowest), window_px)


def _min(writer: Writer, edged: str, window_px: int) -> str:
    turned = writer.op("Where", windows.observed(writer, edged), writer.op("Neg", edged), writer.number(-np.inf))
    return writer.op("Neg", _greatest(writer, turned, window_px))


def _range(writer: Writer, edged: str, window_px: int) -> str:
    return writer.op("Sub", _max(writer, edged, window_px), _min(writer, edged, window_px))


def _greatest(writer: Writer, values: str, window_px: int) -> str:
    down = writer.op("MaxPool", values, kernel_shape=[window_px, 1])
    return writer.op("MaxPool", down, kernel_shape=[1, window_px])


def _filled(writer: Writer, edged: str) -> str:
    """Adds the layer in double precision, 0 where nothing is observed."""
    filled = writer.op("Where", windows.observed(writer, edged), edged, writer.number(0.0))
    return writer.op("Cast", filled, to=TensorProto.DOUBLE)


def _count(writer: Writer, edged: str, window_px: int) -> str:
    """Adds the number of observed pixels, float64."""
    seen = writer.op("Cast", windows.observed(writer, edged), to=TensorProto.FLOAT)
    return writer.op("Cast", windows.whole_sum(writer, seen, window_px, window_px, 1.0), to=TensorProto.DOUBLE)


_STATISTICS: dict[str, Callable[[Writer, str, int], str]] = {
    "mean": _mean,
    "std": _std,
    "min": _min,
    "max": _max,
    "range": _range,
}

"""How often each pair of levels occurs in every window of a layer: one box sum for a few kinds of pairs at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from geoml_ops.adapters.onnx import windows
from geoml_ops.adapters.onnx.pairs import Pairs
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.domain.covariates import cooccurrence

NUMBERS_AT_ONCE = 8
"""In tiles of up to 256 pixels so many counts and what the table says of them take 13 MB."""
MOST_DIGITS, LARGEST_TABLE = 3, 2**18


def counted(pairs: Pairs) -> str:
    """Adds sums over all unordered pairs of levels: of n^2 (twice that for equal levels), and of n ln n in whole parts.

    Returns:
        The name of float64 ``[batch, 1, y, x, 2]``, whole numbers.
    """
    writer, levels = pairs.writer, pairs.levels
    least, most = writer.op("Min", pairs.first, pairs.second), writer.op("Max", pairs.first, pairs.second)
    unequal = writer.op("Mul", writer.op("Cast", writer.op("Less", least, most), to=TensorProto.FLOAT), pairs.both)
    equal = writer.op("Sub", pairs.both, unequal)
    before = writer.op("Mul", writer.op("Mul", most, writer.op("Sub", most, writer.number(1.0))), writer.number(0.5))
    parts = [
        *_sums(pairs, unequal, writer.op("Add", before, least), levels * (levels - 1) // 2, 1.0),
        *_sums(pairs, equal, least, levels, 2.0),
    ]
    return writer.op("Sum", *parts)


def _sums(pairs: Pairs, there: str, kind: str, n_kinds: int, weight: float) -> Iterator[str]:
    """Adds the sums of :func:`counted` over kinds of pairs numbered from 0, some at a time.

    Several kinds are counted in one number, as its digits to the base of one more than a window has pairs; a table
    says what the digits sum up to.
    """
    writer, base = pairs.writer, pairs.most + 1
    digits = _digits(pairs)
    table = _table(writer, weight, pairs.most, digits)
    kind = writer.op("Where", writer.op("Cast", there, to=TensorProto.BOOL), kind, writer.number(-digits))
    number = writer.op("Floor", writer.op("Div", kind, writer.number(digits)))
    digit = writer.op("Sub", kind, writer.op("Mul", number, writer.number(digits)))
    powers = writer.constant(np.array([base**n for n in range(digits)], dtype=np.float32))
    value = writer.op("Gather", powers, writer.op("Cast", digit, to=TensorProto.INT32))
    n_numbers = -(-n_kinds // digits)
    for first in range(0, n_numbers, NUMBERS_AT_ONCE):
        wanted = np.arange(first, min(first + NUMBERS_AT_ONCE, n_numbers), dtype=np.float32)[:, np.newaxis, np.newaxis]
        here = writer.op("Equal", number, writer.constant(wanted))
        occurs = writer.op("Where", here, value, writer.number(0.0))
        counts = windows.whole_sum(writer, occurs, *pairs.box, float(base ** (digits - 1)))
        found = writer.op("Gather", table, writer.op("Cast", counts, to=TensorProto.INT32))
        yield writer.op("ReduceSum", found, writer.ints(1), keepdims=1)


def _digits(pairs: Pairs) -> int:
    """Returns how many counts fit into one number that stays exact, with a table that stays in the cache."""
    base = pairs.most + 1
    fit = [n for n in range(1, MOST_DIGITS + 1) if base**n <= LARGEST_TABLE]
    return max([1, *(n for n in fit if windows.told_apart(base ** (n - 1), *pairs.box))])


def _table(writer: Writer, weight: float, most: int, digits: int) -> str:
    """Adds what the digits of a number sum up to, float64 ``[number, 2]``; onnxruntime works it out when it loads."""
    n = np.arange(most + 1, dtype=np.float64)
    one = np.stack([weight * n**2, cooccurrence.entropy_terms(most)], axis=1)
    table = writer.constant(one)
    for _ in range(digits - 1):
        lower = writer.op("Reshape", table, writer.ints(1, -1, 2))
        both = writer.op("Add", writer.constant(one[:, np.newaxis]), lower)
        table = writer.op("Reshape", both, writer.ints(-1, 2))
    return table

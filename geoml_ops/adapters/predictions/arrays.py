"""Columns between Python and Arrow by their buffers alone.

pyarrow's own conversions from and to lists import pandas where it is installed (pyarrow 25), which the service must
not load; buffers are also several times as fast for lists of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_NUMBERS: dict[pa.DataType, type[np.generic]] = {
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
    pa.timestamp("us", "UTC"): np.int64,
}


def array(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """Returns a column of one of the kinds used here: numbers, text, bytes, and lists of those; None for nothing."""
    known = np.array([value is not None for value in values], dtype=bool)
    validity = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little").tobytes())
    if kind in _NUMBERS:
        numbers = np.array([0 if value is None else value for value in values], dtype=_NUMBERS[kind])
        return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(numbers.tobytes())])
    if pa.types.is_list(kind):
        parts = [value or () for value in values]
        within = array(kind.value_type, [item for part in parts for item in part])
        return pa.Array.from_buffers(kind, len(values), [validity, _offsets(parts)], children=[within])
    texts = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    return pa.Array.from_buffers(kind, len(values), [validity, _offsets(texts), pa.py_buffer(b"".join(texts))])


def values(column: pa.Array) -> list[Any]:
    """Returns what :func:`array` was given; times as microseconds since 1970, lists as lists."""
    kind, n, buffers = column.type, len(column), column.buffers()
    if kind in _NUMBERS:
        numbers: list[Any] = _numbers(buffers[1], _NUMBERS[kind], column.offset, n).tolist()
        return _known(column, numbers)
    ends = _numbers(buffers[1], np.int32, column.offset, n + 1)
    if pa.types.is_list(kind):
        # ``column.values`` is the whole child, which the offsets count from its own beginning.
        within = values(column.values)
        return _known(column, [within[a:b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)])
    content = buffers[2].to_pybytes() if buffers[2] is not None else b""
    texts: list[Any] = [content[a:b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    return _known(column, [text.decode() for text in texts] if pa.types.is_string(kind) else texts)


def _offsets(parts: Sequence[Sequence[Any]]) -> pa.Buffer:
    ends = np.zeros(len(parts) + 1, dtype=np.int32)
    np.cumsum([len(part) for part in parts], out=ends[1:])
    return pa.py_buffer(ends.tobytes())


def _numbers(buffer: pa.Buffer | None, kind: type[np.generic], offset: int, n: int) -> NDArray[Any]:
    if buffer is None:
        return np.zeros(n, dtype=kind)
    return np.frombuffer(buffer, dtype=kind, count=offset + n)[offset:]


def _known(column: pa.Array, found: list[Any]) -> list[Any]:
    validity = column.buffers()[0]
    if validity is None or column.null_count == 0:
        return found
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[column.offset :]
    return [value if bit else None for value, bit in zip(found, bits.tolist(), strict=False)]

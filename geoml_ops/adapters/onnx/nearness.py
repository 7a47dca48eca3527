"""The part of a bundle that says how far a pixel is from what the model learned from."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.domain.applicability import References

REFERENCES_PER_PRODUCT = 64
"""With 128 px tiles a product of this width stays in the cache of a core, and 50 MB of memory."""


def add_nearness(writer: Writer, columns: str, answered: str, references: References) -> None:
    """Adds the outputs ``dissimilarity`` and ``density``, float32 ``[batch, 1, y, x]``, NaN where not answered.

    They are :func:`geoml_ops.domain.applicability.dissimilarity` and ``density``. Squared distances are one
    matrix product of ``(z, |z|^2, 1)`` and ``(-2 r, 1, |r|^2)``, in double precision: in single precision
    what cancels leaves up to 1e-2 where a pixel is a sample's own.

    Args:
        writer: the bundle's.
        columns: name of the features ``[batch, feature, y, x]``.
        answered: name of the mask ``[batch, 1, y, x]``, True where every feature is a finite number.
        references: what pixels are compared with.
    """
    least, near = _least_and_near(writer, _placed(writer, columns, references), references)
    distance = writer.op("Sqrt", writer.op("Clip", least, _wide(writer, 0.0)))
    index = writer.op("Div", distance, _wide(writer, references.mean_distance))
    shape = writer.op("Shape", columns)
    batch = writer.op("Slice", shape, writer.ints(0), writer.ints(1))
    pixels = writer.op("Slice", shape, writer.ints(2), writer.ints(4))
    layer = writer.op("Concat", batch, writer.ints(1), pixels, axis=0)
    for name, values in (("dissimilarity", index), ("density", near)):
        narrow = writer.op("Cast", values, to=TensorProto.FLOAT)
        writer.op("Where", answered, writer.op("Reshape", narrow, layer), writer.number(np.nan), out=name)


def _wide(writer: Writer, value: float) -> str:
    return writer.constant(np.asarray(value, dtype=np.float64))


def _placed(writer: Writer, columns: str, references: References) -> str:
    """Adds pixels as rows ``(z, |z|^2, 1)`` of double precision, ``[pixel, d + 2]``."""
    d = len(references.columns)
    used = writer.op("Gather", columns, writer.ints(*references.columns.tolist()), axis=1)
    rows = writer.op("Reshape", writer.op("Transpose", used, perm=[0, 2, 3, 1]), writer.ints(-1, d))
    wide = writer.op("Cast", rows, to=TensorProto.DOUBLE)
    centred = writer.op("Sub", wide, writer.constant(references.mean))
    z = writer.op("Mul", centred, writer.constant(references.scale))
    length = writer.op("ReduceSum", writer.op("Mul", z, z), writer.ints(1), keepdims=1)
    one = writer.op("Add", writer.op("Mul", length, _wide(writer, 0.0)), _wide(writer, 1.0))
    return writer.op("Concat", z, length, one, axis=1)


def _least_and_near(writer: Writer, pixels: str, references: References) -> tuple[str, str]:
    """Adds the least squared distance and the number of samples within reach, ``[pixel, 1]`` each."""
    reach = _wide(writer, references.reach**2)
    pairs = []
    for first in range(0, len(references.rows), REFERENCES_PER_PRODUCT):
        part = slice(first, first + REFERENCES_PER_PRODUCT)
        rows = references.rows[part]
        lengths = np.square(rows).sum(axis=1)
        against = np.vstack([-2.0 * rows.T, np.ones(len(rows)), lengths])
        product = writer.op("MatMul", pixels, writer.constant(against))
        least = writer.op("ReduceMin", product, axes=[1], keepdims=1)
        close = writer.op("Cast", writer.op("Less", product, reach), to=TensorProto.FLOAT)
        counts = writer.constant(references.counts[part].astype(np.float32)[:, np.newaxis])
        near = writer.op("Cast", writer.op("MatMul", close, counts), to=TensorProto.DOUBLE)
        # Both at once, or onnxruntime 1.31 first takes every minimum and keeps all products for the counts: 2 GB.
        pairs.append(writer.op("Concat", least, near, axis=1))
    stack = writer.op("Reshape", writer.op("Concat", *pairs, axis=1), writer.ints(-1, len(pairs), 2))
    names = [f"t{len(writer.nodes)}_least", f"t{len(writer.nodes)}_near"]
    writer.nodes.append(helper.make_node("Split", [stack], names, axis=2))
    return (
        writer.op("ReduceMin", names[0], axes=[1], keepdims=0),
        writer.op("ReduceSum", names[1], writer.ints(1), keepdims=0),
    )

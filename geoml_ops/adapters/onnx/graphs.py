"""The stateless part, and the whole that joins it with a fitted head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto

from geoml_ops.adapters.onnx.features import add_features
from geoml_ops.adapters.onnx.nearness import add_nearness
from geoml_ops.adapters.onnx.qgis import deepness
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.applicability import References
from geoml_ops.domain.features import bands_needed, expanded, halo_of


def feature_graph(features: Sequence[str], contract: Contract) -> bytes:
    """Returns the stateless feature graph.

    Input ``dn`` float32 ``[batch, band, y, x]``: DN in the contract's radiometry, NaN where not
    observed, bands as :func:`~geoml_ops.domain.features.bands_needed` orders them. Outputs
    ``features`` float32 ``[batch, feature, y, x]``, NaN kept, and ``valid`` uint8 ``[batch, 1, y, x]``,
    1 where every feature is a finite number. Any y and x, from 1.

    Args:
        features: lines of text, in output order; one that stands for several gives as many.
        contract: bands and radiometry of the sensor.

    Raises:
        BadInput: as :func:`~geoml_ops.domain.features.read`.
    """
    writer, names = Writer(), expanded(features, contract)
    layers = add_features(writer, "dn", names, contract)
    writer.op("Concat", *layers, out="features", axis=1)
    writer.valid(*layers, out="valid")
    bands = bands_needed(names, contract)
    outputs = {"features": (TensorProto.FLOAT, len(names)), "valid": (TensorProto.UINT8, 1)}
    metadata = {"bands": json.dumps(bands), "features": json.dumps(names), "sensor": contract.sensor}
    return writer.model("features", ("dn", len(bands)), outputs, metadata)


def bundle_graph(
    features: Sequence[str],
    contract: Contract,
    head: bytes,
    classes: Sequence[str],
    metadata: Mapping[str, str],
    references: References | None = None,
) -> bytes:
    """Returns the whole graph: DN in, class probabilities, their validity and where they apply out.

    Input ``dn`` as in :func:`feature_graph`; outputs ``probability`` float32 ``[batch, class, y, x]``,
    0 where ``valid`` uint8 ``[batch, 1, y, x]`` is 0. A pixel is valid where every feature exists. With
    references also ``dissimilarity`` and ``density``, float32 ``[batch, 1, y, x]``, NaN where not valid.

    Args:
        features: lines of text, in the order the head was fitted on.
        contract: bands and radiometry of the sensor.
        head: what :func:`head_graph` returned.
        classes: names in code order.
        metadata: what else the graph should say about itself; the names, the radiometry and the halo
            are added here.
        references: what pixels are compared with, in the space of these features; None to leave it out.

    Raises:
        BadInput: as :func:`~geoml_ops.domain.features.read`, or the head or the references do not fit.
    """
    names = expanded(features, contract)
    outer = onnx.load_model_from_string(head).graph
    found = tuple(v.type.tensor_type.shape.dim[1].dim_value for v in (outer.input[0], outer.output[0]))
    if found != (len(names), len(classes)):
        raise BadInput(
            f"The head reads {found[0]} features and knows {found[1]} classes; "
            f"{len(names)} and {len(classes)} were named."
        )
    if references is not None and references.columns.max() >= len(names):
        raise BadInput(
            f"The references are told apart by feature {references.columns.max()}, counted from 0; "
            f"{len(names)} were named."
        )
    writer = Writer()
    layers = add_features(writer, "dn", names, contract)
    columns = writer.op("Concat", *layers, axis=1)
    valid = writer.valid(*layers, out="valid")
    probability = writer.head(head, columns)
    answered = writer.op("Cast", valid, to=TensorProto.BOOL)
    writer.op("Where", answered, probability, writer.number(0.0), out="probability")
    bands = bands_needed(names, contract)
    outputs = {"probability": (TensorProto.FLOAT, len(classes)), "valid": (TensorProto.UINT8, 1)}
    if references is not None:
        add_nearness(writer, columns, answered, references)
        outputs |= {"dissimilarity": (TensorProto.FLOAT, 1), "density": (TensorProto.FLOAT, 1)}
    own = {
        "sensor": contract.sensor,
        "bands": json.dumps(bands),
        "features": json.dumps(names),
        "classes": json.dumps(list(classes)),
        "radiometry": contract.radiometry.model_dump_json(),
        "pixel_m": json.dumps(contract.pixel_m),
        "halo_px": json.dumps(halo_of(names, contract)),
        "contract": contract.subset(bands).model_dump_json(),
    }
    shown = deepness(contract.pixel_m, len(bands), classes, list(outputs), halo_of(names, contract))
    return writer.model("bundle", ("dn", len(bands)), outputs, {**shown, **metadata, **own})

"""What a delivery says of itself: ``delivery.yaml``, the producer's metadata, its files, and whether they agree."""

from geoml_ops.domain.delivery.declaring import Declaration, declare, misfits
from geoml_ops.domain.delivery.fields import number_fields, numbers_of, weight_flaws
from geoml_ops.domain.delivery.legend import counts_in_words, legend_of, legend_rows, named, plain_labels, whole
from geoml_ops.domain.delivery.naming import Layer, Layers, band_of, layers_of
from geoml_ops.domain.delivery.products import MOST_XML_BYTES, Product, is_product, read_product
from geoml_ops.domain.delivery.said import (
    AncillaryDelivery,
    DeclaredBand,
    DeclaredNumbers,
    LabelsDelivery,
    NamedCode,
    SceneDelivery,
    is_name,
)

__all__ = [
    "MOST_XML_BYTES",
    "AncillaryDelivery",
    "Declaration",
    "DeclaredBand",
    "DeclaredNumbers",
    "LabelsDelivery",
    "Layer",
    "Layers",
    "NamedCode",
    "Product",
    "SceneDelivery",
    "band_of",
    "counts_in_words",
    "declare",
    "is_name",
    "is_product",
    "layers_of",
    "legend_of",
    "legend_rows",
    "misfits",
    "named",
    "number_fields",
    "numbers_of",
    "plain_labels",
    "read_product",
    "weight_flaws",
    "whole",
]

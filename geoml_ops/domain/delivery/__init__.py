"""What a delivery says of itself: ``delivery.yaml``, the producer's metadata, its files, and whether they agree."""

from geoml_ops.domain.delivery.declaring import Declaration, declare, misfits
from geoml_ops.domain.delivery.naming import Layer, Layers, band_of, layers_of
from geoml_ops.domain.delivery.products import MOST_XML_BYTES, Product, is_product, read_product
from geoml_ops.domain.delivery.said import (
    AncillaryDelivery,
    DeclaredBand,
    DeclaredNumbers,
    LabelsDelivery,
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
    "Product",
    "SceneDelivery",
    "band_of",
    "declare",
    "is_name",
    "is_product",
    "layers_of",
    "misfits",
    "read_product",
]

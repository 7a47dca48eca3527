"""From features of a scene to segments, and from segments to bands."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.domain.covariates.naming import asked, per_input
from geoml_ops.domain.covariates.objects.connecting import connected, merged
from geoml_ops.domain.covariates.objects.options import ObjectOptions, ranges_of, scaled
from geoml_ops.domain.covariates.objects.shapes import Shapes, shapes_of
from geoml_ops.domain.covariates.objects.slic import slic
from geoml_ops.domain.covariates.objects.zones import contrast_of, zones_of
from geoml_ops.domain.covariates.recipe import Made, Product, Recipe, Stage

_FAR = 1e9
Layers = Mapping[str, NDArray[np.floating[Any]]]


def working_bytes(shape: tuple[int, int], n_features: int, options: ObjectOptions, n_parts: int = 0) -> int:
    """Returns the memory that segmenting takes beyond the features themselves.

    SLIC: scaled features in single precision, distances, labels and parts; then scaled features, parts, and what is
    known of each part. Felzenszwalb: besides, eight neighbours' weighted edges and their order (scikit-image).

    Args:
        shape: ``(y, x)``.
        n_features: features that are read.
        options: method.
        n_parts: connected parts before small ones are joined; 0 while nobody knows.
    """
    n_pixels = shape[0] * shape[1]
    cutting = 4 * n_features + 16
    if options.method == "felzenszwalb":
        cutting += 48 * n_features + 160
    return max(n_pixels * cutting, n_pixels * (4 * n_features + 6) + n_parts * (8 * n_features + 40))


def segments(features: Layers, options: ObjectOptions) -> tuple[NDArray[np.int32], int]:
    """Returns the segment of each pixel ``(y, x)``, -1 where a feature has no number, and how many there are.

    Every segment hangs together across pixel edges; numbers go by the first pixel from the north-west.

    Args:
        features: name to ``(y, x)``.
        options: how to cut.

    Raises:
        BadInput: ranges are missing or wrong.
        TooLarge: more memory is needed than allowed.
    """
    layers = list(features.values())
    if not layers:
        raise BadInput("Segments need features.", "name at least one in of")
    _require_memory(layers[0].shape, len(layers), options)
    pixels = scaled(layers, ranges_of(features, options))
    parts, n_parts = connected(_cut(pixels, options))
    _require_memory(layers[0].shape, len(layers), options, n_parts)
    return merged(parts, n_parts, pixels, options.least)


def _cut(pixels: NDArray[np.float32], options: ObjectOptions) -> NDArray[np.int32]:
    if options.method == "felzenszwalb":
        return _grown(pixels, options.scale)
    return slic(pixels, size_px=options.size_px, compactness=options.compactness, iterations=options.iterations)


def _require_memory(shape: tuple[int, ...], n_features: int, options: ObjectOptions, n_parts: int = 0) -> None:
    needed = working_bytes((shape[0], shape[1]), n_features, options, n_parts) / 2**30
    if needed > options.most_gib:
        way = "use fewer features" if options.method == "slic" else "use method: slic, which needs less, fewer features"
        parts = f" and {n_parts} parts" if n_parts else ""
        raise TooLarge(
            f"{options.method} of {shape[0]} x {shape[1]} pixels in {n_features} features{parts} needs "
            f"{needed:.1f} GiB of memory; {options.most_gib:g} are allowed.",
            f"{way}, smoother ones, a part of the scene, or raise options.most_gib where there is more",
        )


def _grown(pixels: NDArray[np.float32], scale: float) -> NDArray[np.int32]:
    """Returns regions by Felzenszwalb & Huttenlocher 2004 (doi:10.1023/B:VISI.0000022288.19776.77), -1 for nothing.

    What is missing is put so far away that no region grows into it; small regions are joined by us, because
    scikit-image would join them across anything.
    """
    missing = np.isnan(pixels[0])
    filled = np.moveaxis(np.where(missing, _FAR, pixels), 0, -1).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # any number of features but 3 is called unusual
        found = felzenszwalb(filled, scale=scale, sigma=0, min_size=0, channel_axis=-1)
    return np.where(missing, -1, found).astype(np.int32)


_SHAPES: Mapping[str, Callable[[Shapes, float], NDArray[np.float64]]] = {
    "count": lambda shapes, pixel_m: shapes.count,
    "area": lambda shapes, pixel_m: shapes.count * pixel_m**2,
    "perimeter": lambda shapes, pixel_m: shapes.perimeter * pixel_m,
    "compactness": lambda shapes, pixel_m: shapes.compactness(),
    "eccentricity": lambda shapes, pixel_m: shapes.eccentricity(),
    "elongation": lambda shapes, pixel_m: shapes.elongation(),
    "rectangularity": lambda shapes, pixel_m: shapes.rectangularity(),
}


def make(stage: Stage, products: tuple[str, ...], options: ObjectOptions) -> Made:
    """Returns the products, each float32 ``(y, x)``, NaN outside segments.

    Raises:
        BadInput: as :func:`segments`.
    """
    features = {name: stage.core(layer) for name, layer in stage.rasters.items()}
    labels, n = segments(features, options)
    columns: dict[str, NDArray[np.float64]] = {}
    if any(name in _SHAPES for name in products):
        shapes = shapes_of(labels, n)
        columns.update({p: _SHAPES[p](shapes, stage.grid.pixel_m) for p in products if p in _SHAPES})
    wanted = asked(products, tuple(features), STATISTICS)
    for feature in dict.fromkeys(text for text, _ in wanted.values()):
        of_it = {product: statistic for product, (text, statistic) in wanted.items() if text == feature}
        columns.update(_statistics(labels, n, features[feature], of_it))
    return {product: _paint(columns[product], labels) for product in products}


def _statistics(
    labels: NDArray[np.int32], n: int, layer: NDArray[np.float32], wanted: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    zones = zones_of(labels, n, layer)
    held = {
        "mean": zones.mean,
        "std": zones.std,
        "min": zones.least,
        "max": zones.most,
        "range": zones.most - zones.least,
    }
    if "contrast" in wanted.values():
        held["contrast"] = contrast_of(labels, zones.mean)
    return {product: held[statistic] for product, statistic in wanted.items()}


def _paint(column: NDArray[np.float64], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    return np.append(column.astype(np.float32), np.float32(np.nan))[labels]  # -1 is the last


_ANY, _NOT_BELOW_0, _SHARE = (-3.4e38, 3.4e38), (0.0, 3.4e38), (0.0, 1.0)
_EDGES, _BAATZ = "pixel edges", "Benz et al. 2004, doi:10.1016/j.isprsjprs.2003.10.002"

STATISTICS: Mapping[str, Product] = {
    "mean": Product("as read", _ANY, _BAATZ, "mean of the feature over the segment"),
    "std": Product("as read", _NOT_BELOW_0, _BAATZ, "standard deviation over the segment"),
    "min": Product("as read", _ANY, _BAATZ, "least number in the segment"),
    "max": Product("as read", _ANY, _BAATZ, "greatest number in the segment"),
    "range": Product("as read", _NOT_BELOW_0, _BAATZ, "greatest less least number"),
    "contrast": Product("as read", _NOT_BELOW_0, _BAATZ, "mean difference to the segments across the outline"),
}

RECIPE = Recipe(
    reads="features",
    products={
        "count": Product("1", (1.0, 2.0**31), _EDGES, "pixels of the segment"),
        "area": Product("m2", (0.0, 1e14), _EDGES, "ground that the segment covers"),
        "perimeter": Product("m", (0.0, 1e11), _EDGES, "length of its outline along pixel edges, holes included"),
        "compactness": Product("1", (0.0, np.pi / 4), "Polsby & Popper 1991", "4 pi A / P^2; pi / 4 for a square"),
        "eccentricity": Product("1", _SHARE, "ellipse of equal second moments", "0 for a circle or square"),
        "elongation": Product("1", _SHARE, "Freeman & Shapira 1975", "1 - breadth / length of the smallest rectangle"),
        "rectangularity": Product(
            "1", _SHARE, "Rosin 1999, doi:10.1007/s001380050101", "share of the smallest rectangle"
        ),
    },
    options=ObjectOptions,
    margin_px=lambda options, pixel_m: 0,
    make=make,
    more=lambda of, options: per_input(of, STATISTICS),
)

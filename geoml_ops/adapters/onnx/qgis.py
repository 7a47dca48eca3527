"""What QGIS has to know to run a bundle: the keys that its plugin Deepness reads from a graph's metadata.

Deepness divides what QGIS reads by 255, then takes ``standardization_mean`` away and divides by
``standardization_std``; a standard deviation of 1 / 255 gives the graph the numbers of the raster. It cuts square
tiles, takes the largest channel of every output, and names channels by ``class_names``, one table for each output. It
binds bands by their place in the raster layer, and knows neither offset nor nodata: the layer has to be in the
contract's radiometry, and what was not observed is drawn as ``no_answer`` only where a NaN says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

TILE_PX = 256
MOST_OVERLAP = 80
#: What Deepness calls the pixels where an output of one channel is below its threshold.
_BELOW = {"valid": "no_answer", "dissimilarity": "dissimilarity_below_half", "density": "density_below_half"}


def deepness(
    pixel_m: float, n_bands: int, classes: Sequence[str], outputs: Sequence[str], halo_px: int
) -> dict[str, str]:
    """Returns Deepness's keys and their values, as JSON.

    Args:
        pixel_m: edge of a pixel in metres.
        n_bands: channels of the input.
        classes: names in code order.
        outputs: names of the graph's outputs, in its order, ``probability`` first.
        halo_px: pixels around a tile that its edge depends on.
    """
    channels = [dict(enumerate(classes)) if name == "probability" else {0: _BELOW[name]} for name in outputs]
    return {
        "model_type": json.dumps("Segmentor"),
        "class_names": json.dumps(channels),
        "resolution": json.dumps(round(pixel_m * 100, 6)),
        "tile_size": json.dumps(TILE_PX),
        "tiles_overlap": json.dumps(min(MOST_OVERLAP, math.ceil(200 * halo_px / TILE_PX))),
        "standardization_mean": json.dumps([0.0] * n_bands),
        "standardization_std": json.dumps([1 / 255] * n_bands),
        "seg_thresh": json.dumps(0.0),
        "seg_small_segment": json.dumps(0),
    }

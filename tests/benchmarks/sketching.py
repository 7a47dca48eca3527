"""Sketches of bands against numpy's histogram of as many bins, and what it costs to read the log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from geoml_ops.adapters.predictions import PredictionLog, Row
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.domain.sketch import Bins, bins_of, from_bytes, sketch
from tests.benchmarks.pairs import Figure, in_turns

EDGE_PX = 512
N_TILES = 2000
DECIBEL = Bins("VV", -50.0, 10.0, step=2.0**-9)


def bands(kind: str, name: str) -> Figure:
    """A block of one band, sketched (bins, moments, extremes), against its histogram of 256 even bins."""
    rng = np.random.default_rng(7)
    own = bins_of(SENTINEL_2_L1C)[0]
    dn = np.rint(rng.normal(1500, 700, (EDGE_PX, EDGE_PX)).clip(1, 20_000))
    block = {
        "uint16": dn.astype(np.uint16),
        "float32": dn.astype(np.float32),
        "holes": np.where(rng.random(dn.shape) < 0.3, np.nan, dn).astype(np.float32),
        "decibel": rng.normal(-12, 4, dn.shape).astype(np.float32),
    }[kind]
    bins = DECIBEL if kind == "decibel" else own
    found = sketch(block, bins)
    if found.n + found.n_nodata != block.size or from_bytes(found.to_bytes(), bins) != found:
        raise SystemExit(f"{name}: the sketch does not hold the block")
    # What numpy's histogram is given has no holes, for it would have to be told where they are.
    plain = np.nan_to_num(block)
    return in_turns(
        name,
        f"a {kind} band of {EDGE_PX} x {EDGE_PX} px in a sketch that adds up, against one numpy histogram of 256 bins",
        lambda: sketch(block, bins),
        lambda: np.histogram(plain, bins=256, range=(bins.low, bins.high)),
        size=block.size,
        unit="pixels/s",
    )


def reading(name: str) -> Figure:
    """Means and places of the tiles of a day out of its log, against all columns of them."""
    own = bins_of(SENTINEL_2_L1C)
    dn = np.random.default_rng(7).integers(200, 3000, (len(own), 128, 128)).astype(np.float32)
    content = tuple(sketch(layer, one).to_bytes() for layer, one in zip(dn, own, strict=True))
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    tile = Row(
        row="tile", at=at, request="r", kind="raster", prediction="p", bundle="b", graph_sha256="0", model="m",
        number=1, sensor="s", sketches=content, means=tuple(float(layer.mean()) for layer in dn), northing=0.0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        log = PredictionLog(Path(folder))
        log.record([replace(tile, easting=float(n)) for n in range(N_TILES)])
        return in_turns(
            name,
            f"means and places of {N_TILES} tiles read from the log, against every column of them",
            lambda: sum(1 for _ in log.tiles(columns=("easting", "northing", "means"))),
            lambda: sum(1 for _ in log.tiles()),
            size=N_TILES,
            unit="tiles/s",
        )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    **{f"sketch_{kind}": partial(bands, kind) for kind in ("uint16", "float32", "holes", "decibel")},
    "log_columns": reading,
}

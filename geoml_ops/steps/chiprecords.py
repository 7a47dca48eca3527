"""What an answered request about chips leaves in the prediction log: a row for it, and one for each of its chips."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.predictions import Row
from geoml_ops.domain.sketch import Tally, bins_of, ordered, tally, total
from geoml_ops.steps.chips import Asked, numbers_of
from geoml_ops.steps.records import columns_of, columns_of_model

MOST_CHIPS, MOST_PX = 64, 1 << 14
"""Chips of one request that get a row, and their pixels that bands are sketched from; more are thinned out evenly."""


def layers_by_name(asked: Asked) -> dict[str, NDArray[np.uint8]]:
    """Returns the layers ``(n, y, x)`` of a request that was answered in layers, by name as in maps."""
    return {name: asked.answer[:, position] for position, name in enumerate(asked.names)}


def chip_tallies(asked: Asked, *, bands: bool = True) -> list[Tally]:
    """Returns what each of at most 64 chips of a request holds.

    Args:
        asked: a request that was answered in layers.
        bands: whether they are sketched; otherwise only answers are counted.
    """
    n, _, height, width = asked.dn.shape
    every = -(-n // MOST_CHIPS)
    step = max(1, int(np.ceil(np.sqrt(-(-n // every) * height * width / MOST_PX))))
    return [_tally(asked, number, step if bands else 0) for number in range(0, n, every)]


def chip_rows(asked: Asked, tallies: Sequence[Tally], *, request: str, latency_s: float, at: datetime) -> list[Row]:
    """Returns the rows of a request about chips: its own, and one for each of its tallies.

    Args:
        asked: a request that was answered in layers.
        tallies: see :func:`chip_tallies`.
        request: id of the request.
        latency_s: how long the caller waited.
        at: when it was answered.
    """
    release = asked.model.release
    same = {
        **columns_of_model(asked.model.bundle, release.model, release.number),
        "request": request,
        "kind": "chip",
        "prediction": "",
    }
    numbers = [columns_of(one) for one in tallies]
    summed = numbers[0] if len(tallies) == 1 else columns_of(total(tallies))
    whole = {**same, **summed, "n_px": asked.answer[:, 0].size, "latency_s": latency_s}
    return [
        Row(row="request", at=at, **whole),
        *(Row(row="tile", at=at, **same, **one) for one in numbers),
    ]


def _tally(asked: Asked, number: int, step: int) -> Tally:
    """Returns what one chip holds; bands are sketched from every ``step``-th row and column, from none for 0."""
    bundle, layers = asked.model.bundle, dict(zip(asked.names, asked.answer[number], strict=True))
    dn = numbers_of(asked, number, step) if step else np.empty((0, 1, 1), np.float32)
    far, size = layers.get("dissimilarity"), layers.get("set_size")
    return tally(
        dn,
        bins_of(bundle.contract) if step else (),
        layers["class"],
        len(bundle.classes),
        confidence=layers["confidence"],
        outside=None if far is None or bundle.applicability is None else far > 100,
        set_size=size if bundle.conformal else None,
        ordered=ordered(dn) if step else None,
    )

"""What a graph says of a part of a chip, written into the answer of its request: layers as maps have them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.flow import Bundle
from geoml_ops.domain.tiling import CEILING, NODATA_CLASS, Answer, least_probability, sets
from geoml_ops.domain.tiling.layers import packed, percent_of_threshold
from geoml_ops.steps.asking import Part


def put(part: Part, said: Answer | None, at: int, core: tuple[slice, slice]) -> None:
    """Writes the answer about a part into the answer of its request.

    Args:
        part: which pixels of which request.
        said: of a batch; None where nothing was observed.
        at: the part's place in the batch.
        core: rows and columns of the part among those that the graph was asked about.
    """
    asked = part.asked
    room = asked.answer[part.number][:, *part.window.slices()]
    if said is None:
        room[...] = 0 if asked.output == "probability" else NODATA_CLASS
        return
    probability = said.probability[at][:, *core]
    if asked.output == "probability":
        room[...] = probability
        return
    best, codes = _best(probability)
    room[0], room[1] = codes, np.rint(best * np.float32(100))
    if len(room) > 2:
        _put_trust(room, asked.model.bundle, probability, said, (at, 0, *core))
    known = said.valid[at, 0][core].astype(np.bool_)
    if not known.all():
        room[:, ~known] = NODATA_CLASS


def _put_trust(
    room: NDArray[np.uint8], bundle: Bundle, probability: NDArray[np.float32], said: Answer, at: tuple[Any, ...]
) -> None:
    """Writes how far an answer may be trusted, 255 where the model does not know."""
    room[2:] = NODATA_CLASS
    if bundle.conformal is not None:
        # A chip has no place on the ground, so the quantiles of all ground hold.
        quantiles = np.array([bundle.conformal.quantiles[name] for name in bundle.classes])
        member = sets(probability, least_probability(quantiles)[:, np.newaxis, np.newaxis])
        room[2], room[5:] = np.minimum(member.sum(axis=0), CEILING), packed(member)
    if bundle.applicability is not None and said.dissimilarity is not None and said.density is not None:
        far = said.dissimilarity[at]
        room[3] = percent_of_threshold(far, bundle.applicability.threshold, np.ones(far.shape, np.bool_))
        room[4] = np.clip(np.floor(np.nan_to_num(said.density[at])), 0, CEILING)


def _best(probability: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Returns the largest probability ``(y, x)`` and the first class that has it, sooner than numpy's argmax does."""
    best = probability.max(axis=0)
    codes = np.zeros(best.shape, np.uint8)
    for code in range(len(probability) - 1, -1, -1):
        np.copyto(codes, np.uint8(code), where=probability[code] == best)
    return best, codes

"""Chips: small arrays that say of themselves what a file would say, answered in the layers of a map.

A request becomes parts of at most :data:`EDGE_PX` on a side; parts of equal shape, whoever asked, go through the
graph in one call. A pixel gets the answer that a raster of the same pixels would get: what lies beyond a chip's edge
was not observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract, Radiometry, to_contract
from geoml_ops.core.errors import BadInput, GeomlError, Refused, TooLarge
from geoml_ops.core.flow import Bundle
from geoml_ops.domain.checks import spectral_check
from geoml_ops.domain.tiling import (
    CEILING,
    NODATA_CLASS,
    Answer,
    Block,
    Box,
    Lattice,
    answer_of,
    filled,
    joined,
    least_probability,
    sets,
)
from geoml_ops.domain.tiling.layers import packed, percent_of_threshold
from geoml_ops.steps.answering import Model
from geoml_ops.steps.asking import EDGE_PX, PART_PX, Asked, Output, Part, Said, ask, fit, layer_names, require_shape

__all__ = [
    "EDGE_PX",
    "PART_PX",
    "Asked",
    "Output",
    "Part",
    "Read",
    "Said",
    "answer",
    "ask",
    "call",
    "classify_chips",
    "fit",
    "layer_names",
    "read",
    "require_shape",
]

COMPARED_PLACES = 400
"""Places, each as large as the coarsest band's pixel, whose bands are compared; fewer say nothing that is certain."""
_ALL = slice(None), slice(None)


Look = Callable[[Model, NDArray[np.float32]], None]


@dataclass(frozen=True, eq=False)
class Read:
    """Parts of one key that are ready for the graph.

    Attributes:
        parts: all that were asked.
        around: by position in ``parts`` the numbers of a part and of what the graph needs around it.
        errors: by position, why a part cannot be answered.
    """

    parts: Sequence[Part]
    around: dict[int, NDArray[np.float32]]
    errors: dict[int, GeomlError]


def read(parts: Sequence[Part]) -> Read:
    """Returns parts of one key in their model's bands and radiometry; what is wrong with one stays with that one."""
    found = Read(parts, {}, {})
    for at, part in enumerate(parts):
        try:
            found.around[at] = _read(part)
        except GeomlError as error:
            found.errors[at] = error
    return found


def call(ready: Read, *, look: Look | None = None) -> list[GeomlError | None]:
    """Answers parts in one call, singly where that fails; returns for each what went wrong, None where nothing did.

    Args:
        ready: parts, whose answers are written into those of their requests.
        look: is shown the model and what it read of a part, ``(band, y, x)`` with its halo.
    """
    errors, places = dict(ready.errors), list(ready.around)
    if places:
        try:
            _call([ready.parts[at] for at in places], list(ready.around.values()))
        except (GeomlError, MemoryError) as error:
            alone = len(places) == 1
            failed = {at: _named(error) if alone else _alone(ready.parts[at], ready.around[at]) for at in places}
            errors |= {at: why for at, why in failed.items() if why is not None}
        if look is not None:
            look(ready.parts[places[0]].asked.model, ready.around[places[0]])
    return [errors.get(at) for at in range(len(ready.parts))]


def answer(parts: Sequence[Part], *, look: Look | None = None) -> list[GeomlError | None]:
    """Reads and answers parts of one key, see :func:`read` and :func:`call`."""
    return call(read(parts), look=look)


def classify_chips(model: Model, dn: NDArray[Any], said: Said, *, output: Output = "layers") -> Asked:
    """Returns an answered request, as the service answers it, in this thread; raises as :func:`ask`.

    Raises:
        BadInput: two bands were certainly exchanged.
        Refused: the graph fails on it.
    """
    asked = ask(model, dn, said, output=output)
    for part in asked.parts():
        (error,) = answer([part])
        if error is not None:
            raise error
    return asked


def _contracted(asked: Asked, dn: NDArray[Any]) -> NDArray[np.float32]:
    """Returns numbers ``(band, y, x)`` as sent in the model's bands, order and radiometry."""
    if asked.order != tuple(range(len(dn))):
        dn = dn[list(asked.order)]
    with np.errstate(over="ignore", invalid="ignore"):
        return to_contract(dn, asked.declared, asked.model.contract, asked.own)


def _read(part: Part) -> NDArray[np.float32]:
    """Returns ``(band, y, x)`` of a part and of what the graph needs around it, in the model's radiometry."""
    asked, chip = part.asked, Box(0, 0, *part.asked.dn.shape[2:])
    if part.compares:
        _compare(asked)
    wanted = _needed(part)
    there = wanted.common(chip)
    assert there is not None
    found = _contracted(asked, asked.dn[part.number][:, *there.within(chip)])
    if asked.read is not None:
        asked.read[part.number][:, *part.window.slices()] = found[:, *Box.of(part.window).within(there)]
    return filled(found, there, wanted)


def _needed(part: Part) -> Box:
    return _lattice(part.asked.model.bundle).needed(part.window, part.asked.dn.shape[2:])


def _lattice(bundle: Bundle) -> Lattice:
    return Lattice(max(EDGE_PX, bundle.overlap_px + 1), bundle.halo_px, bundle.overlap_px)


def _compare(asked: Asked) -> None:
    """Refuses a request whose bands were certainly exchanged, by places spread evenly over its chips."""
    contract = asked.model.contract
    edge = max(1, round(max(band.gsd_m for band in contract.bands) / contract.pixel_m))
    n, bands, height, width = asked.dn.shape
    rows, cols = height // edge, width // edge
    if n * rows * cols < COMPARED_PLACES:
        return
    every = max(1, round(np.sqrt(n * rows * cols / COMPARED_PLACES)))
    chips = asked.dn[:, :, : rows * edge, : cols * edge].reshape(n, bands, rows, edge, cols, edge)
    # At least one place of each chip, whatever their number; then chips themselves are left out.
    picked = chips[:: max(1, n // COMPARED_PLACES), :, ::every, :, ::every]
    flat = picked.transpose(1, 0, 2, 3, 4, 5).reshape(bands, -1, picked.shape[4] * edge)
    check = spectral_check(_contracted(asked, flat), contract, _plain(_Known(asked.model.release.bundle, contract)))
    if check.blocking and not check.passed:
        raise BadInput(check.sentence, "name every band of the array after what it holds")


@dataclass(frozen=True)
class _Known:
    bundle: str
    contract: Contract = field(compare=False)


@lru_cache(maxsize=16)
def _plain(known: _Known) -> dict[str, Radiometry]:
    """Returns the radiometry of each band without a number for "not observed", which is NaN by then."""
    contract = known.contract
    return {name: contract.radiometry_of(name).model_copy(update={"nodata": None}) for name in contract.names}


def _call(parts: Sequence[Part], around: Sequence[NDArray[np.float32]]) -> None:
    """Answers parts of one key in one call; of bundles whose tiles overlap in one call per tile."""
    model = parts[0].asked.model
    if model.bundle.overlap_px:
        for part, own in zip(parts, around, strict=True):
            _keep(part, _blended(part, own), 0)
        return
    dn = around[0][np.newaxis] if len(around) == 1 else np.stack(around)
    said = model.run(dn)
    if said.probability.shape[2:] != around[0].shape[1:]:
        raise Refused(f"Asked about {around[0].shape[1:]} pixels, the graph answered {said.probability.shape[2:]}.")
    core = Box.of(parts[0].window).within(_needed(parts[0]))
    for at, part in enumerate(parts):
        _keep(part, said, at, core)


def _blended(part: Part, dn: NDArray[np.float32]) -> Answer | None:
    """Returns the answer about a whole chip from tiles that overlap; None where nothing was observed."""
    shape, lattice = part.asked.dn.shape[2:], _lattice(part.asked.model.bundle)
    block = Block(part.window, shape, dn, _needed(part))
    found = [
        (cell, (lattice.answered(cell, shape), said))
        for cell in lattice.cells(part.window, shape)
        if (said := answer_of(cell, block, lattice, part.asked.model.run)) is not None
    ]
    return joined(found, Box.of(part.window), lattice.reach_px) if found else None


def _alone(part: Part, around: NDArray[np.float32]) -> GeomlError | None:
    try:
        _call([part], [around])
    except (GeomlError, MemoryError) as error:
        return _named(error)
    return None


def _named(error: GeomlError | MemoryError) -> GeomlError:
    if isinstance(error, GeomlError):
        return error
    return TooLarge("There is not enough memory to answer this chip now.", "send smaller chips")


def _keep(part: Part, said: Answer | None, at: int, core: tuple[slice, slice] = _ALL) -> None:
    """Writes the answer about a part, one of a batch, into the answer of its request."""
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
        _keep_trust(room, asked.model.bundle, probability, said, (at, 0, *core))
    known = said.valid[at, 0][core].astype(np.bool_)
    if not known.all():
        room[:, ~known] = NODATA_CLASS


def _keep_trust(
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

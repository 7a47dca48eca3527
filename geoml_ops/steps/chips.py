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
from geoml_ops.domain.tiling import Answer, Block, Box, Lattice, answer_of, filled, joined
from geoml_ops.steps.answering import Model
from geoml_ops.steps.asking import EDGE_PX, PART_PX, Asked, Output, Part, Said, ask, fit, layer_names, require_shape
from geoml_ops.steps.chiplayers import put
from geoml_ops.steps.radiometry import refuse_misdeclared

__all__ = [
    "EDGE_PX",
    "PART_PX",
    "Asked",
    "Called",
    "Output",
    "Part",
    "Read",
    "Said",
    "answer",
    "ask",
    "call",
    "classify_chips",
    "fit",
    "keep",
    "layer_names",
    "numbers_of",
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


@dataclass(frozen=True, eq=False)
class Called:
    """Parts that the graph was asked about.

    Attributes:
        ready: what it was asked.
        said: by position in the parts an answer, None where nothing was observed, and the part's place in its batch.
        errors: by position, why a part cannot be answered.
    """

    ready: Read
    said: dict[int, tuple[Answer | None, int]]
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


def call(ready: Read) -> Called:
    """Returns what the graph says of parts in one call, singly where that fails."""
    found, places = Called(ready, {}, dict(ready.errors)), list(ready.around)
    failed = _ask_graph(found, places) if places else None
    if failed is not None and len(places) > 1:
        for at in places:
            alone = _ask_graph(found, [at])
            if alone is not None:
                found.errors[at] = alone
    elif failed is not None:
        found.errors[places[0]] = failed
    return found


def keep(called: Called, *, look: Look | None = None) -> list[GeomlError | None]:
    """Writes what was said of parts into the answers of their requests; returns what went wrong with each of them.

    Args:
        called: parts, and what was said of them.
        look: is shown the model and what it read of a part, ``(band, y, x)`` with its halo.
    """
    errors, ready = dict(called.errors), called.ready
    for at, (said, number) in called.said.items():
        try:
            part = ready.parts[at]
            # What overlapping tiles say was joined without anything around it.
            overlaps = part.asked.model.bundle.overlap_px > 0
            core = _ALL if overlaps else Box.of(part.window).within(_needed(part))
            put(part, said, number, core)
        except (GeomlError, MemoryError) as error:
            errors[at] = _named(error)
    if look is not None and ready.around:
        first = next(iter(ready.around))
        look(ready.parts[first].asked.model, ready.around[first])
    return [errors.get(at) for at in range(len(ready.parts))]


def answer(parts: Sequence[Part], *, look: Look | None = None) -> list[GeomlError | None]:
    """Reads and answers parts of one key, see :func:`read`, :func:`call` and :func:`keep`."""
    return keep(call(read(parts)), look=look)


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


def numbers_of(asked: Asked, number: int, every: int = 1) -> NDArray[np.float32]:
    """Returns what the graph reads of one chip, ``(band, y, x)``: the contract's radiometry, NaN where not observed.

    Args:
        asked: a request.
        number: of the chip in it.
        every: so many rows and columns further comes the next one that is returned.
    """
    return _contracted(asked, asked.dn[number][:, ::every, ::every])


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
    return filled(_contracted(asked, asked.dn[part.number][:, *there.within(chip)]), there, wanted)


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
    seen = _contracted(asked, flat)
    refuse_misdeclared(seen, contract, asked.declared, asked.own)
    check = spectral_check(seen, contract, _plain(_Known(asked.model.release.bundle, contract)))
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


def _ask_graph(found: Called, places: Sequence[int]) -> GeomlError | None:
    """Asks about some parts of one key in one call, about tiles that overlap in one each; returns what went wrong."""
    try:
        found.said.update(_said(found.ready, places))
    except (GeomlError, MemoryError) as error:
        return _named(error)
    return None


def _said(ready: Read, places: Sequence[int]) -> dict[int, tuple[Answer | None, int]]:
    model, around = ready.parts[places[0]].asked.model, [ready.around[at] for at in places]
    if model.bundle.overlap_px:
        return {at: (_blended(ready.parts[at], own), 0) for at, own in zip(places, around, strict=True)}
    said = model.run(around[0][np.newaxis] if len(around) == 1 else np.stack(around))
    if said.probability.shape[2:] != around[0].shape[1:]:
        raise Refused(f"Asked about {around[0].shape[1:]} pixels, the graph answered {said.probability.shape[2:]}.")
    return {at: (said, number) for number, at in enumerate(places)}


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


def _named(error: GeomlError | MemoryError) -> GeomlError:
    if isinstance(error, GeomlError):
        return error
    return TooLarge("There is not enough memory to answer this chip now.", "send smaller chips")

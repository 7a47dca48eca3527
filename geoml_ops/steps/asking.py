"""What a request about chips says of itself, held against the model that is to answer it; cut into parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.errors import BadInput, TooLarge
from geoml_ops.core.flow import Bundle
from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling import BITS
from geoml_ops.steps.answering import Model
from geoml_ops.steps.radiometry import Numbers, main_and_own, refuse_misfits, rule_of

Output = Literal["layers", "probability"]
EDGE_PX = 128
"""Edge of a part: the graph's numbers of so many pixels stay in a processor's cache, and 2,000 references in memory."""
PART_PX = EDGE_PX**2
MOST_PX, MOST_EDGE_PX, MOST_BANDS = 4 * 2**20, 4096, 256
_KINDS = "iuf"


@dataclass(frozen=True)
class Said:
    """What a request says of its numbers, in the words that GDAL has for a file.

    Attributes:
        bands: name of each layer, in the array's order.
        scale: value per DN, one for all layers or one each.
        offset: value added after scaling, one for all layers or one each.
        nodata: the number that stands for "not observed", beside the sensor's own; NaN where only that does; None where
            nothing is said.
    """

    bands: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    nodata: float | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """A request that was found to fit its model, and the room for its answer.

    Attributes:
        model: what answers all of it.
        dn: numbers as sent, ``(n, band, y, x)``.
        order: for each band of the contract its position in ``dn``.
        declared: radiometry of the bands.
        own: by band, where it differs from ``declared``.
        output: layers of a map, or probabilities.
        names: of the layers of the answer, class names for probabilities.
        answer: ``(n, layer, y, x)``, uint8 layers or float32 probabilities; filled part by part.
    """

    model: Model
    dn: NDArray[Any]
    order: tuple[int, ...]
    declared: Radiometry
    own: Mapping[str, Radiometry]
    output: Output
    names: tuple[str, ...]
    answer: NDArray[Any]

    def parts(self) -> list[Part]:
        """Returns the parts that together are the request; the first one also compares the bands."""
        height, width = self.dn.shape[2:]
        overlaps = self.model.bundle.overlap_px > 0
        windows = [Window(col=0, row=0, width=width, height=height)] if overlaps else list(_windows(height, width))
        found = [Part(self, number, window) for number in range(len(self.dn)) for window in windows]
        found[0] = Part(self, 0, windows[0], compares=True)
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """Pixels of one chip that go through the graph together.

    Attributes:
        asked: the request it belongs to.
        number: of the chip in the request.
        window: its pixels in the chip.
        compares: whether the request's bands are compared with each other first.
        key: parts of one key may share a call.
        size_px: pixels without halo.
    """

    asked: Asked
    number: int
    window: Window
    compares: bool = False
    key: tuple[int, int, int] = field(init=False)
    size_px: int = field(init=False)

    def __post_init__(self) -> None:
        # The model itself is part of the request, so its identity cannot be another one's while this one lives.
        object.__setattr__(self, "key", (id(self.asked.model), self.window.height, self.window.width))
        object.__setattr__(self, "size_px", self.window.height * self.window.width)


def ask(model: Model, dn: NDArray[Any], said: Said, *, output: Output = "layers") -> Asked:
    """Returns a request that fits its model.

    Args:
        model: what is to answer.
        dn: ``(n, band, y, x)``, integers or floating-point numbers; nothing of it is read here.
        said: what the numbers are.
        output: ``layers`` as maps have them, or ``probability``.

    Raises:
        BadInput: bands, radiometry or shape do not fit the model.
        TooLarge: more pixels than a chip may have.
    """
    order, declared, own = fit(model, dn.shape, dn.dtype, said)
    bundle, shape = model.bundle, (dn.shape[0], *dn.shape[2:])
    if output not in get_args(Output):
        raise BadInput(f"There is no output {output[:40]!r}.", f"one of {', '.join(get_args(Output))}")
    names = bundle.classes if output == "probability" else layer_names(bundle)
    kind = np.float32 if output == "probability" else np.uint8
    room = np.empty((shape[0], len(names), *shape[1:]), kind)
    return Asked(model, dn, order, declared, own, output, names, room)


def fit(
    model: Model, shape: Sequence[int], dtype: np.dtype[Any], said: Said
) -> tuple[tuple[int, ...], Radiometry, dict[str, Radiometry]]:
    """Returns which layers are the bands a model reads, their radiometry, and by band those that differ from it.

    Nothing is read or allocated: it can be asked before there are any numbers.

    Raises:
        BadInput: bands, radiometry, shape or type do not fit the model.
        TooLarge: more pixels than a chip may have.
    """
    require_shape(shape)
    if dtype.kind not in _KINDS:
        raise BadInput(f"A chip cannot hold {str(dtype)[:40]}.", "send whole or floating-point numbers")
    if len(said.bands) != shape[1]:
        raise BadInput(f"{len(said.bands)} bands are named, the array has {shape[1]} layers.", "name every layer once")
    return _fitted(_Question(model.release.bundle, said, dtype.name, model.contract))


def require_shape(shape: Sequence[int]) -> None:
    """Lets the shape ``(n, band, y, x)`` of a request pass that is not too large; nothing is allocated for it.

    Raises:
        BadInput: it has another number of axes, or an axis without anything.
        TooLarge: it exceeds a limit.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise BadInput(f"The shape is {list(shape)[:8]}.", "send band,y,x or n,band,y,x, each at least 1")
    n, bands, height, width = shape
    if max(height, width) > MOST_EDGE_PX or n * height * width > MOST_PX or bands > MOST_BANDS:
        raise TooLarge(
            f"{n} chips of {bands} bands and {height} x {width} pixels; the limits are {MOST_PX} pixels, "
            f"{MOST_EDGE_PX} on a side, and {MOST_BANDS} bands.",
            "send smaller chips, or a raster to /classify",
        )


def layer_names(bundle: Bundle) -> tuple[str, ...]:
    """Returns the layers that a bundle's maps have, in their order."""
    if bundle.conformal is None and bundle.applicability is None:
        return ("class", "confidence")
    n_sets = -(-len(bundle.classes) // BITS) if bundle.conformal else 1
    members = (f"set_{number}" for number in range(1, n_sets + 1))
    return ("class", "confidence", "set_size", "dissimilarity", "density", *members)


@dataclass(frozen=True)
class _Question:
    """What callers say of one request after the other; the contract belongs to the bundle."""

    bundle: str
    said: Said
    dtype: str
    contract: Contract = field(compare=False)


@lru_cache(maxsize=256)
def _fitted(question: _Question) -> tuple[tuple[int, ...], Radiometry, dict[str, Radiometry]]:
    """Returns which layers are the bands that are read, and what :func:`_declared` returns."""
    order = question.contract.order(question.said.bands)
    return order, *_declared(question.said, order, question.dtype, question.contract)


def _declared(
    said: Said, order: tuple[int, ...], dtype: str, contract: Contract
) -> tuple[Radiometry, dict[str, Radiometry]]:
    """Returns the radiometry of the bands that are read, and by band those that differ from it."""
    numbers = Numbers("The chip", dtype, said.nodata)
    scales, offsets = _each("scale", said.scale, said), _each("offset", said.offset, said)
    rules: dict[str, Radiometry] = {}
    for band, at in zip(contract.bands, order, strict=True):
        scale, offset = scales[at], offsets[at]
        if not (0 < scale < np.inf and np.isfinite(offset)):
            raise BadInput(
                f"{band.name} declares a scale of {scale:g} and an offset of {offset:g}.", "declare a scale above 0"
            )
        # Offsets are said in the band's unit: -0.1 / 1e-4 has to come back as -1000 exactly.
        rule = Radiometry(scale=scale, offset_dn=round(offset / scale, 6), nodata=None)
        rules[band.name] = rule_of(numbers, rule, band, contract)
    refuse_misfits(numbers, rules, contract)
    return main_and_own(rules, contract)


def _each(what: str, numbers: tuple[float, ...], said: Said) -> tuple[float, ...]:
    if not numbers:
        raise BadInput(
            f"The chip does not declare the {what} of its numbers.",
            "say scale and offset as the product's metadata do, e.g. 0.0001 and -0.1",
        )
    if len(numbers) not in (1, len(said.bands)):
        raise BadInput(
            f"{len(numbers)} numbers are given as {what} of {len(said.bands)} bands.", "give one, or one per band"
        )
    return numbers * len(said.bands) if len(numbers) == 1 else numbers


def _windows(height: int, width: int) -> Iterator[Window]:
    """Yields windows of nearly equal size that cover a chip; equal ones share a call."""
    rows, cols = _cuts(height), _cuts(width)
    for top, low in pairwise(rows):
        for left, right in pairwise(cols):
            yield Window(col=left, row=top, width=right - left, height=low - top)


def _cuts(length: int) -> list[int]:
    n = max(1, -(-length // EDGE_PX))
    return [length * i // n for i in range(n + 1)]

"""What is known of every pixel, one byte per pixel and layer, as a map stores it; 255 stands for "no answer"."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

NODATA_CLASS = NODATA = 255
CEILING = 250
"""Largest number of a layer that counts or compares; it stands for itself and everything beyond."""
BITS = 7
"""Classes whose membership one byte keeps; the eighth bit would make 255, "no answer", a set."""

Bytes = NDArray[np.uint8]


class Answer(Protocol):
    """What a graph says about a batch of tiles."""

    @property
    def probability(self) -> NDArray[np.float32]:
        """Float32 ``[batch, class, y, x]``."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """``[batch, 1, y, x]``, true where there is an answer."""
        ...

    @property
    def dissimilarity(self) -> NDArray[np.float32] | None:
        """Float32 ``[batch, 1, y, x]``, NaN where there is no answer; None where the graph does not say."""
        ...

    @property
    def density(self) -> NDArray[np.float32] | None:
        """Float32 ``[batch, 1, y, x]``, samples within the threshold; NaN and None as for dissimilarity."""
        ...


@dataclass(frozen=True)
class Layers:
    """What a model says of every pixel; layers that it does not have are None.

    Attributes:
        classes: ``(y, x)`` codes, 255 for "no answer".
        confidence: float32 ``(y, x)`` probability (0 to 1) of that class; NaN where there is no answer.
        set_size: ``(y, x)`` number of classes in the pixel's set, from 1.
        members: ``(layer, y, x)`` which classes those are: bit ``k`` of layer ``j`` stands for class ``7 j + k``.
        dissimilarity: ``(y, x)`` percent of the threshold, see :func:`percent_of_threshold`.
        density: ``(y, x)`` samples within the threshold, rounded down, at most 250.
        probability: ``(class, y, x)`` of each class, in percent.
    """

    classes: Bytes
    confidence: NDArray[np.float32]
    set_size: Bytes | None = None
    members: Bytes | None = None
    dissimilarity: Bytes | None = None
    density: Bytes | None = None
    probability: Bytes | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is an answer, ``(y, x)``."""
        return np.asarray(self.classes != NODATA_CLASS)

    @property
    def outside(self) -> NDArray[np.bool_] | None:
        """Where an answer lies beyond the area of applicability, ``(y, x)``; None where that is not known."""
        return None if self.dissimilarity is None else outside(self.dissimilarity)

    def larger(self, height: int, width: int) -> Layers:
        """Returns layers of the same kinds over a larger area, without any answer yet."""
        blank = {
            field.name: np.full((*layer.shape[:-2], height, width), _blank(layer), layer.dtype)
            for field in fields(self)
            if (layer := getattr(self, field.name)) is not None
        }
        return Layers(**blank)

    def part(self, where: tuple[slice, slice]) -> Layers:
        """Returns the layers at rows and columns, without copying them."""
        parts: dict[str, Any] = {}
        for name in _NAMES:
            if (layer := getattr(self, name)) is not None:
                parts[name] = layer[..., *where]
        return Layers(**parts)

    def put(self, part: Layers, where: tuple[slice, slice]) -> None:
        """Writes the layers of a part into these, at rows and columns."""
        for name in _NAMES:
            if (layer := getattr(part, name)) is not None:
                getattr(self, name)[..., *where] = layer


_NAMES = tuple(field.name for field in fields(Layers))


def nothing(shape: tuple[int, int]) -> Layers:
    """Returns the layers of an area without any answer."""
    return Layers(np.full(shape, NODATA_CLASS, dtype=np.uint8), np.full(shape, np.nan, dtype=np.float32))


def layers_of(
    answer: Answer,
    threshold: float | None,
    member: NDArray[np.bool_] | None,
    *,
    every_class: bool = False,
) -> Layers:
    """Returns the layers of one answered tile.

    Args:
        answer: to a batch of one, without any halo.
        threshold: dissimilarity beyond which a pixel is outside; None leaves its layers out.
        member: ``(class, y, x)`` classes in the set of each pixel; None leaves its layers out.
        every_class: also keep the probability of each class.

    Raises:
        ValueError: a threshold is given, and the graph does not say how dissimilar pixels are.
    """
    probability = answer.probability[0]
    known = answer.valid[0, 0].astype(bool)
    classes, confidence = _winner(probability)
    if not known.all():
        classes[~known], confidence[~known] = NODATA_CLASS, np.nan
    far = near = size = bits = None
    if member is not None:
        size = np.where(known, np.minimum(member.sum(axis=0), CEILING), NODATA).astype(np.uint8)
        bits = np.where(known, packed(member), NODATA).astype(np.uint8)
    if threshold is not None:
        if answer.dissimilarity is None or answer.density is None:
            raise ValueError("a threshold is given, but the graph does not say how dissimilar pixels are")
        far = percent_of_threshold(answer.dissimilarity[0, 0], threshold, known)
        samples = np.nan_to_num(answer.density[0, 0])
        near = np.where(known, np.clip(np.floor(samples), 0, CEILING), NODATA).astype(np.uint8)
    percent = np.where(known, np.rint(probability * 100.0), NODATA).astype(np.uint8) if every_class else None
    return Layers(classes, confidence, size, bits, far, near, percent)


def percent_of_threshold(dissimilarity: NDArray[np.float32], threshold: float, known: NDArray[np.bool_]) -> Bytes:
    """Returns dissimilarity in percent of the threshold, rounded up, at most 250; 255 where not ``known``.

    Above 100 exactly where the pixel is outside; a number that is missing counts as outside.
    """
    # In float32 numpy would round the threshold first, and a pixel just beyond it would come inside.
    distance = dissimilarity.astype(np.float64)
    within = distance <= threshold
    percent = np.ceil(distance / max(threshold, np.finfo(np.float64).tiny) * 100.0)
    percent = np.where(within, np.minimum(percent, 100), np.clip(np.nan_to_num(percent, nan=CEILING), 101, CEILING))
    return np.where(known, percent, NODATA).astype(np.uint8)


def outside(dissimilarity: Bytes) -> NDArray[np.bool_]:
    """Returns where a layer of dissimilarity, in percent of the threshold, lies beyond it."""
    return np.asarray((dissimilarity > 100) & (dissimilarity != NODATA))


def packed(member: NDArray[np.bool_]) -> Bytes:
    """Returns membership ``(class, …)`` as bits ``(layer, …)``, seven classes a layer.

    >>> packed(np.array([True, False, True] + [False] * 4 + [True])).tolist()
    [5, 1]
    """
    layers = [
        sum(one.astype(np.uint8) << np.uint8(bit) for bit, one in enumerate(member[first : first + BITS]))
        for first in range(0, len(member), BITS)
    ]
    return np.asarray(layers, dtype=np.uint8)


def members_of(bits: Bytes, n_classes: int) -> NDArray[np.bool_]:
    """Returns membership ``(class, …)`` from the bits that :func:`packed` gave.

    >>> members_of(np.array([5, 1], np.uint8), 8).tolist()
    [True, False, True, False, False, False, False, True]
    """
    found = [(bits[code // BITS] >> np.uint8(code % BITS)) & np.uint8(1) for code in range(n_classes)]
    return np.stack(found).astype(np.bool_)


def _winner(probability: NDArray[np.float32]) -> tuple[Bytes, NDArray[np.float32]]:
    """Returns the code of the most probable class of each pixel, of several the first one, and its probability."""
    top = np.asarray(probability.max(axis=0), dtype=np.float32)
    codes, beaten = np.zeros(top.shape, dtype=np.uint8), np.ones(top.shape, dtype=np.bool_)
    # Counting the classes before the winner is a tenth of the work of argmax along the first axis (numpy 2.4).
    for layer in probability[:-1]:
        beaten &= layer != top
        codes += beaten
    return codes, top


def _blank(layer: NDArray[np.uint8] | NDArray[np.float32]) -> float:
    return NODATA if layer.dtype == np.uint8 else np.nan

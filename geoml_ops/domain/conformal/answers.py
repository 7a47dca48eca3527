"""Out-of-fold answers that sets are calibrated on, and which of them are left out together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


class Answers(Protocol):
    """Out-of-fold answers, one entry per sample; ``geoml_ops.steps.answers.Answers`` is one."""

    @property
    def code(self) -> Codes:
        """True class, from 0."""
        ...

    @property
    def probability(self) -> NDArray[np.float32]:
        """``(n, classes)``, 0 to 1."""
        ...

    @property
    def fold(self) -> Codes:
        """In which the sample was tested; -1 for none, and then it is left out."""
        ...

    @property
    def block(self) -> Codes:
        """Of ground that the sample belongs to."""
        ...

    @property
    def easting(self) -> Floats:
        """Of the pixel centre."""
        ...

    @property
    def northing(self) -> Floats:
        """Of the pixel centre."""
        ...


@dataclass(frozen=True)
class Tested:
    """Samples that were tested, one entry each.

    Attributes:
        code: true class.
        score: ``1 - probability`` of the true class.
        probability: ``(n, classes)``.
        fold: in which it was tested.
        part: what is left out together when sets are measured.
        block: from 0, without gaps.
        number: ``(blocks,)`` the blocks' own numbers.
        ground: ``(n, 2)`` easting and northing.
    """

    code: Codes
    score: Floats
    probability: Floats
    fold: Codes
    part: Codes
    block: Codes
    number: Codes
    ground: Floats


def answered(answers: Answers, n_classes: int) -> Tested:
    """Returns the samples that some fold tested.

    Parts are the folds; where these are no parts of the ground (a single one, or nearly one per block or
    sample) they are :func:`quarters`.

    Raises:
        BadInput: fewer than two blocks, or codes, probabilities or places are impossible.
    """
    rows = np.flatnonzero(np.asarray(answers.fold) >= 0)
    code, fold = np.asarray(answers.code)[rows], np.asarray(answers.fold)[rows]
    probability = np.asarray(answers.probability, dtype=np.float64)[rows]
    ground = np.column_stack([answers.easting, answers.northing]).astype(np.float64)[rows]
    number, block = np.unique(np.asarray(answers.block)[rows], return_inverse=True)
    _judge(code, probability, ground, n_classes, len(number))
    block = block.reshape(-1)
    apart = 2 <= len(np.unique(fold)) <= len(number) / 2
    part = fold if apart else quarters(ground, block)
    score = 1.0 - probability[np.arange(len(code)), code]
    return Tested(code, score, probability, fold, part, block, number, ground)


def quarters(ground: Floats, block: Codes) -> Codes:
    """Returns the quarter of the blocks ``(n,)``, 0 to 3, that each sample's block lies in.

    The western half of the blocks and the eastern one, each cut into a southern and a northern half.

    Args:
        ground: ``(n, 2)`` easting and northing of samples.
        block: ``(n,)`` from 0, without gaps.
    """
    middle = means(ground, block)
    quarter = np.empty(len(middle), dtype=np.int64)
    west = _rank(middle[:, 0]) < (len(middle) + 1) // 2
    for first, half in ((0, np.flatnonzero(west)), (2, np.flatnonzero(~west))):
        quarter[half] = first + (_rank(middle[half, 1]) >= (len(half) + 1) // 2)
    return quarter[block]


def means(values: Floats, group: Codes) -> Floats:
    """Returns the mean of the values ``(n,)`` or ``(n, d)`` in each group, groups numbered from 0 without gaps."""
    columns = values.reshape(len(values), -1).T
    sums = np.stack([np.bincount(group, column) for column in columns], axis=-1)
    found = sums / np.bincount(group)[:, np.newaxis]
    return np.asarray(found.reshape(-1, *values.shape[1:]), dtype=np.float64)


def _rank(values: Floats) -> Codes:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _judge(code: Codes, probability: Floats, ground: Floats, n_classes: int, n_blocks: int) -> None:
    n = len(code)
    if n_blocks < 2:
        noun = "block" if n_blocks == 1 else "blocks"
        raise BadInput(
            f"{n} tested samples in {n_blocks} {noun} cannot calibrate sets of classes.",
            "use smaller blocks or labels of more ground",
        )
    if probability.shape != (n, n_classes) or code.min() < 0 or code.max() >= n_classes:
        raise BadInput(
            f"Answers of shape {probability.shape} and codes from {code.min()} to {code.max()} do not fit {n} "
            f"samples of {n_classes} classes.",
            "name every class, in code order",
        )
    bad = ~((probability >= -1e-6) & (probability <= 1 + 1e-6)).all(axis=1)
    if bad.any():
        raise BadInput(
            f"{int(bad.sum())} of {n} answers are no probabilities between 0 and 1.", "evaluate the recipe again"
        )
    lost = ~np.isfinite(ground).all(axis=1)
    if lost.any():
        raise BadInput(f"{int(lost.sum())} of {n} samples have no coordinates.", "repair the label geometries")

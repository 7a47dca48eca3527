"""Answers counted against the truth, over one fixed class list, and what the counts say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

Codes = NDArray[np.int64]
Counts = NDArray[np.int64] | NDArray[np.float64]
METRICS = ("overall_accuracy", "macro_f1")


@dataclass(frozen=True)
class Weights:
    """A measure of one class as ``right * h / (hit * h + missed * m + false * f)``.

    ``h`` counts samples of the class that were answered so, ``m`` those answered otherwise, ``f`` samples
    of other classes that were answered as this one.
    """

    right: float
    hit: float
    missed: float
    false: float


MEASURES: dict[str, Weights] = {
    "f1": Weights(2, 2, 1, 1),
    "users_accuracy": Weights(1, 1, 0, 1),
    "producers_accuracy": Weights(1, 1, 1, 0),
    "iou": Weights(1, 1, 1, 1),
}


def confusion(codes: Codes, predicted: Codes, n_classes: int) -> NDArray[np.int64]:
    """Returns counts ``(true, predicted)`` over the fixed class list.

    Raises:
        BadInput: as :func:`check_answers`.
    """
    check_answers(codes, predicted, n_classes)
    cells = np.bincount(np.asarray(codes, np.int64) * n_classes + predicted, minlength=n_classes**2)
    return np.asarray(cells.reshape(n_classes, n_classes), dtype=np.int64)


def block_confusions(codes: Codes, predicted: Codes, block: Codes, n_classes: int) -> NDArray[np.int64]:
    """Returns counts ``(blocks, true, predicted)``, one matrix for each block that holds samples, in block order.

    Raises:
        BadInput: as :func:`check_answers`, or blocks and answers of different number.
    """
    check_answers(codes, predicted, n_classes)
    check_lengths(codes, block)
    found, number = np.unique(block, return_inverse=True)
    cells = (number.reshape(-1) * n_classes + codes) * n_classes + predicted
    counts = np.bincount(cells, minlength=len(found) * n_classes**2)
    return np.asarray(counts.reshape(len(found), n_classes, n_classes), dtype=np.int64)


def check_answers(codes: Codes, predicted: Codes, n_classes: int) -> None:
    """Lets answers through that can be counted.

    Raises:
        BadInput: another number of answers than of samples, or codes outside ``0 … n_classes - 1``. A sample
            that no fold tested has no answer and must be left out by whoever asks.
    """
    check_lengths(codes, predicted)
    for what, values in (("true codes", codes), ("answers", predicted)):
        strange = int(((values < 0) | (values >= n_classes)).sum())
        if strange:
            raise BadInput(
                f"{strange} of {len(values)} {what} are not among the codes 0 to {n_classes - 1}.",
                "leave out samples that no fold tested, and use one class list",
            )


def check_lengths(codes: NDArray[np.generic], other: NDArray[np.generic]) -> None:
    """Lets two columns through that describe the same samples.

    Raises:
        BadInput: they have different lengths.
    """
    if len(codes) != len(other):
        raise BadInput(f"{len(codes)} samples and {len(other)} values beside them.", "give one value for each sample")


def parts(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns hits, missed and falsely answered samples of each class, each ``(…, classes)``."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    return hits, counts.sum(axis=-1) - hits, counts.sum(axis=-2) - hits


def class_measure(counts: Counts, measure: str) -> NDArray[np.float64]:
    """Returns a measure of each class, ``(…, classes)``, from counts ``(…, true, predicted)``.

    NaN where it is undefined: F1 and IoU of a class that is neither true nor answered anywhere, user's
    accuracy of one that is never answered, producer's accuracy of one that is never true. None is invented.

    Raises:
        BadInput: the measure is not one of :data:`MEASURES`.
    """
    if measure not in MEASURES:
        raise BadInput(f"There is no measure {measure[:60]!r}.", f"use one of {', '.join(MEASURES)}")
    numerator, denominator = numerator_denominator(counts, measure)
    return _quotient(numerator, denominator)


def numerator_denominator(counts: Counts, measure: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns what is divided by what in a measure, each ``(…, classes)``; both add up over blocks."""
    (hits, missed, false), w = parts(counts), MEASURES[measure]
    return w.right * hits, w.hit * hits + w.missed * missed + w.false * false


def class_f1(counts: Counts) -> NDArray[np.float64]:
    """Returns the F1 of each class from confusion counts ``(…, true, predicted)``.

    NaN for a class that is neither true nor predicted anywhere: it has no F1, and none is invented.
    """
    return class_measure(counts, "f1")


def metric_of(counts: Counts, metric: str) -> NDArray[np.float64]:
    """Returns a metric from confusion counts ``(…, true, predicted)``, shape ``(…)``; NaN where nothing was counted.

    Macro F1 is the mean over the classes that occur in the counts as truth or as answer.

    Raises:
        BadInput: the metric is not one of :data:`METRICS`.
    """
    if metric == "overall_accuracy":
        return _quotient(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))
    if metric == "macro_f1":
        f1 = class_f1(counts)
        return _quotient(np.nansum(f1, axis=-1), np.isfinite(f1).sum(axis=-1))
    raise BadInput(f"There is no metric {metric[:60]!r}.", f"use one of {', '.join(METRICS)}")


def _quotient(above: Counts, below: Counts) -> NDArray[np.float64]:
    nothing = np.full(np.shape(above), np.nan)
    return np.asarray(np.divide(above, below, out=nothing, where=np.asarray(below) > 0), dtype=np.float64)

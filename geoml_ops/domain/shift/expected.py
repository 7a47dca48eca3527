"""Accuracy and F1 to expect where nobody has looked, out of calibrated probabilities (CBPE).

Right under covariate shift, blind to concept change: see :mod:`geoml_ops.domain.shift.unlabelled`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.scoring import DRAWS, caution, class_f1, drawn_sums, metric_of
from geoml_ops.domain.shift.intervals import score_of
from geoml_ops.domain.shift.unlabelled import Estimated, scenes_of

Floats = NDArray[np.float64]


def expected_confusion(probability: ArrayLike) -> Floats:
    """Returns counts ``(true, answered)`` to expect of calibrated probabilities; those of tiles add up.

    Column ``i`` is the sum of the probabilities of every answer ``i``: its diagonal expected hits, the rest of it
    expected false ones, the rest of row ``i`` expected misses.

    Args:
        probability: ``(n, classes)``, each row of sum 1; the largest answers, of equals the first. Rows with NaN have
            no answer and are left out.

    Raises:
        BadInput: probabilities that are none.
    """
    rows = np.asarray(probability, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise BadInput(f"Probabilities of shape {rows.shape} are not (n, classes).", "give one row for each pixel")
    rows = rows[~np.isnan(rows).any(axis=1)]
    strange = int(((rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > 1e-3)).sum())
    if strange:
        raise BadInput(f"{strange} of {len(rows)} rows of probabilities do not add up to 1.", "calibrate them first")
    found, n = np.zeros((rows.shape[1],) * 2), rows.shape[1]
    answer = rows.argmax(axis=1) if len(rows) else np.zeros(0, np.intp)
    for code in range(n):
        found[code] = np.bincount(answer, rows[:, code], n)
    return found


def estimated_scores(expected: ArrayLike, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Estimated:
    """Returns accuracy and F1 of each class to expect of calibrated probabilities (CBPE), intervals from scenes.

    Accuracy is the mean probability of the answered class; ``F1 = 2 TP / (2 TP + FP + FN)`` of expected counts. Whole
    scenes are drawn with replacement. The calibration is taken as it is: its own uncertainty is not in the interval.

    Args:
        expected: ``(scenes, true, answered)``, :func:`expected_confusion` of each scene; those without an answer
            are left out.
        confidence: of the two-sided intervals.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        BadInput: fewer than two scenes with answers, or counts that are none.
    """
    counts = np.asarray(expected, dtype=np.float64)
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2]:
        raise BadInput(f"Expected counts of shape {counts.shape} are not (scenes, true, answered).")
    n_classes = counts.shape[1]
    counts = scenes_of(counts.reshape(len(counts), -1), n_classes**2).reshape(-1, n_classes, n_classes)
    (drawn,) = drawn_sums([counts], seed, draws)
    total, n = counts.sum(axis=0), len(counts)
    accuracy = score_of(
        float(metric_of(total, "overall_accuracy")), metric_of(drawn, "overall_accuracy"), n, confidence
    )
    f1, spread = class_f1(total), class_f1(drawn)
    scores = tuple(
        score_of(value, spread[:, code], n, confidence) if np.isfinite(value) else None
        for code, value in enumerate(f1.tolist())
    )
    return Estimated("CBPE", accuracy, f1=scores, caution=caution(n))

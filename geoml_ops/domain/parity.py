"""Whether a graph answers as the fitted model does: the rows to ask, and the comparison.

A graph may be right on ordinary pixels and wrong on those that scenes are full of: swaths that end,
saturated roofs, values below zero after an offset. So rows of every kind are made from real samples,
and every kind has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import Parity

TOLERANCE = 1e-5
SATURATED = 65535.0
Rows = dict[str, NDArray[np.float32]]


def rows_of_all_kinds(dn: NDArray[np.float32], *, most: int = 20_000, seed: int = 0) -> Rows:
    """Returns rows to compare, by kind; each array ``(row, band)`` in the graph's radiometry.

    Args:
        dn: DN of real samples ``(row, band)``, NaN where not observed.
        most: rows of the kind ``clean``; the other kinds have a tenth of it.
        seed: of the choice of rows and bands.

    Raises:
        BadInput: no row is observed in all bands.
    """
    observed = dn[np.isfinite(dn).all(axis=1)]
    if not len(observed):
        raise BadInput(f"None of {len(dn)} samples is observed in all {dn.shape[1]} bands.")
    rng = np.random.default_rng(seed)
    clean = observed[np.sort(rng.permutation(len(observed))[:most])]
    few = clean[np.sort(rng.permutation(len(clean))[: max(1, min(len(clean), most // 10))])]
    one = np.zeros(few.shape, dtype=np.bool_)
    one[np.arange(len(few)), rng.integers(0, few.shape[1], len(few))] = True
    below = few - np.quantile(clean, 0.5, axis=0).astype(np.float32)
    return {
        "clean": clean,
        "one band missing": np.where(one, np.float32(np.nan), few),
        "all bands missing": np.full_like(few[:1], np.nan),
        "one band zero": np.where(one, np.float32(0), few),
        "all bands zero": np.zeros_like(few[:1]),
        "one band saturated": np.where(one, np.float32(SATURATED), few),
        "all bands saturated": np.full_like(few[:1], SATURATED),
        "negative after offset": below,
    }


@dataclass(frozen=True)
class Answers:
    """What three parties say about the same rows.

    Attributes:
        exists: ``(row,)`` True where every feature is a finite number.
        fitted: ``(row, class)`` the fitted model on features from the feature graph.
        head: ``(row, class)`` the exported head on the same features.
        bundle: ``(row, class)`` the whole graph on the rows' DN.
        valid: ``(row,)`` what the whole graph says about having an answer.
    """

    exists: NDArray[np.bool_]
    fitted: NDArray[np.floating]
    head: NDArray[np.floating]
    bundle: NDArray[np.floating]
    valid: NDArray[np.bool_]


def compare(answers: Mapping[str, Answers], tolerance: float = TOLERANCE) -> Parity:
    """Returns how far graph and fitted model differ, per kind of row.

    The head must agree everywhere. The whole graph must agree where every feature exists, and say
    "no answer" with probability 0 everywhere else; a wrong validity counts as a difference of 1.
    Labels must be equal where the model's two best classes are more than ``tolerance`` apart.

    Args:
        answers: per kind of row.
        tolerance: largest difference in probability that passes.
    """
    worst: dict[str, float] = {}
    n_mismatches = 0
    for kind, said in answers.items():
        wanted = np.where(said.exists[:, None], said.fitted, 0.0)
        gap = np.maximum(_gap(said.head, said.fitted), _gap(said.bundle, wanted))
        gap[said.valid != said.exists] = 1.0
        worst[kind] = float(gap.max(initial=0.0))
        best = np.sort(said.fitted, axis=1)
        clear = best[:, -1] - best[:, -2] > tolerance
        label = said.fitted.argmax(axis=1)
        wrong = (said.head.argmax(axis=1) != label) | (said.exists & (said.bundle.argmax(axis=1) != label))
        n_mismatches += int((wrong & clear).sum())
    return Parity(
        rows={kind: len(said.exists) for kind, said in answers.items()},
        worst=worst,
        n_label_mismatches=n_mismatches,
        tolerance=tolerance,
        passed=n_mismatches == 0 and all(value <= tolerance for value in worst.values()),
    )


def require(parity: Parity) -> None:
    """Lets a graph pass that agrees with its model.

    Raises:
        Refused: they differ; the sentence names the kinds of rows.
    """
    if parity.passed:
        return
    bad = [f"{kind} {value:.2g}" for kind, value in parity.worst.items() if value > parity.tolerance]
    raise Refused(
        f"The graph does not answer as the fitted model does: largest difference in probability on rows of kind "
        f"{'; '.join(bad) or 'none'} (tolerance {parity.tolerance:g}), {parity.n_label_mismatches} labels differ.",
        "export another family, or report the converter's versions",
    )


def _gap(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the largest absolute difference of each row; 1 where either is no number."""
    gap = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(axis=1)
    return np.asarray(np.where(np.isfinite(gap), gap, 1.0), dtype=np.float64)

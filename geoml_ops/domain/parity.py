"""Whether a graph answers as the fitted model does: the rows to ask, and the comparison.

A graph may be right on ordinary pixels and wrong on those that scenes are full of: swaths that end,
saturated roofs, values below zero after an offset. So rows of every kind are made from real samples,
and every kind has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import Parity
from geoml_ops.domain.applicability import References, density, dissimilarity

TOLERANCE = 1e-5
TIE = 1e-6
"""Share of the threshold within which a sample may count as closer than it or not."""
SATURATED = 65535.0
HOLES_SHARE = 0.2
Rows = dict[str, NDArray[np.float32]]


def rows_of_all_kinds(dn: NDArray[np.float32], *, most: int = 20_000, seed: int = 0) -> Rows:
    """Returns rows to compare, by kind; each array has the shape of ``dn`` but for its length.

    Features that look at the ground around a pixel are asked with that ground: then there is one more kind,
    with holes around the pixel.

    Args:
        dn: DN of real samples ``(row, band)``, or with what lies around them ``(row, band, k, k)``, in the graph's
            radiometry, NaN where not observed.
        most: rows of the kind ``clean``; the other kinds have a tenth of it.
        seed: of the choice of rows and bands.

    Raises:
        BadInput: no row is observed in all bands.
    """
    around = dn.reshape(*dn.shape[:2], *(dn.shape[2:] or (1, 1)))
    centre = around.shape[2] // 2
    observed = around[np.isfinite(around[:, :, centre, centre]).all(axis=1)]
    if not len(observed):
        raise BadInput(f"None of {len(dn)} samples is observed in all {dn.shape[1]} bands.")
    rng = np.random.default_rng(seed)
    clean = observed[np.sort(rng.permutation(len(observed))[:most])]
    few = clean[np.sort(rng.permutation(len(clean))[: max(1, min(len(clean), most // 10))])]
    one = np.zeros((*few.shape[:2], 1, 1), dtype=np.bool_)
    one[np.arange(len(few)), rng.integers(0, few.shape[1], len(few))] = True
    below = few - np.quantile(clean[:, :, centre, centre], 0.5, axis=0).astype(np.float32)[:, None, None]
    rows = {
        "clean": clean,
        "one band missing": np.where(one, np.float32(np.nan), few),
        "all bands missing": np.full_like(few[:1], np.nan),
        "one band zero": np.where(one, np.float32(0), few),
        "all bands zero": np.zeros_like(few[:1]),
        "one band saturated": np.where(one, np.float32(SATURATED), few),
        "all bands saturated": np.full_like(few[:1], SATURATED),
        "negative after offset": below,
    }
    if centre:
        holes = rng.random(few.shape) < HOLES_SHARE
        holes[:, :, centre, centre] = False
        rows["holes around"] = np.where(holes, np.float32(np.nan), few)
    return {kind: values.reshape(len(values), *dn.shape[1:]) for kind, values in rows.items()}


@dataclass(frozen=True)
class Answers:
    """What three parties say about the same rows.

    Attributes:
        exists: ``(row,)`` True where every feature is a finite number.
        fitted: ``(row, class)`` the fitted model on features from the feature graph.
        head: ``(row, class)`` the exported head on the same features.
        bundle: ``(row, class)`` the whole graph on the rows' DN.
        valid: ``(row,)`` what the whole graph says about having an answer.
        nearness: what the whole graph says about where it may be asked; None where it says nothing.
    """

    exists: NDArray[np.bool_]
    fitted: NDArray[np.floating]
    head: NDArray[np.floating]
    bundle: NDArray[np.floating]
    valid: NDArray[np.bool_]
    nearness: Nearness | None = None


@dataclass(frozen=True)
class Nearness:
    """Where a model may be asked: what the graph says of the same rows, and what is so.

    Attributes:
        features: ``(row, feature)`` from the feature graph.
        references: what rows are compared with.
        dissimilarity: ``(row,)`` what the whole graph says; NaN for no answer.
        density: ``(row,)`` what the whole graph says; NaN for no answer.
    """

    features: NDArray[np.float32]
    references: References
    dissimilarity: NDArray[np.floating]
    density: NDArray[np.floating]

    def gaps(self, exists: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns how far dissimilarity and density are off in each row, ``(row,)`` each.

        Dissimilarity beyond 1 is compared as a share of itself. Density is right between the counts just
        within and just beyond the threshold (:data:`TIE`). A number where there is no answer, or none where
        there is one, counts as 1.
        """
        wanted = dissimilarity(self.features, self.references)
        fewest, most = (density(self.features, self.references, times=1 + side * TIE) for side in (-1, 1))
        with np.errstate(invalid="ignore"):
            far = np.abs(self.dissimilarity - wanted) / np.maximum(wanted, 1.0)
            near = np.maximum(np.maximum(fewest - self.density, self.density - most), 0.0)
        return _or_silent(far, self.dissimilarity, exists), _or_silent(near, self.density, exists)


def compare(answers: Mapping[str, Answers], tolerance: float = TOLERANCE) -> Parity:
    """Returns how far graph and fitted model differ, per kind of row and, where it is told, in nearness.

    The head must agree everywhere. The whole graph must agree where every feature exists, and say
    "no answer" with probability 0 everywhere else; a wrong validity counts as a difference of 1.
    Labels must be equal where the model's two best classes are more than ``tolerance`` apart.
    ``dissimilarity`` and ``density`` are entries of their own, over the rows of all kinds.

    Args:
        answers: per kind of row.
        tolerance: largest difference that passes, in probability and in dissimilarity.
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
    told = [said for said in answers.values() if said.nearness is not None]
    rows = {kind: len(said.exists) for kind, said in answers.items()}
    for name, value in _nearness_gaps(told).items():
        worst[name], rows[name] = value, sum(len(said.exists) for said in told)
    return Parity(
        rows=rows,
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
        f"The graph does not answer as the fitted model does: largest difference by kind of row or of answer "
        f"{'; '.join(bad) or 'none'} (tolerance {parity.tolerance:g}), {parity.n_label_mismatches} labels differ.",
        "export another family, or report the converter's versions",
    )


def _nearness_gaps(told: Sequence[Answers]) -> dict[str, float]:
    pairs = [said.nearness.gaps(said.exists) for said in told if said.nearness is not None]
    names = ("dissimilarity", "density") if pairs else ()
    return {
        name: max(float(gap.max(initial=0.0)) for gap in gaps)
        for name, gaps in zip(names, zip(*pairs, strict=True), strict=True)
    }


def _or_silent(
    gap: NDArray[np.floating], found: NDArray[np.floating], exists: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Returns the gap where an answer exists, and 1 where the graph should have said nothing, or something."""
    return np.where(exists, np.where(np.isfinite(gap), gap, 1.0), np.where(np.isnan(found), 0.0, 1.0))


def _gap(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the largest absolute difference of each row; 1 where either is no number."""
    gap = np.abs(one.astype(np.float64) - other.astype(np.float64)).max(axis=1)
    return np.asarray(np.where(np.isfinite(gap), gap, 1.0), dtype=np.float64)

"""From samples and the folds of the reported accuracy to a threshold and to what a graph has to carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Applicability
from geoml_ops.domain.applicability.distances import Floats, Index, closer_than, mean_distance, nearest
from geoml_ops.domain.applicability.references import References, dissimilarity
from geoml_ops.domain.applicability.thinning import thinned
from geoml_ops.domain.applicability.weighting import Space, space_of

DEFINITION = (
    "upper whisker fence (Q75 + 1.5 IQR) of the training dissimilarity over the folds, "
    "capped at the largest; v1 (CAST 1.x convention)"
)
LEAST_SAMPLES = 10
LEAST_THRESHOLD = 1e-6
"""What a graph resolves; a threshold below would call a sample's own pixel outside."""
MOST_EXACT = 100_000
"""Samples up to which every pair is measured: half a minute on one core."""

Splits = Sequence[tuple[Index, Index]]


@dataclass(frozen=True)
class Area:
    """The area of applicability of a model.

    Attributes:
        noun: what is told of it.
        references: what a graph has to carry.
        constant: features that never varied and have weight 0.
        lost_share: of the map's pixels that are inside, the share that thinned references call outside;
            0 where nothing was thinned, None where no pixels of the map were given.
    """

    noun: Applicability
    references: References
    constant: tuple[str, ...]
    lost_share: float | None


def fit(
    features: NDArray[np.floating],
    splits: Splits,
    *,
    names: Sequence[str],
    plan: str,
    importance: Mapping[str, float] | None = None,
    ground: NDArray[np.floating] | None = None,
    most_references: int = 2000,
    seed: int = 0,
) -> Area:
    """Returns where a model may be asked that learned from these samples.

    The training dissimilarity of a sample is that to the nearest sample it could have been answered from:
    one of the train side of the fold that tests it. Samples that no fold tests have none; one that several
    folds test counts as often. Samples with a feature that is no finite number take no part.

    Args:
        features: ``(n, features)``.
        splits: ``(train, test)`` positions per fold, those of the reported accuracy.
        names: of the features.
        plan: id of those folds.
        importance: of each feature by name, by permutation on held-out samples; None for equal weights.
        ground: ``(k, features)`` pixels spread over the map, or None. They help to choose references where
            these have to be thinned, and measure what is lost; the threshold does not depend on them.
        most_references: distinct samples up to which every one is a reference.
        seed: of whatever is drawn.

    Raises:
        BadInput: fewer than :data:`LEAST_SAMPLES` samples or tested ones, a tested fold without train side,
            or weights that :func:`~geoml_ops.domain.applicability.weighting.space_of` refuses.
    """
    known = _known(features)
    space = space_of(features[known], names, importance)
    rows = np.full((len(features), len(space.columns)), np.nan)
    rows[known] = (features[known][:, space.columns].astype(np.float64) - space.mean) * space.scale
    folds = _folds(splits, known)
    notes = (
        ["equal weights, no feature has a measured importance above 0"] if importance is None and len(names) > 1 else []
    )
    unit = _unit(rows[known], seed, notes)
    asked = np.concatenate([nearest(rows[test], rows[train])[0] for train, test in folds]) / unit
    threshold = _threshold(asked, notes)
    near = _mean_density(rows, folds, threshold * unit, seed, notes)
    references = _references(rows[known], space, unit, threshold)
    pixels = _inside(references, ground)
    kept, lost = _thinned(references, pixels, most_references, seed, notes)
    noun = Applicability(
        plan=plan,
        definition="; ".join([DEFINITION, *notes]),
        threshold=threshold,
        mean_distance=unit,
        weights=space.weights,
        n_samples=int(known.sum()),
        n_references=len(kept.rows),
        mean_density=near,
        # Rounding of the threshold must not put the sample outside that it was taken from.
        outside_share=float((asked > threshold * (1 + 1e-8)).mean()),
        ground_outside_share=_outside(kept, ground),
    )
    return Area(noun, kept, space.constant, lost)


def _known(features: NDArray[np.floating]) -> NDArray[np.bool_]:
    known = np.isfinite(features).all(axis=1)
    if known.sum() < LEAST_SAMPLES:
        raise BadInput(
            f"{int(known.sum())} of {len(features)} samples have every feature; no area of applicability can be told "
            f"from fewer than {LEAST_SAMPLES}.",
            "train on more samples",
        )
    return np.asarray(known, dtype=np.bool_)


def _folds(splits: Splits, known: NDArray[np.bool_]) -> list[tuple[Index, Index]]:
    """Returns the folds that test something, without the samples that take no part."""
    found = []
    for number, (learned, tested) in enumerate(splits):
        train, test = learned[known[learned]], tested[known[tested]]
        if len(test) and not len(train):
            raise BadInput(
                f"Fold {number} tests {len(test)} samples and has no train side to measure them from.",
                "use fewer folds or a narrower buffer",
            )
        if len(test):
            found.append((train, test))
    n_tested = sum(len(test) for _, test in found)
    if n_tested < LEAST_SAMPLES:
        raise BadInput(
            f"The folds test {n_tested} samples; a threshold from fewer than {LEAST_SAMPLES} is a matter of luck.",
            "use folds that test more samples",
        )
    return found


def _unit(rows: Floats, seed: int, notes: list[str]) -> float:
    """Returns the mean distance between samples; from a seeded draw of them where all pairs would take minutes."""
    if len(rows) > MOST_EXACT:
        notes.append(f"mean distance of {MOST_EXACT} samples drawn at random")
        rows = rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_EXACT])]
    return _rounded(mean_distance(rows))


def _threshold(asked: Floats, notes: list[str]) -> float:
    """Returns the fence, capped; where three quarters of the samples have a twin, that of the others."""
    fence = _fence(asked)
    if fence <= LEAST_THRESHOLD and (asked > LEAST_THRESHOLD).any():
        others = asked[asked > LEAST_THRESHOLD]
        fence = _fence(others)
        notes.append(f"fence of {len(others)} samples; {len(asked) - len(others)} have an identical twin to learn from")
    return max(_rounded(min(fence, float(asked.max()))), LEAST_THRESHOLD)


def _fence(values: Floats) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high + 1.5 * (high - low))


def _mean_density(rows: Floats, folds: Splits, reach: float, seed: int, notes: list[str]) -> float:
    """Returns how many samples of the train side are closer than the threshold to a tested one, on average."""
    n_pairs = sum(len(train) * len(test) for train, test in folds)
    share = min(1.0, MOST_EXACT**2 / n_pairs)
    if share < 1:
        notes.append(f"mean density of {share:.0%} of the tested samples, drawn at random")
    rng, total, n = np.random.default_rng(seed), 0.0, 0
    for train, test in folds:
        drawn = test if share == 1 else rng.permutation(test)[: max(1, round(share * len(test)))]
        total += float(closer_than(rows[drawn], rows[train], reach).sum())
        n += len(drawn)
    return total / n


def _references(rows: Floats, space: Space, unit: float, threshold: float) -> References:
    """Returns every distinct sample as a reference, with its number of copies."""
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    return References(
        columns=space.columns,
        mean=space.mean,
        scale=space.scale,
        rows=distinct,
        counts=counts.astype(np.float64),
        mean_distance=unit,
        threshold=threshold,
    )


def _inside(references: References, ground: NDArray[np.floating] | None) -> Floats | None:
    """Returns where the pixels of the map that are inside lie among the references, ``(k, d)``."""
    if ground is None or not len(ground):
        return None
    placed = references.place(ground)
    distance, _ = nearest(placed, references.rows)
    return placed[distance <= references.reach]


def _outside(references: References, ground: NDArray[np.floating] | None) -> float | None:
    """Returns the share of the map's pixels that are outside, as a graph with these references would say."""
    if ground is None:
        return None
    found = dissimilarity(ground, references)
    known = found[np.isfinite(found)]
    return float((known > references.threshold).mean()) if len(known) else None


def _thinned(
    full: References, pixels: Floats | None, most: int, seed: int, notes: list[str]
) -> tuple[References, float | None]:
    """Returns at most ``most`` references, each with the number of samples nearest to it, and the share lost.

    Every other pixel of the map helps to choose; the loss is measured on those that did not.
    """
    if len(full.rows) <= most:
        return full, 0.0
    helping, judging = (pixels[::2], pixels[1::2]) if pixels is not None else (full.rows[:0], full.rows[:0])
    rows = full.rows[thinned(full.rows, helping, full.reach, most, seed=seed)]
    _, owner = nearest(full.rows, rows)
    counts = np.bincount(owner, weights=full.counts, minlength=len(rows)).astype(np.float64)
    lost = float((nearest(judging, rows)[0] > full.reach).mean()) if len(judging) else None
    told = "" if lost is None else f"{lost:.1%} of the map's pixels inside are called outside, "
    notes.append(f"{len(rows)} of {len(full.rows)} distinct samples as references: {told}densities are approximate")
    return (
        References(full.columns, full.mean, full.scale, rows, counts, full.mean_distance, full.threshold),
        lost,
    )


def _rounded(value: float) -> float:
    """Returns nine digits: the last bits of sums differ between machines, and a graph's digest must not."""
    return float(f"{value:.9g}")

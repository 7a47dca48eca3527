"""What answers are made of: SHAP values as numbers per row, class and feature, and what follows from them.

A value says by how much a feature moved an answer away from the mean answer (Lundberg and Lee 2017). Values
explain the model, not the ground: a model that learned from the wrong thing is explained just as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.evidence import Score

ADDITIVITY = 1e-3
"""Share of the range of the answers by which base and values may miss an answer."""


@dataclass(frozen=True)
class Explained:
    """Values of some rows.

    Attributes:
        values: float64 ``(row, class, feature)``.
        base: ``(class,)`` the mean answer that values are added to.
        answers: ``(row, class)`` what the model says, in ``unit``.
        unit: ``probability`` or ``log-odds``.
        method: how the values were found.
    """

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    answers: NDArray[np.float64]
    unit: str
    method: str

    @property
    def gap(self) -> float:
        """Largest distance of base plus values from the answer, as a share of the answers' range."""
        told = self.base + self.values.sum(axis=2)
        spread = float(np.ptp(self.answers)) or 1.0
        return float(np.abs(told - self.answers).max(initial=0.0)) / spread

    @property
    def importance(self) -> NDArray[np.float64]:
        """Mean absolute value ``(class, feature)``."""
        return np.asarray(np.abs(self.values).mean(axis=0))


def require_additive(explained: Explained) -> None:
    """Lets values pass that add up to the answers.

    Raises:
        Refused: they do not; then they explain something else.
    """
    if not explained.gap <= ADDITIVITY:
        raise Refused(
            f"The values miss the answers by {explained.gap:.2g} of their range ({explained.method}, limit "
            f"{ADDITIVITY:g}); they do not explain this model.",
            "explain fewer rows with another family, or report the versions",
        )


def shift(
    challenger: Explained,
    champion: Explained,
    block: NDArray[np.int64],
    *,
    confidence: float = 0.95,
    draws: int = 400,
    seed: int = 0,
) -> list[Score]:
    """Returns by how much each feature's share of importance grew from champion to challenger, on the same rows.

    Shares have no unit, so models of several families compare. Intervals come from drawing whole blocks again:
    rows of one field repeat each other.

    Args:
        challenger: values of the rows.
        champion: values of the same rows, for the same features in the same order.
        block: ``(row,)`` which block of ground each row lies in.
        confidence: of the intervals.
        draws: of blocks with replacement.
        seed: of the draws.

    Raises:
        BadInput: other rows, other features, or fewer than 2 blocks.
    """
    if challenger.values.shape[::2] != champion.values.shape[::2] or len(block) != len(challenger.values):
        raise BadInput(
            f"Explanations of {challenger.values.shape[::2]} and {champion.values.shape[::2]} rows and features "
            "cannot be compared.",
            "explain both models on the same rows and features",
        )
    names, of = np.unique(block, return_inverse=True)
    if len(names) < 2:
        raise BadInput(f"{len(names)} block of ground gives no interval.", "use smaller blocks or more ground")
    sums = [_per_block(e, of, len(names)) for e in (challenger, champion)]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float64)
    spread = _shares(drawn @ sums[0]) - _shares(drawn @ sums[1])
    value = _shares(sums[0].sum(axis=0)) - _shares(sums[1].sum(axis=0))
    tail = (1 - confidence) / 2
    low, high = np.quantile(spread, [tail, 1 - tail], axis=0)
    return [
        Score(value=float(v), low=float(min(a, v)), high=float(max(b, v)), n_blocks=len(names))
        for v, a, b in zip(value, low, high, strict=True)
    ]


def _per_block(explained: Explained, of: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    out = np.zeros((n, explained.values.shape[2]))
    np.add.at(out, of, np.abs(explained.values).sum(axis=1))
    return out


def _shares(found: NDArray[np.float64]) -> NDArray[np.float64]:
    total = found.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(found, total, out=np.zeros_like(found), where=total > 0))


def aligned(explained: Explained, features: Sequence[str], wanted: Sequence[str]) -> Explained:
    """Returns the same values for another list of features: those that a model does not read get 0.

    Args:
        explained: values of ``features``.
        features: in the order of the values.
        wanted: names that hold all of them, in the order wanted.

    Raises:
        BadInput: a feature is not among those wanted.
    """
    lost = [name for name in features if name not in wanted]
    if lost:
        raise BadInput(f"{', '.join(lost)} would be lost.", "name every feature of both models")
    values = np.zeros((*explained.values.shape[:2], len(wanted)))
    values[:, :, [list(wanted).index(name) for name in features]] = explained.values
    return Explained(values, explained.base, explained.answers, explained.unit, explained.method)

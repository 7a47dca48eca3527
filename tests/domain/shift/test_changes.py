"""Class shares of scenes compared: known changes, no change, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.shift import share_change, total_variation

BEFORE = np.array([0.5, 0.3, 0.2])


def scenes(rng: np.random.Generator, shares: np.ndarray, n: int, n_px: int = 4096) -> np.ndarray:
    """Answered pixels of scenes whose shares vary as those of ground do."""
    return np.rint(rng.dirichlet(shares * 12, n) * n_px)


@pytest.mark.parametrize("after", [[0.4, 0.3, 0.3], [0.2, 0.3, 0.5], [0.47, 0.3, 0.23]])
def test_a_known_change_lies_within_its_interval(after: list[float]) -> None:
    rng, now, n = np.random.default_rng(1), np.array(after), 100
    true, hits, each = float(total_variation(BEFORE, now)), 0, 0
    for _ in range(n):
        found = share_change(scenes(rng, BEFORE, 20), scenes(rng, now, 20), draws=300)
        hits += found.total.low <= true <= found.total.high
        each += sum(s.low <= d <= s.high for s, d in zip(found.changes, now - BEFORE, strict=True))
    assert hits >= 0.88 * n
    assert each >= 0.91 * 3 * n


def test_without_change_nothing_changed() -> None:
    rng, beyond, n = np.random.default_rng(2), 0, 100
    for _ in range(n):
        found = share_change(scenes(rng, BEFORE, 20), scenes(rng, BEFORE, 20), draws=300)
        # Scenes of the same ground differ by .06 and more; against a margin that is no change.
        beyond += found.total.low > 0.02
        assert found.total.low <= found.total.value <= found.total.high
    assert beyond <= 0.05 * n


def test_what_is_told() -> None:
    rng = np.random.default_rng(3)
    a, b = scenes(rng, BEFORE, 30), scenes(rng, np.array([0.2, 0.3, 0.5]), 12)
    found = share_change(np.vstack([a, np.zeros((4, 3))]), b)
    assert (found.n_reference, found.n_current, found.total.n_blocks) == (30, 12, 12)
    assert found.before == pytest.approx(a.sum(axis=0) / a.sum())
    assert found.total.value == pytest.approx(float(total_variation(a.sum(axis=0), b.sum(axis=0))))
    assert found.changes[found.largest].value == pytest.approx(max((c.value for c in found.changes), key=abs))
    assert "12 blocks" in found.caution
    assert found == share_change(a, b)
    assert found.total != share_change(a, b, seed=5).total


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (np.ones((1, 3)), np.ones((9, 3))),
        (np.ones((9, 3)), np.zeros((9, 3))),
        (np.ones((9, 3)), np.ones((9, 2))),
        (np.ones(3), np.ones((9, 3))),
        (-np.ones((9, 3)), np.ones((9, 3))),
        (np.full((9, 3), np.nan), np.ones((9, 3))),
    ],
)
def test_scenes_that_do_not_compare_are_refused(reference: np.ndarray, current: np.ndarray) -> None:
    with pytest.raises(BadInput):
        share_change(reference, current)


def test_both_sides_are_drawn_independently() -> None:
    a = scenes(np.random.default_rng(4), BEFORE, 20)
    found = share_change(a, a)
    assert found.total.value == 0
    # Drawn together they would never differ.
    assert all(score.low < -0.02 and score.high > 0.02 for score in found.changes)

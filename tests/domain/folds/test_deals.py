"""Groups are dealt so that every class is in every fold, as evenly as the groups allow."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.deals import badness, balanced, counted, require_enough

Counts = NDArray[np.float64]


def groups(seed: int, n: int, k: int) -> Counts:
    """Groups of very different sizes, most of them of few classes; no group is empty, no class is."""
    rng = np.random.default_rng(seed)
    sizes = 1 + rng.poisson(rng.lognormal(1.5, 1.0, n))
    counts = np.array([rng.multinomial(size, rng.dirichlet(np.full(k, 0.3))) for size in sizes], dtype=np.float64)
    return counts[:, counts.sum(axis=0) > 0]


def rank(counts: Counts, fold: NDArray[np.int64], n_folds: int) -> tuple[int, float]:
    """Empty cells, then chi-square: what a deal is judged by, counted plainly."""
    cells = np.array([counts[fold == number].sum(axis=0) for number in range(n_folds)])
    expected = counts.sum(axis=0) / n_folds
    return int((cells == 0).sum()), float(((cells - expected) ** 2 / expected).sum())


@settings(max_examples=60, deadline=None)
@example(seed=225, n=15, k=6, n_folds=2)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 6), st.integers(2, 8))
def test_every_fold_has_a_group_and_the_deal_is_no_worse_than_the_best_of_many(
    seed: int, n: int, k: int, n_folds: int
) -> None:
    counts, rng = groups(seed, max(n, n_folds), k), np.random.default_rng(seed)
    fold = balanced(counts, n_folds, np.random.default_rng(1))
    assert set(fold) == set(range(n_folds))
    assert (fold == balanced(counts, n_folds, np.random.default_rng(1))).all()
    best = min(rank(counts, rng.permutation(len(counts)) % n_folds, n_folds) for _ in range(300))
    found = rank(counts, fold, n_folds)
    assert found[0] <= best[0]
    assert found[0] < best[0] or found[1] <= best[1] * 1.1 + 0.5


@pytest.mark.parametrize("seed", range(8))
def test_few_groups_are_dealt_as_well_as_they_can_be(seed: int) -> None:
    counts = groups(seed, 8, 3)
    deals = (np.array(deal) for deal in product(range(3), repeat=8) if set(deal) == {0, 1, 2})
    best = min(rank(counts, deal, 3) for deal in deals)
    found = rank(counts, balanced(counts, 3, np.random.default_rng(0)), 3)
    assert found[0] == best[0]
    assert found[1] <= best[1] * 1.05 + 1e-9


def test_a_thousand_groups_are_far_more_even_than_two_thousand_random_deals() -> None:
    counts, rng = groups(0, 1000, 8), np.random.default_rng(0)
    best = min(rank(counts, rng.permutation(1000) % 10, 10) for _ in range(2000))
    found = rank(counts, balanced(counts, 10, np.random.default_rng(0)), 10)
    assert found[0] == best[0] == 0
    assert found[1] < 0.2 * best[1]


def test_a_rare_class_reaches_every_fold_among_ten_thousand_groups() -> None:
    counts = np.zeros((10_000, 10))
    counts[np.arange(10_000), np.arange(10_000) % 2] = 1
    chosen = np.random.default_rng(0).choice(10_000, (8, 5), replace=False)
    for number, rare in enumerate(chosen, 2):
        counts[rare] = np.eye(10)[number]
    fold = balanced(counts, 5, np.random.default_rng(0))
    assert rank(counts, fold, 5)[0] == 0


def test_seeds_deal_differently() -> None:
    counts = groups(3, 40, 4)
    assert (balanced(counts, 5, np.random.default_rng(0)) != balanced(counts, 5, np.random.default_rng(1))).any()


def test_a_missing_class_outweighs_any_unevenness() -> None:
    total = np.array([1000.0, 3.0])
    even_but_one_lacks = np.array([[500.0, 3.0], [500.0, 0.0]])
    uneven = np.array([[999.0, 2.0], [1.0, 1.0]])
    assert badness(even_but_one_lacks, total, 2).sum() > badness(uneven, total, 2).sum()


def test_samples_are_counted_by_group_and_class() -> None:
    counts = counted(np.array([0, 0, 2, 1, 2]), np.array([7, 9, 9, 7, 9]))
    assert counts.tolist() == [[1, 1], [1, 0], [0, 2]]


def test_too_few_groups_are_refused() -> None:
    require_enough(3, 3, "block{s}", "more")
    with pytest.raises(BadInput, match=r"^1 block of 9 m cannot make 2 folds\. Try: more"):
        require_enough(1, 2, "block{s} of 9 m", "more")
    with pytest.raises(BadInput, match="2 blocks of 9 m cannot make 3 folds"):
        require_enough(2, 3, "block{s} of 9 m", "more")

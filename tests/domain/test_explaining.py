"""Shares of importance and their change, on values whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.explaining import Explained, aligned, require_additive, shift

RNG = np.random.default_rng(0)
BLOCK = np.repeat(np.arange(20), 10)


def explained(weights: list[float], rows: int = 200) -> Explained:
    """Returns values of two classes in which each feature moves answers by its weight, either way."""
    signs = RNG.choice([-1.0, 1.0], (rows, len(weights)))
    second = signs * np.array(weights)
    values = np.stack([-second, second], axis=1)
    return Explained(values, np.zeros(2), values.sum(axis=2), "log-odds", "by hand")


def test_the_change_is_that_of_the_shares_and_no_change_is_none() -> None:
    found = shift(explained([3.0, 1.0]), explained([1.0, 1.0]), BLOCK)
    assert [score.value for score in found] == pytest.approx([0.25, -0.25])
    assert all(score.low <= score.value <= score.high for score in found)
    assert found[0].low > 0
    assert found[0].n_blocks == 20
    same = shift(explained([2.0, 1.0]), explained([4.0, 2.0]), BLOCK)
    assert [score.value for score in same] == pytest.approx([0, 0])


def test_an_interval_is_as_wide_as_blocks_differ() -> None:
    """Half of the blocks prefer one feature, half the other: which blocks were drawn decides."""
    base = explained([1.0, 1.0])
    values = base.values.copy()
    values[BLOCK < 10, :, 0] *= 5
    values[BLOCK >= 10, :, 1] *= 5
    torn = Explained(values, base.base, values.sum(axis=2), base.unit, base.method)
    wide, narrow = shift(torn, base, BLOCK)[0], shift(torn, base, np.arange(200))[0]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_features_that_a_model_does_not_read_count_nothing() -> None:
    one = aligned(explained([1.0, 2.0]), ("a", "b"), ("b", "c", "a"))
    assert one.values.shape == (200, 2, 3)
    assert np.abs(one.values).mean(axis=(0, 1)).tolist() == [2.0, 0.0, 1.0]
    with pytest.raises(BadInput, match="b would be lost"):
        aligned(explained([1.0, 2.0]), ("a", "b"), ("a",))


def test_what_cannot_be_compared_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="same rows and features"):
        shift(explained([1.0, 1.0]), explained([1.0, 1.0], rows=150), BLOCK)
    with pytest.raises(BadInput, match="1 block of ground"):
        shift(explained([1.0]), explained([1.0]), np.zeros(200, dtype=np.int64))


def test_values_that_do_not_add_up_are_refused() -> None:
    good = explained([1.0, 2.0])
    require_additive(good)
    with pytest.raises(Refused, match="do not explain this model"):
        require_additive(Explained(good.values * 1.01, good.base, good.answers, good.unit, good.method))
    with pytest.raises(Refused):
        require_additive(Explained(good.values * np.nan, good.base, good.answers, good.unit, good.method))

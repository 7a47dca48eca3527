"""Answers that cannot be paired are refused with their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.gate import Paired
from tests.domain.gate.pairs import CLASSES, middles

N = 8


def paired(**change: Any) -> Paired:
    said: dict[str, Any] = {
        "codes": np.arange(N) % 3,
        "challenger": np.arange(N) % 3,
        "other": np.zeros(N, dtype=np.int64),
        "block": np.arange(N) % 4,
        "middles": middles(4),
        "classes": CLASSES,
        "fold": np.arange(N) % 2,
        "n_train": (4, 4),
    }
    return Paired(**said | change)


def holed(name: str, at: int, value: Any, dtype: Any = np.int64) -> dict[str, Any]:
    values = np.asarray(getattr(paired(), name), dtype=dtype).copy()
    values[at] = value
    return {name: values}


SHARES = np.full((N, 3), 1 / 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"challenger": np.zeros(7, dtype=np.int64)}, r"challenger has shape \(7,\); there are 8 samples"),
        ({"other": np.zeros((8, 1), dtype=np.int64)}, r"other has shape \(8, 1\)"),
        ({"block": np.zeros(8)}, "block holds float64"),
        (holed("other", 3, np.nan, float), "other holds float64"),
        (holed("challenger", 3, -1), "1 of 8 class codes of challenger are outside 0 to 2 .the first is -1"),
        (holed("codes", 0, 3), "1 of 8 class codes of codes are outside 0 to 2 .the first is 3"),
        (holed("block", 2, 4), "1 of 8 blocks of samples are outside 0 to 3"),
        (holed("block", 2, -1), "outside 0 to 3"),
        (holed("middles", 1, np.nan, float), "1 blocks have no place"),
        ({"classes": ("water",)}, "does not name two or more classes"),
        ({"classes": ("water", "water", "farm")}, "does not name two or more"),
        ({"classes": ()}, "empty"),
        ({"n_train": (4,)}, "Fold 1 is tested, but only 1 folds"),
        ({"probability": SHARES[:, :2]}, r"probability has shape \(8, 2\), not \(8, 3\)"),
        ({"probability": SHARES * 2}, "8 of 8 rows of probability"),
        ({"probability": np.where(np.eye(N, 3) > 0, np.nan, SHARES)}, "3 of 8 rows of probability"),
        ({"probability": SHARES + np.array([-0.5, 0.5, 0.0])}, "8 of 8 rows"),
    ],
)
def test_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        paired(**change)


def test_what_no_fold_tests_may_have_no_answer() -> None:
    fold = np.array([0, 1, -1, 0, 1, 0, 1, -1])
    answers = np.where(fold < 0, -1, np.arange(N) % 3)
    shares = np.where((fold < 0)[:, None], np.nan, SHARES)
    tested = paired(fold=fold, challenger=answers, other=answers, probability=shares).tested
    assert len(tested) == 6
    assert tested.n_blocks == 4
    assert tested.probability is not None
    assert np.isfinite(tested.probability).all()
    whole = paired()
    assert whole.tested is whole


def test_lists_and_small_integers_are_fine_and_counts_are_by_block_and_fold() -> None:
    found = paired(codes=[0, 1, 2, 0, 1, 2, 0, 1], block=np.array([3, 3, 0, 0, 3, 3, 0, 0], dtype=np.uint8))
    counted = found.counted
    assert counted.blocks.shape == (2, 2, 3, 3)
    assert counted.folds is not None
    assert counted.folds.shape == (2, 2, 3, 3)
    assert (counted.blocks.sum(axis=1) == counted.folds.sum(axis=1)).all()
    assert counted.n_unlike == int((np.arange(N) % 3 != 0).sum())
    assert paired(fold=None, n_train=()).counted.folds is None

"""Accuracy without labels in worlds that know it: calibrated, shifted, and changed behind the model's back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.scoring import class_f1, confusion
from geoml_ops.domain.shift import (
    ESTIMATORS,
    Held,
    atc_accuracy,
    cbpe_accuracy,
    confidence_counts,
    doc_accuracy,
    estimated_accuracy,
    estimated_scores,
    expected_confusion,
    held_out,
)
from geoml_ops.domain.sketch import bins_of, tally

N_CLASSES = 3


def probabilities(rng: np.random.Generator, sure: float, n: int) -> np.ndarray:
    """Probabilities ``(n, 3)`` of one scene, surer with larger ``sure``; classes differ in how common they are."""
    level = sure * rng.uniform(0.6, 1.4)
    return rng.dirichlet(np.array([0.5, 0.3, 0.2]) / level, n)


def truth(rng: np.random.Generator, probability: np.ndarray) -> np.ndarray:
    """Classes that are true exactly as often as the probabilities say."""
    return (rng.random((len(probability), 1)) > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)


def scenes(seed: int, sure: float, n_scenes: int, n: int, wrong: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities and truth of scenes; ``wrong`` of the ground became another class that looks the same."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n_scenes):
        probability = probabilities(rng, sure, n)
        true = truth(rng, probability)
        changed = rng.random(n) < wrong
        found.append((probability, np.where(changed, (probability.argmax(axis=1) + 1) % N_CLASSES, true)))
    return found


def accuracy(world: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([np.mean(p.argmax(axis=1) == true) for p, true in world]))


def known_of(world: list[tuple[np.ndarray, np.ndarray]], bins: int = 20) -> Held:
    sure = np.concatenate([p.max(axis=1) for p, _ in world])
    right = np.concatenate([p.argmax(axis=1) == true for p, true in world])
    return held_out(sure, right, np.repeat(np.arange(len(world)), len(world[0][1])), bins)


def now_of(world: list[tuple[np.ndarray, np.ndarray]], bins: int = 20) -> np.ndarray:
    return np.array([confidence_counts(p.max(axis=1), bins) for p, _ in world])


# --- worlds whose truth is known ---------------------------------------------------------------


@pytest.mark.parametrize("bins", [20, 1000])
@pytest.mark.parametrize("method", ["CBPE", "ATC", "DoC"])
def test_accuracy_of_like_ground_is_estimated(method: str, bins: int) -> None:
    before, now = scenes(1, 0.5, 40, 500), scenes(2, 0.5, 40, 500)
    found = estimated_accuracy(known_of(before, bins), now_of(now, bins), method)  # type: ignore[arg-type]
    assert found.accuracy.low <= accuracy(now) <= found.accuracy.high
    assert found.accuracy.high - found.accuracy.low < 0.1
    assert found.held == pytest.approx(accuracy(before))
    assert found.caution == ""


def test_under_covariate_shift_cbpe_is_right() -> None:
    """Ground that is harder, of which the model knows that it is: half as sure, and wrong as often as it says."""
    hits, n = 0, 40
    for seed in range(n):
        before, now = scenes(seed, 1.0, 25, 200), scenes(seed + 1000, 0.3, 25, 400)
        found = estimated_accuracy(known_of(before), now_of(now), draws=300)
        assert found.held is not None
        assert found.held - accuracy(now) > 0.08
        hits += found.accuracy.low <= accuracy(now) <= found.accuracy.high
    assert hits >= 0.85 * n


def test_under_covariate_shift_atc_says_too_little() -> None:
    """One threshold is kept; where doubt is common and honest, more than the errors fall below it."""
    before, now = scenes(1, 1.0, 25, 200), scenes(1001, 0.3, 25, 400)
    found = {method: estimated_accuracy(known_of(before), now_of(now), method).accuracy for method in ESTIMATORS}
    assert found["ATC"].high < accuracy(now) < found["DoC"].high
    assert found["CBPE"].value == pytest.approx(accuracy(now), abs=0.03)
    assert found["DoC"].value == pytest.approx(accuracy(now), abs=0.03)


def test_an_overconfident_model_is_taken_at_what_it_held_out() -> None:
    """Bins bring their own calibration; mean confidence would have said more."""
    rng = np.random.default_rng(8)
    sure = 0.3 + 0.7 * rng.random((2, 30, 400)) ** np.array([0.5, 1.5])[:, None, None]
    right = rng.random(sure.shape) < sure**2
    known = held_out(sure[0], right[0], np.repeat(np.arange(30), 400))
    now = np.array([confidence_counts(scene) for scene in sure[1]])
    found = estimated_accuracy(known, now)
    assert found.accuracy.low <= right[1].mean() <= found.accuracy.high
    assert sure[1].mean() > found.accuracy.high + 0.1
    assert estimated_accuracy(known, now, "DoC").accuracy.low > right[1].mean()


def test_all_of_it_is_blind_to_concept_change() -> None:
    """Ground turned into a class that looks like another one: the model stays sure, and every estimate stays high."""
    before, now = scenes(3, 0.5, 40, 500), scenes(4, 0.5, 40, 500, wrong=0.4)
    assert accuracy(before) - accuracy(now) > 0.2
    for method in ESTIMATORS:
        found = estimated_accuracy(known_of(before), now_of(now), method)
        assert found.accuracy.low > accuracy(now) + 0.15
        assert found.held is not None
        assert found.accuracy.value == pytest.approx(found.held, abs=0.05)
    confused = np.array([expected_confusion(p) for p, _ in now])
    assert estimated_scores(confused).accuracy.low > accuracy(now) + 0.15


def test_intervals_come_from_scenes_and_not_from_pixels() -> None:
    few, many = scenes(5, 0.5, 12, 100), scenes(5, 0.5, 12, 4000)
    scores = [estimated_accuracy(known_of(world), now_of(world)).accuracy for world in (few, many)]
    widths = [score.high - score.low for score in scores]
    # Forty times the pixels: of pixels it would be a sixth as wide.
    assert widths[1] > 0.4 * widths[0]
    assert "12 blocks" in estimated_accuracy(known_of(few), now_of(few)).caution
    again = estimated_accuracy(known_of(few), now_of(few) * 1024).accuracy
    assert (again.low, again.high) == pytest.approx((scores[0].low, scores[0].high))


def test_blocks_and_scenes_are_drawn_independently() -> None:
    counts = np.eye(20) * 10
    found = estimated_accuracy(Held(counts, counts / 2), counts, "DoC").accuracy
    assert found.value == 0.5
    # Every block is right in half; drawn together, mean confidence would never differ either.
    assert found.low < 0.4 < 0.6 < found.high


# --- the estimators, by hand -------------------------------------------------------------------

CELLS = hnp.arrays(np.float64, 8, elements=st.integers(0, 50)).filter(lambda n: n.sum() > 0)


@given(n=CELLS, now=CELLS, data=st.data())
@settings(max_examples=200, deadline=None)
def test_every_estimate_is_a_share_and_held_out_answers_get_their_own(
    n: np.ndarray, now: np.ndarray, data: st.DataObject
) -> None:
    right = np.array([data.draw(st.integers(0, int(count))) for count in n], dtype=float)
    for estimator in ESTIMATORS.values():
        assert 0 <= float(estimator(n, right, now)) <= 1
        assert float(estimator(n, right, n)) == pytest.approx(right.sum() / n.sum())
        assert float(estimator(n, right, 7 * now)) == pytest.approx(float(estimator(n, right, now)))
        together = estimator(np.stack([n, n]), np.stack([right, right]), np.stack([now, n]))
        assert together == pytest.approx([float(estimator(n, right, now)), right.sum() / n.sum()])
        assert np.isnan(estimator(n, right, np.zeros(8)))


@given(
    sure=hnp.arrays(np.float64, 50, elements=st.integers(0, 999).map(lambda k: (k + 0.5) / 1000), unique=True),
    now=hnp.arrays(np.float64, 30, elements=st.integers(0, 999).map(lambda k: (k + 0.5) / 1000)),
    n_right=st.integers(1, 50),
)
@settings(max_examples=100, deadline=None)
def test_atc_is_a_threshold_on_single_confidences(sure: np.ndarray, now: np.ndarray, n_right: int) -> None:
    right = np.arange(50) < n_right
    known = held_out(sure, right, np.zeros(50), 1000)
    # Garg: t with mean(conf < t) = error.
    threshold = np.sort(sure)[50 - n_right]
    assert np.mean(sure < threshold) == pytest.approx(1 - right.mean())
    found = float(atc_accuracy(known.n.sum(axis=0), known.right.sum(axis=0), confidence_counts(now, 1000)))
    assert found == pytest.approx(np.mean(now >= threshold))


def test_cbpe_and_doc_by_hand() -> None:
    n, right, now = np.array([4.0, 0, 4, 8]), np.array([1.0, 0, 3, 8]), np.array([2.0, 2, 0, 4])
    # The empty bin lies midway between .25 and .75.
    assert float(cbpe_accuracy(n, right, now)) == pytest.approx((2 * 0.25 + 2 * 0.5 + 4) / 8)
    before, after = (4 * 0.125 + 4 * 0.625 + 8 * 0.875) / 16, (2 * 0.125 + 2 * 0.375 + 4 * 0.875) / 8
    assert float(doc_accuracy(n, right, now)) == pytest.approx(12 / 16 - (before - after))


def test_confidences_that_were_never_held_out_are_told() -> None:
    known = held_out([0.9, 0.92, 0.93, 0.97], [1, 1, 0, 1], [0, 0, 1, 1])
    now = np.array([confidence_counts([sure] * 10) for sure in (0.3, 0.3, 0.3, 0.91)])
    found = estimated_accuracy(known, now)
    assert found.unseen_share == pytest.approx(0.75)
    assert found.caution.startswith("75% of the answers")
    assert found.accuracy.value == pytest.approx(2 / 3)


def test_everything_right_and_everything_wrong() -> None:
    n, now = np.array([0.0, 5, 5, 0]), np.array([3.0, 3, 3, 3])
    assert float(atc_accuracy(n, n, now)) == pytest.approx(9 / 12)  # as sure as the least sure right one
    assert float(atc_accuracy(n, 0 * n, now)) == 0
    assert float(cbpe_accuracy(n, n, now)) == 1
    assert float(doc_accuracy(n, 0 * n, now)) == 0


@given(values=hnp.arrays(np.float32, 64, elements=st.floats(0, 1, width=32) | st.just(np.nan)))
@settings(max_examples=60, deadline=None)
def test_confidences_are_counted_as_tallies_count_them(values: np.ndarray) -> None:
    classes = np.zeros((8, 8), np.uint8)
    bins = bins_of(SENTINEL_2_L1C.subset(("B02",)))
    counted = tally(np.ones((1, 8, 8), np.float32), bins, classes, 3, confidence=values.reshape(8, 8))
    assert tuple(confidence_counts(values).tolist()) == counted.confidence


# --- expected counts ---------------------------------------------------------------------------


def test_expected_counts_are_what_calibrated_probabilities_turn_out_to_be() -> None:
    world = scenes(6, 0.5, 60, 500)
    found = estimated_scores(np.array([expected_confusion(p) for p, _ in world]))
    counts = sum(confusion(true, p.argmax(axis=1), N_CLASSES) for p, true in world)
    real = class_f1(np.asarray(counts))
    assert found.accuracy.low <= accuracy(world) <= found.accuracy.high
    for score, f1 in zip(found.f1, real, strict=True):
        assert score is not None
        assert score.low <= f1 <= score.high


def test_expected_counts_by_hand() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.3, 0.6], [np.nan, np.nan, np.nan]])
    found = expected_confusion(rows)
    assert found == pytest.approx(np.array([[1.2, 0, 0.1], [0.7, 0, 0.3], [0.1, 0, 0.6]]))
    assert found.trace() == pytest.approx(0.7 + 0.5 + 0.6)
    assert expected_confusion(rows[:2]) + expected_confusion(rows[2:]) == pytest.approx(found)
    assert expected_confusion(np.zeros((0, 3))).sum() == 0
    empty_class = np.array([[0.8, 0.2, 0.0]] * 5)
    scores = estimated_scores(np.array([expected_confusion(empty_class)] * 4))
    assert scores.f1[2] is None
    assert scores.f1[0] is not None
    assert scores.f1[0].value == pytest.approx(2 * 0.8 / (2 * 0.8 + 0.2))
    assert scores.f1[1] is not None
    assert scores.f1[1].value == 0


# --- refusals ----------------------------------------------------------------------------------


def test_what_gives_no_interval_or_is_no_probability_is_refused() -> None:
    known = held_out([0.5, 0.6], [1, 0], [0, 1])
    now = np.ones((3, 20))
    for bad in (now[:1], np.zeros((3, 20)), np.ones((3, 10)), -now, np.full((3, 20), np.nan), np.ones(20)):
        with pytest.raises(BadInput):
            estimated_accuracy(known, bad)
    with pytest.raises(BadInput, match="1 block of held-out answers"):
        estimated_accuracy(held_out([0.5, 0.6], [1, 0], [0, 0]), now)
    with pytest.raises(BadInput, match="no method 'mean'"):
        estimated_accuracy(known, now, "mean")  # type: ignore[arg-type]
    for columns in (([], [], []), ([0.5], [1, 0], [0]), ([1.5], [1], [0]), ([np.nan], [1], [0])):
        with pytest.raises(BadInput):
            held_out(*columns)
    with pytest.raises(BadInput):
        confidence_counts([-0.1])
    n = np.ones((2, 4))
    for counts in ((n, 2 * n), (n, -n), (n, n[:1]), (n[0], n[0]), (0 * n, 0 * n), (n * np.inf, n)):
        with pytest.raises(BadInput):
            Held(*counts)
    for rows in ([[0.5, 0.6]], [[1.5, -0.5]], [[0.0, 0.0]], [0.5, 0.5], [[1.0]], [[np.inf, 0.0]]):
        with pytest.raises(BadInput):
            expected_confusion(rows)
    for bad_expected in (np.ones((1, 3, 3)), np.ones((2, 3, 2)), np.ones((3, 3)), np.zeros((4, 3, 3))):
        with pytest.raises(BadInput):
            estimated_scores(bad_expected)

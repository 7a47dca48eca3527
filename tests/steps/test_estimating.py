"""Accuracy and class shares that nobody measured, from out-of-fold answers on this machine or from none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import write_table
from geoml_ops.core.flow import Bundle, Evaluation, FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.core.noun import FileRef
from geoml_ops.steps.estimating import estimates, held_answers, prior_shift
from geoml_ops.steps.places import Places
from tests.every_noun import any_noun

CLASSES = ("field", "forest", "water")
#: P(class | appearance) of five kinds of pixels: a calibrated model says just this.
KINDS = np.array([[0.96, 0.02, 0.02], [0.7, 0.2, 0.1], [0.25, 0.65, 0.1], [0.03, 0.94, 0.03], [0.05, 0.05, 0.9]])
USUAL, HARDER = np.array([0.3, 0.1, 0.1, 0.3, 0.2]), np.array([0.1, 0.4, 0.35, 0.1, 0.05])


def places_in(home: Path) -> Places:
    return Places(
        workspace=home / "ws",
        store=home,
        remote="",
        drop=home,
        tracking_uri="",
        model="m",
        experiment=home,
        policy=home,
    )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return places_in(tmp_path)


def drawn(n: int, mix: NDArray[np.float64], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities and true codes of n pixels."""
    rng = np.random.default_rng(seed)
    rows = KINDS[rng.choice(len(KINDS), n, p=mix)]
    return rows.astype(np.float32), (rng.random((n, 1)) > rows.cumsum(axis=1)).sum(axis=1)


def counts(rows: NDArray[np.float32]) -> tuple[int, ...]:
    return tuple(np.histogram(rows.max(axis=1), bins=20, range=(0, 1))[0].tolist())


def publish(places: Places, *, method: str = "block", n: int = 4000, blocks: int = 40, **fields: object) -> Bundle:
    """Keeps a plan, an evaluation with out-of-fold answers and the bundle that is of it."""
    rows, code = drawn(n, USUAL)
    table = {
        "easting": np.arange(n) * 10.0,
        "northing": np.zeros(n),
        "code": code,
        "predicted": rows.argmax(axis=1),
        "no_skill": np.zeros(n, np.int64),
        "fold": np.where(np.arange(n) % 50 == 0, -1, np.arange(n) % 5),
        "block": np.arange(n) % blocks,
        **{f"p_{name}": rows[:, i] for i, name in enumerate(CLASSES)},
    }
    says = {"classes": json.dumps(CLASSES), "importance": "[0.1]"}
    file = write_table(places.tables, table, says)
    shelf = Shelf(places.nouns)
    rules = FoldRules(method=method)  # type: ignore[arg-type]
    estimand = "optimism baseline" if method == "random" else "a new region"
    plan = shelf.put(any_noun(FoldPlan).model_copy(update={"rules": rules, "estimand": estimand}))
    evaluation = any_noun(Evaluation).model_copy(update={"plan": plan.id, "classes": CLASSES, "predictions": file})
    kept = shelf.put(evaluation)
    update = {"evaluation": kept.id, "classes": CLASSES, "file": any_noun(Bundle).file, **fields}
    return any_noun(Bundle).model_copy(update=update)


def test_under_covariate_shift_accuracy_is_told_without_labels(places: Places) -> None:
    bundle = publish(places)
    rows, code = drawn(200_000, HARDER, 1)
    truth = float((rows.argmax(axis=1) == code).mean())
    found, said = estimates(places, bundle, counts(rows))
    assert said == ""
    assert [e.method for e in found] == ["cbpe", "atc", "doc"]
    cbpe, _, doc = found
    assert cbpe.value == pytest.approx(truth, abs=0.02)
    assert doc.value == pytest.approx(truth, abs=0.03)
    assert cbpe.expected is not None
    assert cbpe.expected - truth > 0.1
    for one in found:
        assert one.low is not None
        assert one.high is not None
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert "in 40 blocks" in one.sentence
        assert "Blind to what the classes themselves mean" in one.sentence
    assert cbpe.low <= truth <= cbpe.high  # type: ignore[operator]


def test_the_usual_mix_is_as_good_as_held_out(places: Places) -> None:
    found, _ = estimates(places, publish(places), counts(drawn(100_000, USUAL, 2)[0]))
    assert all(e.value == pytest.approx(e.expected, abs=0.015) for e in found)


def test_an_interval_is_of_blocks_however_many_pixels_there_are(places: Places) -> None:
    bundle = publish(places)
    few, many = (estimates(places, bundle, counts(drawn(n, USUAL, 2)[0]))[0][0] for n in (1_000, 1_000_000))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(1.0, abs=0.15)  # type: ignore[operator]


def test_confidence_that_no_held_out_answer_had_is_said(places: Places) -> None:
    now = [0] * 20
    now[8] = 100
    found, _ = estimates(places, publish(places), now)
    assert "100% of the answers are of a confidence that no held-out answer had" in found[0].sentence


def test_one_block_gives_a_number_without_an_interval(places: Places) -> None:
    found, said = estimates(places, publish(places, blocks=1), counts(drawn(500, USUAL)[0]))
    assert said == ""
    assert (found[0].low, found[0].high) == (None, None)
    assert "one block has no interval" in found[0].sentence


@pytest.mark.parametrize(
    ("confidences", "why"),
    [
        ((), "no answer's confidence was counted"),
        ((0,) * 20, "no answer's confidence was counted"),
        ((-1,) * 20, "no answer's confidence was counted"),
        ((1,) * 7, "7 bins of confidence, 20 are expected"),
    ],
)
def test_counts_that_are_none_give_no_estimate(places: Places, confidences: tuple[int, ...], why: str) -> None:
    found, said = estimates(places, publish(places), confidences)
    assert found == ()
    assert why in said


def test_what_is_missing_or_altered_on_this_machine_is_a_sentence(places: Places) -> None:
    bundle, now = publish(places), counts(drawn(500, USUAL)[0])
    (file,) = places.tables.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    assert "was altered" in estimates(places, bundle, now)[1]
    file.unlink()
    assert "is gone" in estimates(places, bundle, now)[1]
    assert prior_shift(places, bundle, dict.fromkeys(CLASSES, 1 / 3))[0] == {}
    stranger = bundle.model_copy(update={"evaluation": "evaluation-" + "f" * 16})
    found, said = estimates(places, stranger, now)
    assert (found, said.startswith("Accuracy is not estimated: ")) == ((), True)
    nothing = bundle.model_copy(update={"evaluation": "nonsense"})
    assert estimates(places, nothing, now)[0] == ()
    file.write_bytes(content)
    assert estimates(places, bundle, now)[0]


def test_answers_of_random_folds_are_no_evidence(places: Places) -> None:
    found, said = estimates(places, publish(places, method="random"), counts(drawn(500, USUAL)[0]))
    assert found == ()
    assert "surer and better" in said


def test_another_legend_is_no_evidence(places: Places) -> None:
    bundle = publish(places).model_copy(update={"classes": ("a", "b", "c")})
    assert "other classes" in estimates(places, bundle, counts(drawn(500, USUAL)[0]))[1]


def test_counted_once_and_again_where_what_was_kept_is_damaged(places: Places) -> None:
    bundle, now = publish(places), counts(drawn(500, USUAL)[0])
    first = estimates(places, bundle, now)
    (kept,) = (places.workspace / "watch").glob("held-*.json")
    whole = kept.read_text()
    (table,) = places.tables.iterdir()
    away = table.rename(table.with_suffix(".away"))
    assert estimates(places, bundle, now) == first
    away.rename(table)
    told = json.loads(whole)
    wrong = ({"form": 0}, {"n": [[1]]}, {"confusions": [[[1]]]}, {"right": told["confusions"]})
    damaged = ("", "[]", "{}", whole[:40], *(json.dumps(told | one) for one in wrong))
    for text in damaged:
        kept.write_text(text)
        assert estimates(places, bundle, now) == first
        assert kept.read_text() == whole


def test_class_shares_behind_the_answers_are_found_under_label_shift(places: Places) -> None:
    bundle = publish(places, n=20_000)
    rows, code = drawn(400_000, USUAL, 3)
    weight = np.array([0.3, 1.0, 2.5])[code]
    truth = np.bincount(code, weight) / weight.sum()
    answered = np.bincount(rows.argmax(axis=1), weight) / weight.sum()
    found, said = prior_shift(places, bundle, {f"class:{n}": s for n, s in zip(CLASSES, answered, strict=True)})
    assert list(found) == list(CLASSES)
    assert sum(found.values()) == pytest.approx(1.0)
    assert np.abs(np.array(list(found.values())) - truth).max() < 0.02 < np.abs(answered - truth).max()
    assert "condition number" in said
    assert "40 held-out blocks" in said


def test_class_shares_that_are_incomplete_or_cannot_be_undone_are_refused(places: Places) -> None:
    bundle = publish(places)
    for shares in ({}, {"field": 1.0}, {"field": 0.5, "forest": None, "water": 0.5}, dict.fromkeys(CLASSES, 0.0),
                   {"field": -1.0, "forest": 1.0, "water": 1.0}, dict.fromkeys(CLASSES, float("nan"))):  # fmt: skip
        found, said = prior_shift(places, bundle, shares)
        assert found == {}
        assert "not every class has a share" in said
    found, said = prior_shift(places, publish(places, blocks=1), dict.fromkeys(CLASSES, 1 / 3))
    assert found == {}
    assert "1 block of held-out samples" in said


def test_a_kept_count_is_of_one_bundle(places: Places) -> None:
    one = publish(places)
    other = one.model_copy(update={"file": FileRef(path="x", sha256="e" * 64, size=1)})
    assert held_answers(places, one)[0] is not None
    assert held_answers(places, other)[0] is not None
    assert len(list((places.workspace / "watch").glob("held-*.json"))) == 2

"""Rows of every kind, and a comparison that sees each way to differ."""

import dataclasses

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.applicability import References, density, dissimilarity
from geoml_ops.domain.parity import TOLERANCE, Answers, Nearness, compare, require, rows_of_all_kinds

DN = np.random.default_rng(0).integers(1, 4000, (500, 4)).astype(np.float32)


def agreeing(n: int = 6) -> Answers:
    rng = np.random.default_rng(1)
    fitted = rng.dirichlet(np.ones(3), n)
    exists = np.array([True] * (n - 1) + [False])
    return Answers(exists, fitted, fitted.copy(), np.where(exists[:, None], fitted, 0), exists.copy())


def test_each_kind_is_what_its_name_says():
    rows = rows_of_all_kinds(DN, most=200)
    assert np.isfinite(rows["clean"]).all()
    assert (np.isnan(rows["one band missing"]).sum(axis=1) == 1).all()
    assert np.isnan(rows["all bands missing"]).all()
    assert ((rows["one band zero"] == 0).sum(axis=1) == 1).all()
    assert ((rows["one band saturated"] == 65535).sum(axis=1) == 1).all()
    assert (rows["negative after offset"] < 0).any()
    assert len(rows["clean"]) == 200
    assert len(rows["one band zero"]) == 20


def test_the_rows_are_the_same_every_time_and_come_from_observed_samples_only():
    holed = DN.copy()
    holed[::2, 1] = np.nan
    first, again = rows_of_all_kinds(holed), rows_of_all_kinds(holed)
    assert all(np.array_equal(first[k], again[k], equal_nan=True) for k in first)
    assert len(first["clean"]) == 250
    with pytest.raises(BadInput, match="None of 500 samples"):
        rows_of_all_kinds(np.full_like(DN, np.nan))


def test_agreement_passes():
    parity = compare({"clean": agreeing()})
    assert parity.passed
    assert parity.worst == {"clean": 0.0}
    require(parity)


@pytest.mark.parametrize("party", ["head", "bundle"])
def test_a_difference_of_either_graph_is_seen_and_named(party):
    said = agreeing()
    changed = getattr(said, party).copy()
    changed[2] += [2e-5, -2e-5, 0]
    parity = compare({"clean": agreeing(), "one band zero": dataclasses.replace(said, **{party: changed})})
    assert not parity.passed
    assert parity.worst["clean"] == 0.0
    with pytest.raises(Refused, match=r"one band zero 2e-05 \(tolerance 1e-05\)") as caught:
        require(parity)
    assert "clean" not in str(caught.value)


def test_an_answer_where_there_is_none_and_none_where_there_is_one_are_differences():
    said = agreeing()
    for row in (0, len(said.valid) - 1):
        valid = said.valid.copy()
        valid[row] = not valid[row]
        assert compare({"clean": dataclasses.replace(said, valid=valid)}).worst["clean"] == 1.0
    bundle = said.bundle.copy()
    bundle[-1, 0] = 0.5
    assert compare({"clean": dataclasses.replace(said, bundle=bundle)}).worst["clean"] == 0.5


def test_nan_is_never_agreement():
    said = agreeing()
    head = said.head.copy()
    head[1] = np.nan
    assert compare({"clean": dataclasses.replace(said, head=head)}).worst["clean"] == 1.0


def test_labels_may_differ_where_two_classes_tie_and_nowhere_else():
    fitted = np.array([[0.5, 0.5 - TOLERANCE / 2, 0.0]])
    swapped = np.array([[0.5 - TOLERANCE / 2, 0.5, 0.0]])
    yes = np.array([True])
    assert compare({"clean": Answers(yes, fitted, swapped, swapped, yes)}).n_label_mismatches == 0
    clear = np.array([[0.6, 0.4, 0.0]])
    assert compare({"clean": Answers(yes, clear, clear[:, ::-1], clear, yes)}).n_label_mismatches == 1


#: Samples at 0, 1, 2 … 9 on one axis; a mean distance of 11 / 3, a reach of 1.5.
LINE = References(
    columns=np.array([0]),
    mean=np.zeros(1),
    scale=np.ones(1),
    rows=np.arange(10.0)[:, None],
    counts=np.ones(10),
    mean_distance=11 / 3,
    threshold=1.5 / (11 / 3),
)


def near(at=(0.0, 4.5, 20.0, 2.0, 7.25, np.nan)) -> Nearness:
    """What a graph that is right says of pixels there; the last of six has no answer."""
    features = np.array(at, dtype=np.float32)[:, None]
    far, many = dissimilarity(features, LINE), density(features, LINE)
    return Nearness(features, LINE, far.astype(np.float32), many.astype(np.float32))


def parity_of(nearness: Nearness):
    return compare({"clean": agreeing(), "one band zero": dataclasses.replace(agreeing(), nearness=nearness)})


def test_nearness_that_agrees_passes_with_entries_of_its_own():
    parity = parity_of(near())
    assert parity.passed
    assert parity.rows == {"clean": 6, "one band zero": 6, "dissimilarity": 6, "density": 6}
    assert parity.worst["dissimilarity"] < 1e-6
    assert parity.worst["density"] == 0.0
    assert set(compare({"clean": agreeing()}).worst) == {"clean"}


@pytest.mark.parametrize(
    ("name", "row", "said", "gap"),
    [
        ("dissimilarity", 1, 0.5 * 3 / 11 + 1e-3, 1e-3),
        ("dissimilarity", 2, 3.0 * 1.01, 0.01),
        ("dissimilarity", 0, np.nan, 1.0),
        ("dissimilarity", 5, 0.3, 1.0),
        ("density", 4, 4.0, 1.0),
        ("density", 3, 1.0, 2.0),
        ("density", 5, 0.0, 1.0),
        ("density", 0, np.nan, 1.0),
    ],
)
def test_every_way_to_differ_in_nearness_is_seen_and_named(name, row, said, gap):
    right = near()
    wrong = getattr(right, name).copy()
    wrong[row] = said
    parity = parity_of(dataclasses.replace(right, **{name: wrong}))
    assert not parity.passed
    assert parity.worst[name] == pytest.approx(gap, rel=1e-3)
    with pytest.raises(Refused, match=f"by kind of row or of answer {name}"):
        require(parity)


def test_a_sample_exactly_at_the_threshold_may_count_or_not_and_one_clearly_within_must():
    edge = near((1.5, 4.5, 20.0, 2.0, 7.25, np.nan))
    for said in (1, 2, 3, 4, 5):
        density_said = edge.density.copy()
        density_said[0] = said
        # Samples 0 and 3 both lie at 1.5 from there: either, both or none may be counted.
        assert parity_of(dataclasses.replace(edge, density=density_said)).passed == (2 <= said <= 4)


def test_what_lies_around_a_pixel_is_asked_with_it_and_has_holes_of_its_own() -> None:
    around = np.random.default_rng(5).integers(1, 4000, (300, 3, 5, 5)).astype(np.float32)
    rows = rows_of_all_kinds(around, most=200)
    assert rows["clean"].shape == (200, 3, 5, 5)
    middle = rows["holes around"][:, :, 2, 2]
    assert np.isfinite(middle).all()
    assert 0.1 < np.isnan(rows["holes around"]).mean() < 0.25
    lacking = np.isnan(rows["one band missing"])
    assert (lacking.any(axis=(2, 3)) == lacking.all(axis=(2, 3))).all()
    assert (lacking.any(axis=(2, 3)).sum(axis=1) == 1).all()
    assert "holes around" not in rows_of_all_kinds(around[:, :, 2, 2], most=200)

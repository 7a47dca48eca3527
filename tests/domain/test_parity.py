"""Rows of every kind, and a comparison that sees each way to differ."""

import dataclasses

import numpy as np
import pytest

from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.parity import TOLERANCE, Answers, compare, require, rows_of_all_kinds

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

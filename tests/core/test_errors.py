from __future__ import annotations

import pickle

import pytest

from geoml_ops.core import errors
from geoml_ops.core.errors import BadInput, GeomlError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GeomlError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_between_processes(kind: type[GeomlError]) -> None:
    for error in (kind("2 blocks cannot make 5 folds.", "use fewer folds"), kind("The disk is full.")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert (again.fact, again.remedy, again.retryable, str(again)) == (
            error.fact,
            error.remedy,
            error.retryable,
            str(error),
        )


def test_a_sentence_names_the_fact_and_then_the_way_out() -> None:
    assert str(BadInput("2 blocks cannot make 5 folds.", "use fewer folds")) == (
        "2 blocks cannot make 5 folds. Try: use fewer folds"
    )
    assert str(BadInput("The file is empty.")) == "The file is empty."


def test_only_what_may_heal_by_itself_is_retryable() -> None:
    assert {kind.__name__ for kind in KINDS if kind.retryable} == {"Conflict", "Unavailable", "StorageFull"}


def test_every_error_is_one_of_ours() -> None:
    assert len(KINDS) >= 8
    assert all(issubclass(kind, GeomlError) for kind in KINDS)

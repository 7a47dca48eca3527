from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment

CONTENT: dict[str, Any] = {
    "name": "landcover",
    "sensor": "sentinel-2-l1c",
    "features": ("B02", "NDVI"),
    "classes": {
        "grass": {"labels": ("meadow", "grass"), "colour": "#8ab17d"},
        "water": {"labels": ("water",), "colour": "#2a6fbb"},
    },
    "ignored_labels": ("scrub",),
    "families": {"random_forest": {"n_estimators": 60}},
}


def experiment(**changes: Any) -> Experiment:
    return Experiment(**(CONTENT | changes))


def test_codes_are_positions_and_several_labels_may_share_one() -> None:
    one = experiment()
    assert one.class_names == ("grass", "water")
    assert [one.code_of(label) for label in ("meadow", "grass", "water", "scrub")] == [0, 0, 1, None]


def test_an_unknown_label_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"belongs to no class.*ignored_labels"):
        experiment().code_of("orchard")
    with pytest.raises(BadInput) as caught:
        experiment().code_of("x" * 5000)
    assert len(str(caught.value)) < 250, "a hostile label must not fill the log"


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"name": "Land Cover"},
        {"features": ()},
        {"families": {}},
        {"classes": {"water": {"labels": ("water",), "colour": "#2a6fbb"}}},
        {"classes": {"a": {"labels": (), "colour": "#2a6fbb"}, "b": {"labels": ("b",), "colour": "#2a6fbb"}}},
        {"classes": {"a": {"labels": ("w",), "colour": "red"}, "b": {"labels": ("b",), "colour": "#2a6fbb"}}},
        {"families": {"": {}}},
        {"families": {"forest\n": {}}},
        {"classes": CONTENT["classes"] | {" ": {"labels": ("b",), "colour": "#2a6fbb"}}},
        {"classes": CONTENT["classes"] | {"x" * 101: {"labels": ("b",), "colour": "#2a6fbb"}}},
        {"folds": {"n_folds": 1}},
        {"folds": {"block_m": 0.0}},
        {"folds": {"buffer_m": -1.0}},
        {"sampling": {"per_polygon": 0}},
        {"gate": {"confidence": 1.0}},
        {"gate": {"margin": -0.01}},
        {"gate": {"least_blocks": "10"}},
    ],
    ids=str,
)
def test_impossible_experiments_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        experiment(**changes)


def test_a_family_without_parameters_needs_no_brackets() -> None:
    """``svm:`` alone in YAML is nothing, not an object."""
    assert experiment(families={"svm": None, "knn": {}}).families == {"svm": {}, "knn": {}}
    with pytest.raises(ValidationError):
        experiment(families={"svm": "knn"})


def test_one_label_has_one_class() -> None:
    double = {
        "grass": {"labels": ("grass", "water"), "colour": "#8ab17d"},
        "water": {"labels": ("water",), "colour": "#2a6fbb"},
    }
    with pytest.raises(ValidationError, match="'water' belongs to both 'grass' and 'water'"):
        experiment(classes=double)


def test_the_content_names_the_experiment() -> None:
    assert experiment().id == experiment().id
    assert experiment().id != experiment(folds={"seed": 1}).id


def test_two_orders_of_classes_are_two_experiments() -> None:
    one = experiment()
    turned = experiment(classes=dict(reversed(CONTENT["classes"].items())))
    assert turned.class_names != one.class_names
    assert turned.id != one.id

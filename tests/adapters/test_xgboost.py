"""Boosting answers for every class, comes back from disk unchanged, and refuses what cannot be exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skops.io as skops_io

from geoml_ops.adapters import skops, xgboost
from geoml_ops.adapters.onnx import head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.domain.fitting import fit, random_forest

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(200, 4)).astype(np.float32)
CODES = np.digitize(FEATURES[:, 1], [-0.4, 0.4]).astype(np.int64)


def booster(n_classes: int) -> object:
    return xgboost.build({"n_estimators": 10, "max_depth": 3}, 1, n_classes)


def test_two_classes_of_three_still_give_three_columns() -> None:
    keep = CODES != 1
    model = fit(booster, FEATURES[keep], CODES[keep], 3)
    probability = model.probability(FEATURES)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert (probability[:, 1] == 0).all()
    assert (probability[keep].argmax(axis=1) == CODES[keep]).mean() > 0.9


def test_models_come_back_unchanged(tmp_path: Path) -> None:
    boosted = fit(booster, FEATURES, CODES, 3)
    xgboost.save(boosted.estimator, tmp_path / "model.ubj")
    again = xgboost.load(tmp_path / "model.ubj")
    np.testing.assert_array_equal(again.predict_proba(FEATURES), boosted.probability(FEATURES))
    assert again.classes_.tolist() == [0, 1, 2]
    forest = fit(lambda k: random_forest({"n_estimators": 5}, 0, k), FEATURES, CODES, 3)
    skops.save(forest.estimator, tmp_path / "model.skops")
    read = skops.load(tmp_path / "model.skops")
    np.testing.assert_allclose(read.predict_proba(FEATURES), forest.probability(FEATURES), rtol=0, atol=1e-15)


def test_several_trees_a_round_are_drawn_as_they_answer_also_when_read_again(tmp_path: Path) -> None:
    params = {"n_estimators": 4, "num_parallel_tree": 3, "subsample": 0.7, "device": "cpu"}
    model = fit(lambda k: xgboost.build(params, 1, k), FEATURES, CODES, 3)
    xgboost.save(model.estimator, tmp_path / "model.ubj")
    for one in (model.estimator, xgboost.load(tmp_path / "model.ubj")):
        drawn = Graph(head_graph(one, "xgboost", 4)).head(np.ascontiguousarray(FEATURES.T)[None, :, :, None])
        np.testing.assert_allclose(drawn[0, :, :, 0].T, model.probability(FEATURES), rtol=0, atol=1e-6)


class Stranger:
    value = 1


def test_a_file_with_foreign_types_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Stranger"):
        skops.save(Stranger(), tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()
    skops_io.dump(Stranger(), tmp_path / "model.skops")
    with pytest.raises(Refused, match="Stranger"):
        skops.load(tmp_path / "model.skops")


@pytest.mark.parametrize("params", [{"trees": 3}, {"booster": "dart"}, {"objective": "multi:softmax"}])
def test_parameters_that_cannot_hold_are_refused(params: dict[str, int | str]) -> None:
    with pytest.raises(BadInput, match=next(iter(params))):
        xgboost.build(params, 0, 3)


def test_auto_takes_the_device_that_is_there() -> None:
    chosen = xgboost.build({"device": "auto"}, 0, 3).get_params()["device"]
    assert chosen == ("cuda" if xgboost.has_gpu() else "cpu")
    assert xgboost.build({"device": "cpu"}, 0, 3).get_params()["device"] == "cpu"

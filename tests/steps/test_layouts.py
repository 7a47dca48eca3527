"""The layout that is kept answers as the model does, and is told with what was tried."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from geoml_ops.adapters.onnx import Layout, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.evidence import Speed
from geoml_ops.domain.world import landscape
from geoml_ops.steps import layouts
from geoml_ops.steps.layouts import EDGE_PX, fastest
from tests.versions import cube

WORLD = landscape(132, 132, seed=3)
ROWS = cube(WORLD)[1:7].reshape(6, -1).T.astype(np.float32) * np.float32(1e-4)
CODES = np.unique(WORLD.truth.ravel(), return_inverse=True)[1]
SOME = np.random.default_rng(0).permutation(len(ROWS))[:1500]


def learned(model):
    return model.fit(ROWS[SOME], CODES[SOME])


@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(30, max_depth=8, n_jobs=1), xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1)],
)
def test_the_fastest_of_several_layouts_is_kept_and_answers_as_the_model(model):
    model = learned(model)
    chosen = fastest(model, "trees", 6, ROWS, limit_s=0.3)
    assert chosen.content == head_graph(model, "trees", 6, chosen.layout)
    found = Graph(chosen.content).head(np.ascontiguousarray(ROWS.T)[None, :, None, :])[0, :, 0].T
    assert np.abs(found - model.predict_proba(ROWS)).max() < 1e-5
    ratios = [ratio for ratio in chosen.speed.tried.values() if ratio is not None]
    assert len(ratios) > 1
    assert chosen.speed.tried[str(chosen.layout)] == chosen.speed.ratio >= 0.75 * max(ratios)
    assert chosen.speed.ratio == pytest.approx(chosen.speed.kpx_per_s / chosen.speed.native_kpx_per_s, rel=0.5)
    assert chosen.speed.n_rows in {256 * 4**k for k in range(4)}
    assert list(chosen.speed.batches)[:2] == ["1024", "4096"]
    assert all(speed > 0 for speed in chosen.speed.batches.values())


def test_what_is_told_is_plain_and_holds_no_graph():
    speed = fastest(learned(RandomForestClassifier(5, max_depth=4)), "trees", 6, ROWS, limit_s=0.1).speed
    assert Speed.model_validate_json(speed.model_dump_json()) == speed


def test_layouts_that_give_the_same_graph_are_tried_once():
    lone = learned(RandomForestClassifier(1, max_depth=4))
    assert len(fastest(lone, "trees", 6, ROWS, limit_s=0.1).speed.tried) == 1
    straight = learned(LogisticRegression())
    assert len(fastest(straight, "line", 6, ROWS, limit_s=0.1).speed.tried) == 1


def test_one_row_is_enough_and_none_or_others_are_refused():
    model = learned(RandomForestClassifier(3, max_depth=4))
    assert fastest(model, "trees", 6, ROWS[:1], limit_s=0.05).speed.n_rows >= 256
    for rows in (ROWS[:0], ROWS[:, :5], ROWS.ravel()):
        with pytest.raises(BadInput, match="to time a model of 6 features"):
            fastest(model, "trees", 6, rows)


def test_a_layout_that_answers_otherwise_is_never_kept_however_fast(monkeypatch):
    model = learned(GradientBoostingClassifier(n_estimators=10, random_state=0))
    shallow = learned(GradientBoostingClassifier(n_estimators=1, max_depth=1, random_state=0))
    wrong = Layout(None)

    def sometimes(fitted, family, n_features, layout):
        return head_graph(shallow if layout == wrong else fitted, family, n_features, layout)

    monkeypatch.setattr(layouts, "head_graph", sometimes)
    chosen = fastest(model, "trees", 6, ROWS, layouts=(wrong, Layout(20)), limit_s=0.1)
    assert chosen.layout == Layout(20)
    assert chosen.speed.tried[str(wrong)] is None
    with pytest.raises(Refused, match="No graph of the trees model answers as it does"):
        fastest(model, "trees", 6, ROWS, layouts=(wrong,), limit_s=0.1)


def test_a_slow_model_is_asked_about_fewer_rows():
    class Slow(LogisticRegression):
        def predict_proba(self, rows):
            for _ in range(40 * len(rows)):
                np.float64(1.0) + 1.0
            return super().predict_proba(rows)

    Slow.__name__ = "LogisticRegression"
    assert fastest(learned(Slow()), "line", 6, ROWS, limit_s=0.02).speed.n_rows < EDGE_PX**2

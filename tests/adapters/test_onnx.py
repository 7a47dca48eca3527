"""Graphs against the fitted models themselves; their features are in test_feature_graph."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from geoml_ops.adapters.onnx import bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain import applicability
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.parity import Answers, Nearness, compare, rows_of_all_kinds
from geoml_ops.settings import CHECKOUT

FEATURES = ("B02", "B04", "B08", "NDVI", "NDWI", "EVI")
BANDS = bands_needed(FEATURES, SENTINEL_2_L1C)
CLASSES = ("a", "b", "c")


def imagery(n: int, n_bands: int, seed: int = 0) -> np.ndarray:
    """Returns DN ``(row, band)`` as imagery has them: whole numbers, often equal."""
    return np.random.default_rng(seed).integers(1, 4000, (n, n_bands)).astype(np.float32)


@pytest.fixture(scope="module")
def samples():
    dn = imagery(1500, len(BANDS))
    rows = Graph(feature_graph(FEATURES, SENTINEL_2_L1C)).features(dn.T[None, :, :, None].copy())[0, :, :, 0].T
    codes = (rows[:, 3] > 0).astype(int) + (rows[:, 1] > 0.2)
    return dn, np.ascontiguousarray(rows), codes


def forest(rows, codes, **params):
    model = RandomForestClassifier(n_estimators=45, max_depth=9, random_state=0, **params)
    return Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("model", model)]).fit(
        rows, codes
    )


def boosted(rows, codes, **params):
    return XGBClassifier(**{"n_estimators": 30, "max_depth": 4, "n_jobs": 1, **params}).fit(rows, codes)


MODELS = {"random_forest": forest, "xgboost": boosted}


def softprob(rows, codes):
    return boosted(rows, codes, objective="multi:softprob", num_class=len(np.unique(codes)))


def test_a_missing_band_or_an_index_without_denominator_makes_a_pixel_invalid():
    dn = np.full((1, len(BANDS), 1, 4), 500.0, dtype=np.float32)
    dn[0, 0, 0, 1] = np.nan
    dn[0, :, 0, 2] = 0.0
    graph = Graph(feature_graph(FEATURES, SENTINEL_2_L1C))
    assert np.isfinite(graph.features(dn)).all(axis=1)[0, 0].tolist() == [True, False, False, True]


@pytest.mark.parametrize(("family", "fit"), [*MODELS.items(), ("xgboost", softprob)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_bundle_answers_as_the_fitted_model_on_rows_of_every_kind(samples, family, fit, n_classes):
    _, rows, codes = samples
    model = fit(rows, np.minimum(codes, n_classes - 1))
    head = head_graph(model, family, len(FEATURES))
    features, exported = Graph(feature_graph(FEATURES, SENTINEL_2_L1C)), Graph(head)
    whole = Graph(bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES[:n_classes], {}))
    said = {}
    for kind, ask in rows_of_all_kinds(imagery(4000, len(BANDS), seed=1), most=3000).items():
        pixels = np.ascontiguousarray(ask.T[None, :, :, None])
        columns = features.features(pixels)
        flat = np.ascontiguousarray(columns[0, :, :, 0].T)
        answer = whole.run(pixels)
        said[kind] = Answers(
            exists=np.isfinite(flat).all(axis=1),
            fitted=model.predict_proba(flat),
            head=exported.head(columns)[0, :, :, 0].T,
            bundle=answer.probability[0, :, :, 0].T,
            valid=answer.valid[0, 0, :, 0],
        )
    parity = compare(said)
    assert parity.passed, parity
    assert not said["one band missing"].valid.any()
    assert said["clean"].valid.mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (33, 64)])
def test_any_height_and_width_comes_back_as_it_went_in(samples, shape):
    _, rows, codes = samples
    head = head_graph(boosted(rows, codes), "xgboost", len(FEATURES))
    graph = Graph(bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES, {}))
    for batch in (1, 3):
        dn = imagery(batch * shape[0] * shape[1], len(BANDS)).reshape(batch, *shape, -1).transpose(0, 3, 1, 2)
        answer = graph.run(np.ascontiguousarray(dn))
        assert answer.probability.shape == (batch, 3, *shape)
        assert answer.valid.shape == (batch, 1, *shape)
        assert np.allclose(answer.probability.sum(axis=1)[answer.valid[:, 0]], 1, atol=1e-5)


def test_pixels_keep_their_places(samples):
    _, rows, codes = samples
    head = head_graph(forest(rows, codes), "random_forest", len(FEATURES))
    graph = Graph(bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES, {}))
    dn = np.ascontiguousarray(imagery(2 * 6 * 5, len(BANDS)).reshape(2, 6, 5, -1).transpose(0, 3, 1, 2))
    whole = graph.run(dn).probability
    for batch, row, col in [(0, 0, 0), (1, 2, 4), (1, 5, 1)]:
        alone = graph.run(np.ascontiguousarray(dn[batch : batch + 1, :, row : row + 1, col : col + 1])).probability
        assert np.array_equal(alone[0, :, 0, 0], whole[batch, :, row, col])


@pytest.mark.parametrize("family", MODELS)
def test_the_same_model_gives_the_same_bytes(samples, family):
    _, rows, codes = samples

    def digest():
        model = MODELS[family](rows, codes)
        head = head_graph(model, family, len(FEATURES))
        content = bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES, {"b": "2", "a": "1"})
        return hashlib.sha256(content).hexdigest()

    assert digest() == digest()


def test_a_bundle_says_what_it_is(samples):
    _, rows, codes = samples
    head = head_graph(boosted(rows, codes), "xgboost", len(FEATURES))
    said = Graph(bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES, {"evaluation": "e"})).metadata
    assert said["bands"] == '["B02", "B03", "B04", "B08"]'
    assert said["classes"] == '["a", "b", "c"]'
    assert Radiometry.model_validate_json(said["radiometry"]) == SENTINEL_2_L1C.radiometry
    assert said["evaluation"] == "e"


def test_names_that_do_not_fit_the_head_are_refused(samples):
    _, rows, codes = samples
    head = head_graph(boosted(rows, codes), "xgboost", len(FEATURES))
    with pytest.raises(BadInput, match="knows 3 classes"):
        bundle_graph(FEATURES, SENTINEL_2_L1C, head, ("a", "b"), {})
    with pytest.raises(BadInput, match="reads 6 features"):
        bundle_graph(FEATURES[:-1], SENTINEL_2_L1C, head, CLASSES, {})


def test_a_graph_has_no_name_that_changes_with_the_run(samples):
    _, rows, codes = samples
    model = onnx.load_model_from_string(head_graph(boosted(rows, codes), "xgboost", len(FEATURES)))
    assert model.graph.name == "head"
    assert not model.doc_string
    assert not any(node.name or node.doc_string for node in model.graph.node)


# --- where a model may be asked --------------------------------------------------------------


def area_of(rows, **options):
    """The area of samples ``(n, feature)``, five folds of every fifth."""
    fold = np.arange(len(rows)) % 5
    splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(5)]
    return applicability.fit(rows, splits, names=list(FEATURES), plan="plan", **options)


def whole_of(samples, area):
    _, rows, codes = samples
    return bundle_graph(
        FEATURES, SENTINEL_2_L1C, head_graph(boosted(rows, codes), "xgboost", len(FEATURES)), CLASSES, {},
        area.references if area else None,
    )  # fmt: skip


def directly(rows, references):
    """Distances one by one, as differences: nothing of a matrix product in it."""
    placed = (rows[:, references.columns].astype(np.float64) - references.mean) * references.scale
    unit = references.mean_distance
    distance = np.stack([np.sqrt(((placed - row) ** 2).sum(axis=1)) / unit for row in references.rows], axis=1)
    return distance.min(axis=1), (distance < references.threshold) @ references.counts


MATTER = dict(zip(FEATURES, (0.2, -0.1, 0.05, 0.3, 0.0, 0.1), strict=True))


@pytest.mark.parametrize(
    ("n", "options"),
    [
        (12, {}),
        (64, {}),
        (65, {}),
        (300, {"importance": MATTER}),
        (1500, {"most_references": 130}),
        (1500, {"importance": MATTER, "most_references": 40}),
    ],
)
def test_the_graph_says_how_far_every_pixel_is_from_the_samples_and_how_many_are_near(samples, n, options):
    _, rows, _ = samples
    area = area_of(rows[:n], **options)
    graph, columns = Graph(whole_of(samples, area)), Graph(feature_graph(FEATURES, SENTINEL_2_L1C))
    dn = imagery(2 * 40 * 30, len(BANDS), seed=5).reshape(2, 40, 30, -1).transpose(0, 3, 1, 2).copy()
    dn[0, 1, :5] = np.nan
    dn[0, :, 5] = 0.0
    dn[1, 2, 7] = 65535.0
    answer, flat = graph.run(dn), columns.features(dn).transpose(0, 2, 3, 1).reshape(-1, len(FEATURES))
    exists = np.isfinite(flat).all(axis=1)
    far, near = directly(flat[exists], area.references)
    found = [layer.reshape(-1) for layer in (answer.dissimilarity, answer.density)]
    assert [layer.shape for layer in (answer.dissimilarity, answer.density)] == [(2, 1, 40, 30)] * 2
    assert [layer.dtype for layer in found] == [np.float32] * 2
    assert np.array_equal(answer.valid.reshape(-1), exists)
    assert all(np.isnan(layer[~exists]).all() for layer in found)
    assert not exists.all()
    assert (np.abs(found[0][exists] - far) / np.maximum(far, 1)).max() < 2e-6
    assert np.array_equal(found[1][exists], near)


def test_a_samples_own_pixel_is_at_no_distance(samples):
    dn, rows, _ = samples
    area = area_of(rows)
    answer = Graph(whole_of(samples, area)).run(dn.T[None, :, :, None].copy())
    assert answer.dissimilarity.min() >= 0
    assert answer.dissimilarity.max() < 2e-6
    assert answer.density.min() >= 1


def test_numbers_far_beyond_any_image_are_far_and_not_nothing(samples):
    _, rows, _ = samples
    area = area_of(rows, importance={**MATTER, "B08": 9.0})
    dn = np.full((1, len(BANDS), 1, 4), 1000.0, dtype=np.float32)
    dn[0, BANDS.index("B08"), 0, 1:] = [1e9, 1e18, 1e30]
    answer = Graph(whole_of(samples, area)).run(dn)
    assert answer.valid.all()
    far = answer.dissimilarity[0, 0, 0]
    assert (np.diff(far) > 0).all()
    assert (far[1:] > area.noun.threshold).all()
    assert answer.density[0, 0, 0, 1:].tolist() == [0, 0, 0]


def test_a_sample_exactly_at_the_threshold_is_not_near():
    plain = SENTINEL_2_L1C.model_copy(update={"radiometry": Radiometry(scale=1.0, offset_dn=0.0)})
    at = np.array([[10.0], [12.0], [20.0]])
    references = applicability.References(
        np.array([0]), np.zeros(1), np.ones(1), at, np.array([1.0, 5.0, 1.0]), mean_distance=2.0, threshold=1.0
    )
    rows = np.arange(8.0, 23.0, dtype=np.float32)[:, None]
    head = head_graph(boosted(rows, (rows[:, 0] > 15).astype(int)), "xgboost", 1)
    answer = Graph(bundle_graph(("B04",), plain, head, ("a", "b"), {}, references)).run(rows.T[None, :, :, None].copy())
    assert answer.dissimilarity[0, 0, :, 0].tolist() == (np.abs(rows - at.T).min(axis=1) / 2).tolist()
    # Closer than 2: 9 to 11 see 10, 11 to 13 see the five at 12, 19 to 21 see 20.
    assert answer.density[0, 0, :, 0].tolist() == [0, 1, 1, 6, 5, 5, 0, 0, 0, 0, 0, 1, 1, 1, 0]


def test_a_pixel_is_as_far_alone_as_among_others(samples):
    _, rows, _ = samples
    graph = Graph(whole_of(samples, area_of(rows, most_references=100)))
    dn = np.ascontiguousarray(imagery(7 * 9, len(BANDS), seed=6).reshape(1, 7, 9, -1).transpose(0, 3, 1, 2))
    whole = graph.run(dn)
    for row, col in [(0, 0), (3, 8), (6, 2)]:
        alone = graph.run(np.ascontiguousarray(dn[:, :, row : row + 1, col : col + 1]))
        assert alone.dissimilarity.item() == pytest.approx(whole.dissimilarity[0, 0, row, col], abs=2e-6)
        assert alone.density.item() == whole.density[0, 0, row, col]


def test_without_references_a_graph_says_nothing_and_classes_are_the_same_with_them(samples):
    _, rows, _ = samples
    dn = np.ascontiguousarray(imagery(50, len(BANDS)).reshape(1, 5, 10, -1).transpose(0, 3, 1, 2))
    silent, telling = (Graph(whole_of(samples, area)).run(dn) for area in (None, area_of(rows[:100])))
    assert silent.dissimilarity is None
    assert silent.density is None
    assert np.array_equal(silent.probability, telling.probability)


def test_the_same_samples_give_the_same_bytes_with_references(samples):
    _, rows, _ = samples
    one, two = (whole_of(samples, area_of(rows, most_references=90)) for _ in range(2))
    assert one == two


def test_references_of_other_features_are_refused(samples):
    _, rows, codes = samples
    head = head_graph(boosted(rows[:, :2], codes), "xgboost", 2)
    with pytest.raises(BadInput, match="feature 5, counted from 0; 2 were named"):
        bundle_graph(FEATURES[:2], SENTINEL_2_L1C, head, CLASSES, {}, area_of(rows).references)


def told(samples, content, references):
    """What a graph says about rows of every kind, held against the references."""
    _, rows, codes = samples
    model = boosted(rows, codes)
    features, exported = Graph(feature_graph(FEATURES, SENTINEL_2_L1C)), Graph(head_graph(model, "xgboost", 6))
    whole, said = Graph(content), {}
    for kind, ask in rows_of_all_kinds(imagery(3000, len(BANDS), seed=1), most=2000).items():
        pixels = np.ascontiguousarray(ask.T[None, :, :, None])
        columns = features.features(pixels)
        flat, answer = np.ascontiguousarray(columns[0, :, :, 0].T), whole.run(pixels)
        said[kind] = Answers(
            exists=np.isfinite(flat).all(axis=1),
            fitted=model.predict_proba(flat),
            head=exported.head(columns)[0, :, :, 0].T,
            bundle=answer.probability[0, :, :, 0].T,
            valid=answer.valid[0, 0, :, 0],
            nearness=Nearness(flat, references, answer.dissimilarity[0, 0, :, 0], answer.density[0, 0, :, 0]),
        )
    return compare(said)


def test_parity_sees_a_graph_with_other_references_than_the_samples(samples):
    _, rows, _ = samples
    references = area_of(rows, most_references=100).references
    right = told(samples, whole_of(samples, area_of(rows, most_references=100)), references)
    assert right.passed, right
    assert right.worst["density"] == 0.0
    assert right.worst["dissimilarity"] < 2e-6
    kinds = set(right.rows) - {"dissimilarity", "density"}
    assert right.rows["density"] == sum(right.rows[kind] for kind in kinds)
    for part, change in {
        "dissimilarity": replace(references, rows=references.rows + 1e-3),
        "density": replace(references, counts=references.counts + 1),
    }.items():
        wrong = told(samples, whole_of(samples, area_of(rows, most_references=100)), change)
        assert not wrong.passed
        assert wrong.worst[part] > wrong.tolerance


SPEED = """
import json, re, sys, threading, time
import numpy as np
from scipy.spatial import cKDTree
from xgboost import XGBClassifier
from geoml_ops.adapters.onnx import bundle_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.domain.applicability import dissimilarity, fit
tile, d, m = int(sys.argv[1]), 10, 2000
bands = SENTINEL_2_L1C.names[1:1 + d]
bands = tuple(b for b in SENTINEL_2_L1C.names if b in bands)
rng = np.random.default_rng(0)
mixed = rng.normal(size=(4, d))
land = lambda n: np.clip(2000 + 400 * (rng.normal(size=(n, 4)) @ mixed) + 100 * rng.normal(size=(n, d)), 1, None)
dn = np.round(land(m)).astype(np.float32)
rows = dn * np.float32(1e-4)
fold = np.arange(m) % 5
splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(5)]
area = fit(rows, splits, names=list(bands), plan="plan", most_references=m)
model = XGBClassifier(n_estimators=2, max_depth=1, n_jobs=1).fit(rows, (rows[:, 3] > 0.2).astype(int))
head = head_graph(model, "xgboost", d)
graph = Graph(bundle_graph(bands, SENTINEL_2_L1C, head, ("a", "b"), {}, area.references))
plain = Graph(bundle_graph(bands, SENTINEL_2_L1C, head, ("a", "b"), {}))
asked = np.round(land(tile * tile)).astype(np.float32).T.reshape(1, d, tile, tile).copy()
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = peak(); answer = graph.run(asked); grown = peak() - before
def speed(work, pixels, threads=1, clock=time.process_time):
    best = 0.0
    for _ in range(3):
        began = clock()
        crew = [threading.Thread(target=work) for _ in range(threads)]
        [t.start() for t in crew]; [t.join() for t in crew]
        best = max(best, threads * pixels / (clock() - began) / 1e6)
    return round(best, 3)
often = max(1, 262144 // tile ** 2)
again = lambda: [graph.run(asked) for _ in range(often)]
flat = asked[0].reshape(d, -1).T * np.float32(1e-4)
placed = area.references.place(flat)
tree = cKDTree(area.references.rows)
exact = dissimilarity(flat, area.references)
print(json.dumps({"tile_px": tile, "features": d, "references": len(area.references.rows),
    "mpx_per_cpu_s": speed(again, often * tile ** 2),
    "mpx_per_cpu_s_two_at_once": speed(again, often * tile ** 2, 2),
    "mpx_s_two_threads": speed(again, often * tile ** 2, 2, time.perf_counter),
    "mpx_per_cpu_s_without": speed(lambda: plain.run(asked), tile ** 2),
    "mpx_per_cpu_s_tree": speed(lambda: tree.query(placed[:4000]), 4000),
    "mpx_per_cpu_s_tree_with_density": speed(lambda: (tree.query(placed[:4000]),
        tree.query_ball_point(placed[:4000], area.references.reach, return_length=True)), 4000),
    "peak_mb": round(grown), "worst": float(np.abs(answer.dissimilarity.reshape(-1) - exact).max())}))
"""


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="takes minutes; make full")
def test_nearness_takes_little_memory_and_its_speed_is_written_down():
    found = []
    for tile in (64, 128, 256):
        done = subprocess.run(
            [sys.executable, "-c", SPEED, str(tile)], capture_output=True, text=True, check=True, cwd=CHECKOUT
        )
        found.append(json.loads(done.stdout))
    numbers = CHECKOUT / "workspace" / "full" / "nearness.json"
    numbers.parent.mkdir(parents=True, exist_ok=True)
    numbers.write_text(json.dumps(found, indent=1))
    assert all(entry["worst"] < 2e-6 for entry in found)
    assert all(entry["peak_mb"] < 400 for entry in found)

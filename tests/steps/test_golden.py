"""Golden tiles of real graphs: made at export, asked before serving."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geoml_ops.adapters.onnx import bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import GOLDEN, Release, open_bundle
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.errors import GeomlError, Refused
from geoml_ops.core.flow import Bundle
from geoml_ops.domain import fitting
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.swap import MAX_BYTES, Golden, ask, decode, encode
from geoml_ops.steps.answering import load
from geoml_ops.steps.golden import asked, golden_tiles
from geoml_ops.steps.models import FAMILIES
from tests.answering import APPLICABILITY, graph, write_bundle


def kept(tmp_path: Path, bundle: Bundle, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "bundles" / bundle.file.sha256)
    return tmp_path / "bundles"


def released(bundle: Bundle) -> Release:
    return Release("landcover", 1, bundle.id, bundle.file.sha256)


@pytest.mark.parametrize("knows", [{}, {"applicability": APPLICABILITY}], ids=["plain", "knowing"])
def test_a_bundle_serves_where_its_golden_tiles_come_out_as_written(tmp_path: Path, knows: dict[str, object]) -> None:
    bundle = write_bundle(tmp_path / "made", **knows)  # type: ignore[arg-type]
    opened = open_bundle(kept(tmp_path, bundle, tmp_path / "made"), bundle.file.sha256, bundle.id)
    model = load(opened, released(bundle))
    assert model.asked is not None
    assert (model.asked.passed, model.asked.n_tiles, model.asked.n_same) == (True, 6, 6)
    assert model.golden is not None
    assert model.golden() == model.asked
    assert bundle.golden is not None
    assert bundle.golden.size < MAX_BYTES


def test_one_that_does_not_is_refused_with_numbers(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made", golden="wrong")
    opened = open_bundle(kept(tmp_path, bundle, tmp_path / "made"), bundle.file.sha256, bundle.id)
    with pytest.raises(Refused, match=r"of \d+ golden pixels \d+ differ .* and \d+ got another class"):
        load(opened, released(bundle))


def test_one_of_before_they_were_kept_serves_unasked(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made", golden="none")
    opened = open_bundle(kept(tmp_path, bundle, tmp_path / "made"), bundle.file.sha256, bundle.id)
    model = load(opened, released(bundle))
    assert (model.asked, model.golden) == (None, None)


def test_an_altered_or_lost_golden_file_is_refused_by_its_digest(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made")
    path = kept(tmp_path, bundle, tmp_path / "made") / bundle.file.sha256 / GOLDEN
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"altered: the digest of golden\.tiles"):
        open_bundle(tmp_path / "bundles", bundle.file.sha256, bundle.id)
    path.unlink()
    with pytest.raises(GeomlError, match="not kept on this machine"):
        open_bundle(tmp_path / "bundles", bundle.file.sha256, bundle.id)


def test_tiles_of_another_bundle_are_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made")
    content, run = (tmp_path / "made" / GOLDEN).read_bytes(), Graph(graph()).run
    tiles = decode(content)
    fewer = Golden(tuple(replace(tile, dn=tile.dn[:3]) for tile in tiles.tiles), tiles.core_px, 0, 1)
    for other in (bundle.model_copy(update={"halo_px": 2}), bundle):
        wrong = content if other is not bundle else encode(fewer)
        with pytest.raises(Refused, match=r"bands and a halo of"):
            asked(other, wrong, run, "CPUExecutionProvider")


def ground(n_bands: int, height: int, width: int, seed: int) -> NDArray[np.float32]:
    """DN of patches that differ in all bands, whole numbers as scenes have them."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(300, 3500, (n_bands, height // 9 + 1, width // 9 + 1)).repeat(9, 1).repeat(9, 2)
    return np.rint(patches[:, :height, :width] + rng.normal(0, 60, (n_bands, height, width))).astype(np.float32)


def learned(features: tuple[str, ...], entry: dict[str, object]) -> Graph:
    bands = bands_needed(features, SENTINEL_2_L1C)
    contract = SENTINEL_2_L1C.subset(bands)
    columns = (
        Graph(feature_graph(features, contract))
        .features(ground(len(bands), 90, 90, 5)[None])[0]
        .reshape(len(features), -1)
        .T
    )
    columns = columns[np.isfinite(columns).all(axis=1)]
    codes = np.digitize(columns[:, 0] + columns[:, 1], np.quantile(columns[:, 0] + columns[:, 1], [0.3, 0.6]))
    fitted = fitting.fit(fitting.recipe(entry, FAMILIES, name="one"), columns, codes.astype(np.int64), 3)
    head = head_graph(fitted.estimator, str(entry["family"]), len(features))
    return Graph(bundle_graph(features, contract, head, ("one", "two", "three"), {}, None))


ENTRIES: list[tuple[dict[str, object], tuple[str, ...], int]] = [
    ({"family": "random_forest", "n_estimators": 30, "max_depth": 8}, ("B04", "B08", "NDVI"), 0),
    ({"family": "xgboost", "n_estimators": 20}, ("B04", "B08", "std(B08, 5)"), 2),
    ({"family": "logistic_regression"}, ("B04", "B11", "mean(NDVI, 7)"), 3),
]


@pytest.mark.parametrize(("entry", "features", "halo_px"), ENTRIES, ids=[str(row[0]["family"]) for row in ENTRIES])
def test_learned_graphs_reproduce_theirs_and_no_other_graph_does(
    entry: dict[str, object], features: tuple[str, ...], halo_px: int
) -> None:
    one = learned(features, entry)
    grounds = [ground(one.n_bands, 128 + 2 * halo_px, 128 + 2 * halo_px, seed) for seed in range(7, 12)]
    content = golden_tiles(grounds, one, halo_px)
    assert content == golden_tiles(grounds, one, halo_px)
    assert len(content) < MAX_BYTES
    made = decode(content)
    assert len({int(code) for tile in made.tiles for code in np.unique(tile.probability.argmax(axis=0))}) == 3
    share = np.mean([tile.steady.mean() for tile in made.tiles])
    assert share > 0.8, "nearly all pixels have to be compared"
    again = ask(made, one.run)
    assert (again.passed, again.n_same) == (True, 6)
    # In a batch, as requests may bring it, the same graph must say the same.
    batched: Callable[[NDArray[np.float32]], object] = lambda dn: _first(one, dn)  # noqa: E731
    assert ask(made, batched).passed  # type: ignore[arg-type]
    other = learned(features, {**entry, **({"C": 0.01} if "logistic" in str(entry["family"]) else {"max_depth": 2})})
    assert not ask(made, other.run).passed


def _first(one: Graph, dn: NDArray[np.float32]) -> object:
    said = one.run(np.concatenate([dn, dn[:, :, ::-1], dn]))
    return type(said)(said.probability[:1], said.valid[:1])


def test_small_ground_and_little_of_it_will_do() -> None:
    run = Graph(graph())
    for grounds in ([np.full((4, 5, 7), 900, np.float32)], [np.full((4, 1, 1), np.nan, np.float32)] * 2):
        made = decode(golden_tiles(grounds, run, 0))
        assert ask(made, run.run).passed

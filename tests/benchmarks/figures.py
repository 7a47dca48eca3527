"""The figures by name; each builds its ground, makes sure that both parts answer alike, and times them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import xgboost
from geoml_ops.adapters.configs import read_experiment
from geoml_ops.adapters.onnx import bundle_graph, feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.raster import read, write_scene
from geoml_ops.adapters.registry import Release
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.flow import Bundle, Parity
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import fitting
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.sketch import sketch_tiles
from geoml_ops.domain.tiling import tiles
from geoml_ops.domain.world import World, landscape
from geoml_ops.settings import Settings
from geoml_ops.steps.classify import SKETCH_PX, TILE_PX, Model, classify
from geoml_ops.steps.layouts import fastest
from tests.benchmarks.pairs import Figure, in_turns
from tests.versions import cube, places_in

N_SAMPLES = 6_000
_EXPERIMENT = read_experiment(Settings().experiment)
_FEATURES = _EXPERIMENT.features
_BANDS = bands_needed(_FEATURES, SENTINEL_2_L1C)
_BUILD: Mapping[str, fitting.Build] = {"random_forest": fitting.random_forest, "xgboost": xgboost.build}


@dataclass(frozen=True)
class _Learned:
    """A model of the repository's own experiment, fitted on a generated landscape, and its bundle graph."""

    world: World
    dn: NDArray[np.uint16]
    fitted: fitting.Fitted
    content: bytes
    graph: Graph

    @property
    def bands(self) -> NDArray[np.float32]:
        """``(band, y, x)``: what the bundle reads."""
        return np.ascontiguousarray(self.dn[[SENTINEL_2_L1C.names.index(name) for name in _BANDS]].astype(np.float32))


def _learned(family: str, width_px: int, height_px: int) -> _Learned:
    world = landscape(width_px, height_px, seed=7)
    dn = cube(world)
    bands = dn[[SENTINEL_2_L1C.names.index(name) for name in _BANDS]].astype(np.float32)
    rng = np.random.default_rng(0)
    chosen = rng.choice(world.truth.size, N_SAMPLES, replace=False)
    samples = _rows(np.ascontiguousarray(bands.reshape(len(_BANDS), -1)[None, :, chosen, None]))
    params = {**_EXPERIMENT.families[family]}
    if "device" in params:
        params["device"] = "cpu"
    codes = world.truth.ravel()[chosen].astype(np.int64)
    fitted = fitting.fit(partial(_build, family, params), samples, codes, len(_EXPERIMENT.classes))
    head = fastest(fitted.estimator, family, len(_FEATURES), _rows(bands[None])[: TILE_PX**2]).content
    content = bundle_graph(_FEATURES, SENTINEL_2_L1C, head, _EXPERIMENT.class_names, {})
    return _Learned(world, dn, fitted, content, Graph(content, threads=1))


def _build(family: str, params: fitting.Params, n_classes: int) -> object:
    return _BUILD[family](params, 0, n_classes)


def _rows(dn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns features ``(n, feature)`` of ``[1, band, y, x]``."""
    found = Graph(feature_graph(_FEATURES, SENTINEL_2_L1C)).features(dn)[0]
    return np.ascontiguousarray(found.reshape(len(_FEATURES), -1).T)


def _same(what: str, ours: NDArray[np.float32], against: NDArray[np.float64]) -> None:
    apart = float(np.abs(ours - against).max())
    if apart > 1e-4:
        raise SystemExit(f"{what}: the two parts differ by {apart:.2g}; their speeds say nothing")


def bundle(family: str, name: str) -> Figure:
    """The exported bundle, from DN to probabilities, against the fitted model's ``predict_proba``."""
    learned = _learned(family, 252, 252)
    dn = learned.bands[None]
    rows = _rows(dn)
    answer = learned.graph.run(dn).probability[0].reshape(len(_EXPERIMENT.classes), -1).T
    _same(name, answer, learned.fitted.probability(rows))
    return in_turns(
        name,
        f"{family} as bundle graph in ONNX Runtime, from DN, features included, against predict_proba of the fitted "
        "model on features computed before; one thread each",
        lambda: learned.graph.run(dn),
        lambda: learned.fitted.estimator.predict_proba(rows),
        size=len(rows),
        unit="pixels/s",
    )


def whole_request(name: str) -> Figure:
    """A request from GeoTIFF to map, sketches, picture and noun, against the graph alone on tiles in memory."""
    learned = _learned("random_forest", 510, 510)
    grid, dn = learned.world.grid, learned.bands
    cut = [np.ascontiguousarray(dn[:, *w.slices()])[None] for w in tiles(*grid.shape, TILE_PX)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        home, number = Path(folder), count()
        source = home / "scene.tif"
        write_scene(source, learned.dn, grid, SENTINEL_2_L1C, SENTINEL_2_L1C.radiometry)
        model = _model(learned)

        def request() -> Path:
            # A second request in the same place would find the first one's answer.
            places = places_in(home / f"request-{next(number)}")
            done = classify(places, source, model)
            return places.predictions / done.id / "map.tif"

        classes = read(request(), bands=[0])[0]
        plain = np.concatenate([learned.graph.run(c).probability[0].argmax(0).ravel() for c in cut])
        mapped = np.concatenate([classes[w.slices()].ravel() for w in tiles(*grid.shape, TILE_PX)])
        _same(name, mapped.astype(np.float32), plain.astype(np.float64))
        return in_turns(
            name,
            "steps.classify from a GeoTIFF of 13 bands to map, sketches, picture and noun on disk, against the same "
            f"random_forest graph alone on tiles of {TILE_PX} px in memory; two threads each",
            request,
            lambda: list(pool.map(learned.graph.run, cut)),
            size=grid.width * grid.height,
            unit="pixels/s",
        )


def _model(learned: _Learned) -> Model:
    ref = FileRef(path="model.onnx", sha256="0" * 64, size=len(learned.content))
    described = Bundle(
        evaluation="evaluation-00000000000000aa",
        version="version-00000000000000aa",
        contract=SENTINEL_2_L1C.subset(_BANDS),
        features=_FEATURES,
        classes=_EXPERIMENT.class_names,
        colours=tuple(entry.colour for entry in _EXPERIMENT.classes.values()),
        halo_px=0,
        parity=Parity(rows={}, worst={}, n_label_mismatches=0, tolerance=1e-5, passed=True),
        file=ref,
        reference=ref,
    )
    return Model(described, Release("world", 1, described.id, ref.sha256), learned.graph.run)


def sketch(name: str) -> Figure:
    """Sketches of tiles against one histogram per band of the same tiles."""
    world = landscape(768, 768, seed=7)
    dn = cube(world).astype(np.float32)
    windows = list(world.grid.tiles(SKETCH_PX))

    def histograms() -> list[NDArray[np.int64]]:
        return [
            np.histogram(layer[np.isfinite(layer)], bins=256, range=(0.0, 10_000.0))[0]
            for window in windows
            for layer in dn[:, *window.slices()]
        ]

    n_observed = sum(int(h.sum()) for h in histograms())
    if n_observed != dn.size:
        raise SystemExit(f"{name}: the histograms hold {n_observed} of {dn.size} numbers")
    return in_turns(
        name,
        f"sketch_tiles (mean, sd, three percentiles) of tiles of {SKETCH_PX} px against one numpy histogram of 256 "
        "bins per band and tile",
        lambda: sketch_tiles(dn, SENTINEL_2_L1C.names, world.grid, SKETCH_PX),
        histograms,
        size=dn.size,
        unit="band-pixels/s",
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "bundle_forest": partial(bundle, "random_forest"),
    "bundle_xgboost": partial(bundle, "xgboost"),
    "classify": whole_request,
    "sketch": sketch,
}

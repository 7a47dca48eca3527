"""The two bundles that speeds of serving are told for: ``light`` and ``forest``, the same bytes on every machine.

``light`` is a logistic regression: its answer costs little more than moving the numbers. ``forest`` has 50 trees
12 levels deep: its answer costs much more than anything around it. Both read ten bands of Sentinel-2 as uint16 and
ten features, learned on a generated landscape, and are exported by the platform's own adapters. The digests of their
graphs are pinned beside this file; :func:`reference` says what they are now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx import Layout, bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import GRAPH, NOUN, REFERENCE, Release
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.evidence import Applicability
from geoml_ops.core.flow import Bundle, Parity
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import applicability as areas
from geoml_ops.domain import fitting
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.sketch import sketch_tiles
from geoml_ops.domain.tiling import classify_array
from geoml_ops.domain.world import CLASSES, landscape
from geoml_ops.platform.files import write_json
from geoml_ops.settings import Settings
from geoml_ops.steps.classify import TILE_PX, Model
from geoml_ops.steps.models import FAMILIES
from tests.versions import cube

NAMES = ("light", "forest")
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
FEATURES = ("B02", "B03", "B04", "B8A", "B11", "B12", "NDVI", "NDWI", "NDMI", "(B07 - B05) / (B06 + B05)")
COLOURS = ("#d7263d", "#e9c46a", "#8ab17d", "#1b5e20", "#2a6fbb")
PINNED = Path(__file__).with_name("reference.json")
EDGE_PX, N_SAMPLES, WRONG_SHARE, SEED = 252, 6_000, 0.2, 7
_ENTRIES: Mapping[str, dict[str, Any]] = {
    # Newton's steps end where no further digit changes, on any machine; those of L-BFGS end somewhere near.
    "light": {"family": "logistic_regression", "solver": "newton-cholesky", "tol": 1e-12},
    "forest": {"family": "random_forest", "n_estimators": 50, "max_depth": 12},
}
_LAYOUT = Layout(10, per_class=False)
_EVALUATION, _VERSION, _PLAN = "evaluation-00000000000000be", "version-00000000000000be", "plan-00000000000000be"


@dataclass(frozen=True)
class Reference:
    """A bundle in memory, as a registry would hold it.

    Attributes:
        bundle: the noun.
        graph: bytes of the ONNX file.
        columns: what the ground it learned from looks like, by tile.
    """

    bundle: Bundle
    graph: bytes
    columns: dict[str, list[Any]]

    def write(self, folder: Path) -> Bundle:
        """Writes the three files of a registered bundle into ``folder`` and returns its noun."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH).write_bytes(self.graph)
        (folder / REFERENCE).write_bytes(_encoded(self.columns))
        write_json(folder / NOUN, self.bundle.as_json())
        return self.bundle

    def model(self) -> Model:
        """Returns it loaded, one thread per call, as the service loads it."""
        release = Release("reference", 1, self.bundle.id, self.bundle.file.sha256)
        return Model(self.bundle, release, Graph(self.graph, threads=1).run)


@cache
def reference(name: str, *, applicability: bool = False) -> Reference:
    """Returns ``light`` or ``forest``; found again under ``workspace/bench`` once it was made.

    Args:
        name: one of :data:`NAMES`.
        applicability: whether its graph also says how far pixels are from what it learned from.
    """
    folder = _folder(name, applicability)
    try:
        return _opened(folder)
    except (OSError, ValueError, KeyError):
        made = _made(name, applicability)
        made.write(folder)
        return made


def pinned() -> dict[str, str]:
    """Returns the digest that each graph has to have."""
    return dict(json.loads(PINNED.read_text()))


@cache
def ground(width_px: int = EDGE_PX, height_px: int = EDGE_PX) -> NDArray[np.uint16]:
    """Returns DN uint16 ``(band, y, x)`` of :data:`BANDS` on a landscape; sides are multiples of 6."""
    dn = cube(landscape(width_px, height_px, seed=SEED))
    return np.ascontiguousarray(dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]])


def _folder(name: str, applicability: bool) -> Path:
    recipe = json.dumps([_ENTRIES[name], FEATURES, N_SAMPLES, WRONG_SHARE, SEED, str(_LAYOUT), pinned().get(name)])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    kind = f"{name}-far" if applicability else name
    return Settings().workspace.resolve() / "bench" / "reference" / f"{kind}-{digest}"


def _opened(folder: Path) -> Reference:
    bundle = Bundle.from_json(json.loads((folder / NOUN).read_bytes()))
    graph, columns = (folder / GRAPH).read_bytes(), (folder / REFERENCE).read_bytes()
    if (_sha256(graph), _sha256(columns)) != (bundle.file.sha256, bundle.reference.sha256):
        raise ValueError("a file of the kept bundle is not whole")
    return Reference(bundle, graph, json.loads(columns))


@cache
def fitted(name: str) -> tuple[fitting.Fitted, NDArray[np.float32]]:
    """Returns the model that a reference bundle was exported from, and the rows of features it learned from."""
    world = landscape(EDGE_PX, EDGE_PX, seed=SEED)
    dn = ground().astype(np.float32)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(world.truth.size)[:N_SAMPLES]
    rows = np.ascontiguousarray(
        Graph(feature_graph(FEATURES, SENTINEL_2_L1C)).features(dn[None])[0].reshape(len(FEATURES), -1).T[chosen]
    )
    # Generated classes are told apart by a few splits; with wrong labels among them trees grow as large as real ones.
    wrong = rng.random(N_SAMPLES) < WRONG_SHARE
    codes = np.where(wrong, rng.integers(0, len(CLASSES), N_SAMPLES), world.truth.ravel()[chosen]).astype(np.int64)
    own = fitting.recipe(_ENTRIES[name], FAMILIES, name=name)
    return _rounded(fitting.fit(own, rows, codes, len(CLASSES))), rows


def _made(name: str, applicability: bool) -> Reference:
    world = landscape(EDGE_PX, EDGE_PX, seed=SEED)
    assert bands_needed(FEATURES, SENTINEL_2_L1C) == BANDS
    dn = ground().astype(np.float32)
    model, rows = fitted(name)
    head = head_graph(model.estimator, str(_ENTRIES[name]["family"]), len(FEATURES), _LAYOUT)
    area = _area(rows) if applicability else None
    graph = bundle_graph(FEATURES, SENTINEL_2_L1C, head, CLASSES, {}, area.references if area else None)
    run = Graph(graph).run
    layers = classify_array(dn, run, TILE_PX, 0)
    columns = sketch_tiles(
        dn, BANDS, world.grid, TILE_PX, classes=layers.classes, confidence=layers.confidence, class_names=CLASSES
    )
    return Reference(_noun(graph, columns, area.noun if area else None), graph, columns)


def _rounded(fitted: fitting.Fitted) -> fitting.Fitted:
    """Returns a model of lines without its last digits: they hang on which instructions a processor has."""
    steps = [step for _, step in fitted.estimator.steps]
    for step in steps if hasattr(steps[-1], "coef_") else ():
        for name in ("statistics_", "mean_", "scale_", "coef_", "intercept_"):
            if hasattr(step, name):
                setattr(step, name, np.round(np.asarray(getattr(step, name), dtype=np.float64), 5))
    return fitted


def _area(rows: NDArray[np.float32]) -> areas.Area:
    fold = np.arange(len(rows)) % 5
    splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(5)]
    return areas.fit(rows, splits, names=FEATURES, plan=_PLAN)


def _noun(graph: bytes, columns: dict[str, list[Any]], area: Applicability | None) -> Bundle:
    return Bundle(
        evaluation=_EVALUATION,
        version=_VERSION,
        contract=SENTINEL_2_L1C.subset(BANDS),
        features=FEATURES,
        classes=CLASSES,
        colours=COLOURS,
        halo_px=0,
        applicability=area,
        parity=Parity(rows={"clean": 1}, worst={"clean": 0.0}, n_label_mismatches=0, tolerance=1e-5, passed=True),
        file=_ref(GRAPH, graph),
        reference=_ref(REFERENCE, _encoded(columns)),
    )


def _encoded(columns: dict[str, list[Any]]) -> bytes:
    return json.dumps(columns).encode()


def _ref(name: str, content: bytes) -> FileRef:
    return FileRef(path=name, sha256=_sha256(content), size=len(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""Which model answers: the registry's champion, checked, loaded and tried; or the last good one from disk.

Trying means its golden tiles: a machine that does not reproduce what the exporting one answered does not serve it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.ort import Answer, Graph
from geoml_ops.adapters.registry import Opened, Registry, Release, open_bundle
from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.flow import Bundle, Entry
from geoml_ops.domain.swap import Outcome
from geoml_ops.domain.tiling import Run
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.golden import CPU, asked
from geoml_ops.steps.places import Places

ALIAS = "champion"
WARM_PX = (32, 128)
"""Edges of what requests bring: a chip, and a tile of a raster."""
_log = logger("classify")


@dataclass(frozen=True)
class Model:
    """A bundle that was checked, loaded and tried.

    Attributes:
        bundle: what it is.
        release: under which number the registry holds it.
        run: its graph.
        asked: what its golden tiles gave on this machine; None where its bundle is from before there were any.
        golden: asks them again and raises as :func:`load`; None as before.
        provider: where it runs, as onnxruntime names it.
    """

    bundle: Bundle
    release: Release
    run: Run
    asked: Outcome | None = None
    golden: Callable[[], Outcome] | None = None
    provider: str = CPU

    @property
    def contract(self) -> Contract:
        """The bands it reads, in its order and radiometry."""
        return self.bundle.contract


def champion(places: Places, registry: Registry, current: Model | None = None, *, device: str = "cpu") -> Model:
    """Returns the model that the registry's champion alias points at; ``current`` when that is still it.

    A new one is fetched, checked by digest, tried on golden tiles and remembered for a start without registry.

    Raises:
        NotFound: there is no champion.
        Unavailable: the registry does not answer.
        Refused: the champion's files are not what they claim, or do not answer here as where it was made;
            ``current`` is still good.
    """
    release = registry.release(places.model, ALIAS)
    if current is not None and current.release == release:
        return current
    model = load(registry.fetch(release, places.bundles), release, device=device)
    remember(places, model)
    _log.info("champion", model=release.model, number=release.number, bundle=release.bundle)
    return model


def remember(places: Places, model: Model) -> None:
    """Keeps which model serves, and its nouns, for a start without registry."""
    shelf = Shelf(places.nouns)
    shelf.put(model.bundle)
    shelf.put(entry_of(model))
    write_json(_memory(places), vars(model.release))


def entry_of(model: Model) -> Entry:
    """Returns the registry's entry that a model was loaded from."""
    return Entry(bundle=model.release.bundle, model=model.release.model, number=model.release.number)


def last_champion(places: Places, *, device: str = "cpu") -> Model:
    """Returns the champion that served last on this machine, from disk alone.

    Raises:
        NotFound: none did, or its files are gone.
        Refused: its files were altered.
    """
    try:
        release = Release(**read_json(_memory(places)))
    except (OSError, ValueError, TypeError):
        raise NotFound("No model has served on this machine yet.", "train and publish a model") from None
    model = load(open_bundle(places.bundles, release.graph_sha256, release.bundle), release, device=device)
    Shelf(places.nouns).put(model.bundle)
    return model


def load(opened: Opened, release: Release, *, device: str = "cpu") -> Model:
    """Returns a model that has answered once, its golden tiles and a tile as large as those of rasters.

    Args:
        opened: its files.
        release: under which number the registry holds it.
        device: ``cpu``, or ``auto`` for an NVIDIA GPU where a session really gets one; golden tiles then have the
            tolerance of its floating point, see :func:`geoml_ops.steps.golden.asked`.

    Raises:
        Refused: the graph breaks the house's promises: signature, probabilities, NaN means no answer; or it says
            other things of itself than its bundle does; or golden tiles are answered otherwise here.
    """
    graph = Graph(opened.graph, threads=1, device=device)
    _require_one_story(opened.bundle, graph.metadata)
    bands, classes = len(opened.bundle.bands), len(opened.bundle.classes)
    if (graph.n_bands, graph.n_out) != (bands, classes):
        raise Refused(
            f"The graph of {opened.bundle.id} reads {graph.n_bands} bands and knows {graph.n_out} classes, "
            f"its bundle names {bands} and {classes}."
        )
    rows = np.linspace(200, 4000, bands * 16, dtype=np.float32).reshape(1, bands, 4, 4)
    rows[:, :, 0, 0] = np.nan
    answer = graph.run(rows)
    sums, valid = answer.probability.sum(axis=1)[0], answer.valid[0, 0].astype(bool)
    if valid[0, 0] or not valid.any() or not np.allclose(sums[valid], 1.0, atol=1e-3):
        raise Refused(f"The graph of {opened.bundle.id} does not answer as a classifier: NaN or sums are wrong.")
    if opened.bundle.applicability is not None and not _says_how_far(answer, valid):
        raise Refused(
            f"The graph of {opened.bundle.id} does not say how dissimilar pixels are; its bundle has a threshold."
        )
    outcome, again = _tried(opened, graph)
    _warm(graph, opened.bundle)
    return Model(opened.bundle, release, graph.run, outcome, again, graph.provider)


def _tried(opened: Opened, graph: Graph) -> tuple[Outcome | None, Callable[[], Outcome] | None]:
    if opened.golden is None:
        return None, None
    again = partial(asked, opened.bundle, opened.golden, graph.run, graph.provider)
    return again(), again


def _warm(graph: Graph, bundle: Bundle) -> None:
    """Lets a graph plan and reserve memory for tiles as requests bring them, so that no caller waits for it."""
    for edge in WARM_PX:
        dn = np.linspace(200, 4000, num=graph.n_bands, dtype=np.float32)[None, :, None, None]
        graph.run(np.ascontiguousarray(np.broadcast_to(dn, (1, graph.n_bands, *(edge + 2 * bundle.halo_px,) * 2))))


def _require_one_story(bundle: Bundle, metadata: Mapping[str, str]) -> None:
    """Lets a graph pass whose metadata say what its bundle says; what an older graph does not mention is no lie."""
    said = {
        "sensor": bundle.sensor,
        "bands": json.dumps(bundle.bands),
        "features": json.dumps(bundle.features),
        "classes": json.dumps(bundle.classes),
        "halo_px": json.dumps(bundle.halo_px),
        "pixel_m": json.dumps(bundle.pixel_m),
    }
    for name, value in said.items():
        if metadata.get(name, value) != value:
            raise Refused(
                f"The graph of {bundle.id} says {name} {metadata[name][:60]}, its bundle {value[:60]}.",
                "publish the model again",
            )


def _says_how_far(answer: Answer, valid: NDArray[np.bool_]) -> bool:
    layers = [layer for layer in (answer.dissimilarity, answer.density) if layer is not None]
    return len(layers) == 2 and all(
        bool((layer[0, 0][valid] >= 0).all() and np.isnan(layer[0, 0][~valid]).all()) for layer in layers
    )


def _memory(places: Places) -> Path:
    return places.workspace / "service" / "champion.json"

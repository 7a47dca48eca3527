"""Bundles on disk: one folder per graph, held against the fitted model before it appears."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.mlm import model_item
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import Layout, bundle_graph, head_graph
from geoml_ops.adapters.ort import Answer, Graph
from geoml_ops.adapters.registry import GOLDEN, GRAPH, NOUN, REFERENCE, open_bundle
from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.evidence import Speed
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Scene, Version, map_legend
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import parity
from geoml_ops.domain.applicability import References
from geoml_ops.domain.card import card
from geoml_ops.domain.fitting import Fitted
from geoml_ops.platform.files import read_json, sha256_of, whole_file, whole_folder, write_json, write_text
from geoml_ops.steps import ground
from geoml_ops.steps.applying import area_of, sets_of
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.features import FeatureSource
from geoml_ops.steps.golden import golden_tiles
from geoml_ops.steps.layouts import fastest
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.reads import rules_behind
from geoml_ops.steps.samples import open_table

CARD, ITEM, SPEED, LAYOUT = "card.html", "item.json", "speed.json", "layout.json"
_EDGE_POINTS = 5
MOST_PIXELS = 600_000
"""Of DN that are compared at most: a wide window around few samples, a narrow one around many."""
MOST_AT_ONCE = 1 << 20


def known_bundle(places: Places, evaluation_id: str) -> Bundle | None:
    """Returns the bundle that was made of an evaluation, if all its files are here and unaltered."""
    for bundle in Shelf(places.nouns).all(Bundle):
        if bundle.evaluation == evaluation_id:
            try:
                return open_bundle(places.bundles, bundle.file.sha256, bundle.id).bundle
            except (NotFound, Refused):
                continue
    return None


def make_bundle(places: Places, evaluation: Evaluation) -> Bundle:
    """Returns the bundle of an evaluation's fitted model; its folder appears whole or not at all.

    Raises:
        NotFound: the evaluation was never chosen, so no model was fitted for it.
        Refused: the model cannot become a graph, or the graph does not answer as the model does.
        BadInput: its folds or samples are too few to say where it may be asked.
    """
    table = Shelf(places.nouns).get(FeatureTable, evaluation.table)
    experiment, version = experiment_of(places, table.experiment), Shelf(places.nouns).get(Version, table.version)
    source = FeatureSource(places, version, experiment, table.features)
    contract = source.contract
    fitted, tabled = open_model(places, evaluation), open_table(places, table)
    tiles = list(ground.tiles(places, source, tabled.keys, read_policy(places.policy).drift.tile_px))
    head, speed = _head(places, fitted, evaluation, ground.rows_of(tiles, Graph(source.content)))
    colours = tuple(entry.colour for entry in experiment.classes.values())
    values = tuple(entry.value for entry in experiment.classes.values())
    area = area_of(places, evaluation, experiment, tabled, table.features)
    sets = sets_of(places, evaluation, experiment, tabled)
    says = {
        "evaluation": evaluation.id,
        "version": version.id,
        "family": evaluation.family,
        "colours": json.dumps(colours),
        "legend": json.dumps(map_legend(evaluation.classes, colours, values)),
        "applicability": area.noun.model_dump_json(),
        "conformal": sets.model_dump_json(),
    }
    content = bundle_graph(table.features, contract, head, evaluation.classes, says, area.references)
    graph = Graph(content)
    asked = _Asked(fitted, Graph(source.content), Graph(head), graph, area.references)
    k = 2 * source.halo_px + 1
    patches = ground.sample_patches(tiles, most=max(200, min(20_000, MOST_PIXELS // (k * k))))
    agreement = parity.compare(asked.answers(patches))
    parity.require(agreement)
    with whole_folder(places.bundles / hashlib.sha256(content).hexdigest()) as part:
        (part / GRAPH).write_bytes(content)
        (part / GOLDEN).write_bytes(golden_tiles([tile.around for tile in tiles], graph, source.halo_px))
        write_json(part / REFERENCE, ground.reference(tiles, contract.names, evaluation.classes, graph.run))
        bundle = Bundle(
            evaluation=evaluation.id,
            version=version.id,
            contract=contract,
            features=table.features,
            classes=evaluation.classes,
            colours=colours,
            values=values,
            halo_px=source.halo_px,
            covariates=rules_behind(experiment.covariates, contract.names, source.whole),
            applicability=area.noun,
            conformal=sets,
            parity=agreement,
            file=_file(part / GRAPH),
            reference=_file(part / REFERENCE),
            golden=_file(part / GOLDEN),
        )
        write_json(part / NOUN, bundle.as_json())
        write_json(part / SPEED, speed.model_dump(mode="json"))
        write_json(part / ITEM, _item(places, bundle, evaluation, version, contract))
        write_text(part / CARD, card_of(places, bundle, speed=speed))
        made = {name: (part / name).read_bytes() for name in (GRAPH, GOLDEN, REFERENCE, NOUN, ITEM, CARD, SPEED)}
    _repair(places.bundles / bundle.file.sha256, made)
    return Shelf(places.nouns).put(bundle)


def card_of(
    places: Places,
    bundle: Bundle,
    judgement: Judgement | None = None,
    entry: Entry | None = None,
    *,
    speed: Speed | None = None,
) -> str:
    """Returns the card of a bundle as HTML, with what is known of it so far."""
    told = places.bundles / bundle.file.sha256 / SPEED
    if speed is None and told.exists():
        speed = Speed.model_validate_json(told.read_bytes())
    shelf = Shelf(places.nouns)
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    table, version = shelf.get(FeatureTable, evaluation.table), shelf.get(Version, bundle.version)
    return card(
        bundle,
        evaluation,
        shelf.get(FoldPlan, evaluation.plan),
        table,
        scenes=[shelf.get(Scene, scene).name for scene in version.scenes],
        speed=speed,
        judgement=judgement,
        entry=entry,
    )


def _head(places: Places, fitted: Fitted, evaluation: Evaluation, rows: NDArray[np.float32]) -> tuple[bytes, Speed]:
    """Returns the fitted head as the fastest graph that answers alike, and how fast it is.

    What was found once is kept beside the model, so that a retry makes the same graph.
    """
    absent = [name for code, name in enumerate(evaluation.classes) if code not in fitted.present]
    if absent:
        raise Refused(
            f"The model of {evaluation.id} never saw {', '.join(absent)}; it cannot be published as a map of "
            f"{len(evaluation.classes)} classes.",
            "deliver labels of every class, or leave the classes out of the experiment",
        )
    n_features, kept = rows.shape[1], places.models / evaluation.id / LAYOUT
    if kept.exists():
        known = read_json(kept)
        layout = Layout(**known["layout"])
        return head_graph(fitted.estimator, evaluation.family, n_features, layout), Speed(**known["speed"])
    # Models that cannot answer where a feature is missing are timed, as they serve, on pixels that have all.
    chosen = fastest(fitted.estimator, evaluation.family, n_features, rows)
    write_json(kept, {"layout": asdict(chosen.layout), "speed": chosen.speed.model_dump(mode="json")})
    return chosen.content, chosen.speed


@dataclass(frozen=True)
class _Asked:
    """Everybody who has to say the same about the same rows."""

    fitted: Fitted
    columns_of: Graph
    head: Graph
    graph: Graph
    references: References

    def answers(self, samples: NDArray[np.float32]) -> dict[str, parity.Answers]:
        """Returns what they say about rows of every kind, made of the DN ``(sample, band, k, k)`` of samples."""
        return {kind: self._said(rows) for kind, rows in parity.rows_of_all_kinds(samples).items()}

    def _said(self, rows: NDArray[np.float32]) -> parity.Answers:
        n, _, k, _ = rows.shape
        # Pixels that nothing around matters to are one image; others are a batch of small ones, asked in their middle.
        dn = np.ascontiguousarray(rows[:, :, 0, 0].T[None, :, :, None]) if k == 1 else rows
        asked = [self.graph.run(part) for part in _parts(dn)]
        columns = np.concatenate([_middle(self.columns_of.features(part)) for part in _parts(dn)])
        said = [_middle(answer.probability) for answer in asked]
        head = self.head.head(np.ascontiguousarray(columns.T[None, :, :, None]))
        return parity.Answers(
            exists=np.asarray(np.isfinite(columns).all(axis=1)),
            fitted=self.fitted.probability(columns),
            head=head[0, :, :, 0].T,
            bundle=np.concatenate(said),
            valid=np.concatenate([_middle(answer.valid) for answer in asked])[:n, 0],
            nearness=self._nearness(columns, asked),
        )

    def _nearness(self, columns: NDArray[np.float32], asked: Sequence[Answer]) -> parity.Nearness:
        far, near = [a.dissimilarity for a in asked], [a.density for a in asked]
        if any(layer is None for layer in (*far, *near)):
            raise Refused("The graph does not say how dissimilar pixels are to its references.")
        flat = [
            np.concatenate([_middle(layer) for layer in layers if layer is not None])[:, 0] for layers in (far, near)
        ]
        return parity.Nearness(columns, self.references, *flat)


def _parts(dn: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Returns a batch in pieces of at most :data:`MOST_AT_ONCE` pixels."""
    many = max(1, MOST_AT_ONCE // (dn.shape[2] * dn.shape[3]))
    return [dn[first : first + many] for first in range(0, len(dn), many)]


def _middle(layer: NDArray[Any]) -> NDArray[Any]:
    """Returns ``(row, channel)``: of one image every pixel, of a batch of small ones the middle of each."""
    n, _, height, width = layer.shape
    if width == 1:
        return np.ascontiguousarray(layer[0, :, :, 0].T) if n == 1 else layer[:, :, 0, 0]
    return np.ascontiguousarray(layer[:, :, height // 2, width // 2])


def _item(
    places: Places, bundle: Bundle, evaluation: Evaluation, version: Version, contract: Contract
) -> dict[str, object]:
    scenes = [Shelf(places.nouns).get(Scene, scene) for scene in version.scenes]
    scenes = [scene for scene in scenes if scene.sensor == bundle.sensor]
    boxes = []
    for scene in scenes:
        box = shapely.box(*scene.grid.bounds.as_tuple())
        edge = max(scene.grid.shape) * scene.grid.pixel_m / _EDGE_POINTS
        boxes += list(reproject(np.array([shapely.segmentize(box, edge)]), scene.grid.crs, "EPSG:4326"))
    hull = shapely.convex_hull(shapely.union_all(boxes)).normalize()
    footprint = json.loads(shapely.to_geojson(hull))
    return model_item(bundle, evaluation, contract, footprint, [scene.acquired for scene in scenes])


def _file(path: Path) -> FileRef:
    return FileRef(path=path.name, sha256=sha256_of(path), size=path.stat().st_size)


def _repair(folder: Path, made: dict[str, bytes]) -> None:
    """Writes again what an earlier folder of the same graph lacks or holds otherwise."""
    for name, content in made.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            with whole_file(folder / name) as part:
                part.write_bytes(content)

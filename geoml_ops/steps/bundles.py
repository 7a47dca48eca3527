"""Bundles on disk: one folder per graph, held against the fitted model before it appears."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.mlm import model_item
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Answer, Graph
from geoml_ops.adapters.registry import GRAPH, NOUN, REFERENCE, open_bundle
from geoml_ops.core.bands import Contract, contract_for
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Scene, Version
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import parity
from geoml_ops.domain.applicability import References
from geoml_ops.domain.card import card
from geoml_ops.domain.features import bands_needed
from geoml_ops.domain.fitting import Fitted
from geoml_ops.platform.files import sha256_of, whole_file, whole_folder, write_json, write_text
from geoml_ops.steps import ground
from geoml_ops.steps.applying import area_of, sets_of
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import open_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table

CARD, ITEM = "card.html", "item.json"
_EDGE_POINTS = 5


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
    contract = _contract(experiment.sensor, table.features)
    fitted, tabled = open_model(places, evaluation), open_table(places, table)
    head = _head(fitted, evaluation, table.features)
    colours = tuple(entry.colour for entry in experiment.classes.values())
    area = area_of(places, evaluation, experiment, tabled, table.features)
    sets = sets_of(places, evaluation, experiment, tabled)
    says = {
        "evaluation": evaluation.id,
        "version": version.id,
        "family": evaluation.family,
        "colours": json.dumps(colours),
        "applicability": area.noun.model_dump_json(),
        "conformal": sets.model_dump_json(),
    }
    content = bundle_graph(table.features, contract, head, evaluation.classes, says, area.references)
    graph = Graph(content)
    tile_px = read_policy(places.policy).drift.tile_px
    tiles = list(ground.tiles(places, version, tabled.keys, contract, tile_px))
    asked = _Asked(fitted, table.features, contract, head, graph, area.references)
    agreement = parity.compare(asked.answers(ground.sample_dn(tiles)))
    parity.require(agreement)
    with whole_folder(places.bundles / hashlib.sha256(content).hexdigest()) as part:
        (part / GRAPH).write_bytes(content)
        write_json(part / REFERENCE, ground.reference(tiles, contract.names, evaluation.classes, graph.run))
        bundle = Bundle(
            evaluation=evaluation.id,
            version=version.id,
            contract=contract,
            features=table.features,
            classes=evaluation.classes,
            colours=colours,
            halo_px=0,
            applicability=area.noun,
            conformal=sets,
            parity=agreement,
            file=_file(part / GRAPH),
            reference=_file(part / REFERENCE),
        )
        write_json(part / NOUN, bundle.as_json())
        write_json(part / ITEM, _item(places, bundle, evaluation, version, contract))
        write_text(part / CARD, card_of(places, bundle))
        made = {name: (part / name).read_bytes() for name in (GRAPH, REFERENCE, NOUN, ITEM, CARD)}
    _repair(places.bundles / bundle.file.sha256, made)
    return Shelf(places.nouns).put(bundle)


def card_of(places: Places, bundle: Bundle, judgement: Judgement | None = None, entry: Entry | None = None) -> str:
    """Returns the card of a bundle as HTML, with what is known of it so far."""
    shelf = Shelf(places.nouns)
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    table, version = shelf.get(FeatureTable, evaluation.table), shelf.get(Version, bundle.version)
    return card(
        bundle,
        evaluation,
        shelf.get(FoldPlan, evaluation.plan),
        table,
        bundle.contract,
        scenes=[shelf.get(Scene, scene).name for scene in version.scenes],
        judgement=judgement,
        entry=entry,
    )


def _contract(sensor: str, features: Sequence[str]) -> Contract:
    whole = contract_for(sensor)
    return whole.subset(bands_needed(features, whole))


def _head(fitted: Fitted, evaluation: Evaluation, features: Sequence[str]) -> bytes:
    absent = [name for code, name in enumerate(evaluation.classes) if code not in fitted.present]
    if absent:
        raise Refused(
            f"The model of {evaluation.id} never saw {', '.join(absent)}; it cannot be published as a map of "
            f"{len(evaluation.classes)} classes.",
            "deliver labels of every class, or leave the classes out of the experiment",
        )
    return head_graph(fitted.estimator, evaluation.family, len(features))


@dataclass(frozen=True)
class _Asked:
    """Everybody who has to say the same about the same rows."""

    fitted: Fitted
    features: Sequence[str]
    contract: Contract
    head: bytes
    graph: Graph
    references: References

    def answers(self, samples: NDArray[np.float32]) -> dict[str, parity.Answers]:
        """Returns what they say about rows of every kind, made of the DN ``(sample, band)`` of samples."""
        columns_of, head_alone = Graph(feature_graph(self.features, self.contract)), Graph(self.head)
        said: dict[str, parity.Answers] = {}
        for kind, rows in parity.rows_of_all_kinds(samples).items():
            dn = np.ascontiguousarray(rows.T[None, :, :, None])
            columns = columns_of.features(dn)
            flat = np.ascontiguousarray(columns[0, :, :, 0].T)
            answer = self.graph.run(dn)
            said[kind] = parity.Answers(
                exists=np.asarray(np.isfinite(flat).all(axis=1)),
                fitted=self.fitted.probability(flat),
                head=head_alone.head(columns)[0, :, :, 0].T,
                bundle=answer.probability[0, :, :, 0].T,
                valid=answer.valid[0, 0, :, 0],
                nearness=self._nearness(flat, answer),
            )
        return said

    def _nearness(self, flat: NDArray[np.float32], answer: Answer) -> parity.Nearness:
        if answer.dissimilarity is None or answer.density is None:
            raise Refused("The graph does not say how dissimilar pixels are to its references.")
        far, near = answer.dissimilarity[0, 0, :, 0], answer.density[0, 0, :, 0]
        return parity.Nearness(flat, self.references, far, near)


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

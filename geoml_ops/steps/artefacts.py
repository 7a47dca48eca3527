"""Two finished models on labelled ground that neither has seen: both answer as they would serve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import open_bundle
from geoml_ops.core.errors import BadInput, Refused
from geoml_ops.core.flow import Bundle, Evaluation, FeatureTable, FoldPlan, Version
from geoml_ops.core.folding import Estimand
from geoml_ops.domain.folds import evidence_blocks, far_from, part
from geoml_ops.domain.gate import Known, Paired, Ruling, Stake, apart, rule
from geoml_ops.domain.tiling import NODATA_CLASS, classify_window
from geoml_ops.steps import ground
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.features import FeatureSource
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Columns, Tabled, open_table

TILE_PX = 256


@dataclass(frozen=True)
class Unseen:
    """Labelled samples that neither model has seen; arrays have one entry per kept sample.

    Attributes:
        tabled: the table they come from, whole.
        kept: positions in it.
        learned: the samples that each model was fitted on.
        buffer_m: ground that was left empty around those.
        halo_px: pixels beyond its own that a feature sees.
        n_left_out: samples that lie too near, or in a polygon that was learned from.
    """

    tabled: Tabled
    kept: NDArray[np.int64]
    learned: tuple[Tabled, ...]
    buffer_m: float
    halo_px: int
    n_left_out: int

    @property
    def polygons(self) -> frozenset[str]:
        """Names of the label polygons that are asked about."""
        return frozenset(self.tabled.polygon[self.kept].astype(str))


def unseen(places: Places, table: FeatureTable, models: tuple[Bundle, ...]) -> Unseen:
    """Returns the samples of a table that lie away from everything the models learned from.

    Raises:
        BadInput: none does, or a model learned in another CRS.
    """
    shelf, tabled = Shelf(places.nouns), open_table(places, table)
    evaluations = [shelf.get(Evaluation, model.evaluation) for model in models]
    plan = shelf.get(FoldPlan, evaluations[0].plan)
    learned = tuple(open_table(places, shelf.get(FeatureTable, e.table)) for e in evaluations)
    everything, away = np.arange(len(tabled.samples)), np.ones(len(tabled.samples), dtype=bool)
    for one in learned:
        if one.samples.crs != tabled.samples.crs:
            raise BadInput(f"A model learned in {one.samples.crs}, the labels are in {tabled.samples.crs}.")
        positions = np.arange(len(one.samples))
        buffer_m = max(plan.buffer_m, one.samples.pixel_m)
        away &= far_from(one.samples, everything, positions, buffer_m, plan.halo_px, of=tabled.samples)
        away &= ~np.isin(tabled.polygon.astype(str), one.polygon.astype(str))
    if not away.any():
        raise BadInput(
            f"All {len(away)} samples of {table.id} lie in polygons that a model learned from, or within "
            f"{plan.buffer_m:g} m of them.",
            "deliver labels of ground that neither model has seen, or compare their recipes in folds: geoml gate ENTRY",
        )
    return Unseen(tabled, everything[away], learned, plan.buffer_m, plan.halo_px, int((~away).sum()))


def compare_artefacts(
    places: Places,
    asked: Unseen,
    table: FeatureTable,
    challenger: Bundle,
    champion: Bundle,
    *,
    stake: Stake | None = None,
    known: Known | None = None,
) -> Ruling:
    """Returns what the gate says about two finished models.

    Args:
        places: where things are.
        asked: samples that neither has seen.
        table: where they come from.
        challenger: the bundle to judge.
        champion: the bundle that serves.
        stake: what this look may risk; None for a look that no ledger keeps.
        known: what is known of the challenger.

    Raises:
        BadInput: the models and the labels know different classes, or none of the ground is answered by both.
        Refused: a file of a bundle or of the version was altered.
    """
    shelf = Shelf(places.nouns)
    experiment = experiment_of(places, table.experiment)
    if not challenger.classes == champion.classes == experiment.class_names:
        raise BadInput(
            f"The challenger knows {', '.join(challenger.classes)}; the champion {', '.join(champion.classes)}; "
            f"the labels {', '.join(experiment.class_names)}.",
            "keep the classes, or publish under another model name",
        )
    version = shelf.get(Version, table.version)
    keys = {name: values[asked.kept] for name, values in asked.tabled.keys.items()}
    answers = [_answers(places, version, keys, bundle) for bundle in (challenger, champion)]
    both = np.flatnonzero((answers[0] != NODATA_CLASS) & (answers[1] != NODATA_CLASS))
    if not len(both):
        raise BadInput(f"None of the {len(asked.kept)} samples is answered by both models.")
    samples = part(asked.tabled.samples, asked.kept[both])
    plan = shelf.get(FoldPlan, shelf.get(Evaluation, challenger.evaluation).plan)
    middles, block = evidence_blocks(samples, plan.block_m)
    return rule(
        apart(samples, [one.samples for one in asked.learned], buffer_m=asked.buffer_m, halo_px=asked.halo_px),
        Paired(
            codes=samples.code,
            challenger=answers[0][both].astype(np.int64),
            other=answers[1][both].astype(np.int64),
            block=block,
            middles=middles,
            classes=challenger.classes,
        ),
        experiment.gate,
        against="the champion as it serves",
        known=known,
        stake=stake,
        estimand=_estimand(samples.day, asked.learned),
    )


def _answers(places: Places, version: Version, keys: Columns, bundle: Bundle) -> NDArray[np.uint8]:
    """Returns the class that a bundle answers for each pixel, 255 where it has none, ``(n,)``."""
    opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
    graph, shelf = Graph(opened.graph), Shelf(places.nouns)
    learned = shelf.get(FeatureTable, shelf.get(Evaluation, bundle.evaluation).table)
    source = FeatureSource(places, version, experiment_of(places, learned.experiment), bundle.features)
    if source.contract != bundle.contract:
        raise Refused(
            f"{bundle.id} reads {bundle.sensor} otherwise than this program does now.", "train and publish it again"
        )
    out = np.full(len(keys["row"]), NODATA_CLASS, dtype=np.uint8)
    for tile in ground.tiles(places, source, keys, TILE_PX):
        classes = classify_window(tile.around, graph.run, source.halo_px).classes
        out[tile.index] = classes[tile.rows, tile.cols]
    return out


def _estimand(day: NDArray[np.int64], learned: tuple[Tabled, ...]) -> Estimand:
    seen = np.concatenate([one.samples.day for one in learned])
    return "a new region" if np.isin(day, seen).any() else "a new year"

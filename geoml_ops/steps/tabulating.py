"""Before a training: which version, its samples as a table, and the folds that keep them apart.

Apart from ``steps/train.py`` so that tabulating loads neither MLflow nor any family of models.
"""

from __future__ import annotations

import hashlib

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.tables import is_whole, write_table
from geoml_ops.core.bands import contract_for
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import FeatureTable, FoldPlan, Retrain, Version, kind_of
from geoml_ops.domain.folds import block_plan, random_plan
from geoml_ops.platform.log import logger
from geoml_ops.steps.experiments import current_experiment, experiment_of
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import draw, open_table

_log = logger("train")


def families(places: Places) -> tuple[str, ...]:
    """Returns the families that the experiment asks for, in its order."""
    return tuple(current_experiment(places).families)


def version_for(places: Places, cause: str | None = None) -> str:
    """Returns the id of the version to train on.

    Args:
        places: where things are.
        cause: id of a version or of a retrain event; None for the newest version.

    Raises:
        NotFound: there is no version, or the cause is neither.
    """
    shelf = Shelf(places.nouns)
    if not cause:
        versions = list(shelf.all(Version))
        if not versions:
            raise NotFound("There is no version to train on.", "ingest a scene and its labels first")
        return versions[-1].id
    return shelf.get(Retrain, cause).version if kind_of(cause) is Retrain else shelf.get(Version, cause).id


def tabulate(places: Places, version_id: str) -> FeatureTable:
    """Returns the table of labelled samples and features of a version, for the current experiment.

    Raises:
        BadInput: an unknown label, scenes of several CRSs, or no samples of a class.
        Refused: a file of the version was altered.
    """
    shelf, experiment = Shelf(places.nouns), current_experiment(places)
    version = shelf.get(Version, version_id)
    graph = hashlib.sha256(feature_graph(experiment.features, contract_for(experiment.sensor))).hexdigest()
    for known in shelf.all(FeatureTable):
        same = (known.version, known.experiment, known.feature_graph) == (version.id, experiment.id, graph)
        if same and is_whole(places.tables, known.file):
            return known
    columns, says, left_out = draw(places, version, experiment)
    counts = np.bincount(columns["code"], minlength=len(experiment.class_names))
    table = FeatureTable(
        version=version.id,
        experiment=experiment.id,
        feature_graph=graph,
        features=experiment.features,
        n_samples={name: int(count) for name, count in zip(experiment.class_names, counts, strict=True)},
        left_out=left_out,
        file=write_table(places.tables, columns, says),
    )
    _log.info("tabulated", table=table.id, version=version.id, samples=int(counts.sum()), **left_out)
    return shelf.put(table)


def plan(places: Places, table_id: str) -> tuple[FoldPlan, FoldPlan]:
    """Returns the audited plans of a table: block folds, which count, and random folds, the optimism baseline.

    Raises:
        BadInput: one class only, fewer blocks than folds, or a CRS without metres.
    """
    shelf = Shelf(places.nouns)
    table = shelf.get(FeatureTable, table_id)
    samples, rules = open_table(places, table).samples, experiment_of(places, table.experiment).folds
    honest = shelf.put(block_plan(table.id, samples, rules))
    optimism = shelf.put(random_plan(table.id, samples, rules))
    _log.info("planned", block=honest.id, random=optimism.id, blocks=honest.n_blocks, samples=len(samples))
    return honest, optimism

"""Before a training: which version, its samples as a table, and the folds that keep them apart.

Apart from ``steps/train.py`` so that tabulating loads neither MLflow nor any family of models.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole, write_table
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import FeatureTable, FoldPlan, Labels, Retrain, Scene, Version, kind_of
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.folds import plan_for
from geoml_ops.platform.log import logger
from geoml_ops.steps.blocks import block_size, with_edge
from geoml_ops.steps.experiments import current_experiment, experiment_of, keep_experiment
from geoml_ops.steps.features import FeatureSource, reach_px
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Columns, draw, draw_ground, drawn_from, open_table

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


def tabulate(places: Places, version_id: str, *, judging: bool = False) -> FeatureTable:
    """Returns the table of labelled samples and features of a version, for the current experiment.

    Args:
        places: where things are.
        version_id: whose scenes and labels.
        judging: whether finished models are compared on it: then it also holds what is kept from learning.

    Raises:
        BadInput: an unknown label, scenes of several CRSs, or no samples of a class.
        Refused: a file of the version was altered.
    """
    shelf, experiment = Shelf(places.nouns), current_experiment(places)
    version = shelf.get(Version, version_id)
    source = FeatureSource(places, version, experiment)
    graph = hashlib.sha256(source.content).hexdigest()
    held = judging and any(shelf.get(Labels, labels).use == "judging" for labels in version.labels)
    use: Literal["learning", "judging"] = "judging" if held else "learning"
    for known in shelf.all(FeatureTable):
        asked = (known.version, known.experiment, known.feature_graph, known.use)
        same = asked == (version.id, experiment.id, graph, use)
        if same and known.ground and all(is_whole(places.tables, f) for f in (known.file, known.ground)):
            keep_experiment(places, experiment)
            return known
    columns, says, left_out = draw(places, version, experiment, source, judging=held)
    counts = np.bincount(columns["code"], minlength=len(experiment.class_names))
    table = FeatureTable(
        version=version.id,
        experiment=experiment.id,
        feature_graph=graph,
        features=source.features,
        covariates=_covariates(source, version, columns, shelf),
        n_samples={name: int(count) for name, count in zip(experiment.class_names, counts, strict=True)},
        left_out=left_out,
        drawn_from=drawn_from(columns, experiment),
        use=use,
        file=write_table(places.tables, columns, says),
        ground=write_table(places.tables, draw_ground(places, version, experiment, source), says),
    )
    keep_experiment(places, experiment)
    _log.info("tabulated", table=table.id, version=version.id, samples=int(counts.sum()), **left_out)
    return shelf.put(table)


def _covariates(source: FeatureSource, version: Version, columns: Columns, shelf: Shelf) -> tuple[str, ...]:
    """Returns the ids of the covariates that the samples' scenes were given."""
    scenes = [shelf.get(Scene, scene) for scene in sorted(set(columns["scene"].astype(str)))]
    return tuple(dict.fromkeys(covariate.id for scene in scenes for covariate in source.covariates(scene)))


def plan(places: Places, table_id: str) -> tuple[FoldPlan, ...]:
    """Returns the audited plans of a table.

    Returns:
        The plan that counts; the optimism baseline; then repeats of the first, and what else the
        experiment asks under ``other_folds``.

    Raises:
        BadInput: one class only, fewer blocks than folds, or a CRS without metres.
    """
    shelf = Shelf(places.nouns)
    table = shelf.get(FeatureTable, table_id)
    experiment, tabled = experiment_of(places, table.experiment), open_table(places, table)
    samples, size, halo_px = tabled.samples, None, reach_px(places, experiment)
    written = [experiment.folds, *experiment.other_folds]
    automatic = [each for each in written if each.block_m == "auto"]
    if automatic:
        size = block_size(samples, tabled.features, automatic[0], halo_px=halo_px, classes=experiment.class_names)
    measured = {with_edge(each, size): size for each in automatic if size}
    rules, *others = (with_edge(each, size) if size else each for each in written)
    optimism = FoldRules(method="random", n_folds=rules.n_folds, block_m=rules.block_m, buffer_m=0.0, seed=rules.seed)
    asked = [(rules, 0), (optimism, 0), *((rules, repeat) for repeat in range(1, rules.repeats))]
    asked += [(other, repeat) for other in others for repeat in range(other.repeats)]
    plans = tuple(
        shelf.put(plan_for(table.id, samples, each, halo_px=halo_px, repeat=repeat, block_size=measured.get(each)))
        # An edge that was measured may be the one that a person wrote: the same folds are asked once.
        for each, repeat in dict.fromkeys(asked)
    )
    _log.info("planned", plans=[f"{p.id} {p.method}" for p in plans], blocks=plans[0].n_blocks, samples=len(samples))
    return plans

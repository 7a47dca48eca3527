"""The MLflow run of an evaluation: everything comes from kept nouns and tables, so it can be written at any time."""

from __future__ import annotations

import json

import numpy as np

from geoml_ops.adapters import plots
from geoml_ops.adapters.mlflow import Record, Source, Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.evidence import Score
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Version
from geoml_ops.core.grid import Bounds
from geoml_ops.steps.answers import Answers, open_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.places import Places


def record_run(places: Places, evaluation: Evaluation) -> str:
    """Returns the id of the finished run that tells about an evaluation; found by tag, made where missing.

    Raises:
        Unavailable: MLflow does not answer.
    """
    shelf = Shelf(places.nouns)
    table, plan = shelf.get(FeatureTable, evaluation.table), shelf.get(FoldPlan, evaluation.plan)
    version, experiment = shelf.get(Version, table.version), experiment_of(places, table.experiment)
    tracking = Tracking(places.tracking_uri)
    known = tracking.finished_run_of(experiment.name, evaluation.id)
    if known is not None:
        return known
    answers = open_answers(places, evaluation.predictions)
    return tracking.record(
        experiment.name,
        Record(
            noun_id=evaluation.id,
            name=f"{evaluation.family} {evaluation.id[-8:]}",
            params=_params(evaluation, plan, table, experiment),
            metrics=_metrics(evaluation, plan),
            per_fold={f"fold_{experiment.gate.metric}": evaluation.per_fold},
            files=_files(evaluation, plan, table, answers),
            tags={
                "geoml.kind": evaluation.kind,
                "geoml.table": table.id,
                "geoml.plan": plan.id,
                "geoml.version": version.id,
                "geoml.experiment": table.experiment,
                "geoml.estimand": evaluation.estimand,
            },
            source=Source(
                name="store",
                digest=version.data,
                where={"path": "data", "rev": version.rev, "md5": version.data, "version": version.id},
            ),
        ),
    )


def _params(
    evaluation: Evaluation, plan: FoldPlan, table: FeatureTable, experiment: Experiment
) -> dict[str, float | int | str]:
    return {
        "family": evaluation.family,
        **evaluation.params,
        "features": ",".join(table.features),
        "per_polygon": experiment.sampling.per_polygon,
        "fold_method": plan.method,
        "n_folds": plan.n_folds,
        "block_m": plan.block_m,
        "buffer_m": plan.buffer_m,
        "fold_seed": plan.seed,
    }


def _metrics(evaluation: Evaluation, plan: FoldPlan) -> dict[str, float]:
    def spread(prefix: str, scores: dict[str, Score]) -> dict[str, float]:
        return {
            f"{prefix}{name}{end}": value
            for name, score in scores.items()
            for end, value in (("", score.value), ("_low", score.low), ("_high", score.high))
        }

    metrics = spread("", evaluation.scores) | spread("optimism_", evaluation.optimism)
    metrics |= {f"f1_{name}": value for name, value in evaluation.per_class_f1.items()}
    metrics["n_blocks"] = float(plan.n_blocks)
    if plan.audit is not None:
        metrics["least_distance_m"] = plan.audit.least_distance_m
        metrics["n_dropped"] = float(plan.audit.n_dropped)
    return metrics


def fold_picture(answers: Answers, plan: FoldPlan) -> bytes:
    """Returns a picture (PNG) of the samples coloured by the fold that tests them."""
    block = plan.block_m
    low = [float(np.floor(axis.min() / block) * block) for axis in (answers.easting, answers.northing)]
    high = [float(np.ceil(axis.max() / block) * block) for axis in (answers.easting, answers.northing)]
    return plots.fold_map(
        answers.easting,
        answers.northing,
        answers.fold,
        Bounds(left=low[0], bottom=low[1], right=high[0], top=high[1]),
        block,
        plan.buffer_m,
        origin=(0.0, 0.0),
        title="Samples by the fold that tests them",
    )


def _files(evaluation: Evaluation, plan: FoldPlan, table: FeatureTable, answers: Answers) -> dict[str, bytes]:
    files = {
        "plots/folds.png": fold_picture(answers, plan),
        "plots/confusion.png": plots.confusion(
            evaluation.confusion, evaluation.classes, title=f"{evaluation.family}, spatial folds"
        ),
        "plots/scores.png": plots.score_bars(evaluation.scores, evaluation.optimism, title=evaluation.family),
        "evaluation.json": json.dumps(evaluation.as_json(), indent=1).encode(),
        "plan.json": json.dumps(plan.as_json(), indent=1).encode(),
    }
    if answers.importance.any():
        files["plots/importance.png"] = plots.importance(
            table.features, answers.importance, title=evaluation.family, unit="share of the model's own splits"
        )
    return files

"""The MLflow run of an evaluation: everything comes from kept nouns and tables, so it can be written at any time."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import plots
from geoml_ops.adapters.mlflow import Record, Source, Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.evidence import BlockDifference, Score
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Version
from geoml_ops.core.grid import Bounds
from geoml_ops.domain.conformal import held_out
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
            files=_files(evaluation, plan, table, answers) | _coverage(answers, evaluation, plan, experiment),
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


def record_judgement(places: Places, judgement: Judgement, page: str) -> str:
    """Returns the id of the finished run that tells about a judgement: every number, and the page for people.

    Raises:
        Unavailable: MLflow does not answer.
    """
    shelf = Shelf(places.nouns)
    entry = shelf.get(Entry, judgement.challenger)
    evaluation = shelf.get(Evaluation, shelf.get(Bundle, entry.bundle).evaluation)
    experiment_id = shelf.get(FeatureTable, evaluation.table).experiment
    return Tracking(places.tracking_uri).record(
        experiment_of(places, experiment_id).name,
        Record(
            noun_id=judgement.id,
            name=f"gate {judgement.outcome} {entry.number}",
            params={"mode": judgement.mode, "metric": judgement.metric, "against": judgement.against},
            metrics=_numbers(judgement),
            files={"verdict.html": page.encode(), "judgement.json": json.dumps(judgement.as_json(), indent=1).encode()},
            tags={
                "geoml.kind": judgement.kind,
                "geoml.outcome": judgement.outcome,
                "geoml.entry": entry.id,
                "geoml.estimand": judgement.estimand,
                "geoml.experiment": experiment_id,
            },
        ),
    )


def _numbers(judgement: Judgement) -> dict[str, float]:
    gap = judgement.difference
    found: dict[str, float | None] = {
        "difference": gap.value,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "n_blocks": gap.n_blocks,
        "margin": judgement.margin,
        "detectable": judgement.detectable,
        "p_inferior": judgement.p_inferior,
        "p_superior": judgement.p_superior,
    }
    for test in judgement.classes:
        found |= {f"class_{test.name}_difference": test.difference.value, f"class_{test.name}_p": test.p}
    for beside in judgement.beside:
        found |= {f"beside_{_key(beside.name)}": beside.statistic, f"beside_{_key(beside.name)}_p": beside.p}
    for guard in judgement.guards:
        found[f"guard_{_key(guard.name)}"] = guard.value
    if judgement.spending:
        spent = judgement.spending
        found |= {"look": spent.look, "level": spent.level, "fresh_share": spent.fresh_share}
        found |= {"wealth_before": spent.wealth_before, "wealth_after": spent.wealth_after}
    return {name: float(value) for name, value in found.items() if value is not None and np.isfinite(value)}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _plain(value: Any) -> float | int | str:
    """Returns a parameter as MLflow keeps it: a number or a word as it is, anything else as its JSON."""
    return value if isinstance(value, float | int | str) else json.dumps(value)


def _params(
    evaluation: Evaluation, plan: FoldPlan, table: FeatureTable, experiment: Experiment
) -> dict[str, float | int | str]:
    own = {"built_from" if name == "family" else name: _plain(value) for name, value in evaluation.params.items()}
    return {
        **own,
        "family": evaluation.family,
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
    for name, measures in evaluation.per_class.items():
        metrics |= {f"{measure}_{name}": score.value for measure, score in measures.items() if measure != "f1"}
    for panel in evaluation.others:
        metrics |= spread(f"{panel.method}_{panel.repeat}_", panel.scores)
    accuracy = evaluation.scores["overall_accuracy"]
    if accuracy.design_effect is not None and accuracy.n_effective is not None:
        metrics |= {"design_effect": accuracy.design_effect, "n_effective": accuracy.n_effective}
    metrics["n_blocks"] = float(plan.n_blocks)
    if plan.audit is not None:
        metrics["least_distance_m"] = plan.audit.least_distance_m
        metrics["n_dropped"] = float(plan.audit.n_dropped)
    return metrics


def fold_picture(
    easting: NDArray[np.float64], northing: NDArray[np.float64], fold: NDArray[np.int64], plan: FoldPlan
) -> bytes:
    """Returns a picture (PNG) of the samples coloured by the fold that tests them."""
    block = plan.block_m
    low = [float(np.floor(axis.min() / block) * block) for axis in (easting, northing)]
    high = [float(np.ceil(axis.max() / block) * block) for axis in (easting, northing)]
    square = plan.method == "block" and plan.rules.shape == "square" and not plan.repeat
    return plots.fold_map(
        easting,
        northing,
        fold,
        Bounds(left=low[0], bottom=low[1], right=high[0], top=high[1]),
        block,
        plan.buffer_m,
        origin=(0.0, 0.0) if square else None,
        title="Samples by the fold that tests them",
    )


def _coverage(answers: Answers, evaluation: Evaluation, plan: FoldPlan, experiment: Experiment) -> dict[str, bytes]:
    """Returns how often sets of classes held the true one, block by block, as numbers and as a map."""
    promised = experiment.uncertainty.coverage
    found = held_out(answers, evaluation.classes, coverage=promised, region_m=experiment.uncertainty.region_m)
    columns = ("block", "easting", "northing", "n", "coverage", "set_size")
    said = {name: getattr(found, name).tolist() for name in columns}
    per_class = {name: score.model_dump() if score else None for name, score in found.per_class.items()}
    rows = zip(found.easting.tolist(), found.northing.tolist(), found.n.tolist(), found.coverage.tolist(), strict=True)
    blocks = [
        BlockDifference(easting=east, northing=north, n=n, difference=held - promised) for east, north, n, held in rows
    ]
    drawn = plots.block_differences(
        blocks,
        plan.block_m,
        title=f"Sets of classes: coverage minus the promised {promised:.0%}",
        unit="coverage minus promise",
        words=("above", "below", "as promised"),
    )
    content = {"promised": promised, "per_class": per_class, **said}
    return {"coverage.json": json.dumps(content, indent=1).encode(), "plots/coverage.png": drawn}


def _files(evaluation: Evaluation, plan: FoldPlan, table: FeatureTable, answers: Answers) -> dict[str, bytes]:
    files = {
        "plots/folds.png": fold_picture(answers.easting, answers.northing, answers.fold, plan),
        "plots/confusion.png": plots.confusion(
            evaluation.confusion, evaluation.classes, title=f"{evaluation.family}, spatial folds"
        ),
        "plots/scores.png": plots.score_bars(evaluation.scores, evaluation.optimism, title=evaluation.family),
        "evaluation.json": json.dumps(evaluation.as_json(), indent=1).encode(),
        "plan.json": json.dumps(plan.as_json(), indent=1).encode(),
    }
    if answers.importance.any():
        files["plots/importance.png"] = plots.importance(
            table.features, answers.importance, title=evaluation.family, unit="growth of the Brier score when shuffled"
        )
    return files

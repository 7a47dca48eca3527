"""Train: a version becomes a table, folds, one evaluation per family, and the best of them a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan
from geoml_ops.domain.fitting import fit, out_of_fold
from geoml_ops.domain.folds import evidence_blocks, materialise
from geoml_ops.domain.scoring import class_f1, confusion, metric_of, scores_of
from geoml_ops.platform.log import logger
from geoml_ops.steps.answers import keep_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import FAMILIES, builder, keep_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.runs import record_run
from geoml_ops.steps.samples import open_table
from geoml_ops.steps.tabulating import families, plan, tabulate, version_for

__all__ = ["choose", "evaluate", "families", "plan", "tabulate", "version_for"]

_log = logger("train")


def evaluate(places: Places, plan_ids: Sequence[str], family: str) -> Evaluation:
    """Returns how good one family is over the plans of a table, recorded as one MLflow run.

    Args:
        places: where things are.
        plan_ids: the plan that counts, the random one, and any others of the same table.
        family: its name in the experiment.

    Raises:
        BadInput: plans of two tables, or a family that the experiment or this program does not know.
        Unavailable: MLflow does not answer; the scores are kept and the next call only records them.
    """
    shelf = Shelf(places.nouns)
    plans = [shelf.get(FoldPlan, plan_id) for plan_id in plan_ids]
    if (
        len(plans) < 2
        or len({p.table for p in plans}) != 1
        or [p.method == "random" for p in plans[:2]] != [False, True]
    ):
        raise BadInput(
            f"{', '.join(p.id for p in plans) or 'nothing'} are not the plans of one table.",
            "give the plan that counts, the random plan, and any others, as geoml train plan prints them",
        )
    honest, optimism = plans[:2]
    table = shelf.get(FeatureTable, honest.table)
    experiment = experiment_of(places, table.experiment)
    if family not in experiment.families or family not in FAMILIES:
        raise BadInput(
            f"There is no family {family[:60]!r} in experiment {experiment.name!r}.",
            f"use one of {', '.join(name for name in experiment.families if name in FAMILIES)}",
        )
    params = experiment.families[family]
    recipe = (table.id, honest.id, optimism.id, family, params)
    known = [e for e in shelf.all(Evaluation) if (e.table, e.plan, e.optimism_plan, e.family, e.params) == recipe]
    whole = [e for e in known if is_whole(places.tables, e.predictions)]
    evaluation = whole[0] if whole else shelf.put(_scored(places, table, honest, optimism, experiment, family))
    record_run(places, evaluation)
    score = evaluation.scores[experiment.gate.metric]
    _log.info("evaluated", evaluation=evaluation.id, family=family, score=score.value, low=score.low, high=score.high)
    return evaluation


def choose(places: Places, evaluation_ids: tuple[str, ...]) -> Evaluation:
    """Returns the evaluation with the best honest score in the gate's metric, refitted on every sample.

    Equal scores are told apart by the family's name. The fitted model is kept in its native form and is
    never served.

    Raises:
        BadInput: nothing to choose from, or evaluations over different plans.
    """
    shelf = Shelf(places.nouns)
    found = [shelf.get(Evaluation, evaluation_id) for evaluation_id in evaluation_ids]
    if len({e.plan for e in found}) != 1:
        raise BadInput(
            f"{len(found)} evaluations over {len({e.plan for e in found})} plans cannot be compared.",
            "evaluate every family on the same plan",
        )
    table = shelf.get(FeatureTable, found[0].table)
    experiment = experiment_of(places, table.experiment)
    best = min(found, key=lambda e: (-e.scores[experiment.gate.metric].value, e.family))
    tabled = open_table(places, table)
    build = builder(best.family, best.params, experiment)
    keep_model(
        places,
        best,
        lambda: fit(build, tabled.features, tabled.samples.code, len(experiment.class_names)),
    )
    _log.info("chosen", evaluation=best.id, family=best.family, among=len(found))
    return best


def _scored(
    places: Places, table: FeatureTable, honest: FoldPlan, optimism: FoldPlan, experiment: Experiment, family: str
) -> Evaluation:
    tabled, classes = open_table(places, table), experiment.class_names
    samples, k = tabled.samples, len(classes)
    _, block = evidence_blocks(samples, honest.block_m)
    build = builder(family, experiment.families[family], experiment)
    answers, easy = (
        out_of_fold(tabled.features, samples.code, materialise(p, samples), build, k) for p in (honest, optimism)
    )
    counts = confusion(samples.code, answers.predicted, k)
    f1 = class_f1(counts)
    scores = scores_of(samples.code, answers.predicted, block, k, honest.seed)
    scores["no_skill_accuracy"] = scores_of(samples.code, answers.no_skill, block, k)["overall_accuracy"]
    per_fold = [
        float(metric_of(confusion(samples.code[mine], answers.predicted[mine], k), experiment.gate.metric))
        for mine in (answers.fold == number for number in range(honest.n_folds))
    ]
    return Evaluation(
        table=table.id,
        plan=honest.id,
        optimism_plan=optimism.id,
        family=family,
        params=experiment.families[family],
        estimand=honest.estimand,
        classes=classes,
        scores=scores,
        optimism=scores_of(samples.code, easy.predicted, block, k, optimism.seed),
        per_class_f1={name: float(value) for name, value in zip(classes, f1, strict=True) if np.isfinite(value)},
        per_fold=tuple(per_fold),
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
        predictions=keep_answers(places, tabled, answers, block, classes),
    )

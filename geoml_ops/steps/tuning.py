"""Tune: parameters are searched for in folds inside folds, and what comes out is an evaluation like any other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment, TuningRules
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Study
from geoml_ops.core.searching import Params, require_space
from geoml_ops.domain.fitting import OutOfFold, of_fold, out_of_fold
from geoml_ops.domain.folds import materialise
from geoml_ops.domain.nesting import folds_inside
from geoml_ops.platform.log import logger
from geoml_ops.steps.evaluating import SHUFFLES, evaluated_search, require_plans
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.runs import record_run
from geoml_ops.steps.samples import Tabled, open_table
from geoml_ops.steps.searching import Asked, Engine, Say, search_all, space_of
from geoml_ops.steps.studies import ALL, Searched, keep_trials, require_spatial

MOST_FOLDS = 50
_log = logger("tune")


def tune(
    places: Places,
    plan_ids: Sequence[str],
    family: str,
    *,
    engine: Engine = "optuna",
    trials: int | None = None,
    workers: int | None = None,
    say: Say = lambda line: None,
) -> Evaluation:
    """Returns the evaluation of tuning one family: searched anew inside every fold, so that its score is honest.

    Its parameters come from one more search over all samples. Trials that ended are kept; a call that was
    killed goes on where it was. Recorded as one MLflow run.

    Args:
        places: where things are.
        plan_ids: the plan that counts, the random one, and any others of the same table.
        family: its name in the experiment.
        engine: that searches.
        trials: in each search; the experiment says if left out.
        workers: processes on each search; the experiment says if left out.
        say: is told how it goes, in lines for people.

    Raises:
        BadInput: plans that do not belong together or are random, an unknown family, or nothing to search.
        Unavailable: MLflow does not answer; everything else is kept.
    """
    shelf = Shelf(places.nouns)
    plans = [shelf.get(FoldPlan, plan_id) for plan_id in plan_ids]
    _require_plans(plans)
    table = shelf.get(FeatureTable, plans[0].table)
    experiment = experiment_of(places, table.experiment)
    rules = _rules(experiment.tuning, trials, workers)
    inside = [(plan.id, fold) for plan in _searched(plans) for fold in range(plan.n_folds)]
    asked = [Asked(places, plan, fold, family, rules, engine) for plan, fold in [*inside, (plans[0].id, ALL)]]
    require_space(family, space_of(asked[-1], experiment))
    tabled = open_table(places, table)
    say(f"{len(asked)} searches of {rules.trials} trials: one inside each fold, and one over all samples")
    found = search_all(asked, tabled, experiment, say)
    study = shelf.put(_study(places, plans[0], asked[-1], experiment, found))
    evaluation = _evaluation(places, plans, experiment, study, found, tabled)
    record_run(places, evaluation)
    score = evaluation.scores[experiment.gate.metric]
    _log.info("tuned", evaluation=evaluation.id, study=study.id, family=family, score=score.value, best=study.value)
    return evaluation


def _require_plans(plans: Sequence[FoldPlan]) -> None:
    if not plans:
        raise BadInput("There is no plan to search in.", "give the plans, as geoml train plan prints them")
    require_spatial(plans[0])
    require_plans(plans)
    if plans[0].n_folds > MOST_FOLDS:
        raise BadInput(
            f"{plans[0].id} ({plans[0].method}) has {plans[0].n_folds} folds; each would need a search of its own.",
            "tune in knndm instead of nndm, buffered instead of buffered_loo, or fewer folds",
        )


def _searched(plans: Sequence[FoldPlan]) -> list[FoldPlan]:
    """Returns the plans that are searched in, fold by fold; leave-one-out ones beside the first are left out."""
    return [plan for plan in plans if plan.method != "random" and plan.n_folds <= MOST_FOLDS]


def _rules(rules: TuningRules, trials: int | None, workers: int | None) -> TuningRules:
    asked = {name: value for name, value in (("trials", trials), ("workers", workers)) if value is not None}
    if asked.get("trials", 2) < 2 or not 1 <= asked.get("workers", 1) <= 64:
        raise BadInput(f"A search of {asked} cannot be.", "use at least 2 trials, and 1 to 64 workers")
    return rules.model_copy(update=asked)


def _study(places: Places, plan: FoldPlan, asked: Asked, experiment: Experiment, found: Sequence[Searched]) -> Study:
    final = found[-1]
    return Study(
        table=plan.table,
        plan=plan.id,
        family=asked.family,
        rules=asked.rules,
        metric=experiment.gate.metric,
        n_trials=len(final.tried),
        n_pruned=sum(each.state == "pruned" for each in final.tried),
        best=final.best.params,
        value=final.best.value,
        default_value=final.tried[0].value,
        trials=keep_trials(places, found),
    )


def _evaluation(
    places: Places,
    plans: Sequence[FoldPlan],
    experiment: Experiment,
    study: Study,
    found: Sequence[Searched],
    tabled: Tabled,
) -> Evaluation:
    """Returns the evaluation of a study, found where it is kept, made where it is not."""
    shelf = Shelf(places.nouns)
    for known in shelf.all(Evaluation):
        same = (known.study, known.optimism_plan, known.selected_from) == (study.id, plans[1].id, ())
        if same and is_whole(places.tables, known.predictions):
            return known
    answers = {}
    for plan in _searched(plans):
        best = [each.best.params for each in found if each.plan == plan.id and each.fold != ALL]
        shuffles = SHUFFLES if plan == plans[0] else 0
        answers[plan.id] = _answers(plan, plans[0], tabled, experiment, study.family, best, shuffles)
    return shelf.put(evaluated_search(places, plans, experiment, study, answers))


def _answers(
    plan: FoldPlan,
    honest: FoldPlan,
    tabled: Tabled,
    experiment: Experiment,
    family: str,
    best: Sequence[Params],
    shuffles: int,
) -> OutOfFold:
    """Returns answers over a plan, each fold's from the parameters that were found without its tested ground."""
    samples, k = tabled.samples, len(experiment.class_names)
    probability, gains = np.full((len(samples), k), np.nan), np.zeros(tabled.features.shape[1])
    no_skill, fold = np.full(len(samples), -1, dtype=np.int64), np.full(len(samples), -1, dtype=np.int64)
    inner = folds_inside(honest, samples)
    for number, (split, params) in enumerate(zip(materialise(plan, samples), best, strict=True)):
        build = of_fold(builder(family, params, experiment), number)
        given, weight = (tabled.features, samples.code, [split]), tabled.weight
        one = out_of_fold(*given, build, k, shuffles=shuffles, weight=weight, inner=inner)
        mine = one.tested
        probability[mine], no_skill[mine], fold[mine] = one.probability[mine], one.no_skill[mine], number
        gains += one.importance * mine.sum()
    return OutOfFold(probability, no_skill, fold, gains / max(int((fold >= 0).sum()), 1))

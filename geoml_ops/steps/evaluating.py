"""Answers out of folds become an evaluation: of one recipe, or of choosing between several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Panel, Score
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Study
from geoml_ops.domain.fitting import Inner, OutOfFold, Recipe, out_of_fold
from geoml_ops.domain.folds import evidence_blocks, materialise
from geoml_ops.domain.nesting import folds_inside, nested
from geoml_ops.domain.scoring import class_f1, confusion, ece, metric_of, per_class_scores, reliability, scores_of
from geoml_ops.steps.answers import keep_answers, open_answers
from geoml_ops.steps.models import builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table
from geoml_ops.steps.studies import params_in_folds

SHUFFLES = 3
Codes = NDArray[np.int64]


def require_plans(plans: Sequence[FoldPlan]) -> None:
    """Lets plans pass that one table can be evaluated over: the one that counts, the random one, and any others.

    Raises:
        BadInput: they are of several tables, or the first two are not these.
    """
    random = [plan.method == "random" for plan in plans[:2]]
    tables = len({plan.table for plan in plans})
    why = f"they belong to {tables} tables" if tables > 1 else ""
    if not why and random != [False, True]:
        why = "the first is random" if random[:1] == [True] else "the random plan is not the second one"
    if why:
        raise BadInput(
            f"{', '.join(plan.id for plan in plans) or 'nothing'} are not the plans of one table: {why}.",
            "give the plan that counts, the random plan, and any others, as geoml train plan prints them",
        )


def evaluated(places: Places, plans: Sequence[FoldPlan], experiment: Experiment, family: str) -> Evaluation:
    """Returns how good one family is over the plans of a table.

    Args:
        places: where things are.
        plans: the one that counts, the random one, and any others.
        experiment: that the table was made for.
        family: one of the experiment's.
    """
    honest, optimism, *others = plans
    table = Shelf(places.nouns).get(FeatureTable, honest.table)
    tabled, params = open_table(places, table), experiment.families[family]
    build = builder(family, params, experiment)
    inner = folds_inside(honest, tabled.samples)
    answers = _answers(tabled, honest, build, inner, shuffles=SHUFFLES)
    found = _Found(places, table, tabled, experiment)
    return found.evaluation(
        honest,
        answers,
        optimism_plan=optimism.id,
        family=family,
        params=params,
        optimism=found.scores(optimism, _answers(tabled, optimism, build, inner)),
        others=tuple(found.panel(plan, honest, _answers(tabled, plan, build, inner)) for plan in others),
    )


def evaluated_choice(
    places: Places, plan: FoldPlan, experiment: Experiment, found: Sequence[Evaluation], best: Evaluation
) -> Evaluation:
    """Returns how good choosing the best of several recipes is, from nested folds.

    Args:
        places: where things are.
        plan: that all of them were evaluated on.
        experiment: that the table was made for.
        found: the evaluations to choose from.
        best: the one whose recipe is chosen on all samples.

    Raises:
        BadInput: a train side is too small for folds inside it.
    """
    table = Shelf(places.nouns).get(FeatureTable, plan.table)
    tabled = open_table(places, table)
    builds = {e.id: _builds(places, e, experiment) for e in found}
    answers = {e.id: open_answers(places, e.predictions).out_of_fold for e in found}
    splits = materialise(plan, tabled.samples)
    metric, weight = experiment.gate.metric, tabled.weight
    choice = nested(plan, tabled.samples, tabled.features, splits, builds, answers, metric=metric, weight=weight)
    return (
        _Found(places, table, tabled, experiment)
        .evaluation(
            plan,
            choice.answers,
            optimism_plan=best.optimism_plan,
            family=best.family,
            params=best.params,
            optimism=best.optimism,
            others=best.others,
            selected_from=tuple(sorted(e.id for e in found)),
        )
        .model_copy(update={"study": best.study})
    )


def evaluated_search(
    places: Places, plans: Sequence[FoldPlan], experiment: Experiment, study: Study, answers: Mapping[str, OutOfFold]
) -> Evaluation:
    """Returns how good searching for parameters is; the recipe it names is the one found on all samples.

    Args:
        places: where things are.
        plans: the one that counts, the random one, and any others.
        experiment: that the table was made for.
        study: of the search over all samples.
        answers: by plan, each fold's from the parameters that were found without its tested ground; a plan that has
            none here has no panel.
    """
    honest, optimism, *others = plans
    table = Shelf(places.nouns).get(FeatureTable, honest.table)
    found = _Found(places, table, open_table(places, table), experiment)
    inner = folds_inside(honest, found.tabled.samples)
    build = builder(study.family, study.best, experiment)
    return found.evaluation(
        honest,
        answers[honest.id],
        optimism_plan=optimism.id,
        family=study.family,
        params=study.best,
        optimism=found.scores(optimism, _answers(found.tabled, optimism, build, inner)),
        others=tuple(found.panel(plan, honest, answers[plan.id]) for plan in others if plan.id in answers),
    ).model_copy(update={"study": study.id})


def _builds(places: Places, evaluation: Evaluation, experiment: Experiment) -> Recipe | tuple[Recipe, ...]:
    """Returns what builds the models of an evaluation: one recipe, or one per fold where each searched for its own."""
    own = params_in_folds(places, evaluation)
    if own is None:
        return builder(evaluation.family, evaluation.params, experiment)
    return tuple(builder(evaluation.family, params, experiment) for params in own)


def _answers(tabled: Tabled, plan: FoldPlan, build: Recipe, inner: Inner, *, shuffles: int = 0) -> OutOfFold:
    """Returns answers over a plan; ``inner`` are folds of the plan that counts, inside the plan's train sides."""
    splits, k = materialise(plan, tabled.samples), len(build.classes)
    features, code, weight = tabled.features, tabled.samples.code, tabled.weight
    return out_of_fold(features, code, splits, build, k, shuffles=shuffles, weight=weight, inner=inner)


class _Found:
    """Scores of answers to one table, all over the same blocks of evidence."""

    def __init__(self, places: Places, table: FeatureTable, tabled: Tabled, experiment: Experiment) -> None:
        self.places, self.table, self.tabled, self.experiment = places, table, tabled, experiment
        self.classes = experiment.class_names

    def scores(self, plan: FoldPlan, answers: OutOfFold) -> dict[str, Score]:
        """Returns every pooled score of the samples that the plan tests."""
        mine, code = answers.tested, self.tabled.samples.code
        _, block = evidence_blocks(self.tabled.samples, plan.block_m)
        found = scores_of(code[mine], answers.predicted[mine], block[mine], len(self.classes), plan.seed)
        found["ece"] = ece(code[mine], answers.probability[mine], block[mine], seed=plan.seed)
        return found

    def panel(self, plan: FoldPlan, honest: FoldPlan, answers: OutOfFold) -> Panel:
        """Returns the scores of one more plan."""
        repeats = plan.repeat > 0 and plan.rules == honest.rules
        _, block = evidence_blocks(self.tabled.samples, plan.block_m)
        return Panel(
            plan=plan.id,
            method=plan.method,
            estimand=plan.estimand,
            repeat=plan.repeat,
            scores=self.scores(plan, answers),
            predictions=keep_answers(self.places, self.tabled, answers, block, self.classes) if repeats else None,
        )

    def evaluation(
        self,
        plan: FoldPlan,
        answers: OutOfFold,
        *,
        optimism_plan: str,
        family: str,
        params: Mapping[str, Any],
        optimism: dict[str, Score],
        others: tuple[Panel, ...],
        selected_from: tuple[str, ...] = (),
    ) -> Evaluation:
        """Returns the evaluation of answers to the plan that counts."""
        samples, k, mine = self.tabled.samples, len(self.classes), answers.tested
        _, block = evidence_blocks(samples, plan.block_m)
        code, said, where = samples.code[mine], answers.predicted[mine], block[mine]
        counts = confusion(code, said, k)
        scores = self.scores(plan, answers)
        scores["no_skill_accuracy"] = scores_of(code, answers.no_skill[mine], where, k)["overall_accuracy"]
        f1 = class_f1(counts)
        return Evaluation(
            table=self.table.id,
            plan=plan.id,
            optimism_plan=optimism_plan,
            family=family,
            params=dict(params),
            estimand=plan.estimand,
            classes=self.classes,
            scores=scores,
            optimism=optimism,
            per_class_f1={n: float(v) for n, v in zip(self.classes, f1, strict=True) if np.isfinite(v)},
            per_class=per_class_scores(code, said, where, self.classes, plan.seed),
            per_fold=self._per_fold(plan, answers),
            confusion=tuple(tuple(int(n) for n in row) for row in counts),
            reliability=reliability(code, answers.probability[mine]),
            importance=dict(zip(self.table.features, answers.importance.tolist(), strict=True)),
            importance_per_fold=self._importance_per_fold(plan, answers),
            others=others,
            selected_from=selected_from,
            predictions=keep_answers(self.places, self.tabled, answers, block, self.classes),
        )

    def _importance_per_fold(self, plan: FoldPlan, answers: OutOfFold) -> dict[str, tuple[float, ...]]:
        """Returns each feature's importance fold by fold; nothing where it was not asked or a fold is one sample."""
        found = answers.importance_per_fold
        if found is None or plan.method in ("buffered_loo", "nndm"):
            return {}
        return {name: tuple(map(float, values)) for name, values in zip(self.table.features, found.T, strict=True)}

    def _per_fold(self, plan: FoldPlan, answers: OutOfFold) -> tuple[float, ...]:
        """Returns the gate's metric fold by fold; of a leave-one-out plan nothing, a fold there is one sample."""
        if plan.method in ("buffered_loo", "nndm"):
            return ()
        code, k = self.tabled.samples.code, len(self.classes)
        folds = (answers.fold == number for number in np.unique(answers.fold[answers.tested]))
        return tuple(
            float(metric_of(confusion(code[mine], answers.predicted[mine], k), self.experiment.gate.metric))
            for mine in folds
        )

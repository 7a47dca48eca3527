"""Two recipes on identical folds: what the gate needs to rule on a challenger."""

from __future__ import annotations

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Version
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.fitting import OutOfFold, fit
from geoml_ops.domain.folds import evidence_blocks, far_from, materialise
from geoml_ops.domain.gate import NO_SKILL, Ruling, admit, rule
from geoml_ops.steps.answers import keep_answers, open_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import features_at, open_table


def compare(places: Places, challenger: Evaluation, champion: Evaluation | None = None) -> Ruling:
    """Returns what the gate says about a challenger.

    Without a champion it is compared with the no-skill answer; with one, with the champion's recipe
    refitted inside the challenger's own folds.

    Raises:
        Refused: the challenger's plan may not feed the gate.
        BadInput: the two know different classes.
    """
    shelf = Shelf(places.nouns)
    plan = shelf.get(FoldPlan, challenger.plan)
    admit(plan)
    experiment = experiment_of(places, shelf.get(FeatureTable, plan.table).experiment)
    answers = open_answers(places, challenger.predictions)
    if champion is None:
        other, against = answers.no_skill, NO_SKILL
    else:
        other = open_answers(places, champion_in_folds(places, champion, plan)).predicted
        against = "the champion's recipe"
    return rule(
        plan,
        codes=answers.code,
        challenger=answers.predicted,
        other=other,
        block=answers.block,
        n_classes=len(challenger.classes),
        rules=experiment.gate,
        against=against,
    )


def champion_in_folds(places: Places, champion: Evaluation, plan: FoldPlan) -> FileRef:
    """Returns the answers of the champion's recipe to the samples of a newer plan, in that table's order.

    In each fold the recipe learns from the samples that its own version held, less those of tested
    polygons and those within buffer and halo of a tested sample: it may use neither the ground that
    asks nor labels it never had.

    Raises:
        BadInput: champion and plan know different classes, or a fold leaves the champion nothing to learn from.
    """
    shelf = Shelf(places.nouns)
    new, old = shelf.get(FeatureTable, plan.table), shelf.get(FeatureTable, champion.table)
    experiment, recipe = experiment_of(places, new.experiment), experiment_of(places, old.experiment)
    classes = experiment.class_names
    if champion.classes != classes:
        raise BadInput(
            f"The champion knows {', '.join(champion.classes)}; the challenger {', '.join(classes)}.",
            "keep the classes, or publish under another model name",
        )
    asked, held = open_table(places, new), open_table(places, old)
    if held.samples.crs != asked.samples.crs:
        raise BadInput(f"The champion learned in {held.samples.crs}, the plan is in {asked.samples.crs}.")
    features = asked.features
    if (old.feature_graph, old.features) != (new.feature_graph, new.features):
        features = features_at(places, shelf.get(Version, new.version), asked.keys, old.features, recipe.sensor)
    n, k = len(asked.samples), len(classes)
    probability, no_skill = np.full((n, k), np.nan), np.full(n, -1, dtype=np.int64)
    fold, build = np.full(n, -1, dtype=np.int64), builder(champion.family, champion.params, recipe)
    for number, (_, test) in enumerate(materialise(plan, asked.samples)):
        everything = np.arange(len(held.samples))
        away = far_from(asked.samples, everything, test, plan.buffer_m, plan.halo_px, of=held.samples)
        away &= ~np.isin(held.polygon.astype(str), asked.polygon[test].astype(str))
        model = fit(build, held.features[away], held.samples.code[away], k)
        probability[test], fold[test] = model.probability(features[test]), number
        no_skill[test] = np.argmax(np.bincount(held.samples.code[away], minlength=k))
    answers = OutOfFold(probability, no_skill, fold, np.zeros(len(old.features)))
    return keep_answers(places, asked, answers, evidence_blocks(asked.samples, plan.block_m)[1], classes)

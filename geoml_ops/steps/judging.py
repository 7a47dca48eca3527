"""What the gate needs to rule on a challenger: two recipes on identical folds, or two finished models on new ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan, Version
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.fitting import OutOfFold, fitted_on, of_fold
from geoml_ops.domain.folds import evidence_blocks, far_from, materialise
from geoml_ops.domain.gate import NO_SKILL, Known, Paired, Ruling, Stake, admit, rule
from geoml_ops.domain.nesting import folds_inside
from geoml_ops.steps.answers import Answers, keep_answers, open_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.features import features_at
from geoml_ops.steps.models import builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table


def compare(
    places: Places,
    challenger: Evaluation,
    champion: Evaluation | None = None,
    *,
    stake: Stake | None = None,
    known: Known | None = None,
) -> Ruling:
    """Returns what the gate says about a challenger's recipe.

    Without a champion it is compared with the no-skill answer; with one, with the champion's recipe
    refitted inside the challenger's own folds, in every repeat of them.

    Args:
        places: where things are.
        challenger: the evaluation to judge.
        champion: the evaluation of what serves; None before the first.
        stake: what this look may risk; None for a look that no ledger keeps.
        known: what is known of the challenger's bundle.

    Raises:
        Refused: the challenger's plan may not feed the gate.
        BadInput: the two know different classes.
    """
    shelf = Shelf(places.nouns)
    plan = shelf.get(FoldPlan, challenger.plan)
    admit(plan)
    table = shelf.get(FeatureTable, plan.table)
    tabled, rules = open_table(places, table), experiment_of(places, table.experiment).gate
    paired = _paired(places, tabled, challenger, plan, challenger.predictions, champion)
    repeats = tuple(
        _paired(places, tabled, challenger, shelf.get(FoldPlan, panel.plan), panel.predictions, champion)
        for panel in challenger.others
        if panel.predictions is not None and is_whole(places.tables, panel.predictions)
    )
    ece = challenger.scores.get("ece")
    found = known or Known()
    return rule(
        plan,
        Paired(**{**vars(paired), "repeats": repeats}),
        rules,
        against="the champion's recipe" if champion else NO_SKILL,
        known=Known(ece=found.ece if ece is None else min(max(ece.value, 0.0), 1.0), inside_share=found.inside_share),
        stake=stake,
        estimand=plan.estimand,
    )


def _paired(
    places: Places,
    tabled: Tabled,
    challenger: Evaluation,
    plan: FoldPlan,
    predictions: FileRef,
    champion: Evaluation | None,
) -> Paired:
    answers = open_answers(places, predictions)
    other = answers.no_skill
    if champion is not None:
        other = open_answers(places, champion_in_folds(places, champion, plan)).predicted
    middles, block = evidence_blocks(tabled.samples, plan.block_m)
    return Paired(
        codes=answers.code,
        challenger=answers.predicted,
        other=other,
        block=block,
        middles=middles,
        classes=challenger.classes,
        fold=answers.fold,
        n_train=tuple(len(train) for train, _ in materialise(plan, tabled.samples)),
        probability=_shares(answers),
    )


def _shares(answers: Answers) -> NDArray[np.float64]:
    """Returns probabilities that sum to 1 again after they were kept as float32."""
    found = answers.probability.astype(np.float64)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


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
        features = features_at(places, shelf.get(Version, new.version), asked.keys, old.features, recipe)
    n, k, twin = len(asked.samples), len(classes), _twins(held, asked)
    probability, no_skill = np.full((n, k), np.nan), np.full(n, -1, dtype=np.int64)
    fold, build = np.full(n, -1, dtype=np.int64), builder(champion.family, champion.params, recipe)
    inner = folds_inside(shelf.get(FoldPlan, champion.plan), held.samples)
    for number, (train, test) in enumerate(materialise(plan, asked.samples)):
        away = np.flatnonzero(_away(asked, held, twin, plan, train, test))
        own = of_fold(build, number)
        model = fitted_on(away, held.features, held.samples.code, own, k, weight=held.weight, inner=inner)
        probability[test], fold[test] = model.probability(features[test]), number
        no_skill[test] = np.argmax(np.bincount(held.samples.code[away], minlength=k))
    answers = OutOfFold(probability, no_skill, fold, np.zeros(len(old.features)))
    return keep_answers(places, asked, answers, evidence_blocks(asked.samples, plan.block_m)[1], classes)


def _twins(held: Tabled, asked: Tabled) -> NDArray[np.int64]:
    """Returns for each held sample the position of the same pixel of the same scene in ``asked``, -1 for none."""
    keys = (
        zip(t.keys["scene"].astype(str), t.keys["row"].tolist(), t.keys["col"].tolist(), strict=True)
        for t in (asked, held)
    )
    known = {key: position for position, key in enumerate(next(keys))}
    return np.array([known.get(key, -1) for key in next(keys)], dtype=np.int64)


def _away(
    asked: Tabled,
    held: Tabled,
    twin: NDArray[np.int64],
    plan: FoldPlan,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Returns True for each held sample that a fold lets the champion learn from.

    A sample that the plan knows is learned from where the plan says so; one that it does not know has to
    keep the plan's distance, and may not lie in a tested polygon.
    """
    learned = np.zeros(len(asked.samples) + 1, dtype=bool)
    learned[train] = True
    away = learned[twin] & (twin >= 0)
    strangers = np.flatnonzero(twin < 0)
    far = far_from(asked.samples, strangers, test, plan.buffer_m, plan.halo_px, of=held.samples)
    away[strangers] = far & ~np.isin(held.polygon[strangers].astype(str), asked.polygon[test].astype(str))
    return away

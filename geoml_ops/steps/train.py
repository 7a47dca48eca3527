"""Train: a version becomes a table, folds, one evaluation per family, and the best of them a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment
from geoml_ops.core.flow import Evaluation, FeatureTable, FoldPlan
from geoml_ops.domain.fitting import fit
from geoml_ops.domain.nesting import folds_inside
from geoml_ops.platform.log import logger
from geoml_ops.steps.evaluating import evaluated, evaluated_choice, require_plans
from geoml_ops.steps.experiments import current_experiment, experiment_of
from geoml_ops.steps.models import builder, keep_model
from geoml_ops.steps.places import Places
from geoml_ops.steps.runs import record_run
from geoml_ops.steps.samples import open_table
from geoml_ops.steps.studies import require_honest
from geoml_ops.steps.tabulating import families, plan, tabulate, version_for

__all__ = ["choose", "evaluate", "families", "plan", "require_buildable", "tabulate", "version_for"]

_log = logger("train")


def require_buildable(places: Places) -> None:
    """Lets the experiment through if each of its families can be built; a slip shows before hours of training.

    Raises:
        BadInput: a family, a member, an option or a parameter that this program does not know.
    """
    experiment = current_experiment(places)
    for family, params in experiment.families.items():
        builder(family, params, experiment)


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
    require_plans(plans)
    table = shelf.get(FeatureTable, plans[0].table)
    experiment = experiment_of(places, table.experiment)
    if family not in experiment.families:
        raise BadInput(
            f"There is no family {family[:60]!r} in experiment {experiment.name!r}.",
            f"use one of {', '.join(experiment.families)}",
        )
    recipe = (table.id, *(p.id for p in plans), family, experiment.families[family], "")
    whole = [e for e in shelf.all(Evaluation) if _recipe(e) == recipe and is_whole(places.tables, e.predictions)]
    evaluation = whole[0] if whole else shelf.put(evaluated(places, plans, experiment, family))
    record_run(places, evaluation)
    score = evaluation.scores[experiment.gate.metric]
    _log.info("evaluated", evaluation=evaluation.id, family=family, score=score.value, low=score.low, high=score.high)
    return evaluation


def choose(places: Places, evaluation_ids: tuple[str, ...]) -> Evaluation:
    """Returns the evaluation of the best recipe by its honest score in the gate's metric, refitted on every sample.

    Equal scores are told apart by the family's name. The best of several scores flatters, so where there is
    a choice the evaluation that comes back is a new one: of the choosing itself, from nested folds. The
    fitted model is kept in its native form and is never served.

    Raises:
        BadInput: nothing to choose from, evaluations over different plans, or too few samples to nest folds.
        Unavailable: MLflow does not answer; what was found is kept.
    """
    shelf = Shelf(places.nouns)
    found = [shelf.get(Evaluation, evaluation_id) for evaluation_id in dict.fromkeys(evaluation_ids)]
    if len({e.plan for e in found}) != 1:
        raise BadInput(
            f"{len(found)} evaluations over {len({e.plan for e in found})} plans cannot be compared.",
            "evaluate every family on the same plan",
        )
    for each in found:
        require_honest(places, each)
    table = shelf.get(FeatureTable, found[0].table)
    experiment = experiment_of(places, table.experiment)
    best = min(found, key=lambda e: (-e.scores[experiment.gate.metric].value, e.family))
    chosen = best if len(found) == 1 else _chosen(places, experiment, found, best)
    tabled = open_table(places, table)
    build = builder(best.family, best.params, experiment)
    inner, k = folds_inside(shelf.get(FoldPlan, best.plan), tabled.samples), len(experiment.class_names)
    code, weight = tabled.samples.code, tabled.weight
    keep_model(places, chosen, lambda: fit(build, tabled.features, code, k, weight=weight, inner=inner))
    _log.info("chosen", evaluation=chosen.id, family=best.family, among=len(found))
    return chosen


def _chosen(places: Places, experiment: Experiment, found: Sequence[Evaluation], best: Evaluation) -> Evaluation:
    """Returns the evaluation of choosing among these, kept and recorded."""
    shelf, among = Shelf(places.nouns), tuple(sorted(e.id for e in found))
    known = [e for e in shelf.all(Evaluation) if e.selected_from == among and is_whole(places.tables, e.predictions)]
    plan = shelf.get(FoldPlan, best.plan)
    chosen = known[0] if known else shelf.put(evaluated_choice(places, plan, experiment, found, best))
    record_run(places, chosen)
    return chosen


def _recipe(evaluation: Evaluation) -> tuple[object, ...]:
    """Returns what makes two evaluations the same; a choice is like nothing that was evaluated by itself."""
    plans = (evaluation.plan, evaluation.optimism_plan, *(panel.plan for panel in evaluation.others))
    return (evaluation.table, *plans, evaluation.family, evaluation.params, evaluation.study, *evaluation.selected_from)

"""Searches that are finished: their trials on disk, and what each fold found without its tested ground."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import read_table, write_table
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Evaluation, FoldPlan, Study
from geoml_ops.core.noun import FileRef
from geoml_ops.core.searching import Tried, best_of
from geoml_ops.steps.places import Places

ALL = -1
"""Fold of the search over all samples, which the final model is made from."""


@dataclass(frozen=True)
class Searched:
    """One finished search.

    Attributes:
        plan: whose folds it was nested in.
        fold: of that plan, whose train side it was searched on; :data:`ALL` for all samples.
        tried: its trials.
    """

    plan: str
    fold: int
    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried:
        """The best of them."""
        return best_of(self.tried)


def require_spatial(plan: FoldPlan) -> None:
    """Lets a plan through whose folds may decide what is promoted.

    Raises:
        BadInput: its folds are random.
    """
    if plan.method == "random":
        raise BadInput(
            f"{plan.id} deals samples at random, so a search in it finds what repeats its neighbours best; nothing "
            "that was found so can be promoted.",
            "give the plan that counts, which geoml train plan prints first",
        )


def require_honest(places: Places, evaluation: Evaluation) -> None:
    """Lets an evaluation through whose parameters, if they were searched for, were searched for in spatial folds.

    Raises:
        BadInput: they come from random folds, or from the search of another family or table.
    """
    if not evaluation.study:
        return
    shelf = Shelf(places.nouns)
    study = shelf.get(Study, evaluation.study)
    require_spatial(shelf.get(FoldPlan, study.plan))
    if (study.table, study.plan, study.family) != (evaluation.table, evaluation.plan, evaluation.family):
        raise BadInput(
            f"{evaluation.id} ({evaluation.family}, {evaluation.plan}) names {study.id}, which searched for "
            f"{study.family} in {study.plan}.",
            f"geoml tune {evaluation.family}",
        )


def keep_trials(places: Places, found: Sequence[Searched]) -> FileRef:
    """Writes the trials of all searches of a study under their content and returns the file."""
    rows = [(each.plan, each.fold, one, one is each.best) for each in found for one in each.tried]
    columns = {
        "plan": np.array([plan for plan, *_ in rows], dtype=object),
        "fold": np.array([fold for _, fold, *_ in rows], dtype=np.int64),
        "number": np.array([one.number for *_, one, _ in rows], dtype=np.int64),
        "state": np.array([one.state for *_, one, _ in rows], dtype=object),
        "value": np.array([one.value for *_, one, _ in rows], dtype=np.float64),
        "values": np.array([json.dumps(one.values) for *_, one, _ in rows], dtype=object),
        "params": np.array([json.dumps(one.params, sort_keys=True) for *_, one, _ in rows], dtype=object),
        "because": np.array([one.because for *_, one, _ in rows], dtype=object),
        "best": np.array([best for *_, best in rows], dtype=np.bool_),
    }
    return write_table(places.tables, columns, {"holds": "trials"})


def open_trials(places: Places, study: Study) -> tuple[Searched, ...]:
    """Returns what :func:`keep_trials` wrote; raises as :func:`geoml_ops.adapters.tables.read_table`."""
    columns = read_table(places.tables, study.trials).columns
    found: dict[tuple[str, int], list[Tried]] = {}
    for row in range(len(columns["fold"])):
        one = Tried(
            int(columns["number"][row]),
            str(columns["state"][row]),  # type: ignore[arg-type]
            json.loads(columns["params"][row]),
            tuple(json.loads(columns["values"][row])),
            str(columns["because"][row]),
        )
        found.setdefault((str(columns["plan"][row]), int(columns["fold"][row])), []).append(one)
    return tuple(Searched(plan, fold, tuple(tried)) for (plan, fold), tried in found.items())


def params_in_folds(places: Places, evaluation: Evaluation) -> tuple[dict[str, JsonValue], ...] | None:
    """Returns the parameters that each fold of the evaluation's plan was answered with; None where all had the same."""
    if not evaluation.study:
        return None
    study = Shelf(places.nouns).get(Study, evaluation.study)
    mine = [each for each in open_trials(places, study) if each.plan == evaluation.plan and each.fold != ALL]
    return tuple(each.best.params for each in sorted(mine, key=lambda each: each.fold))

"""Select: which features a rule keeps on a table, on all samples and again inside every fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment, SelectionRules
from geoml_ops.core.flow import FeatureTable, FoldPlan, Selection
from geoml_ops.domain.fitting.selected import asked_alone
from geoml_ops.domain.folds import evidence_blocks, materialise, part
from geoml_ops.domain.nesting import inner_splits
from geoml_ops.domain.selecting import UNLABELLED, Chosen, Folds, choose
from geoml_ops.platform.log import logger
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table
from geoml_ops.steps.studies import require_spatial

MOST_FOLDS = 50
_log = logger("select")


def rules_for(
    experiment: Experiment, method: str = "", most: int | None = None, options: Mapping[str, JsonValue] | None = None
) -> SelectionRules:
    """Returns the experiment's rules, or others that are asked for instead.

    Raises:
        BadInput: neither says how, or a method or number that cannot be.
    """
    own = experiment.selection
    if not method and own is None:
        raise BadInput(
            f"Experiment {experiment.name!r} says nothing under selection.",
            "name a method: vif, permutation, rfe or boruta",
        )
    said: dict[str, Any] = {"method": method, "options": {}}
    if own is not None and method in ("", own.method):
        said = own.model_dump()
    asked = {"most": most} if most is not None else {}
    try:
        return SelectionRules.model_validate(said | asked | {"options": {**said["options"], **(options or {})}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise BadInput(
            f"A selection with {where} {str(first['input'])[:60]!r} cannot be: {first['msg']}.",
            "use vif, permutation, rfe or boruta, and a most of at least 1",
        ) from None


def select(
    places: Places,
    plan_id: str,
    *,
    family: str = "",
    method: str = "",
    most: int | None = None,
    options: Mapping[str, JsonValue] | None = None,
) -> Selection:
    """Returns which features a rule keeps on all samples, and in what share of the plan's train sides it keeps each.

    A report: what a training chooses it chooses inside its folds, where ``selection`` stands in the experiment.

    Args:
        places: where things are.
        plan_id: the plan that counts.
        family: that the features are chosen for, with ``options: {model: family}``; the first if left out.
        method: instead of the experiment's.
        most: instead of the experiment's.
        options: beside or instead of the experiment's.

    Raises:
        BadInput: a random plan, an unknown method, family or option, or samples too few for folds inside folds.
    """
    shelf = Shelf(places.nouns)
    plan = shelf.get(FoldPlan, plan_id)
    require_spatial(plan)
    table = shelf.get(FeatureTable, plan.table)
    experiment, tabled = experiment_of(places, table.experiment), open_table(places, table)
    rules, family = rules_for(experiment, method, most, options), family or next(iter(experiment.families))
    asked = _Asked(plan, experiment, tabled, table.features, rules, family)
    everything = asked.chosen(np.arange(len(tabled.samples)), None)
    splits = materialise(plan, tabled.samples)[:MOST_FOLDS]
    kept = np.zeros(len(table.features))
    for number, (train, _) in enumerate(splits):
        kept[list(asked.chosen(train, number).kept)] += 1 / len(splits)
    selection = shelf.put(_noun(asked, everything, kept))
    _log.info("selected", selection=selection.id, method=rules.method, kept=len(selection.kept), of=len(kept))
    return selection


class _Asked:
    """One rule, asked of all samples or of a fold's train side."""

    def __init__(
        self,
        plan: FoldPlan,
        experiment: Experiment,
        tabled: Tabled,
        names: tuple[str, ...],
        rules: SelectionRules,
        family: str,
    ) -> None:
        self.plan, self.tabled, self.names, self.rules, self.family = plan, tabled, names, rules, family
        if family not in experiment.families:
            raise BadInput(
                f"There is no family {family[:60]!r} in experiment {experiment.name!r}.",
                f"use one of {', '.join(experiment.families)}",
            )
        bare = experiment.model_copy(update={"selection": None})
        self.seed = experiment.sampling.seed
        self.build = asked_alone(builder(family, experiment.families[family], bare))

    def chosen(self, rows: NDArray[np.int64], fold: int | None) -> Chosen:
        """Returns what the rule keeps on some samples, by folds inside them."""
        inside = part(self.tabled.samples, rows)
        folds = Folds([], inside.code)
        if self.rules.method not in UNLABELLED:
            folds = Folds(inner_splits(self.plan, inside, fold), evidence_blocks(inside, self.plan.block_m)[1])
        features = self.tabled.features[rows]
        return choose(self.rules, features, inside.code, folds, build=self.build, names=self.names, seed=self.seed)


def _noun(asked: _Asked, found: Chosen, kept: NDArray[np.float64]) -> Selection:
    names = asked.names
    return Selection(
        table=asked.plan.table,
        plan=asked.plan.id,
        family=asked.family,
        rules=asked.rules,
        kept=tuple(names[j] for j in found.kept),
        kept_share={name: round(float(share), 6) for name, share in zip(names, kept, strict=True)},
        measured={n: float(v) for n, v in zip(names, found.measured, strict=True) if np.isfinite(v)},
        because={names[j]: why for j, why in sorted(found.because.items())},
    )

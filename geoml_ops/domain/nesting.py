"""The score of a choice: which recipe is best is decided again inside every fold, without its tested ground.

The best of several scores is too good: the same folds that chose it also praised it. Nested folds
(Varma and Simon 2006; Cawley and Talbot 2010) score the whole procedure, choosing included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import Features, OutOfFold, out_of_fold
from geoml_ops.domain.folds import Samples, Split, part, splitter_of
from geoml_ops.domain.scoring import confusion, metric_of

Builds = Mapping[str, Callable[[int], Any]]
INNER_FOLDS = (3, 2)
_WHOLE = {"buffered_loo": "buffered", "nndm": "knndm"}


@dataclass(frozen=True)
class Choice:
    """What choosing the best of several recipes is worth.

    Attributes:
        answers: of the recipe that the inner folds chose, fold by fold.
        chosen: its name in each outer fold.
    """

    answers: OutOfFold
    chosen: tuple[str, ...]


def nested(
    plan: FoldPlan,
    samples: Samples,
    features: Features,
    splits: Sequence[Split],
    builds: Builds,
    answers: Mapping[str, OutOfFold],
    *,
    metric: str,
    n_classes: int,
) -> Choice:
    """Returns the answers of nested folds.

    Args:
        plan: of the outer folds; the inner ones follow its rules with fewer folds.
        samples: all of them.
        features: ``(n, features)``.
        splits: the outer folds, materialised.
        builds: recipe name to what builds its unfitted model.
        answers: of each recipe over the outer folds; their models never saw the tested ground.
        metric: by which the inner folds choose; equal values are told apart by name.
        n_classes: length of the fixed class list.

    Raises:
        BadInput: a train side is too small for folds inside it.
    """
    first = next(iter(answers.values()))
    probability, chosen = np.full_like(first.probability, np.nan), []
    for number, (train, test) in enumerate(splits):
        inside = part(samples, train)
        inner = inner_splits(plan, inside, number)
        values = {
            name: _value(out_of_fold(features[train], inside.code, inner, build, n_classes), inside, metric)
            for name, build in builds.items()
        }
        best = min(values, key=lambda name: (-values[name], name))
        probability[test] = answers[best].probability[test]
        chosen.append(best)
    shares = [chosen.count(name) / max(len(chosen), 1) for name in answers]
    importance = np.sum([s * a.importance for s, a in zip(shares, answers.values(), strict=True)], axis=0)
    return Choice(OutOfFold(probability, first.no_skill, first.fold, importance), tuple(chosen))


def inner_splits(plan: FoldPlan, samples: Samples, fold: int) -> list[Split]:
    """Returns folds inside one train side, by the plan's method with three folds, else two, else buffered ones.

    The inner folds only choose; how good the choice is, the outer ones say. So another method inside is
    no dishonesty, and leave-one-out plans choose by their k-fold relatives.

    Raises:
        BadInput: none of these can be cut.
    """
    method = _WHOLE.get(plan.method, plan.method)
    asked: list[dict[str, Any]] = [{"method": method, "n_folds": n} for n in INNER_FOLDS]
    asked += [{"method": "buffered", "n_folds": n} for n in INNER_FOLDS]
    reason = ""
    for change in asked:
        own = {"deal": "balanced", "tested": None, "seed": plan.rules.seed + 1 + fold}
        rules = FoldRules.model_validate(plan.rules.model_dump() | own | change)
        try:
            inner = plan.model_copy(update={"rules": rules, "n_folds": rules.n_folds, "repeat": 0})
            found = splitter_of(inner, samples).splits()
        except BadInput as error:
            reason = reason or error.fact
            continue
        if all(len(train) and len(test) for train, test in found):
            return found
        reason = reason or "A side of a fold is empty."
    raise BadInput(
        f"The {len(samples)} samples that train fold {fold} cannot be folded again to choose between recipes: {reason}",
        "train one family only, use fewer folds, or deliver labels of more ground",
    )


def _value(answers: OutOfFold, samples: Samples, metric: str) -> float:
    mine = answers.tested
    counts = confusion(samples.code[mine], answers.predicted[mine], answers.probability.shape[1])
    return float(metric_of(counts, metric))

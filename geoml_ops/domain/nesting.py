"""The score of a choice: which recipe is best is decided again inside every fold, without its tested ground.

The best of several scores is too good: the same folds that chose it also praised it. Nested folds
(Varma and Simon 2006; Cawley and Talbot 2010) score the whole procedure, choosing included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldRules
from geoml_ops.domain.fitting import Features, Inner, OutOfFold, Weights, of_fold, out_of_fold
from geoml_ops.domain.folds import Samples, Split, evidence_blocks, part, splitter_of
from geoml_ops.domain.scoring import confusion, metric_of
from geoml_ops.domain.selecting import Folds

Build = Callable[[int], Any]
Builds = Mapping[str, Build | tuple[Build, ...]]
INNER_FOLDS = (3, 2)
REMEMBERED = 16
"""Members of one ensemble ask for folds inside the same samples, one after the other."""
REMEMBERED = 16
"""Members of one ensemble ask for folds inside the same samples, one after the other."""
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
    weight: Weights | None = None,
) -> Choice:
    """Returns the answers of nested folds.

    Args:
        plan: of the outer folds; the inner ones follow its rules with fewer folds.
        samples: all of them.
        features: ``(n, features)``.
        splits: the outer folds, materialised.
        builds: recipe name to what builds its unfitted model; one per fold where parameters were searched for,
            found without the fold's tested ground.
        answers: of each recipe over the outer folds; their models never saw the tested ground.
        metric: by which the inner folds choose; equal values are told apart by name.
        weight: ``(n,)`` how much each sample counts while a model learns; None for all the same.

    Raises:
        BadInput: a train side is too small for folds inside it.
    """
    first = next(iter(answers.values()))
    n_classes = first.probability.shape[1]
    probability, chosen = np.full_like(first.probability, np.nan), []
    for number, (train, test) in enumerate(splits):
        inside = part(samples, train)
        inner = inner_splits(plan, inside, number)
        own = None if weight is None else weight[train]
        told = partial(out_of_fold, features[train], inside.code, inner, n_classes=n_classes, weight=own)
        cut = folds_inside(plan, inside)
        values = {
            name: _value(told(build=_of_fold(build, number), inner=cut), inside, metric)
            for name, build in builds.items()
        }
        best = min(values, key=lambda name: (-values[name], name))
        probability[test] = answers[best].probability[test]
        chosen.append(best)
    shares = [chosen.count(name) / max(len(chosen), 1) for name in answers]
    importance = np.sum([s * a.importance for s, a in zip(shares, answers.values(), strict=True)], axis=0)
    return Choice(OutOfFold(probability, first.no_skill, first.fold, importance), tuple(chosen))


def folds_inside(plan: FoldPlan, samples: Samples) -> Inner:
    """Returns what cuts folds by a plan's rules inside any of the samples, for models that learn from them.

    A random plan only measures optimism: models inside its folds learn from the folds of the plan that counts.

    Raises:
        BadInput: the plan is random; or, when asked, as :func:`inner_splits`.
    """
    _refuse_random(plan)
    known: dict[bytes, list[Split]] = {}

    def cut(rows: NDArray[np.int64]) -> list[Split]:
        key = np.asarray(rows, dtype=np.int64).tobytes()
        if key not in known:
            if len(known) >= REMEMBERED:
                known.pop(next(iter(known)))
            inside = part(samples, rows)
            known[key] = Folds(inner_splits(plan, inside, None), evidence_blocks(inside, plan.block_m)[1])
        return known[key]

    return cut


def inner_splits(plan: FoldPlan, samples: Samples, fold: int | None) -> list[Split]:
    """Returns folds inside one train side, by the plan's method with three folds, else two, else buffered ones.

    The inner folds only choose, or tell a model what its members' answers mean; how good the whole is, the outer
    ones say. So another method inside is no dishonesty, and leave-one-out plans choose by their k-fold relatives.
    Random folds never are among them, not even where a method would find them good enough.

    Args:
        plan: of the outer folds.
        samples: of one train side.
        fold: whose train side it is; None where it has no number.

    Raises:
        BadInput: none of these can be cut, or the plan is random.
    """
    _refuse_random(plan)
    method = _WHOLE.get(plan.method, plan.method)
    asked: list[dict[str, Any]] = [{"method": method, "n_folds": n} for n in INNER_FOLDS]
    asked += [{"method": "buffered", "n_folds": n} for n in INNER_FOLDS]
    reason = ""
    for change in asked:
        own = {"deal": "balanced", "tested": None, "seed": plan.rules.seed + 1 + (fold or 0)}
        rules = FoldRules.model_validate(plan.rules.model_dump() | own | change)
        try:
            inner = plan.model_copy(update={"rules": rules, "n_folds": rules.n_folds, "repeat": 0})
            splitter = splitter_of(inner, samples)
            found = splitter.splits()
            if splitter.matching is not None and splitter.matching.switched_to_random:
                reason = reason or "The method falls back to random folds here."
                continue
        except BadInput as error:
            reason = reason or error.fact
            continue
        if all(len(train) and len(test) for train, test in found):
            return found
        reason = reason or "A side of a fold is empty."
    raise BadInput(
        f"The {len(samples)} samples that train {'a model' if fold is None else f'fold {fold}'} cannot be folded again "
        f"to choose between recipes or to learn from answers to them: {reason}",
        "train one family only, without calibration and stacking, use fewer folds, or deliver labels of more ground",
    )


def _refuse_random(plan: FoldPlan) -> None:
    if plan.method == "random":
        raise BadInput("Random folds would stand inside a train side.", "give the plan that counts")


def _of_fold(build: Build | tuple[Build, ...], number: int) -> Build:
    return of_fold(build[number] if isinstance(build, tuple) else build, number)


def _value(answers: OutOfFold, samples: Samples, metric: str) -> float:
    mine = answers.tested
    counts = confusion(samples.code[mine], answers.predicted[mine], answers.probability.shape[1])
    return float(metric_of(counts, metric))

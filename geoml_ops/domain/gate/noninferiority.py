"""Whether the challenger is as good in every class that matters: non-inferiority with Holm's levels.

The margin of a class is fixed beforehand. "As good" is shown where the hypothesis "the class loses
its margin or more" is rejected; "worse" where "it loses less" is. The classes of an experiment are tested
together, each way at a family level of alpha (Holm 1979): the smallest p at ``alpha / m``, the next at
``alpha / (m - 1)``, and so on, stopping at the first that fails. Then at most alpha of challengers are
called as good in any class in which they are not. (A promotion asks for all classes at once, which alone would
need no correction, Berger 1982; Holm makes each sentence about a single class hold as well.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import ClassTest, Score
from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate.differences import Counted, Effect, class_difference

LEAST_BLOCKS = 10
"""Fewer blocks are no evidence, whatever the rules say; of a class, blocks in which it is true."""
_UNKNOWN = (0.0, -1.0, 1.0)


@dataclass(frozen=True)
class ClassEvidence:
    """One class: the test that goes into the judgement, and whether it was shown to have lost its margin.

    Attributes:
        test: difference of F1, one-sided p of "it loses its margin or more", Holm's level.
        worse: True where "it loses less than its margin" is rejected, Holm's level again.
        enough: False where the class is true in too few blocks to be tested.
    """

    test: ClassTest
    worse: bool
    enough: bool


def class_tests(counted: Counted, classes: Sequence[str], rules: GateRules) -> tuple[ClassEvidence, ...]:
    """Returns the evidence about each class of ``rules.classes``, in the order of the class list.

    A class that is true in fewer than ten blocks is not tested: its p is 1, and it passes neither way.

    Args:
        counted: counts over blocks and folds.
        classes: the fixed class list.
        rules: margins of classes, alpha and confidence.

    Raises:
        BadInput: a class that is not in the list, or a margin that is no number of 0 or more.
    """
    for name, margin in rules.classes.items():
        if name not in classes:
            raise BadInput(f"There is no class {name[:60]!r}.", f"gate.classes may name {', '.join(classes)}")
        if not np.isfinite(margin) or margin < 0:
            raise BadInput(f"The margin of class {name!r} is {margin}.", "use a loss of F1 from 0")
    named = [(code, name) for code, name in enumerate(classes) if name in rules.classes]
    effects = [class_difference(counted, code) for code, _ in named]
    enough = [effect is not None and effect.n_blocks >= LEAST_BLOCKS for effect in effects]
    margins = [rules.classes[name] for _, name in named]
    p_lost = [e.p_above(-m) if ok and e else 1.0 for e, m, ok in zip(effects, margins, enough, strict=True)]
    p_kept = [e.p_below(-m) if ok and e else 1.0 for e, m, ok in zip(effects, margins, enough, strict=True)]
    levels, good = holm(p_lost, rules.alpha)
    _, worse = holm(p_kept, rules.alpha)
    return tuple(
        ClassEvidence(
            ClassTest(
                name=name,
                difference=_score(effects[i], code, counted, rules.confidence),
                margin=margins[i],
                p=p_lost[i],
                level=levels[i],
                passed=good[i],
            ),
            worse=worse[i],
            enough=enough[i],
        )
        for i, (code, name) in enumerate(named)
    )


def holm(p: Sequence[float], alpha: float) -> tuple[list[float], list[bool]]:
    """Returns each hypothesis' level and whether it is rejected, with a family error of at most alpha.

    Holm 1979: the r-th smallest p (from 0) is compared with ``alpha / (m - r)``; the first that is larger
    stops all after it. Equal p keep their order.

    >>> holm([0.04, 0.01, 0.03], 0.05)
    ([0.05, 0.016666666666666666, 0.025], [False, True, False])
    """
    m, levels, rejected = len(p), [0.0] * len(p), [False] * len(p)
    going = True
    for rank, i in enumerate(np.argsort(np.asarray(p, dtype=np.float64), kind="stable")):
        levels[i] = alpha / (m - rank)
        going = going and p[i] <= levels[i]
        rejected[i] = going
    return levels, rejected


def _score(effect: Effect | None, code: int, counted: Counted, confidence: float) -> Score:
    if effect is not None:
        return effect.score(confidence)
    n_true = int((counted.blocks[0, :, code, :].sum(axis=-1) > 0).sum())
    value, low, high = _UNKNOWN
    return Score(value=value, low=low, high=high, n_blocks=n_true)

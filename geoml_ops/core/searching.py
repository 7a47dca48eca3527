"""Searching for parameters: what a trial is, which is best, and when one is given up between folds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range

Params = Mapping[str, JsonValue]
Course = Callable[[Params], Iterator[float]]
"""Parameters to their score after each fold, over all folds so far; the last one counts, more is better."""


@dataclass(frozen=True)
class Tried:
    """One set of parameters that was tried.

    Attributes:
        number: from 0, which is what the experiment says without any search.
        state: ``finished`` all folds, ``pruned`` between two, or ``failed`` (then ``because`` says why).
        params: everything that the model is built with, searched or not.
        values: score after each fold that was run, over all of them so far.
        because: why it failed; else empty.
    """

    number: int
    state: Literal["finished", "pruned", "failed"]
    params: dict[str, JsonValue]
    values: tuple[float, ...]
    because: str = ""

    @property
    def value(self) -> float:
        """Score over all folds; NaN where not all were run."""
        return self.values[-1] if self.state == "finished" else math.nan


def best_of(tried: Sequence[Tried]) -> Tried:
    """Returns the finished trial with the greatest value, the earliest of equals: the default wins a tie.

    Raises:
        BadInput: no trial finished.
    """
    finished = [each for each in tried if each.state == "finished"]
    if not finished:
        why = next((each.because for each in tried if each.because), "none was tried")
        raise BadInput(f"None of {len(tried)} sets of parameters could be scored: {why[:200]}", "look at the space")
    return min(finished, key=lambda each: (-each.value, each.number))


def hopeless(values: Sequence[float], others: Sequence[Tried], *, startup: int) -> bool:
    """Says whether a trial is given up: clearly worse than the median of all that got as far, at that very fold.

    The median stopping rule (Golovin et al. 2017), with three differences to the usual implementation. A
    trial is compared by its score over the folds so far and not by its best one, for after an easy first
    fold nothing would ever be given up. Trials that were given up themselves count among the others, or
    the bar would rise with every fold. And *clearly* is by more than the finished trials have gained or lost on
    their median from this fold to the last, root mean square: what early folds cannot tell is not held
    against a trial.

    Args:
        values: scores of the trial so far, one per fold.
        others: all trials that ended before.
        startup: finished trials below which nothing is given up.
    """
    step, finished = len(values) - 1, [each.values for each in others if each.state == "finished"]
    if len(finished) < max(startup, 1):
        return False
    reached = [each.values[step] for each in others if len(each.values) > step]
    then, last = np.array([each[step] for each in finished]), np.array([each[-1] for each in finished])
    moved = (last - np.median(last)) - (then - np.median(then))
    return values[-1] < float(np.median(reached)) - float(np.sqrt(np.mean(np.square(moved))))


def require_space(family: str, space: Mapping[str, Range]) -> None:
    """Lets a space through that can be searched.

    Raises:
        BadInput: it is empty, or a range of whole numbers holds none.
    """
    if not space:
        raise BadInput(
            f"There is nothing to search for {family[:60]!r}: its space is empty.",
            f"name ranges under tuning.space.{family[:60]}",
        )
    for name, each in space.items():
        low, high = each.low or 0.0, each.high or 0.0
        if each.whole and not each.choices and math.ceil(low) > math.floor(high):
            raise BadInput(
                f"tuning.space.{family[:60]}.{name[:60]} asks for whole numbers between {low:g} and {high:g}; "
                "there are none.",
                "widen the range",
            )


def lies_in(value: Any, within: Range) -> bool:
    """Says whether a value is one that a search of this range could have found."""
    if within.choices:
        return json.dumps(value, sort_keys=True) in {json.dumps(each, sort_keys=True) for each in within.choices}
    if isinstance(value, bool) or not isinstance(value, int | float) or within.low is None or within.high is None:
        return False
    return within.low <= value <= within.high and (not within.whole or float(value).is_integer())

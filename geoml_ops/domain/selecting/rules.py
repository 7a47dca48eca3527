"""What every method of choosing features shares: its options, its answer, and what can be left out unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import SelectionRules
from geoml_ops.core.grid import Value
from geoml_ops.domain.folds import Split

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Build = Callable[[int], Any]
"""Number of classes to an unfitted estimator with ``fit`` and ``predict_proba``."""


class VifOptions(Value):
    """``threshold``: largest variance inflation factor that may stay; 10 is the usual one, 5 a strict one."""

    threshold: float = Field(10.0, gt=1)


class Measured(Value):
    """What methods that measure importance can be told.

    Attributes:
        model: what is asked, a random forest or the family that the features are chosen for.
        trees: of that forest.
        shuffles: times that each feature takes other values.
    """

    model: Literal["forest", "family"] = "forest"
    trees: int = Field(100, ge=10, le=5000)
    shuffles: int = Field(3, ge=1, le=100)


class PermutationOptions(Measured):
    """``alpha``: share of useless features that may stay by chance."""

    alpha: float = Field(0.05, gt=0, lt=0.5)


class RfeOptions(Measured):
    """``share`` of the features that leave in each round, at least one."""

    share: float = Field(0.2, gt=0, lt=1)


class BorutaOptions(Measured):
    """What Boruta can be told.

    Attributes:
        iterations: forests at most; each meets other shadows, and the next of the folds.
        alpha: error rate of a decision.
        correction: ``bonferroni`` over features, or ``bh``: false discovery rate over features (Benjamini and
            Hochberg 1995), Bonferroni over iterations.
    """

    shuffles: int = Field(1, ge=1, le=100)
    iterations: int = Field(50, ge=5, le=1000)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    correction: Literal["bonferroni", "bh"] = "bonferroni"


@dataclass(frozen=True)
class Ground:
    """Samples that features are chosen on.

    Attributes:
        features: float64 ``(n, features)``, finite: what was missing is the feature's median.
        code: ``(n,)`` classes, contiguous from 0; empty where the method asks for none.
        splits: spatial folds of these samples; empty where the method asks for none.
        unit: ``(n,)`` number of the block of evidence that a sample lies in.
        build: unfitted model of a number of classes.
        seed: of everything random.
        names: of the features.
    """

    features: Floats
    code: Codes
    splits: tuple[Split, ...]
    unit: Codes
    build: Build
    seed: int
    names: tuple[str, ...]


@dataclass
class Chosen:
    """Which features stay, and why the others do not.

    Attributes:
        kept: their positions, ascending; at least one.
        measured: the number the rule went by, by position; NaN where none was measured.
        because: a sentence per feature that was left out, by position, and for one that stays although no
            rule would keep it.
    """

    kept: tuple[int, ...]
    measured: Floats
    because: dict[int, str] = field(default_factory=dict)


T = TypeVar("T", bound=Value)


def options_of(kind: type[T], rules: SelectionRules) -> T:
    """Returns the options of a method, checked.

    Raises:
        BadInput: an option that the method does not know, or a value it cannot have.
    """
    try:
        return kind.model_validate(rules.options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:60]
        raise BadInput(
            f"The selection by {rules.method} cannot use options.{where}: {first['msg']}.",
            f"use {', '.join(kind.model_fields)}",
        ) from None


def without_constants(ground: Ground) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Returns positions of features that vary, and a sentence for each other one.

    Raises:
        BadInput: none varies.
    """
    low, high = ground.features.min(axis=0), ground.features.max(axis=0)
    flat = high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    if flat.all():
        raise BadInput(
            f"None of the {len(flat)} features varies over the {len(ground.features)} samples.",
            "choose features that tell samples apart",
        )
    because = {int(j): f"has the value {low[j]:g} in all {len(ground.features)} samples" for j in np.flatnonzero(flat)}
    return np.flatnonzero(~flat), because


def at_most(kept: Sequence[int], measured: Floats, most: int | None, because: dict[int, str]) -> tuple[int, ...]:
    """Returns the ``most`` features with the greatest measure, ascending; ``because`` gains who had to go."""
    ranked = sorted(kept, key=lambda j: (-measured[j], j))
    for j in ranked[most:] if most is not None else ():
        because[j] = f"is not among the {most} features that may stay ({measured[j]:.3g})"
    return tuple(sorted(ranked[:most]))


def never_none(kept: Sequence[int], measured: Floats, because: dict[int, str], named: Mapping[int, str]) -> list[int]:
    """Returns what is kept, or the best of all where nothing would be, with a sentence that says so."""
    if kept:
        return list(kept)
    best = int(np.nanargmax(measured))
    because[best] = f"{named.get(best, 'would be left out')}; it stays because no feature would be left without it"
    return [best]

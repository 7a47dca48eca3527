"""What a model is built from: a family of the registry, its parameters, and what surrounds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Range
from geoml_ops.domain.fitting.weights import ClassWeight, weights_of

Params = Mapping[str, Any]
"""Parameters as an experiment writes them: values of JSON."""
Build = Callable[[Params, int, int], Any]
"""``(params, seed, n_classes)`` to an unfitted estimator with ``fit`` and ``predict_proba``."""
Index = NDArray[np.int64]
Splits = Sequence[tuple[Index, Index]]
Inner = Callable[[Index], Splits]
"""Positions of samples to spatial folds inside them: ``(train, test)`` positions counted within these samples."""


@dataclass(frozen=True)
class Setting:
    """What surrounds a model while it is built.

    Attributes:
        seed: of everything random in it.
        n_classes: classes it will be fitted on, coded 0 to n - 1.
        classes: their names, in code order; empty where nobody named them.
        inner: spatial folds inside the samples it will be fitted on; None where nobody can cut them.
        families: what members may be made of.
        depth: how many ensembles it is inside of.
    """

    seed: int
    n_classes: int
    classes: tuple[str, ...] = ()
    inner: Inner | None = None
    families: Mapping[str, Family] = field(default_factory=dict)
    depth: int = 0

    def splits(self, n: int) -> Splits:
        """Returns spatial folds inside the ``n`` samples of the train side.

        Raises:
            BadInput: nobody can cut them, or the samples are too few.
        """
        if self.inner is None:
            raise BadInput(
                f"A model that learns from answers to its own {n} samples needs spatial folds inside them.",
                "fit it on samples that lie on a map; random folds would flatter it",
            )
        return self.inner(np.arange(n))


@dataclass(frozen=True)
class Family:
    """One entry of the registry.

    Attributes:
        build: from parameters and setting to an unfitted estimator, or a :class:`Recipe`'s ensemble.
        space: parameter to the range that tuning searches by default.
        says: what it is, in one plain line.
        scores: calibration it cannot do without, because it answers with margins and not with probabilities;
            such a family is a pipeline that ends in :class:`SupportVectors` or the like.
        smooth: whether small changes of the features change its answers little: what may come last in a stack.
        errors: what its library raises for parameters that it cannot take.
    """

    build: Callable[[Params, Setting], Any]
    space: Mapping[str, Range] = field(default_factory=dict)
    says: str = ""
    scores: str = "none"
    smooth: bool = False
    errors: tuple[type[Exception], ...] = (ValueError, TypeError)


@dataclass(frozen=True)
class Recipe:
    """A family with its parameters: all that decides how a model is fitted, but the samples.

    Attributes:
        name: of the family.
        family: its entry.
        params: its own parameters.
        seed: of everything random.
        classes: names in code order; empty where nobody named them.
        class_weight: how much classes count.
        families: what members may be made of.
        depth: how many ensembles it is inside of.
    """

    name: str
    family: Family
    params: Params
    seed: int = 0
    classes: tuple[str, ...] = ()
    class_weight: ClassWeight = None
    families: Mapping[str, Family] = field(default_factory=dict)
    depth: int = 0

    @property
    def smooth(self) -> bool:
        """Whether small changes of the features change the answers little."""
        inside = self.params.get("member")
        return inside.smooth if isinstance(inside, Recipe) else self.family.smooth

    def __call__(self, n_classes: int) -> Any:
        """Returns an unfitted estimator for so many classes that has no folds to learn from."""
        return self.estimator(n_classes)

    def estimator(self, n_classes: int, inner: Inner | None = None) -> Any:
        """Returns an unfitted estimator.

        Args:
            n_classes: classes it will be fitted on.
            inner: spatial folds inside the samples it will be fitted on.

        Raises:
            BadInput: a parameter is unknown or impossible.
        """
        named = self.classes if len(self.classes) == n_classes else ()
        setting = Setting(self.seed, n_classes, named, inner, self.families, self.depth)
        with self.refusing():
            return self.family.build(self.params, setting)

    def refusing(self) -> _Refusing:
        """Returns a context in which what the library says of impossible parameters becomes :class:`BadInput`."""
        return _Refusing(self)

    def weights(self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Returns how much each sample counts, class and sample weights multiplied; None where all count the same."""
        return weights_of(codes, self.class_weight, self.classes, weight)

    def among(self, present: Sequence[int]) -> Recipe:
        """Returns the recipe for a train side that holds only these classes, coded anew from 0."""
        return replace(self, classes=tuple(self.classes[code] if self.classes else str(code) for code in present))

    def of_fold(self, number: int) -> Recipe:
        """Returns the recipe with a seed of its own for one fold: one unlucky draw must not be in all of them."""
        return replace(self, seed=self.seed + number)


class _Refusing:
    """Turns a library's complaint about parameters into a sentence with the family's name."""

    def __init__(self, asked: Recipe) -> None:
        self.asked = asked

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, BadInput) or not isinstance(error, self.asked.family.errors):
            return
        inside = self.asked.params.get("member")
        params = inside.params if isinstance(inside, Recipe) else self.asked.params
        said = " ".join(str(error).split())[:300].rstrip(" .")
        raise BadInput(
            f"The family {self.asked.name[:60]} cannot be fitted with {str(dict(params))[:200]}: {said}.",
            "look the parameter up in the documentation of the family's library",
        ) from error

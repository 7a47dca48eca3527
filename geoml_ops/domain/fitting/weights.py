"""How much a sample counts: what is known of the sample itself, times what its class shall count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

BALANCED = "balanced"
ClassWeight = str | Mapping[str, float] | None
"""``balanced``, or class name (code, where classes have no names) to how much it counts; others count 1."""


def class_weight_of(asked: Any, classes: Sequence[str]) -> ClassWeight:
    """Returns class weights once they are known to be possible.

    Args:
        asked: what the experiment says.
        classes: names in code order; empty where nobody named them.

    Raises:
        BadInput: a word other than ``balanced``, a class that is not there, or a weight that is no number above 0.
    """
    if asked is None:
        return None
    if asked == BALANCED:
        return BALANCED
    if not isinstance(asked, Mapping) or not asked:
        raise BadInput(f"class_weight is {str(asked)[:60]!r}.", "use balanced, or class: weight for some classes")
    unknown = [str(name)[:60] for name in asked if classes and str(name) not in classes]
    if unknown:
        raise BadInput(f"class_weight names {', '.join(unknown)}.", f"the classes are {', '.join(classes)}")
    for name, value in asked.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or value <= 0:
            raise BadInput(f"class_weight of {str(name)[:60]} is {str(value)[:60]}.", "use a number above 0")
    return {str(name): float(value) for name, value in asked.items()}


def weights_of(
    codes: NDArray[np.int64],
    class_weight: ClassWeight,
    classes: Sequence[str],
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """Returns how much each sample counts, ``(n,)``; None where all count the same.

    Sample weights are brought to a mean of 1, so that what a parameter means (least weight in a leaf, strength of
    a penalty) does not hang on their unit. ``balanced`` makes every class that is present count the same in sum
    (King and Zeng 2001, as scikit-learn words it): a class that is absent has no weight, not an infinite one.

    Args:
        codes: ``(n,)`` from 0.
        class_weight: of the classes.
        classes: names in code order; empty where nobody named them.
        weight: ``(n,)`` above 0, of the samples; None where all count the same.
    """
    own = None if weight is None else np.asarray(weight, dtype=np.float64) / np.mean(weight)
    if class_weight is None:
        return own
    base = np.ones(len(codes)) if own is None else own
    n_classes = int(codes.max()) + 1
    if isinstance(class_weight, str):
        sums = np.bincount(codes, weights=base, minlength=n_classes)
        present = sums > 0
        factor = np.where(present, base.sum() / (present.sum() * np.where(present, sums, 1.0)), 0.0)
    else:
        names = classes or [str(code) for code in range(n_classes)]
        factor = np.array([class_weight.get(name, 1.0) for name in names])
    return np.asarray(base * factor[codes], dtype=np.float64)


def require_weights(weight: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Returns sample weights as float64 ``(n,)``, once they can be.

    Raises:
        BadInput: another number of them than samples, one that is negative or no number, or none above 0.
    """
    found = np.asarray(weight, dtype=np.float64)
    if found.shape != (n,):
        raise BadInput(f"There are {found.size} weights for {n} samples.", "give one weight per sample")
    wrong = int((~np.isfinite(found) | (found < 0)).sum())
    if wrong:
        raise BadInput(f"{wrong} of {n} sample weights are negative or no number.", "use numbers from 0")
    if not (found > 0).any():
        raise BadInput(f"All {n} samples have weight 0.", "give some of them a weight above 0")
    return found

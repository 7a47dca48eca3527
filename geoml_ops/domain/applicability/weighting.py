"""The space in which samples are compared: standardised features, stretched by what they mean to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.applicability.distances import Floats, Index

_RESOLUTION = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Space:
    """Weighted feature space.

    Attributes:
        weights: of every feature by name, >= 0; the largest is 1.
        columns: ``(d,)`` positions of the features with a weight above 0.
        mean: ``(d,)`` of the samples.
        scale: ``(d,)`` weight divided by standard deviation.
        constant: names of features that are the same in every sample.
    """

    weights: dict[str, float]
    columns: Index
    mean: Floats
    scale: Floats
    constant: tuple[str, ...]


def space_of(
    features: NDArray[np.floating], names: Sequence[str], importance: Mapping[str, float] | None = None
) -> Space:
    """Returns the space of samples ``(n, features)``, all finite, at least two.

    Weights are importances, negative ones 0, scaled so that the largest is 1; all equal without importances;
    1 where there is one feature only. A feature that never varied has weight 0: no model can have used it,
    and there is no unit to measure how far another value would be.

    Raises:
        BadInput: importances are not those of the features or no numbers, no feature varies, or none
            that varies matters.
    """
    wide = features.astype(np.float64)
    mean, sd = wide.mean(axis=0), wide.std(axis=0, ddof=1)
    # Equal float32 numbers have a standard deviation of some rounding, not of 0.
    varies = np.ptp(wide, axis=0) > _RESOLUTION * np.abs(wide).max(axis=0)
    constant = tuple(name for name, free in zip(names, varies, strict=True) if not free)
    if not varies.any():
        raise BadInput(
            f"All {len(names)} features are constant over {len(features)} samples: {', '.join(names)}.",
            "train on features that differ between samples",
        )
    weights = np.where(varies, _stretch(names, importance), 0.0)
    if weights.max() <= 0:
        still = f"; {', '.join(constant)} did not vary" if constant else ""
        raise BadInput(
            f"No feature has an importance above 0 ({', '.join(names)}{still}), so no distance means anything.",
            "measure importance on more samples, or give none for equal weights",
        )
    weights /= weights.max()
    columns = np.flatnonzero(weights)
    return Space(
        weights=dict(zip(names, weights.tolist(), strict=True)),
        columns=columns,
        mean=mean[columns],
        scale=weights[columns] / sd[columns],
        constant=constant,
    )


def _stretch(names: Sequence[str], importance: Mapping[str, float] | None) -> Floats:
    """Returns the weight of each feature before scaling, ``(features,)`` >= 0."""
    if importance is not None and set(importance) != set(names):
        odd = sorted(set(importance) ^ set(names))
        raise BadInput(
            f"Importances of {len(importance)} features do not fit {len(names)}: {', '.join(odd)} only on one side.",
            "measure the importance of every feature of the model",
        )
    if importance is None or len(names) == 1:
        return np.ones(len(names))
    values = np.array([importance[name] for name in names], dtype=np.float64)
    if not np.isfinite(values).all():
        bad = [name for name, value in zip(names, values, strict=True) if not np.isfinite(value)]
        raise BadInput(f"The importance of {', '.join(bad)} is not a number.", "measure it again")
    return np.maximum(values, 0.0)

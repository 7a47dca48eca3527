"""Variance inflation: features that others already tell, whatever the labels say.

The variance inflation factor of a feature is 1 / (1 - R²) of its regression on the others (Belsley, Kuh and
Welsch 1980).
"""

from __future__ import annotations

import numpy as np

from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.selecting.rules import Chosen, Floats, Ground, VifOptions, options_of, without_constants

NULL = 1e-10
"""Share of variance below which a combination of features is nothing but rounding of float32."""


def inflation(features: Floats) -> Floats:
    """Returns the variance inflation factor of each column ``(features,)``, infinite where others give it exactly.

    The diagonal of the inverse correlation matrix, from its eigenvectors, since that matrix has no inverse where
    columns repeat each other: a column that takes part in a combination without variance is one of those.

    Args:
        features: ``(n, features)``, finite, no column constant.
    """
    centred = features - features.mean(axis=0)
    scaled = centred / np.sqrt(np.square(centred).sum(axis=0))
    value, vector = np.linalg.eigh(scaled.T @ scaled)
    null = value <= NULL * max(1.0, float(value[-1]))
    found = np.square(vector[:, ~null]) @ (1 / value[~null])
    found[np.square(vector[:, null]).sum(axis=1) > np.sqrt(NULL)] = np.inf
    return np.asarray(found, dtype=np.float64)


def by_inflation(ground: Ground, rules: SelectionRules) -> Chosen:
    """Returns the features that stay when the most inflated leaves, again and again, until none is above the threshold.

    Of equals the last in the list of features leaves. With ``most`` it goes on until that many are left.
    """
    options = options_of(VifOptions, rules)
    kept, because = without_constants(ground)
    measured = np.full(ground.features.shape[1], np.nan)
    while True:
        factor = inflation(ground.features[:, kept]) if len(kept) > 1 else np.ones(1)
        measured[kept] = factor
        too_many = rules.most is not None and len(kept) > rules.most
        if len(kept) == 1 or (factor.max() <= options.threshold and not too_many):
            return Chosen(tuple(int(j) for j in kept), measured, because)
        worst = int(np.flatnonzero(factor >= factor.max() * (1 - 1e-9))[-1])
        because[int(kept[worst])] = _sentence(ground, [int(j) for j in kept], worst, float(factor[worst]), options)
        kept = np.delete(kept, worst)


def _sentence(ground: Ground, kept: list[int], worst: int, factor: float, options: VifOptions) -> str:
    column, others = ground.features[:, kept[worst]], [j for j in kept if j != kept[worst]]
    alike = [abs(float(np.corrcoef(column, ground.features[:, j])[0, 1])) for j in others]
    nearest = int(np.argmax(alike))
    said = "the other features give it exactly" if np.isinf(factor) else f"its variance is inflated {factor:.1f} times"
    limit = "" if factor > options.threshold else f", the most of those left, though below {options.threshold:g}"
    return f"{said}{limit}; most like {ground.names[others[nearest]]} (correlation {alike[nearest]:.3f})"

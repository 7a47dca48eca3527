"""How large a block has to be where the rules say ``auto``: asked of the samples before any fold is cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, BlockSize, FoldRules, Method
from geoml_ops.domain.blocksize import auto_block
from geoml_ops.domain.fitting import OutOfFold, out_of_fold, random_forest
from geoml_ops.domain.folds import Samples, evidence_blocks, splitter_of
from geoml_ops.domain.scoring import scores_of

FOREST = {"n_estimators": 40, "max_depth": 10, "min_samples_leaf": 2}
"""Quick and good enough to leave the residuals that any model would leave."""


def block_size(
    samples: Samples,
    features: NDArray[np.float32] | None,
    rules: FoldRules,
    *,
    halo_px: int = 0,
    classes: Sequence[str] | None = None,
) -> BlockSize:
    """Returns the edge of blocks that the samples ask for, and how it was found.

    Residuals are those of a forest over spatial clusters: of a model that saw the same ground they would
    look independent. The same forest gives the scores at 1, 2 and 5 times the edge.

    Args:
        samples: of a table.
        features: ``(n, features)``; None where there are none, then no residuals and no scores are looked at.
        rules: as a person wrote them.
        halo_px: pixels that a feature's window reaches beyond its own.
        classes: names in code order, for sentences.

    Raises:
        BadInput: the samples give no variogram and no blocks at all.
    """
    if features is None:
        return auto_block(samples, rules, halo_px=halo_px, residual=None, score=None, classes=classes, seed=rules.seed)
    n_classes = int(samples.code.max(initial=0)) + 1
    answered = partial(_answered, samples, features, n_classes, halo_px=halo_px)
    try:
        answers = answered(_rules(rules, "kmeans", 1.0))
        own = answers.probability[np.arange(len(samples)), samples.code]
        residual = np.where(answers.tested, 1.0 - own, np.nan)
    except BadInput:
        residual = None

    def score(block_m: float) -> Score | None:
        try:
            found = answered(_rules(rules, "block", block_m))
        except BadInput:
            return None
        mine, (_, block) = found.tested, evidence_blocks(samples, block_m)
        if len(np.unique(block[mine])) < 2:
            return None
        return scores_of(samples.code[mine], found.predicted[mine], block[mine], n_classes)["overall_accuracy"]

    return auto_block(samples, rules, halo_px=halo_px, residual=residual, score=score, classes=classes, seed=rules.seed)


def with_edge(rules: FoldRules, size: BlockSize) -> FoldRules:
    """Returns the rules with the edge in place of ``auto``; unchanged where they name a number."""
    if rules.block_m != "auto":
        return rules
    return rules.model_copy(update={"block_m": size.block_m})


def _rules(rules: FoldRules, method: Method, block_m: float) -> FoldRules:
    asked = {"method": method, "block_m": block_m, "clusters": None, "deal": "balanced", "shape": "square"}
    return FoldRules.model_validate(rules.model_dump() | asked)


def _answered(
    samples: Samples, features: NDArray[np.float32], n_classes: int, rules: FoldRules, *, halo_px: int
) -> OutOfFold:
    plan = FoldPlan(
        table="",
        rules=rules,
        estimand=ESTIMAND[rules.method],
        n_folds=rules.n_folds,
        n_blocks=1,
        halo_px=halo_px,
    )
    splits = splitter_of(plan, samples).splits()
    return out_of_fold(features, samples.code, splits, lambda k: random_forest(FOREST, rules.seed, k), n_classes)

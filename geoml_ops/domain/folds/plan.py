"""From rules to a plan and from a plan to folds: the one place that knows every method by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, BlockSize, FoldRules
from geoml_ops.domain.folds.audit import audit
from geoml_ops.domain.folds.blocks import BlockFolds
from geoml_ops.domain.folds.random import RandomFolds
from geoml_ops.domain.folds.samples import Samples, evidence_blocks
from geoml_ops.domain.folds.splitter import Split, Splitter


def _blocks(plan: FoldPlan, samples: Samples) -> Splitter:
    return BlockFolds(
        samples,
        n_folds=plan.n_folds,
        buffer_m=plan.buffer_m,
        halo_px=plan.halo_px,
        seed=plan.seed,
        block_m=plan.block_m,
        shape=plan.rules.shape,
        deal=plan.rules.deal,
        moved=plan.repeat > 0,
    )


def _random(plan: FoldPlan, samples: Samples) -> Splitter:
    return RandomFolds(samples, n_folds=plan.n_folds, seed=plan.seed)


METHODS: Mapping[str, Callable[[FoldPlan, Samples], Splitter]] = {
    "block": _blocks,
    "random": _random,
}


def splitter_of(plan: FoldPlan, samples: Samples) -> Splitter:
    """Returns the splitter of a plan.

    Raises:
        BadInput: this program does not know the method.
    """
    if plan.method not in METHODS:
        raise BadInput(f"There is no fold method {plan.method!r}.", f"use one of {', '.join(METHODS)}")
    return METHODS[plan.method](plan, samples)


def materialise(plan: FoldPlan, samples: Samples) -> list[Split]:
    """Returns ``(train, test)`` positions per fold; the same plan and samples give the same folds."""
    return splitter_of(plan, samples).splits()


def plan_for(
    table: str,
    samples: Samples,
    rules: FoldRules,
    *,
    halo_px: int = 0,
    repeat: int = 0,
    block_size: BlockSize | None = None,
) -> FoldPlan:
    """Returns the audited plan of the samples of a table.

    Args:
        table: id of the table.
        samples: what it holds.
        rules: resolved: ``block_m`` is a number.
        halo_px: pixels that a feature's window reaches beyond its own.
        repeat: 0 for the plan itself, 1 and on for the same rules on another grid.
        block_size: where ``block_m`` came from, if it was ``auto``.

    Raises:
        BadInput: no samples, one class only, fewer blocks than folds, a CRS without metres, or
            whatever else the method cannot split; the sentence says the numbers and the way out.
    """
    present = np.unique(samples.code)
    if len(present) < 2:
        raise BadInput(
            f"{len(samples)} samples of {len(present)} class cannot train a classifier."
            if len(samples)
            else "There are no samples.",
            "deliver labels of at least two classes",
        )
    if rules.block_m == "auto":
        raise ValueError("block_m: auto has to be resolved before a plan is made")
    plan = FoldPlan(
        table=table,
        rules=rules,
        repeat=repeat,
        estimand=ESTIMAND[rules.method],
        n_folds=rules.n_folds,
        n_blocks=len(evidence_blocks(samples, rules.block_m)[0]),
        halo_px=0 if rules.method == "random" else halo_px,
        block_size=block_size,
    )
    splitter = splitter_of(plan, samples)
    splits = splitter.splits()
    plan = plan.model_copy(update={"n_folds": len(splits), "matching": splitter.matching})
    return plan.model_copy(update={"audit": audit(plan, samples, splits)})

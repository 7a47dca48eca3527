"""From rules to a plan and from a plan to folds: the one place that knows every method by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import ESTIMAND, BlockSize, FoldRules
from geoml_ops.domain.folds.audit import audit
from geoml_ops.domain.folds.blocks import BlockFolds
from geoml_ops.domain.folds.buffered import BufferedFolds, BufferedLeaveOneOut
from geoml_ops.domain.folds.clusters import EnvironmentFolds, SpatialClusterFolds
from geoml_ops.domain.folds.knndm import KNNDMFolds
from geoml_ops.domain.folds.locations import LocationFolds, LocationTimeFolds, TimeFolds
from geoml_ops.domain.folds.nndm import NNDMFolds
from geoml_ops.domain.folds.random import RandomFolds
from geoml_ops.domain.folds.samples import Samples, evidence_blocks
from geoml_ops.domain.folds.splitter import Split, Splitter


def _dealt(plan: FoldPlan) -> dict[str, Any]:
    """Returns what all spatial methods ask; ``plan.n_folds`` counts the folds that came of it, not those asked for."""
    return {
        "n_folds": plan.rules.n_folds,
        "buffer_m": plan.buffer_m,
        "halo_px": plan.halo_px,
        "seed": plan.seed,
        "keep_scenes": plan.rules.keep_scenes,
    }


def _blocks(plan: FoldPlan, samples: Samples) -> Splitter:
    shape, deal = plan.rules.shape, plan.rules.deal
    return BlockFolds(samples, **_dealt(plan), block_m=plan.block_m, shape=shape, deal=deal, moved=plan.repeat > 0)


def _buffered(plan: FoldPlan, samples: Samples) -> Splitter:
    return BufferedFolds(samples, **_dealt(plan))


def _matched(plan: FoldPlan, samples: Samples) -> Splitter:
    space, clustering = plan.rules.space, plan.rules.clustering
    unbuffered = {**_dealt(plan), "buffer_m": 0.0}
    return KNNDMFolds(samples, **unbuffered, space=space, clustering=clustering, moved=plan.repeat > 0)


def _leave_one_out(plan: FoldPlan, samples: Samples) -> Splitter:
    splitter = BufferedLeaveOneOut(samples, **_dealt(plan), tested=plan.rules.tested)
    if plan.method == "nndm":
        # A block_m that somebody typed is no range; what auto found is one, and beyond it nothing is matched.
        phi_m = plan.block_size.high_m if plan.block_size else None
        unbuffered = {**_dealt(plan), "buffer_m": 0.0}
        splitter = NNDMFolds(samples, **unbuffered, tested=plan.rules.tested, phi_m=phi_m)
    if plan.repeat and splitter.get_n_splits() == len(samples):
        raise BadInput(
            f"All {len(samples)} samples are tested one at a time; repeat {plan.repeat} would be the same folds again.",
            "set repeats: 1, or tested to fewer samples",
        )
    return splitter


def _locations(plan: FoldPlan, samples: Samples) -> Splitter:
    kind = LocationFolds if plan.method == "location" else LocationTimeFolds
    return kind(samples, **_dealt(plan), location=plan.rules.location, block_m=plan.block_m, moved=plan.repeat > 0)


def _days(plan: FoldPlan, samples: Samples) -> Splitter:
    return TimeFolds(samples, **_dealt(plan))


def _clusters(plan: FoldPlan, samples: Samples) -> Splitter:
    kind = SpatialClusterFolds if plan.method == "kmeans" else EnvironmentFolds
    return kind(samples, **_dealt(plan), clusters=plan.rules.clusters)


def _random(plan: FoldPlan, samples: Samples) -> Splitter:
    return RandomFolds(samples, n_folds=plan.rules.n_folds, seed=plan.seed)


METHODS: Mapping[str, Callable[[FoldPlan, Samples], Splitter]] = {
    "block": _blocks,
    "buffered": _buffered,
    "buffered_loo": _leave_one_out,
    "location": _locations,
    "time": _days,
    "location_time": _locations,
    "kmeans": _clusters,
    "environment": _clusters,
    "nndm": _leave_one_out,
    "knndm": _matched,
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

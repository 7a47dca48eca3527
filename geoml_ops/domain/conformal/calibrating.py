"""From out-of-fold answers to calibrated quantiles, with what such quantiles held on ground they did not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Conformal, Region, Score
from geoml_ops.domain.conformal.answers import Answers, Codes, Floats, Tested, answered, means
from geoml_ops.domain.conformal.quantiles import Pool, least_blocks, quantiles_apart
from geoml_ops.domain.conformal.regions import LEAST_REGION_BLOCKS, Square, regions_of
from geoml_ops.domain.scoring import ratio_interval
from geoml_ops.domain.tiling import least_probability, sets

METHOD = "score 1 - probability, one quantile per class, every block one weight"
SHORT_BY = 0.1
"""A block is low where it falls below the promise by this or more."""


@dataclass(frozen=True)
class HeldOut:
    """What sets held on ground that their quantiles did not know; one entry per block, in order of its number.

    Attributes:
        block: number of the block.
        easting: mean of its samples.
        northing: mean of its samples.
        n: its samples.
        coverage: share of them whose set held the true class.
        set_size: classes per set, on average.
        per_class: by name, coverage over the blocks that hold the class; None for fewer than two blocks.
    """

    block: Codes
    easting: Floats
    northing: Floats
    n: Codes
    coverage: Floats
    set_size: Floats
    per_class: dict[str, Score | None]


def calibrate(
    answers: Answers,
    classes: Sequence[str],
    *,
    coverage: float,
    plan: str,
    region_m: float | None = None,
    crs: str = "",
) -> Conformal:
    """Returns quantiles for the model that was refitted on everything, and what such quantiles were measured to hold.

    Args:
        answers: of the folds of the reported accuracy.
        classes: names in code order.
        coverage: share of the map's pixels whose set shall hold the true class, above 0 and below 1.
        plan: id of the folds.
        region_m: edge of the squares of ground that get quantiles of their own where they hold
            :data:`LEAST_REGION_BLOCKS` blocks; None for none.
        crs: ``EPSG:<code>`` of the answers' coordinates; only maps in it use the regions.

    Raises:
        BadInput: fewer than two blocks were tested, or codes, probabilities, places, ``coverage`` or
            ``region_m`` are impossible.
    """
    tested, pool, regions = _parts(answers, classes, coverage, region_m)
    member = _sets_apart(tested, pool, regions, coverage)
    seen, quantiles = _seen(tested, member, classes), pool.quantiles(coverage)
    kind = "cross" if len(np.unique(tested.fold)) > 1 else "split"
    notes = [*_always(classes, pool, coverage), *_few(regions, region_m)]
    return Conformal(
        plan=plan,
        coverage=coverage,
        method="; ".join([f"{kind}-conformal, {METHOD}", *notes]),
        quantiles=dict(zip(classes, quantiles.tolist(), strict=True)),
        measured=_mean(seen.coverage),
        mean_set_size=float(seen.set_size.mean()),
        low_blocks_share=float((seen.coverage <= coverage - SHORT_BY + 1e-9).mean()),
        regions=tuple(_noun(region, tested, member, quantiles, classes, coverage, crs) for region in regions),
    )


def held_out(answers: Answers, classes: Sequence[str], *, coverage: float, region_m: float | None = None) -> HeldOut:
    """Returns block by block what sets held whose quantiles knew neither the block nor the ground around it.

    Left out are the block and its fold. Leaving out single blocks reaches the promise by arithmetic alone, whatever
    the ground, so where folds are no parts of the ground (a single one, one per sample) it is the quarter of all
    blocks that the block lies in; and in a region with quantiles of its own the quarter of the region's blocks.

    Arguments and errors are those of :func:`calibrate`.
    """
    tested, pool, regions = _parts(answers, classes, coverage, region_m)
    return _seen(tested, _sets_apart(tested, pool, regions, coverage), classes)


def _parts(
    answers: Answers, classes: Sequence[str], coverage: float, region_m: float | None
) -> tuple[Tested, Pool, list[Square]]:
    if not 0 < coverage < 1:
        raise BadInput(f"A coverage of {coverage:g} cannot be promised.", "choose one above 0 and below 1, such as 0.9")
    tested = answered(answers, len(classes))
    return tested, Pool(tested, np.arange(len(tested.code))), regions_of(tested, coverage, region_m)


def _sets_apart(tested: Tested, pool: Pool, regions: Sequence[Square], coverage: float) -> NDArray[np.bool_]:
    """Returns the sets ``(n, classes)`` that each sample gets from quantiles that knew nothing of its ground."""
    quantiles = quantiles_apart(tested, pool, np.arange(len(tested.code)), tested.part, coverage)
    for region in regions:
        inside = quantiles_apart(tested, region.pool, region.rows, region.part, coverage)
        quantiles[np.ix_(region.rows, region.own)] = inside[:, region.own]
    return sets(tested.probability.T, least_probability(quantiles.T)).T


def _seen(tested: Tested, member: NDArray[np.bool_], classes: Sequence[str]) -> HeldOut:
    right = _right(tested, member)
    middle = means(tested.ground, tested.block)
    per_class: dict[str, Score | None] = {}
    for code, name in enumerate(classes):
        mine = np.flatnonzero(tested.code == code)
        local = np.unique(tested.block[mine], return_inverse=True)[1].reshape(-1)
        per_class[name] = _mean(means(right[mine], local)) if local.max(initial=0) > 0 else None
    return HeldOut(
        block=tested.number,
        easting=middle[:, 0],
        northing=middle[:, 1],
        n=np.bincount(tested.block),
        coverage=means(right, tested.block),
        set_size=means(member.sum(axis=1).astype(np.float64), tested.block),
        per_class=per_class,
    )


def _right(tested: Tested, member: NDArray[np.bool_]) -> Floats:
    return member[np.arange(len(tested.code)), tested.code].astype(np.float64)


def _mean(coverage: Floats) -> Score:
    """Returns the mean over blocks with its interval, inside 0 to 1."""
    score, _ = ratio_interval(coverage, np.ones(len(coverage)))
    return score.model_copy(update={"low": max(score.low, 0.0), "high": min(score.high, 1.0)})


def _noun(
    region: Square,
    tested: Tested,
    member: NDArray[np.bool_],
    quantiles: Floats,
    classes: Sequence[str],
    coverage: float,
    crs: str,
) -> Region:
    local = np.unique(tested.block[region.rows], return_inverse=True)[1].reshape(-1)
    values = np.where(region.own, region.pool.quantiles(coverage), quantiles)
    return Region(
        bounds=region.bounds,
        n_blocks=region.n_blocks,
        quantiles=dict(zip(classes, values.tolist(), strict=True)),
        measured=_mean(means(_right(tested, member)[region.rows], local)),
        crs=crs,
    )


def _always(classes: Sequence[str], pool: Pool, coverage: float) -> list[str]:
    least = least_blocks(coverage)
    short = [f"{name} ({n})" for name, n in zip(classes, pool.n_blocks.tolist(), strict=True) if n < least]
    return [f"in every set, for want of {least} blocks: {', '.join(short)}"] if short else []


def _few(regions: Sequence[Square], region_m: float | None) -> list[str]:
    if region_m is None or regions:
        return []
    return [f"no square of {region_m:g} m holds {LEAST_REGION_BLOCKS} blocks of a class, so none has its own quantiles"]

"""The answer to ``block_m: auto``: ranges, the edge they ask for, and what other edges would have given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoml_ops.core.evidence import Score
from geoml_ops.core.folding import BlockSize, FoldRules, Trial
from geoml_ops.domain.blocksize.ground import LEAST_BLOCKS, Ground, rounded_up
from geoml_ops.domain.folds import Samples, units_of
from geoml_ops.domain.folds.samples import EARTH_M, arc, metres
from geoml_ops.domain.variogram import Fit, in_figures, variograms

LEAST_UNITS = 10
"""Polygons with a class, and without, below which its indicator shows where these lie and no more."""
TIMES = (1.0, 2.0, 5.0)


def ranges(
    samples: Samples,
    residual: NDArray[np.float64] | None = None,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Fit]:
    """Returns the variogram of each class's indicator and of the residuals, by name.

    Pairs of one polygon are left out: it is never parted, and labels are drawn inside what is uniform.

    Args:
        samples: where they are, and their classes.
        residual: ``(n,)`` what an out-of-fold answer of a spatial plan missed, ``1 - p(true class)`` for
            instance; NaN for samples that no fold tests. None to leave it out.
        classes: names in code order; ``class <code>`` if None.
        seed: of subsamples and draws.

    Raises:
        BadInput: coordinates are no numbers, or residuals infinite or of another length.
    """
    unit = units_of(samples)
    n_units, columns, few = len(np.unique(unit)), {}, {}
    for code in np.unique(samples.code):
        name, of_class = classes[code] if classes else f"class {code}", samples.code == code
        n_with, n_without = len(np.unique(unit[of_class])), len(np.unique(unit[~of_class]))
        if min(n_with, n_without) < LEAST_UNITS:
            reason = f"{n_with} of {n_units} polygons are of it and {n_without} are not; it takes {LEAST_UNITS} of each"
            few[name] = Fit.none(len(samples), reason)
        else:
            columns[name] = of_class.astype(np.float64)
    if residual is not None:
        columns["residual"] = np.asarray(residual, dtype=np.float64)
    radius_m = None if samples.projected else EARTH_M
    return {**variograms(samples.ground, columns, group=unit, radius_m=radius_m, seed=seed), **few}


def choose(samples: Samples, rules: FoldRules, fits: Mapping[str, Fit], *, halo_px: int = 0) -> BlockSize:
    """Returns the edge of blocks that the ranges ask for, or the largest that the ground allows.

    Edges are rounded up to numbers that people can remember. No block is narrower than a window of source
    pixels. Classes in folds count where folds are made of blocks.

    Args:
        samples: what will be split.
        rules: of the plan; its ``block_m`` is not read.
        fits: of :func:`ranges`.
        halo_px: pixels that a feature's window reaches beyond its own.

    Raises:
        BadInput: no samples, one class, coordinates that are no numbers, a CRS without metres where folds
            are made of blocks, or no edge at all with which folds can be made.
    """
    ground = Ground.of(samples, rules, halo_px)
    column = max((name for name in fits if fits[name].converged), key=lambda name: fits[name].range_m or 0, default="")
    fit = fits.get(column)
    edge, left = ground.largest(max(fit.high_m if fit else ground.extent_m, ground.window_m))
    remarks = [
        *_of_range(fit, column, edge, ground.window_m),
        *_of_longer(fits, edge),
        *ground.lacks(edge, left),
        *_of_map(samples, edge),
    ]
    return BlockSize(
        block_m=edge,
        range_m=fit.range_m if fit else None,
        low_m=fit.low_m if fit else None,
        high_m=fit.high_m if fit else None,
        column=column,
        capped=fit is None or edge < rounded_up(fit.high_m) or left.n_blocks < LEAST_BLOCKS or bool(left.lacking),
        not_converged={name: fit.reason for name, fit in fits.items() if fit.reason},
        remarks=tuple(remarks),
    )


def sensitivity(
    samples: Samples,
    rules: FoldRules,
    block_m: float,
    score: Callable[[float], Score | None] | None = None,
    *,
    halo_px: int = 0,
) -> tuple[Trial, ...]:
    """Returns what 1, 2 and 5 times the edge leave, and the score there.

    Args:
        samples: what will be split.
        rules: of the plan; its ``block_m`` is not read.
        block_m: the edge.
        score: edge to the score of the same model over blocks of that edge, None where it has none; asked
            only where folds can be made. None to ask for no score.
        halo_px: pixels that a feature's window reaches beyond its own.

    Raises:
        BadInput: samples that cannot be split at all; whatever ``score`` raises.
    """
    ground, trials = Ground.of(samples, rules, halo_px), []
    for times in TIMES:
        left = ground.with_blocks(times * block_m)
        answer = score(times * block_m) if score and left.n_blocks > 1 and not left.why_not else None
        trials.append(
            Trial(
                times=times,
                block_m=times * block_m,
                n_blocks=left.n_blocks,
                n_classes_missing=len(left.lacking),
                score=answer.value if answer else None,
                low=answer.low if answer else None,
                high=answer.high if answer else None,
            )
        )
    return tuple(trials)


def auto_block(
    samples: Samples,
    rules: FoldRules,
    *,
    halo_px: int = 0,
    residual: NDArray[np.float64] | None = None,
    score: Callable[[float], Score | None] | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> BlockSize:
    """Returns the answer to ``block_m: auto`` with its sensitivity.

    Arguments and errors as :func:`ranges`, :func:`choose` and :func:`sensitivity`, in this order.
    """
    Ground.of(samples, rules, halo_px)
    size = choose(samples, rules, ranges(samples, residual, classes=classes, seed=seed), halo_px=halo_px)
    trials = sensitivity(samples, rules, size.block_m, score, halo_px=halo_px)
    return size.model_copy(update={"sensitivity": trials})


def _of_range(fit: Fit | None, column: str, edge: float, window: float) -> Iterator[str]:
    if fit is None:
        yield f"No variogram has a range that can be used; {edge:g} m is the largest edge that the ground allows."
        return
    asks = f"The range of {column} asks for blocks of {in_figures(fit.high_m)} m"
    if edge < rounded_up(fit.high_m):
        yield f"{asks}; {edge:g} m is the largest edge that the ground allows, so scores may still be too good."
    elif fit.high_m < window:
        yield f"{asks}; a window of source pixels is {window:g} m wide."


def _of_longer(fits: Mapping[str, Fit], edge: float) -> Iterator[str]:
    longer = [name for name, fit in fits.items() if fit.structured and not fit.converged]
    if longer:
        reach = max(fits[name].cutoff_m for name in longer) / 2
        yield (
            f"{', '.join(longer)}: samples are more alike the nearer they are, up to {in_figures(reach)} m and perhaps "
            f"beyond; blocks of {edge:g} m may not part them."
        )


def _of_map(samples: Samples, edge: float) -> Iterator[str]:
    if samples.points is None or not len(samples.points.easting):
        return
    points = metres(samples.points.easting, samples.points.northing, projected=samples.projected)
    straight = np.median(cKDTree(samples.ground, balanced_tree=False).query(points)[0])
    far = float(arc(np.array([straight]), projected=samples.projected)[0])
    if far > edge:
        said = f"Half of what will be mapped is more than {in_figures(far)} m from any sample"
        yield f"{said}; blocks of {edge:g} m ask for a shorter way."

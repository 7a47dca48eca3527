"""What folds, audits and rulings say in a terminal: short lines, every number with its unit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geoml_ops.core.folding import Audit
from geoml_ops.domain.gate import Ruling
from geoml_ops.steps.filejudging import Folded
from geoml_ops.steps.pointfiles import PointFile

SHOWN = 20


def told_folds(folded: Folded, file: PointFile) -> Iterator[str]:
    """Yields what a plan is good for, how its block was chosen, and what its folds hold."""
    plan, rules = folded.plan, folded.plan.rules
    yield f"{plan.n_folds} folds by {rules.method}; they answer: {plan.estimand}"
    if plan.block_size:
        size = plan.block_size
        known = size.range_m is not None and size.low_m is not None and size.high_m is not None
        said = f", range {size.range_m:.0f} m ({size.low_m:.0f} to {size.high_m:.0f}) of {size.column}" if known else ""
        yield f"  block {plan.block_m:,.0f} m{said}"
        for sentence in size.remarks:
            yield f"  to know: {sentence}"
        for column, reason in size.not_converged.items():
            yield f"  no range of {column}: {reason}"
        for trial in size.sensitivity:
            score = "" if trial.score is None else f", quick forest {trial.score:.3f}"
            ends = "" if trial.low is None or trial.high is None else f" [{trial.low:.3f}, {trial.high:.3f}]"
            yield f"  {trial.times:g} x: {trial.block_m:,.0f} m, {trial.n_blocks} blocks{score}{ends}"
    if plan.matching:
        found = plan.matching
        how = "they are random folds" if found.switched_to_random else f"packed from {found.n_clusters} clusters"
        yield f"  matching distance {found.distance:.4g} (random folds {found.distance_random:.4g}), {how}"
    if plan.n_folds <= SHOWN:
        yield "  fold   train    test  dropped  " + "  ".join(name[:10] for name in file.classes)
        for number, (train, test) in enumerate(folded.splits):
            counts = np.bincount(file.samples.code[test], minlength=len(file.classes))
            row = "  ".join(f"{n:>{len(name[:10])}}" for name, n in zip(file.classes, counts, strict=True))
            yield f"  {number:4} {len(train):7} {len(test):7} {len(file.samples) - len(train) - len(test):8}  {row}"
    if plan.audit:
        yield from told_audit(plan.audit)


def told_audit(audit: Audit) -> Iterator[str]:
    """Yields the verdict of an audit and every sentence behind it."""
    yield (
        f"audit {'passed' if audit.passed else 'FAILED'}: nearest train sample {audit.least_distance_m:,.1f} m away, "
        f"{audit.n_shared_pixels} test samples share source pixels, {audit.n_shared_polygons} shared polygons, "
        f"{audit.n_near_duplicates} near-duplicates, {audit.n_dropped} samples dropped"
    )
    for sentence in audit.objections:
        yield f"  objection: {sentence}"
    for sentence in audit.remarks:
        yield f"  to know: {sentence}"


def told_ruling(ruling: Ruling, against: str) -> Iterator[str]:
    """Yields the numbers of a ruling."""
    gap = ruling.difference
    yield (
        f"{ruling.metric} minus {against}: {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] over {gap.n_blocks} "
        f"blocks; margin {ruling.margin:g}, detectable {ruling.detectable:.4f}"
    )
    for test in ruling.classes:
        word = "as good" if test.passed else "not shown to be as good"
        yield f"  F1 of {test.name}: {test.difference.value:+.4f}, p {test.p:.4f} at {test.level:.4f}: {word}"
    for guard in ruling.guards:
        yield f"  {guard.name}: {guard.sentence}"
    for beside in ruling.beside:
        yield f"  shown, does not decide: {beside.sentence}"

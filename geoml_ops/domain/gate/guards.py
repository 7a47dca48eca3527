"""What else a challenger is asked: calibration, applicability, the worst block, rare classes.

Two guards block a promotion, because the rules fix their limits beforehand: calibration
(``greatest_ece``) and applicability (``least_inside_share``). Two are only said: with thirty blocks some
block is always worst, and nobody fixed how bad that may be; a rare class that matters has a margin in
``classes``, and then the class test blocks. A guard that is only said has no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import BlockDifference, Guard
from geoml_ops.core.experiment import GateRules
from geoml_ops.domain.gate.differences import Counts, block_gains
from geoml_ops.domain.gate.noninferiority import LEAST_BLOCKS
from geoml_ops.domain.gate.paired import Paired
from geoml_ops.domain.scoring import reliability


@dataclass(frozen=True)
class Known:
    """What is known of the challenger beside its answers.

    Attributes:
        ece: its calibration error over spatial out-of-fold answers, 0 to 1; None to take it from
            the probabilities of :class:`Paired`, where they are given.
        inside_share: of the ground that will be mapped, the share inside its area of applicability.
    """

    ece: float | None = None
    inside_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("ece", "inside_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"{name} is {value}, no share from 0 to 1.")


def guards_of(paired: Paired, counts: Counts, rules: GateRules, known: Known) -> tuple[Guard, ...]:
    """Returns every guard that can be asked here.

    Args:
        paired: tested samples.
        counts: its confusion counts ``(2, blocks, true, predicted)``.
        rules: limits.
        known: what else is known of the challenger.

    Raises:
        BadInput: the rules set a limit to something that nobody measured.
    """
    found = [_calibration(paired, rules, known), _applicability(rules, known)]
    if len(paired):
        found += [_worst_block(differences_of(paired, counts)), _rare_classes(paired, counts)]
    return tuple(guard for guard in found if guard)


def differences_of(paired: Paired, counts: Counts) -> tuple[BlockDifference, ...]:
    """Returns challenger minus other in the share of right answers, block by block."""
    numbers, sizes = np.unique(paired.block, return_counts=True)
    return tuple(
        BlockDifference(easting=float(east), northing=float(north), n=int(n), difference=float(gain))
        for (east, north), n, gain in zip(paired.middles[numbers], sizes, block_gains(counts), strict=True)
    )


def _calibration(paired: Paired, rules: GateRules, known: Known) -> Guard | None:
    value = known.ece
    if value is None and paired.probability is not None and len(paired):
        bins = reliability(paired.codes, paired.probability)
        value = sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / len(paired)
    limit = rules.greatest_ece
    if value is None and limit is None:
        return None
    if value is None:
        raise BadInput(
            f"The gate asks for a calibration error of at most {limit:.3f}, and nobody measured it.",
            "hand over the challenger's probabilities, or leave greatest_ece out",
        )
    asked = "no limit was set" if limit is None else f"at most {limit:.3f} was asked for"
    return Guard(
        name="calibration",
        value=value,
        limit=limit,
        passed=limit is None or value <= limit,
        sentence=f"The challenger's probabilities miss its accuracy by {value:.3f} on average; {asked}.",
    )


def _applicability(rules: GateRules, known: Known) -> Guard | None:
    value, limit = known.inside_share, rules.least_inside_share
    if value is None and limit is None:
        return None
    if value is None:
        raise BadInput(
            f"The gate asks for {limit:.0%} of the ground inside the area of applicability, and nobody measured it.",
            "measure it, or leave least_inside_share out for a family without a feature space",
        )
    asked = "no limit was set" if limit is None else f"at least {limit:.1%} was asked for"
    return Guard(
        name="applicability",
        value=value,
        limit=limit,
        passed=limit is None or value >= limit,
        sentence=f"Of the ground {value:.1%} lies inside the challenger's area of applicability; {asked}.",
    )


def _worst_block(blocks: tuple[BlockDifference, ...]) -> Guard:
    usual = float(np.median([block.n for block in blocks]))
    worst = min((b for b in blocks if b.n >= usual / 2), key=lambda b: b.difference)
    n_worse = sum(block.difference < 0 for block in blocks)
    return Guard(
        name="worst block",
        value=worst.difference,
        limit=None,
        passed=True,
        sentence=f"The block in which the challenger does worst, with {worst.n} samples at {worst.easting:.7g}, "
        f"{worst.northing:.7g}, differs by {worst.difference:+.3f}; it is worse in {n_worse} of {len(blocks)} blocks.",
    )


def _rare_classes(paired: Paired, counts: Counts) -> Guard | None:
    n_blocks = (counts[0].sum(axis=2) > 0).sum(axis=0)
    rare = [(name, int(n)) for name, n in zip(paired.classes, n_blocks, strict=True) if n < LEAST_BLOCKS]
    if not rare:
        return None
    named = ", ".join(f"{name} ({n})" for name, n in rare[:8]) + (" and more" if len(rare) > 8 else "")
    return Guard(
        name="rare classes",
        value=float(len(rare)),
        limit=None,
        passed=True,
        sentence=f"True in fewer than {LEAST_BLOCKS} blocks, so that little is known of them: {named}.",
    )

"""Answers of two models to the same samples: what every comparison starts from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.gate.differences import Counted
from geoml_ops.domain.scoring import block_confusions

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Paired:
    """Two models' answers to the same samples; arrays have one entry per sample unless a shape is given.

    Every array is checked when a value is made, so that no later step meets an answer that is no class,
    a block without a place or a probability that is no number.

    Attributes:
        codes: true class codes, positions in ``classes``.
        challenger: its answers.
        other: answers of the champion's recipe, of the frozen champion, or of no skill.
        block: number of the block each sample lies in, a row of ``middles``; blocks are the unit of evidence.
        middles: ``(blocks, 2)`` easting and northing of each block's middle.
        classes: the fixed list of class names, in code order.
        fold: fold that tests the sample, from 0; -1 where none does, such samples are left out. None for
            frozen models, which have no folds.
        n_train: ``(folds,)`` samples learned from in each fold; empty where nobody says, then no corrected
            resampled t is shown.
        probability: ``(n, classes)`` of the challenger, for its calibration; None not to look at it.
        repeats: the same two recipes in the repeated plans; shown beside, they decide nothing.

    Raises:
        BadInput: lengths differ, something is no class code, no block, no number; the sentence counts them.
    """

    codes: Codes
    challenger: Codes
    other: Codes
    block: Codes
    middles: Floats
    classes: tuple[str, ...]
    fold: Codes | None = None
    n_train: tuple[int, ...] = ()
    probability: Floats | None = None
    repeats: tuple[Paired, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise BadInput(f"The class list ({', '.join(self.classes) or 'empty'}) does not name two or more classes.")
        for name in ("codes", "challenger", "other", "block") + (() if self.fold is None else ("fold",)):
            object.__setattr__(self, name, _whole(getattr(self, name), name, len(self.codes)))
        object.__setattr__(self, "middles", np.asarray(self.middles, dtype=np.float64).reshape(-1, 2))
        tested = np.ones(len(self.codes), dtype=bool) if self.fold is None else self.fold >= 0
        for name in ("codes", "challenger", "other"):
            _within(getattr(self, name)[tested], len(self.classes), f"class codes of {name}", "classes")
        _within(self.block, len(self.middles), "blocks of samples", "middles")
        if not np.isfinite(self.middles).all():
            raise BadInput(f"{int((~np.isfinite(self.middles)).any(axis=1).sum())} blocks have no place (NaN).")
        if self.probability is not None:
            object.__setattr__(self, "probability", _shares(self.probability, tested, len(self.classes)))
        if self.fold is not None and self.n_train and int(self.fold.max(initial=-1)) >= len(self.n_train):
            raise BadInput(
                f"Fold {int(self.fold.max())} is tested, but only {len(self.n_train)} folds say what they learned from."
            )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.codes)

    @property
    def tested(self) -> Paired:
        """The same without samples that no fold tests; itself where there are none."""
        if self.fold is None or bool((self.fold >= 0).all()):
            return self
        kept, arrays = self.fold >= 0, ("codes", "challenger", "other", "block", "fold", "probability")
        changed: dict[str, Any] = {
            f.name: getattr(self, f.name)[kept]
            for f in fields(self)
            if f.name in arrays and getattr(self, f.name) is not None
        }
        return replace(self, **changed)

    @property
    def n_blocks(self) -> int:
        """Number of blocks that hold samples."""
        return len(np.unique(self.block))

    @property
    def counted(self) -> Counted:
        """Confusion counts over blocks and folds; units without samples are left out, the rest keep their order.

        Folds smaller than blocks (leave-one-out) show nothing that blocks do not.
        """
        unlike = (self.challenger == self.codes) != (self.other == self.codes)
        coarse = self.fold is not None and len(np.unique(self.fold)) <= self.n_blocks
        return Counted(
            blocks=self._counts(self.block),
            folds=self._counts(self.fold) if self.fold is not None and coarse else None,
            n_unlike=int(unlike.sum()),
        )

    def _counts(self, unit: Codes) -> NDArray[np.int64]:
        n = len(self.classes)
        return np.stack([block_confusions(self.codes, a, unit, n) for a in (self.challenger, self.other)])


def _whole(values: Any, name: str, n: int) -> Codes:
    found = np.asarray(values)
    if found.ndim != 1 or len(found) != n:
        raise BadInput(f"{name} has shape {found.shape}; there are {n} samples.", "pair answers to the same samples")
    if len(found) and not np.issubdtype(found.dtype, np.integer):
        raise BadInput(f"{name} holds {found.dtype}; codes, blocks and folds are whole numbers.")
    return found.astype(np.int64)


def _within(values: Codes, n: int, what: str, of: str) -> None:
    wrong = values[(values < 0) | (values >= n)]
    if len(wrong):
        raise BadInput(
            f"{len(wrong)} of {len(values)} {what} are outside 0 to {n - 1} (the first is {int(wrong[0])}).",
            f"give codes that are positions in {of}",
        )


def _shares(values: Any, tested: NDArray[np.bool_], n_classes: int) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (len(tested), n_classes):
        raise BadInput(f"probability has shape {found.shape}, not {(len(tested), n_classes)}.")
    rows = found[tested]
    wrong = ~(np.isfinite(rows).all(axis=1) & (rows >= -1e-6).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) < 1e-3))
    if wrong.any():
        raise BadInput(
            f"{int(wrong.sum())} of {len(rows)} rows of probability are no shares that sum to 1.",
            "hand over calibrated probabilities, or none",
        )
    return found

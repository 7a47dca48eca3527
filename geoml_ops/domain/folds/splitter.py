"""What every method has in common: positions of train and test samples, as scikit-learn asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.model_selection import BaseCrossValidator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import Matching
from geoml_ops.domain.folds.samples import Floats, Index, Samples, chord

Split = tuple[Index, Index]


@dataclass(eq=False, repr=False)
class Splitter(BaseCrossValidator):  # type: ignore[misc]
    """A scikit-learn splitter over samples; usable as ``cv=`` wherever scikit-learn takes one.

    Attributes:
        samples: what is split; the ``X`` that scikit-learn passes must have as many rows.
    """

    samples: Samples

    @abstractmethod
    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold; the same arguments give the same folds.

        Raises:
            BadInput: the samples cannot be split so; the sentence says how they could be.
        """

    @property
    def matching(self) -> Matching | None:
        """How well the folds match the map's distances; None for methods that do not try."""
        return None

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Yields ``(train, test)`` positions.

        Raises:
            BadInput: ``X`` has another number of rows than there are samples; else as :meth:`splits`.
        """
        if X is not None and len(X) != len(self.samples):
            raise BadInput(
                f"X has {len(X)} rows, the splitter was made for {len(self.samples)} samples.",
                "make a splitter for these rows",
            )
        yield from self.splits()

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Returns the number of folds."""
        return len(self.splits())


@dataclass(eq=False, repr=False)
class FoldSplitter(Splitter):
    """Every sample is tested in one fold; train samples near the test ones are on neither side.

    Attributes:
        n_folds: number of folds.
        buffer_m: ground left empty around what is tested.
        halo_px: pixels that a feature's window reaches beyond its own; train and test windows never overlap.
        seed: of everything random.
    """

    n_folds: int = 5
    buffer_m: float = 0.0
    halo_px: int = 0
    seed: int = 0

    @abstractmethod
    def fold_of(self) -> Index:
        """Returns the fold (from 0) in which each sample is tested, ``(n,)``; -1 for samples that none tests."""

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold."""
        fold, found = self.fold_of(), []
        for number in range(self.n_folds):
            test, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            found.append((rest[far_from(self.samples, rest, test, self.buffer_m, self.halo_px)], test))
        return found


def far_from(
    samples: Samples, rest: Index, test: Index, buffer_m: float, halo_px: int = 0, *, of: Samples | None = None
) -> NDArray[np.bool_]:
    """Returns True for each of ``rest`` that is far enough from every test sample.

    Far enough is farther than ``buffer_m`` beyond both windows along any line, and windows (halo, patch)
    that share no pixel.

    Args:
        samples: where the test samples are.
        rest: positions in ``of``.
        test: positions in ``samples``.
        buffer_m: ground left empty.
        halo_px: pixels around each sample that its features see.
        of: where ``rest`` is; ``samples`` if None.
    """
    other = of or samples
    if not len(test) or not len(rest) or (buffer_m <= 0 and halo_px == 0 and not samples.half_px.any()):
        return np.ones(len(rest), dtype=np.bool_)
    reach_px = window_px(samples, halo_px) + window_px(other, halo_px)
    straight = chord(buffer_m + reach_px * samples.pixel_m, projected=samples.projected)
    here, there = samples.ground[test], other.ground[rest]
    tree = cKDTree(here)
    far: NDArray[np.bool_] = np.asarray(tree.query(there)[0] > straight, dtype=bool)
    if reach_px and samples.projected:
        # Windows are squares: at a corner they meet farther away than along an edge.
        far &= np.asarray(tree.query(there, p=np.inf)[0] > reach_px * samples.pixel_m * (1 + 1e-9), dtype=bool)
    return far


def window_px(samples: Samples, halo_px: int) -> int:
    """Returns how many pixels beyond its own the widest sample sees."""
    return halo_px + int(samples.half_px.max(initial=0))


def in_reach(samples: Samples) -> Floats:
    """Returns ``samples.ground`` after coordinates were found to be numbers."""
    samples.require_finite()
    return samples.ground

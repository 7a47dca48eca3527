"""What every method has in common: positions of train and test samples, as scikit-learn asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import Matching
from geoml_ops.domain.folds.reach import far_from, window_px
from geoml_ops.domain.folds.samples import Index, Samples

__all__ = ["FoldSplitter", "Split", "Splitter", "far_from", "window_px"]

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
        n_rows = None if X is None else (X.shape[0] if hasattr(X, "shape") else len(X))
        if n_rows not in (None, len(self.samples)):
            raise BadInput(
                f"X has {n_rows} rows, the splitter was made for {len(self.samples)} samples.",
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
        keep_scenes: whether no scene may be on both sides either.
    """

    n_folds: int = 5
    buffer_m: float = 0.0
    halo_px: int = 0
    seed: int = 0
    keep_scenes: bool = False

    @abstractmethod
    def fold_of(self) -> Index:
        """Returns the fold (from 0) in which each sample is tested, ``(n,)``; -1 for samples that none tests."""

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold.

        Raises:
            BadInput: the samples cannot be split so, or a fold leaves nothing to learn from.
        """
        self.require_sound()
        fold = self.fold_of()
        sides = ((np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(self.n_folds))
        return [self.apart(number, rest, test) for number, (rest, test) in enumerate(sides)]

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Returns the number of folds."""
        return self.n_folds

    def apart(self, number: int, rest: Index, test: Index) -> Split:
        """Returns those of ``rest`` that are far enough from ``test``, and ``test``.

        Raises:
            BadInput: none is.
        """
        train = rest[far_from(self.samples, rest, test, self.buffer_m, self.halo_px)]
        self.require_train(number, train, len(rest), test)
        return train, test

    def require_train(self, number: int, train: Index, n_rest: int, test: Index) -> None:
        """Lets a fold through that has samples to learn from.

        Raises:
            BadInput: it has none.
        """
        if len(train):
            return
        reach = self.buffer_m + 2 * (self.halo_px + int(self.samples.half_px.min())) * self.samples.pixel_m
        raise BadInput(
            f"Fold {number} tests {len(test)} of {len(self.samples)} samples and learns from none: "
            + (
                f"none of the other {n_rest} is farther than {reach:g} m from all of them."
                if n_rest
                else "all others belong to what is tested, by polygon or scene."
            ),
            "use a narrower buffer_m, other folds, or labels of more ground",
        )

    def rng(self, stream: int = 0) -> np.random.Generator:
        """Returns a generator of its own for each thing that is random."""
        return np.random.default_rng([self.seed, stream])

    def require_sound(self) -> None:
        """Lets samples and numbers through that can be split at all.

        Raises:
            BadInput: no samples, coordinates that are no numbers or no metres, or numbers below what they can be.
        """
        samples, least = self.samples, {"n_folds": 2.0, "buffer_m": 0.0, "halo_px": 0.0, "seed": 0.0}
        if not len(samples):
            raise BadInput("There are no samples.", "deliver labels of at least two classes")
        samples.require_finite()
        for name, limit in least.items():
            value = getattr(self, name)
            if not limit <= value < np.inf:
                raise BadInput(f"{name} is {value}.", f"use a number of at least {limit:g}")
        if not 0 < samples.pixel_m < np.inf:
            raise BadInput(f"A pixel has an edge of {samples.pixel_m:g} m.", "give the edge of a pixel in metres")
        for name in ("half_px", "code"):
            if getattr(samples, name).min() < 0:
                n = int((getattr(samples, name) < 0).sum())
                raise BadInput(f"{n} of {len(samples)} samples have a {name} below 0.", "give numbers from 0")
        samples.require_no_degrees(f"pixels of {samples.pixel_m:g} m", max(samples.pixel_m, self.buffer_m))

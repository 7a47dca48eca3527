"""Random folds: the optimism baseline. They are computed to be shown and can never feed a gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoml_ops.domain.folds.samples import Index
from geoml_ops.domain.folds.splitter import FoldSplitter


@dataclass(eq=False, repr=False)
class RandomFolds(FoldSplitter):
    """Samples dealt at random, nothing kept apart: neighbours of a test pixel are in its training."""

    def fold_of(self) -> Index:
        """Returns the fold of each sample."""
        rng = np.random.default_rng(self.seed)
        return np.asarray(rng.permutation(len(self.samples)) % self.n_folds, dtype=np.int64)

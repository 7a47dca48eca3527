"""Random folds: the optimism baseline. They are computed to be shown and can never feed a gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoml_ops.domain.folds.deals import require_enough
from geoml_ops.domain.folds.samples import Index
from geoml_ops.domain.folds.splitter import FoldSplitter, Split


@dataclass(eq=False, repr=False)
class RandomFolds(FoldSplitter):
    """Samples dealt at random, nothing kept apart: neighbours of a test pixel are in its training.

    Polygons, scenes and duplicates straddle these folds on purpose. Their score is what an analyst gets
    who forgets that pixels have neighbours; what it is above a spatial score is its optimism.
    """

    def fold_of(self) -> Index:
        """Returns the fold of each sample.

        Raises:
            BadInput: fewer samples than folds.
        """
        require_enough(len(self.samples), self.n_folds, "sample{s}", "use fewer folds or deliver more labels")
        rng = np.random.default_rng(self.seed)
        return np.asarray(rng.permutation(len(self.samples)) % self.n_folds, dtype=np.int64)

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold; nothing is dropped, windows overlap as they happen to.

        Raises:
            BadInput: as :meth:`fold_of`.
        """
        self.require_sound()
        fold = self.fold_of()
        return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(self.n_folds)]

"""How large a block has to be: from the range of autocorrelation, within what the ground allows.

Samples closer than the range of what they tell resemble each other, so a block as wide as the range
parts what is alike (Roberts et al. 2017). The range is uncertain itself, so blocks are made from the
upper quantile of its bootstrap (:data:`~geoml_ops.domain.variogram.INTERVAL`), of the longest range
among the indicators of the classes and the residuals of a model under spatial cross-validation: these
show what the features did not explain, where residuals of the training itself look like white noise.

Two things limit blocks. Intervals need :data:`LEAST_BLOCKS` of them, and a fold without a class asks
another question than the map. The block is the largest that keeps both, or says what it cannot keep.
Where no range is known it is the largest of all that keep both, which errs towards pessimism.

The range answers how far samples of *this* ground have to be apart. How well a model does on ground
elsewhere depends on how far away that is: then a block follows from the distance to what will be mapped,
whatever the range, and a remark says where that distance is longer.
"""

from geoml_ops.domain.blocksize.answer import auto_block, choose, ranges, sensitivity
from geoml_ops.domain.blocksize.ground import LEAST_BLOCKS, Ground, Left, rounded_up

__all__ = ["LEAST_BLOCKS", "Ground", "Left", "auto_block", "choose", "ranges", "rounded_up", "sensitivity"]

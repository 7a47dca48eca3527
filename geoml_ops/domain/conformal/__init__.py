"""Sets of classes that hold the true one as often as promised, calibrated on out-of-fold answers.

A class belongs to a pixel's set when its ``1 - probability`` does not exceed the quantile of that class:
the score of Sadinle, Lei and Wasserman (2019), one quantile per class (Mondrian calibration: Vovk, Gammerman
and Shafer 2005). The most probable class always belongs, so no set is empty; this only ever adds to coverage.

Every block weighs the same. Blocks are squares of equal ground, so a random pixel of a random block is a
random pixel of the map, however many labels fell into each; and pixels of one block repeat each other, so it
is blocks that must be exchangeable (hierarchical conformal prediction: Lee, Barber and Willett 2023). With
``B`` blocks and the asked one unknown, the quantile is the smallest score at which ``coverage * (B + 1)``
blocks are reached; with one pixel in each that is the ``ceil((B + 1) * coverage)``-th smallest. Where all
``B`` do not suffice, the class is in every set. The promise is one over blocks, not within each.

Answers must come from spatial folds. Those of random folds knew their neighbours, so sets made of them are
too small. Scores of several folds are pooled (cross-conformal, Vovk 2015) and hold for a model refitted on
everything as far as it answers like the models of the folds; what they hold on ground that was left out of
the quantiles as well is measured and told.
"""

from geoml_ops.domain.conformal.answers import Answers
from geoml_ops.domain.conformal.calibrating import HeldOut, calibrate, held_out
from geoml_ops.domain.conformal.quantiles import least_blocks
from geoml_ops.domain.conformal.regions import LEAST_REGION_BLOCKS

__all__ = ["LEAST_REGION_BLOCKS", "Answers", "HeldOut", "calibrate", "held_out", "least_blocks"]

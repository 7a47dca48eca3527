"""What is held out together, and the proof that it was kept apart.

Neighbouring pixels repeat each other, so folds of single pixels ask the model what it was told a pixel
away. Which folds are right depends on the question, the *estimand*: new ground, a new year, or this
very map. Every method is a scikit-learn splitter over :class:`Samples`, chosen by name in the
experiment; the plan records the rules, and the audit what the folds themselves show.
"""

from geoml_ops.domain.folds.audit import audit
from geoml_ops.domain.folds.blocks import BlockFolds
from geoml_ops.domain.folds.buffered import BufferedFolds, BufferedLeaveOneOut
from geoml_ops.domain.folds.clusters import EnvironmentFolds, SpatialClusterFolds
from geoml_ops.domain.folds.knndm import KNNDMFolds
from geoml_ops.domain.folds.locations import LocationFolds, LocationTimeFolds, TimeFolds
from geoml_ops.domain.folds.nndm import NNDMFolds
from geoml_ops.domain.folds.plan import materialise, plan_for, splitter_of
from geoml_ops.domain.folds.random import RandomFolds
from geoml_ops.domain.folds.samples import PredictionPoints, Samples, evidence_blocks, part, units_of
from geoml_ops.domain.folds.splitter import FoldSplitter, Split, Splitter, far_from

__all__ = [
    "BlockFolds",
    "BufferedFolds",
    "BufferedLeaveOneOut",
    "EnvironmentFolds",
    "FoldSplitter",
    "KNNDMFolds",
    "LocationFolds",
    "LocationTimeFolds",
    "NNDMFolds",
    "PredictionPoints",
    "RandomFolds",
    "Samples",
    "SpatialClusterFolds",
    "Split",
    "Splitter",
    "TimeFolds",
    "audit",
    "evidence_blocks",
    "far_from",
    "materialise",
    "part",
    "plan_for",
    "splitter_of",
    "units_of",
]

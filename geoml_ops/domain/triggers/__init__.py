"""When a training is due: one rule over nouns, the same answer for the same inputs.

Without a champion a version with labels starts the first training. With one: a fault stops what rests on it; then an
audit by labels, drift that new labels of its ground can cure, new versions, the calendar and age ask in this order; and
whatever asks is held back by a run under way, by the season and by the budget
(:mod:`~geoml_ops.domain.triggers.restraint`). Drift alone never trains, except under a naive policy.
"""

from geoml_ops.domain.triggers.due import lower_bound
from geoml_ops.domain.triggers.naive import shifted
from geoml_ops.domain.triggers.standing import in_order, standing
from geoml_ops.domain.triggers.state import Audit, Ruling, Standing, State, Training, moment
from geoml_ops.domain.triggers.weighing import weigh

__all__ = [
    "Audit",
    "Ruling",
    "Standing",
    "State",
    "Training",
    "in_order",
    "lower_bound",
    "moment",
    "shifted",
    "standing",
    "weigh",
]

"""What is known when the triggers are weighed, and what they can say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from geoml_ops.core.flow import Drift, Labels, Scene
from geoml_ops.core.grid import Bounds
from geoml_ops.core.watched import Action


@dataclass(frozen=True)
class Standing:
    """A drift that stands in one stream, and what is known of its ground.

    Attributes:
        drift: the comparison that says so.
        ground: bounds of its predictions, in one CRS.
        label_ground: bounds of each delivery of labels in that CRS, by its id.
        outside: share of its pixels outside the area of applicability (0 to 1); None where it is not known.
        outside_usual: the same of the in-control scenes; None without any.
        n_calm: scenes without alarm in this stream since the last training.
    """

    drift: Drift
    ground: Sequence[Bounds] = ()
    label_ground: Mapping[str, Bounds] = field(default_factory=dict)
    outside: float | None = None
    outside_usual: float | None = None
    n_calm: int = 0


@dataclass(frozen=True)
class Training:
    """A training that was asked for earlier.

    Attributes:
        retrain: id of the event.
        rule: name of the trigger.
        champion: id of the entry that served then.
        version: it learned from.
        at: the scenes' own time when it was asked for; None where that is not known.
        labels: ids of the deliveries it could learn from.
        outcome: what the gate said; empty while it said nothing.
        lost: whether it has been without verdict for too long to be waited for.
        hours: of computing; None where nobody counted.
    """

    retrain: str
    rule: str = ""
    champion: str = ""
    version: str = ""
    at: datetime | None = None
    labels: frozenset[str] = frozenset()
    outcome: str = ""
    lost: bool = False
    hours: float | None = None


@dataclass(frozen=True)
class Audit:
    """What labels of a probability sample say of the champion's maps.

    Attributes:
        accuracy: id of the assessment.
        n: labelled units.
        overall: accuracy (0 to 1).
        half: half-width of its 95 % interval; None where the design gives none.
    """

    accuracy: str
    n: int
    overall: float
    half: float | None


@dataclass(frozen=True)
class State:
    """What is known when the triggers are weighed.

    Attributes:
        champion: name for people of the model that serves now; empty before the first.
        entry: its id.
        bundle: id of its bundle.
        drift: what was looked at, or None where nothing was compared yet.
        standing: drifts of this champion that stand, the newest first.
        version: id of the version that is weighed.
        has_version: whether there is an accepted version at all.
        is_champions: whether the champion already learned from all that is in this version.
        labels: deliveries of labels in the version.
        known_labels: deliveries of labels that the champion learned from.
        scenes: of the version.
        known_scenes: that the champion learned from.
        trainings: that were asked for earlier, oldest first.
        audits: of the champion's maps, the newest first.
    """

    champion: str = ""
    entry: str = ""
    bundle: str = ""
    drift: Drift | None = None
    standing: Sequence[Standing] = ()
    version: str = ""
    has_version: bool = False
    is_champions: bool = False
    labels: Sequence[Labels] = ()
    known_labels: Sequence[Labels] = ()
    scenes: Sequence[Scene] = ()
    known_scenes: Sequence[Scene] = ()
    trainings: Sequence[Training] = ()
    audits: Sequence[Audit] = ()

    @property
    def now(self) -> datetime | None:
        """The scenes' own time of this evaluation; None where nothing is dated. See :func:`moment`."""
        return moment(self.drift, self.scenes)

    @property
    def new_labels(self) -> list[Labels]:
        """Deliveries for learning that the champion did not have."""
        known = {labels.id for labels in self.known_labels}
        return [labels for labels in self.labels if labels.id not in known and labels.use == "learning"]


@dataclass(frozen=True)
class Ruling:
    """What follows, whether it starts a training, and why.

    Attributes:
        action: what follows.
        fired: whether a training starts.
        because: the reason, a sentence.
        rule: name of the trigger that spoke; empty where none did.
        suppressed: why a trigger that spoke was held back; empty: was not.
        drift: id of the drift that it rests on; empty where it rests on none.
    """

    action: Action
    fired: bool
    because: str
    rule: str = ""
    suppressed: str = ""
    drift: str = ""


def moment(drift: Drift | None, scenes: Sequence[Scene]) -> datetime | None:
    """Returns the scenes' own time of an evaluation: of what was looked at, else the newest scene of the version."""
    if drift is not None and drift.acquired is not None:
        return drift.acquired
    return max((scene.acquired for scene in scenes), default=None)

"""The decision table, row by row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from geoml_ops.core.flow import Drift, Labels, Scene
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Cause, Diagnosis
from geoml_ops.domain.triggers import State, weigh
from tests.every_noun import any_noun

POLICY = Policy(name="default")
WEST = Bounds(left=0.0, bottom=0.0, right=10.0, top=10.0)
EAST = Bounds(left=10.0, bottom=0.0, right=20.0, top=10.0)


def drift(cause: Cause) -> Drift:
    action = {"undeclared offset": "fix ingest", "covariate shift": "collect labels", "none": "none"}.get(cause, "look")
    made = any_noun(Drift)
    assert isinstance(made, Drift)
    diagnosis = Diagnosis(cause=cause, action=action, sentence=f"said: {cause}.")  # type: ignore[arg-type]
    return made.model_copy(update={"diagnosis": diagnosis})


def labels(name: str) -> Labels:
    made = any_noun(Labels)
    assert isinstance(made, Labels)
    return made.model_copy(update={"name": name})


def scene(days: int) -> Scene:
    made = any_noun(Scene)
    assert isinstance(made, Scene)
    acquired = datetime(2017, 2, 16, tzinfo=UTC) + timedelta(days=days)
    return made.model_copy(update={"name": f"day {days}", "acquired": acquired})


OLD, NEW, S0 = labels("west"), labels("east"), scene(0)
SERVING: dict[str, Any] = {
    "champion": "landcover 1",
    "has_version": True,
    "labels": [OLD],
    "known_labels": [OLD],
    "scenes": [S0],
    "known_scenes": [S0],
    "is_champions": True,
}
SHIFT, OFFSET, CALM = drift("covariate shift"), drift("undeclared offset"), drift("none")
ARRIVED = {"labels": [OLD, NEW], "label_ground": {OLD.id: WEST, NEW.id: EAST}, "is_champions": False}
DRIFTED = {"drift": SHIFT, "standing": SHIFT, "drifted_ground": [EAST]}

FIRST: dict[str, Any] = {"has_version": True, "labels": [OLD], "scenes": [S0]}
ELSEWHERE = Bounds(left=30.0, bottom=0.0, right=40.0, top=10.0)
LATER = {"is_champions": False}
ALL = SERVING | ARRIVED | DRIFTED
ALWAYS, NEVER, YEAR = {"new_version": "always"}, {"new_version": "never"}, {"longest_age_days": 365}

TABLE = [
    ("nothing at all", {}, {}, "none", False, "no accepted version"),
    ("first version", FIRST, {}, "retrain", True, "first version"),
    ("always trains the first too", FIRST, ALWAYS, "retrain", True, "first version"),
    ("never means people", FIRST, NEVER, "look", False, "people"),
    ("scenes without labels", FIRST | {"labels": []}, {}, "collect labels", False, "lacks labels"),
    ("labels without scenes", FIRST | {"scenes": []}, {}, "collect labels", False, "lacks scenes"),
    ("champion, nothing compared", SERVING, {}, "none", False, "compared"),
    ("calm", SERVING | {"drift": CALM}, {}, "none", False, "said: none"),
    ("offset", SERVING | {"drift": OFFSET}, {}, "fix ingest", False, "Nothing is learned"),
    ("offset, though all else would fire", ALL | {"drift": OFFSET}, ALWAYS, "fix ingest", False, "said: undeclared"),
    ("cannot tell", SERVING | {"drift": drift("cannot tell")}, {}, "look", False, "said: cannot"),
    ("no reference", SERVING | {"drift": drift("no reference")}, {}, "look", False, "said: no ref"),
    ("shift, no new labels", SERVING | DRIFTED, {}, "collect labels", False, "No labels arrived"),
    ("shift, labels elsewhere", ALL | {"drifted_ground": [ELSEWHERE]}, {}, "collect labels", False, "do not lie"),
    ("shift, labels of that ground", ALL, {}, "retrain", True, "labels of that ground arrived"),
    ("shift stands though the newest request is calm", ALL | {"drift": CALM}, {}, "retrain", True, SHIFT.id),
    ("shift, labels, but people decide", ALL, {"retrain_on_drift": False}, "collect labels", False, "people"),
    ("new labels without drift", SERVING | ARRIVED, {}, "none", False, "compared"),
    ("each new version", SERVING | ARRIVED, ALWAYS, "retrain", True, "every new version"),
    ("each new version, nothing new", SERVING, ALWAYS, "none", False, ""),
    ("old", SERVING | LATER | {"scenes": [S0, scene(400)]}, YEAR, "retrain", True, "400 days"),
    ("not yet old", SERVING | LATER | {"scenes": [S0, scene(300)]}, YEAR, "none", False, ""),
]


@pytest.mark.parametrize(
    ("state", "policy", "action", "fired", "words"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_table(state: dict[str, Any], policy: dict[str, Any], action: str, fired: bool, words: str) -> None:
    ruling = weigh(State(**state), POLICY.model_copy(update=policy))
    assert (ruling.action, ruling.fired) == (action, fired)
    assert words in ruling.because


def test_the_reason_names_drift_labels_and_model() -> None:
    because = weigh(State(**(SERVING | ARRIVED | DRIFTED)), POLICY).because
    assert all(word in because for word in (SHIFT.id, "east", "landcover 1", "uncalibrated"))
    assert "west" not in because


def test_touching_is_not_overlapping() -> None:
    state = SERVING | DRIFTED | ARRIVED | {"label_ground": {NEW.id: WEST}}
    assert not weigh(State(**state), POLICY).fired

"""The decision table, row by row; what holds a training back; and that nothing repeats what did not help."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from geoml_ops.core.flow import Drift, Labels, Scene
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import Budget, CalibrationRules, ChartRules, Policy
from geoml_ops.core.watched import Cause, ControlChart, Diagnosis, Estimate, Statistic
from geoml_ops.domain.streams import DRIFTS, FAULTS
from geoml_ops.domain.triggers import Audit, Standing, State, Training, lower_bound, shifted, standing, weigh
from tests.every_noun import any_noun

POLICY = Policy(name="default")
WEST = Bounds(left=0.0, bottom=0.0, right=10.0, top=10.0)
EAST = Bounds(left=10.0, bottom=0.0, right=20.0, top=10.0)
DAY = datetime(2017, 2, 16, tzinfo=UTC)
ACTIONS = {"covariate shift": "collect labels", "none": "none", "cloud or nodata surge": "ignore"}
SERVES = "bundle-0000000000000001"


def drift(cause: Cause, *, alarm: bool = False, calibrated: bool = False, **more: Any) -> Drift:
    made = any_noun(Drift)
    assert isinstance(made, Drift)
    action = ACTIONS.get(cause, "fix ingest" if cause in FAULTS else "collect labels" if cause in DRIFTS else "look")
    chart = ControlChart(family="bands", state="beyond", path=4.0, limit=3.0, alarm=alarm, n=40)
    fields = {
        "diagnosis": Diagnosis(cause=cause, action=action, sentence=f"said: {cause}."),
        "charts": (chart,) if calibrated else (),
        "calibrated": calibrated,
        "acquired": None,
        "stream": "s/one",
        "bundle": SERVES,
        "statistics": (),
        "estimates": (),
    }
    return made.model_copy(update={**fields, **more})


def labels(name: str, **more: Any) -> Labels:
    made = any_noun(Labels)
    assert isinstance(made, Labels)
    return made.model_copy(update={"name": name, "use": "learning", **more})


def scene(days: int) -> Scene:
    made = any_noun(Scene)
    assert isinstance(made, Scene)
    return made.model_copy(update={"name": f"day {days}", "acquired": DAY + timedelta(days=days)})


OLD, NEW, S0 = labels("west"), labels("east"), scene(0)
SERVING: dict[str, Any] = {
    "champion": "landcover 1",
    "entry": "entry-0000000000000001",
    "bundle": SERVES,
    "version": "version-0000000000000001",
    "has_version": True,
    "labels": [OLD],
    "known_labels": [OLD],
    "scenes": [S0],
    "known_scenes": [S0],
    "is_champions": True,
}
SHIFT, OFFSET, CALM = drift("covariate shift"), drift("undeclared offset"), drift("none")
ALARM = drift("covariate shift", alarm=True, calibrated=True)
GROUND = {OLD.id: WEST, NEW.id: EAST}
THERE = Standing(SHIFT, (EAST,), GROUND)
ARRIVED = {"labels": [OLD, NEW], "is_champions": False, "version": "version-0000000000000002"}
DRIFTED = {"drift": SHIFT, "standing": [THERE]}

FIRST: dict[str, Any] = {"has_version": True, "labels": [OLD], "scenes": [S0]}
ELSEWHERE = Bounds(left=30.0, bottom=0.0, right=40.0, top=10.0)
LATER = {"is_champions": False}
ALL = SERVING | ARRIVED | DRIFTED
ALWAYS, NEVER, YEAR = {"new_version": "always"}, {"new_version": "never"}, {"longest_age_days": 365}
FLOOR = {"audit": {"floor": 0.8, "confidence": 0.95, "least_units": 50}}
LOW, FAIR = Audit("accuracy-0000000000000001", 100, 0.82, 0.05), Audit("accuracy-0000000000000002", 100, 0.9, 0.05)
FEW = Audit("accuracy-0000000000000003", 49, 0.3, 0.05)
LABEL_SHIFT = Standing(drift("label shift"), (EAST,), GROUND)


def trained(n: int = 1, **more: Any) -> Training:
    return replace(Training(f"retrain-000000000000000{n}", "drift", "entry-1", "version-1", DAY), **more)


TABLE = [
    ("nothing at all", {}, {}, "none", False, "no accepted version"),
    ("first version", FIRST, {}, "retrain", True, "first version"),
    ("always trains the first too", FIRST, ALWAYS, "retrain", True, "first version"),
    ("never means people", FIRST, NEVER, "look", False, "people"),
    ("scenes without labels", FIRST | {"labels": []}, {}, "collect labels", False, "lacks labels"),
    ("labels without scenes", FIRST | {"scenes": []}, {}, "collect labels", False, "lacks scenes"),
    ("labels for judging are not learned from", FIRST | {"labels": [labels("test", use="judging")]}, {},
     "collect labels", False, "lacks labels"),
    ("champion, nothing compared", SERVING, {}, "none", False, "compared"),
    ("calm", SERVING | {"drift": CALM}, {}, "none", False, "said: none"),
    ("clouds", SERVING | {"drift": drift("cloud or nodata surge")}, {}, "ignore", False, "said: cloud"),
    ("offset", SERVING | {"drift": OFFSET}, {}, "fix ingest", False, "Nothing is learned"),
    ("offset, though all else would fire", ALL | {"drift": OFFSET}, ALWAYS, "fix ingest", False, "said: undeclared"),
    ("clouds do not stop what rests on other scenes", ALL | {"drift": drift("cloud or nodata surge")}, {},
     "retrain", True, "labels of that ground arrived"),
    ("about a model that left", ALL | {"drift": drift("none", bundle="bundle-0000000000000009")}, ALWAYS,
     "none", False, "does not serve any more"),
    ("cannot tell", SERVING | {"drift": drift("cannot tell")}, {}, "look", False, "said: cannot"),
    ("no reference", SERVING | {"drift": drift("no reference")}, {}, "look", False, "said: no ref"),
    ("shift that does not stand", SERVING | {"drift": SHIFT}, {}, "none", False, "nothing follows yet"),
    ("shift, no new labels", SERVING | DRIFTED, {}, "collect labels", False, "No labels arrived"),
    ("shift, labels elsewhere", ALL | {"standing": [replace(THERE, ground=(ELSEWHERE,))]}, {},
     "collect labels", False, "do not lie"),
    ("shift, labels of that ground", ALL, {}, "retrain", True, "labels of that ground arrived"),
    ("shift, labels of that ground that judge", ALL | {"labels": [OLD, labels("east", use="judging")]}, {},
     "collect labels", False, "No labels arrived"),
    ("shift stands though the newest request is calm", ALL | {"drift": CALM}, {}, "retrain", True, SHIFT.id),
    ("one of two streams has its labels", ALL | {"standing": [replace(THERE, ground=()), THERE]}, {},
     "retrain", True, "labels of that ground arrived"),
    ("shift, labels, but people decide", ALL, {"retrain_on_drift": False}, "collect labels", False, "people"),
    ("label shift, labels", ALL | {"standing": [LABEL_SHIFT]}, {}, "retrain", True, "Label shift stands"),
    ("label shift, no labels", SERVING | {"standing": [LABEL_SHIFT]}, {}, "collect labels", False, "said: label"),
    ("new labels without drift", SERVING | ARRIVED, {}, "none", False, "compared"),
    ("each new version", SERVING | ARRIVED, ALWAYS, "retrain", True, "every new version"),
    ("each new version, nothing new", SERVING, ALWAYS, "none", False, ""),
    ("old", SERVING | LATER | {"scenes": [S0, scene(400)]}, YEAR, "retrain", True, "400 days"),
    ("not yet old", SERVING | LATER | {"scenes": [S0, scene(300)]}, YEAR, "none", False, ""),
    ("old, but nothing new to learn", SERVING | {"scenes": [S0, scene(400)]}, YEAR, "none", False, ""),
    ("what is looked at ages it too",
     SERVING | LATER | {"drift": drift("none", acquired=DAY + timedelta(days=370))}, YEAR, "retrain", True, "370 days"),
    ("on schedule", SERVING | LATER | {"scenes": [S0, scene(90)]}, {"every_days": 90}, "retrain", True, "90 days"),
    ("not yet on schedule", SERVING | LATER | {"scenes": [S0, scene(89)]}, {"every_days": 90}, "none", False, ""),
    ("schedule counts from the last training",
     SERVING | LATER | {"scenes": [S0, scene(100)],
                        "trainings": [trained(at=DAY + timedelta(days=50), outcome="HOLD")]},
     {"every_days": 90}, "none", False, ""),
    ("audit below the floor", SERVING | ARRIVED | {"audits": [LOW]}, FLOOR, "retrain", True, "Concept change"),
    ("audit below the floor, nothing new", SERVING | {"audits": [LOW]}, FLOOR, "collect labels", False, "floor"),
    ("audit above the floor", SERVING | ARRIVED | {"audits": [FAIR, LOW]}, FLOOR, "none", False, ""),
    ("audit of too few units", SERVING | ARRIVED | {"audits": [FEW]}, FLOOR, "none", False, ""),
    ("a small audit does not hide a large one", SERVING | ARRIVED | {"audits": [FEW, LOW]}, FLOOR, "retrain", True, ""),
    ("no floor", SERVING | ARRIVED | {"audits": [LOW]}, {}, "none", False, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "policy", "action", "fired", "words"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_table(state: dict[str, Any], policy: dict[str, Any], action: str, fired: bool, words: str) -> None:
    ruling = weigh(State(**state), Policy.model_validate({"name": "default", **policy}))
    assert (ruling.action, ruling.fired) == (action, fired)
    assert words in ruling.because
    assert ruling.rule or not fired


def test_the_reason_names_drift_labels_and_model() -> None:
    because = weigh(State(**ALL), POLICY).because
    assert all(word in because for word in (SHIFT.id, "east", "landcover 1", "uncalibrated"))
    assert "west" not in because
    calibrated = weigh(State(**ALL | {"standing": [replace(THERE, drift=ALARM)]}), POLICY).because
    assert "4.00, its limit 3.00" in calibrated
    assert "uncalibrated" not in calibrated


def test_touching_is_not_overlapping() -> None:
    there = replace(THERE, label_ground={NEW.id: WEST})
    assert not weigh(State(**ALL | {"standing": [there]}), POLICY).fired


JULY = {"drift": drift("covariate shift", acquired=DAY + timedelta(days=140))}
HELD = [
    ("a run under way", {"trainings": [trained()]}, {}, "no verdict yet"),
    ("this version was asked for",
     {"trainings": [trained(champion=SERVING["entry"], version=ARRIVED["version"], outcome="HOLD")]}, {}, "already"),
    ("season", {}, {"months": (3, 4)}, "February"),
    ("cool-down", {"trainings": [trained(outcome="HOLD")]}, {"budget": {"cooldown_days": 30}}, "30 days"),
    ("cool-down, a scene from before that came late",
     {"trainings": [trained(outcome="HOLD", at=DAY + timedelta(days=9))]},
     {"budget": {"cooldown_days": 10}}, "10 days"),
    ("too many", {"trainings": [trained(1, outcome="HOLD"), trained(2, outcome="HOLD")]},
     {"budget": {"trainings_per_year": 2}}, "allows 2"),
    ("too long", {"trainings": [trained(1, outcome="HOLD", hours=3.0)]},
     {"budget": {"training_hours_per_year": 2.5}}, "3.00 hours"),
    ("not calm yet", {"trainings": [trained(1, outcome="PROMOTE")], "standing": [replace(THERE, n_calm=1)]},
     {"calm_scenes": 2}, "1 scene without alarm"),
    ("no sign that answers suffer", {}, {"on_drift": {"needs": ("applicability", "accuracy")}}, "not known"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "policy", "why"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_what_holds_a_training_back_is_said(more: dict[str, Any], policy: dict[str, Any], why: str) -> None:
    ruling = weigh(State(**ALL | more), Policy.model_validate({"name": "p", **policy}))
    assert (ruling.action, ruling.fired, ruling.rule) == ("none", False, "drift")
    assert why in ruling.suppressed
    assert ruling.suppressed in ruling.because


OPEN = [
    ("a run that was lost", {"trainings": [trained(lost=True, champion=SERVING["entry"], version=ARRIVED["version"],
                                                   labels=frozenset({NEW.id}))]}, {}),
    ("in season", JULY, {"months": (7,)}),
    ("cool again", JULY | {"trainings": [trained(outcome="HOLD")]}, {"budget": {"cooldown_days": 140}}),
    ("last year's do not count", JULY | {"trainings": [trained(outcome="HOLD", at=DAY - timedelta(days=300))]},
     {"budget": {"trainings_per_year": 1}}),
    ("calm enough", {"trainings": [trained(outcome="PROMOTE")], "standing": [replace(THERE, n_calm=2)]},
     {"calm_scenes": 2}),
    ("nothing to be calm after", {}, {"calm_scenes": 5}),
    ("nothing dated, so no season", {"scenes": [], "drift": SHIFT}, {"months": (1,)}),
]  # fmt: skip


@pytest.mark.parametrize(("more", "policy"), [row[1:] for row in OPEN], ids=[row[0] for row in OPEN])
def test_what_does_not_hold_a_training_back(more: dict[str, Any], policy: dict[str, Any]) -> None:
    ruling = weigh(State(**ALL | more), Policy.model_validate({"name": "p", **policy}))
    assert (ruling.fired, ruling.suppressed) == (True, "")


def test_drift_that_training_did_not_cure_waits_for_other_labels() -> None:
    before = trained(outcome="HOLD", labels=frozenset({OLD.id, NEW.id}))
    ruling = weigh(State(**ALL | {"trainings": [before]}), POLICY)
    assert (ruling.action, ruling.fired) == ("collect labels", False)
    assert all(word in ruling.suppressed for word in (before.retrain, "HOLD", "not repeated"))
    promoted = weigh(State(**ALL | {"trainings": [replace(before, outcome="PROMOTE")]}), POLICY)
    assert (promoted.fired, "PROMOTE" in promoted.suppressed) == (False, True)
    more = labels("more of the east")
    state = {"labels": [OLD, NEW, more], "standing": [replace(THERE, label_ground={**GROUND, more.id: EAST})]}
    assert weigh(State(**ALL | {"trainings": [before]} | state), POLICY).fired


def test_an_audit_is_not_trained_on_twice_without_new_labels() -> None:
    policy = Policy.model_validate({"name": "p", **FLOOR})
    before = trained(rule="audit", champion=SERVING["entry"], outcome="REJECT", labels=frozenset({OLD.id, NEW.id}))
    state = SERVING | ARRIVED | {"audits": [LOW], "trainings": [before]}
    ruling = weigh(State(**state), policy)
    assert (ruling.action, ruling.fired, "REJECT" in ruling.suppressed) == ("collect labels", False, True)
    assert weigh(State(**state | {"labels": [OLD, NEW, labels("more")]}), policy).fired


def test_what_another_trigger_was_held_back_for_is_said_as_well() -> None:
    state = ALL | {"scenes": [S0, scene(400)], "trainings": [trained(outcome="PROMOTE")]}
    ruling = weigh(State(**state), Policy(name="p", calm_scenes=3, longest_age_days=365))
    assert (ruling.fired, ruling.rule, ruling.suppressed) == (True, "age", "")
    assert "Held back: drift. 0 scenes" in ruling.because


def test_answers_have_to_suffer_where_the_policy_says_so() -> None:
    def fires(needs: tuple[str, ...], **more: Any) -> bool:
        policy = Policy.model_validate({"name": "p", "on_drift": {"needs": needs}})
        return weigh(State(**ALL | {"standing": [replace(THERE, **more)]}), policy).fired

    fell = Estimate(method="cbpe", value=0.7, expected=0.8)
    kept = Estimate(method="cbpe", value=0.78, expected=0.8)
    assert fires(("applicability",), outside=0.25, outside_usual=0.1)
    assert not fires(("applicability",), outside=0.15, outside_usual=0.1)
    assert not fires(("applicability",), outside=0.4)
    assert fires(("applicability",), outside=0.6)
    assert fires(("accuracy",), drift=drift("covariate shift", estimates=(fell,)))
    assert not fires(("accuracy",), drift=drift("covariate shift", estimates=(kept,)))
    assert fires(("applicability", "accuracy"), outside=0.0, drift=drift("covariate shift", estimates=(kept, fell)))


def test_the_lower_bound_follows_the_confidence() -> None:
    assert lower_bound(LOW, 0.95) == pytest.approx(0.77)
    # Two-sided 90 %: 1.6449 / 1.9600 of the half-width.
    assert lower_bound(LOW, 0.90) == pytest.approx(0.82 - 0.05 * 1.6448536 / 1.9599640)
    assert lower_bound(replace(LOW, half=None), 0.95) is None


# --- what stands ------------------------------------------------------------------------------

RULES = CalibrationRules()
SILENT = FAULTS | {"cannot tell", "no reference"}


def said(cause: Cause, n: int, **more: Any) -> Drift:
    return drift(cause, acquired=DAY + timedelta(days=n), reading=f"reading-{n:016d}", **more)


def there(one: Drift, other: Drift) -> float:
    return 1.0


def elsewhere(one: Drift, other: Drift) -> float:
    return 0.0


def test_a_calibrated_alarm_stands_until_its_ground_is_calm() -> None:
    alarm, calm = said("covariate shift", 1, calibrated=True, alarm=True), said("none", 2, calibrated=True)
    assert standing([alarm], RULES, there) == [alarm]
    assert standing([alarm, calm], RULES, there) == []
    assert standing([alarm, calm], RULES, lambda one, other: 0.5) == [], "charts compare what is comparable"
    assert standing([alarm, calm], RULES, elsewhere) == [alarm], "two grounds may share a stream"
    assert standing([alarm, said("undeclared offset", 3, calibrated=True)], RULES, there) == [alarm]
    assert standing([alarm, said("no reference", 3)], RULES, there) == [alarm]
    assert standing([said("covariate shift", 1, calibrated=True)], RULES, there) == []
    assert standing([said("season as expected", 1, calibrated=True, alarm=True)], RULES, there) == []


def test_the_newest_drift_of_a_ground_speaks_for_it() -> None:
    first, second = (said("covariate shift", n, calibrated=True, alarm=True) for n in (1, 2))
    assert standing([first, second], RULES, there) == [second]
    assert standing([first, second], RULES, elsewhere) == [second, first]


def test_an_uncalibrated_drift_stands_until_its_own_ground_is_calm() -> None:
    shift, calm = said("covariate shift", 1), said("none", 2)
    assert standing([shift, calm], RULES, elsewhere) == [shift]
    assert standing([shift, calm], RULES, there) == []
    half = standing([shift, calm], RULES, lambda one, other: 0.5)
    assert half == [shift], "calm on the whole scene hides the half that drifts"
    assert standing([shift, said("none", 1)], RULES, there) == [shift], "of the same day"
    assert standing([drift("covariate shift"), drift("none")], RULES, there) == [], "of no known day"
    again = said("new region", 3)
    assert standing([shift, calm, again], RULES, there) == [again]
    assert standing([shift], RULES.model_copy(update={"uncalibrated": "quiet"}), there) == []
    assert standing([], RULES, there) == []


# --- the naive policy ---------------------------------------------------------------------------


def column(name: str, distance: float, moved: float = 0.0) -> Statistic:
    return Statistic(column=name, distance=distance, mean_shift=moved, sd_ratio=None, drifted=False)


def test_the_naive_policy_trains_on_everything() -> None:
    naive = Policy(name="naive", kind="naive")
    shares = drift("undeclared offset", statistics=(column("class shares", 0.2, -0.11),))
    ruling = weigh(State(**SERVING | {"drift": shares, "trainings": [trained(outcome="HOLD")]}), naive)
    assert (ruling.fired, ruling.rule, ruling.drift) == (True, "naive", shares.id)
    assert "-11.0 points" in ruling.because
    bands = (column("B02", 0.1), column("B03", 0.09), column("confidence", 9.0))
    assert "1 of 2 bands" in shifted(drift("season as expected", statistics=bands))
    assert not shifted(drift("covariate shift", statistics=(*bands, column("B04", 0.0))))
    assert not weigh(State(**SERVING | {"drift": drift("covariate shift")}), naive).fired
    assert not weigh(State(**SERVING | {"drift": shares, "trainings": [trained()]}), naive).fired
    assert not weigh(State(**SERVING), naive).fired


# --- laws ---------------------------------------------------------------------------------------

CAUSES = st.sampled_from(get_args(Cause))


@st.composite
def states(draw: st.DrawFn) -> State:
    causes = draw(st.lists(st.tuples(CAUSES, st.booleans(), st.booleans()), max_size=3))
    seen = [drift(c, alarm=a, calibrated=k, acquired=DAY + timedelta(days=9)) for c, a, k in causes]
    base: dict[str, Any] = draw(st.sampled_from([{}, FIRST, SERVING, SERVING | ARRIVED]))
    past = [
        trained(n, outcome=o, lost=lost, champion=draw(st.sampled_from(["", SERVING["entry"]])),
                version=draw(st.sampled_from(["version-1", ARRIVED["version"]])),
                labels=frozenset(draw(st.lists(st.sampled_from([OLD.id, NEW.id])))),
                at=draw(st.sampled_from([None, DAY, DAY + timedelta(days=400)])))
        for n, (o, lost) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(["", "PROMOTE", "HOLD"]), st.booleans()), max_size=3)))
    ]  # fmt: skip
    more: dict[str, Any] = {
        "drift": draw(st.sampled_from([None, *seen])),
        "standing": [Standing(d, (EAST,), GROUND, draw(st.sampled_from([None, 0.1, 0.9]))) for d in seen],
        "trainings": past,
        "audits": draw(st.sampled_from([(), (LOW,), (FEW,)])),
    }
    return State(**base | more)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        name="any",
        kind=draw(st.sampled_from(["calibrated", "naive"])),
        new_version=draw(st.sampled_from(["first", "always", "never"])),
        retrain_on_drift=draw(st.booleans()),
        longest_age_days=draw(st.sampled_from([None, 5])),
        every_days=draw(st.sampled_from([None, 5])),
        months=draw(st.sampled_from([(), (2,), (7,)])),
        calm_scenes=draw(st.sampled_from([0, 2])),
        audit=draw(st.sampled_from([Policy(name="x").audit, Policy.model_validate({"name": "x", **FLOOR}).audit])),
        budget=Budget(cooldown_days=draw(st.sampled_from([0.0, 30.0]))),
    )


@settings(max_examples=400)
@given(states(), policies())
def test_whatever_is_known_the_laws_hold(state: State, policy: Policy) -> None:
    ruling = weigh(state, policy)
    assert ruling == weigh(state, policy)
    assert ruling.because
    assert ruling.fired == (ruling.action == "retrain")
    if ruling.fired:
        assert ruling.rule
        assert not ruling.suppressed
        assert state.has_version
        assert not [t for t in state.trainings if not t.outcome and not t.lost]
        assert not policy.months or state.now is None or state.now.month in policy.months
        if policy.kind == "calibrated":
            assert not (state.champion and state.is_champions)
            assert not (state.champion and state.drift and state.drift.diagnosis.action == "fix ingest")
    held = weigh(replace(state, trainings=[*state.trainings, trained(9)]), policy)
    assert not held.fired


@given(st.lists(st.tuples(CAUSES, st.booleans(), st.integers(0, 3)), max_size=8))
def test_what_stands_is_a_drift_that_nothing_later_on_its_ground_lifted(said_of: list[tuple[Cause, bool, int]]) -> None:
    drifts = [
        said(c, n, calibrated=calibrated, alarm=c in DRIFTS, key=str(ground))
        for n, (c, calibrated, ground) in enumerate(said_of)
    ]
    found = standing(drifts, RULES, lambda one, other: float(one.key == other.key))
    assert len({d.key for d in found}) == len(found)
    for ground in {d.key for d in drifts}:
        told = [d for d in drifts if d.key == ground and d.diagnosis.cause not in SILENT]
        assert (told[-1] in found) == (told[-1].diagnosis.cause in DRIFTS) if told else True


# --- the file -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"calibration": {"chart": {"k": 6, "m": 5}}}, "at most m"),
        ({"calibration": {"least": 30, "most": 20}}, "never has"),
        ({"months": [3, 3]}, "twice"),
        ({"months": [13]}, "less than or equal to 12"),
        ({"name": " "}, "has a name"),
        ({"budget": {"cooldown": 3}}, "Extra inputs"),
        ({"audit": {"floor": 1.2}}, "less than 1"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Policy.model_validate({"name": "p", **content}, strict=False)


def test_every_key_has_a_say_in_the_id() -> None:
    ids = [
        Policy(name="p").id,
        Policy(name="p", calm_scenes=1).id,
        Policy(name="p", calibration=CalibrationRules(chart=ChartRules(weight=0.2))).id,
        Policy(name="q").id,
    ]
    assert all(a != b for a, b in pairwise(sorted(ids)))

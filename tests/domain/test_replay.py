"""What a policy did is counted from what it said: episodes, false ones, delay, cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.core.flow import Drift
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Action, Cause, Diagnosis
from geoml_ops.domain.replay import Evaluated, Truth, counted
from tests.every_noun import any_noun

DAY = date(2021, 5, 1)
POLICY = Policy(name="p")


def one(n: int, *, cause: Cause = "none", stream: str = "s/a", **more: Any) -> Evaluated:
    made = any_noun(Drift)
    assert isinstance(made, Drift)
    named = Diagnosis(cause=cause, action="look", sentence="said.")
    drift = made.model_copy(update={"stream": stream, "diagnosis": named})
    fields: dict[str, Any] = {
        "day": DAY + timedelta(days=n),
        "drift": drift,
        "drift_id": f"drift-{stream}-{n}",
        "recorded": cause,
        "spoke": "",
        "alarm": False,
        "rule": "",
        "action": "none",
        "fired": False,
        "suppressed": "",
        "version": "version-1",
    }
    return Evaluated(**{**fields, **more})


def alarm(n: int, **more: Any) -> Evaluated:
    asks: Action = "collect labels"
    return one(
        n, **{"cause": "covariate shift", "alarm": True, "rule": "drift", "action": asks, "spoke": "s/a", **more}
    )


def fired(n: int, rule: str = "drift", **more: Any) -> Evaluated:
    return alarm(n, fired=True, action="retrain", rule=rule, **more)


def truth(*changes: dict[str, Any]) -> Truth:
    return Truth.model_validate({"changes": tuple({"since": DAY, "cause": "covariate shift", **c} for c in changes)})


def test_an_alarm_that_lasts_is_one_and_faults_do_not_end_it() -> None:
    seen = [one(0), alarm(1), alarm(2), one(3, cause="gain", action="fix ingest"), alarm(4), one(5), alarm(6)]
    found = counted(seen, POLICY, truth({}), None).content
    assert [a["day"] for a in found["alarms"]] == ["2021-05-02", "2021-05-07"]
    assert (found["n_alarms"], found["n_false_alarms"]) == (2, 0)
    assert len(found["label_rounds"]) == 2


def test_streams_do_not_share_alarms() -> None:
    seen = [alarm(0), alarm(0, stream="s/b", spoke="s/b"), alarm(1)]
    found = counted(seen, POLICY, truth({"stream": "s/a"}), None).content
    assert (found["n_alarms"], found["n_false_alarms"]) == (2, 1)


def test_an_alarm_is_false_before_and_after_its_change() -> None:
    change = {"since": DAY + timedelta(days=5), "until": DAY + timedelta(days=7), "cause": "undeclared offset"}
    seen = [alarm(4), one(5), alarm(6), one(7), alarm(8)]
    found = counted(seen, POLICY, truth(change), None).content
    assert [a["false"] for a in found["alarms"]] == [True, False, True]


def test_a_training_is_true_from_the_first_day_of_a_change_that_it_cures() -> None:
    drifts = {"since": DAY + timedelta(days=5), "until": DAY + timedelta(days=7)}
    fault = {"cause": "gain"}
    seen = [fired(4), fired(6), fired(90), fired(3, rule="schedule"), fired(8, stream="s/b", spoke="s/b")]
    found = counted(seen, POLICY, truth({**drifts, "stream": "s/a"}, fault), 2.0).content
    assert [t["false"] for t in found["trainings"]] == [True, False, False, None, True]
    assert found["cost"] == {"training_hours": 10.0, "label_minutes": 0.0}


def test_delay_counts_from_the_first_scene_of_the_change() -> None:
    seen = [one(n) for n in range(0, 30, 5)] + [alarm(30), alarm(35), fired(40), one(45)]
    (delay,) = counted(seen, POLICY, truth({"since": DAY + timedelta(days=18)}), None).content["delays"]
    assert delay["first_scene"] == "2021-05-21"
    assert (delay["days_to_alarm"], delay["scenes_to_alarm"]) == (10, 3)
    assert (delay["days_to_labels"], delay["days_to_training"], delay["scenes_to_training"]) == (10, 20, 5)


def test_a_change_that_nobody_saw_has_no_delay() -> None:
    (delay,) = counted([one(0)], POLICY, truth({"since": DAY + timedelta(days=9)}), None).content["delays"]
    assert all(delay[key] is None for key in delay if "_to_" in key)
    assert delay["first_scene"] is None


def test_without_the_truth_a_fault_and_what_nothing_bore_out_are_unconfirmed() -> None:
    seen = [alarm(0, confirmed=True), one(1), alarm(2), one(3), alarm(4, confirmed=True, cause="gain")]
    found = counted(seen, POLICY, None, None).content
    assert [a["false"] for a in found["alarms"]] == [False, True, True]
    assert found["delays"] is None


def test_what_was_held_back_is_counted() -> None:
    held = alarm(0, suppressed="a run is under way.", action="none")
    assert counted([held, replace(held, fired=True)], POLICY, None, None).content["held_back"] == 1


@given(st.lists(st.tuples(st.sampled_from(["none", "covariate shift", "gain"]), st.booleans(), st.booleans())))
def test_counts_are_bounded_whatever_happens(said: list[tuple[Cause, bool, bool]]) -> None:
    seen = [one(n, cause=c, alarm=a, fired=f, rule="drift" if f else "") for n, (c, a, f) in enumerate(said)]
    for known in (None, truth(), truth({})):
        found = counted(seen, POLICY, known, 1.0).content
        assert 0 <= found["n_false_alarms"] <= found["n_alarms"] <= sum(a for _, a, _ in said)
        assert 0 <= found["n_false_trainings"] <= found["n_trainings"] == sum(f for _, _, f in said)
        assert found["n_false_alarms"] in (0, found["n_alarms"]) or known is None

"""What people may do with a question of the DAG ``publish``: scenarios for :mod:`tests.dags.scheduling`."""

from __future__ import annotations

import time
from typing import Any

from tests.dags.scheduling import Scheduling, deploy, main


def _state(judgement: str) -> dict[str, Any]:
    """Returns what the deployment holds now: approvals, the registry's tags, the champion."""
    from geoml_ops.adapters.mlflow import Tracking
    from geoml_ops.adapters.nouns import Shelf
    from geoml_ops.core.flow import Entry, Judgement
    from geoml_ops.settings import Settings
    from geoml_ops.steps.verdicts import approvals_of

    here = Settings().places()
    tracking, shelf = Tracking(here.tracking_uri), Shelf(here.nouns)
    entry = shelf.get(Entry, shelf.get(Judgement, judgement).challenger)
    page = here.dashboard / "verdicts" / f"{judgement}.html"
    return {
        "judgement": judgement,
        "approvals": [a.as_json() for a in approvals_of(here, judgement)],
        "champion": tracking.alias_of(here.model, "champion"),
        "number": entry.number,
        "tags": tracking.tags_of(entry.model, entry.number),
        "page": page.read_text() if page.exists() else "",
    }


def auto(world: Scheduling, key: str) -> dict[str, Any]:
    """The policy promotes by itself: nobody is asked."""
    deploy("auto", by="auto")
    run = world.start(key)
    states = world.go_on(run)
    return {"states": states, **_state(world.value(run, "judge"))}


def approve(world: Scheduling, key: str) -> dict[str, Any]:
    """Only alice may answer; others try; she approves, twice; the run is done over again."""
    deploy("approve", by="approve", respondents=["alice"])
    run = world.start(key)
    parked = world.go_on(run)
    asked = world.questions("alice", run)
    strangers = [world.answer(user, run, "ask", "Approve", reason="mine") for user in ("vera", "bob")]
    odd = world.answer("alice", run, "ask", "Perhaps", reason="hm")
    still = world.go_on(run)
    first = world.answer("alice", run, "ask", "Approve", reason="forest is what users asked for")
    second = world.answer("alice", run, "ask", "Reject", reason="changed my mind")
    states = world.go_on(run)
    found = _state(world.value(run, "judge"))
    again = world.start(key)
    return {
        "parked": parked, "asked": asked, "strangers": strangers, "odd": odd, "still": still,
        "answers": [first, second], "states": states, "again": world.go_on(again), **found,
    }  # fmt: skip


def reject(world: Scheduling, key: str) -> dict[str, Any]:
    """Alice rejects; a second run asks nobody any more, and the command line refuses to approve."""
    from geoml_ops.core.errors import Refused
    from geoml_ops.settings import Settings
    from geoml_ops.steps import approvals, releasing

    deploy("reject", by="approve")
    run = world.start(key)
    world.go_on(run)
    world.answer("alice", run, "ask", "Reject", reason="water is wrong in the north")
    states = world.go_on(run)
    judgement, refused = world.value(run, "judge"), []
    for attempt in (
        lambda: approvals.approve(Settings().places(), judgement, by="bob", reason="I like it"),
        lambda: releasing.release(Settings().places(), judgement),
    ):
        try:
            attempt()
        except Refused as error:
            refused.append(str(error))
    again = world.start(key)
    return {"states": states, "refused": refused, "again": world.go_on(again), **_state(judgement)}


def bypass(world: Scheduling, key: str) -> dict[str, Any]:
    """An administrator marks the waiting task as done, instead of answering."""
    deploy("bypass", by="approve")
    run = world.start(key)
    world.go_on(run)
    path = f"/api/v2/dags/publish/dagRuns/{run}/taskInstances/ask"
    marked = world.call("admin", "PATCH", path, json={"new_state": "success"}).status_code
    return {"marked": marked, "states": world.go_on(run), **_state(world.value(run, "judge"))}


def timeout(world: Scheduling, key: str) -> dict[str, Any]:
    """Nobody answers, and who comes late is refused; asked again, alice approves without a reason; then with one."""
    deploy("timeout", by="approve", timeout_hours=0.0002)
    run = world.start(key)
    world.go_on(run)
    time.sleep(1.0)
    world.sweep()
    late = world.answer("alice", run, "ask", "Approve", reason="late")
    states = world.go_on(run)
    judgement = world.value(run, "judge")
    found = _state(judgement)
    deploy("timeout", by="approve", timeout_hours=1.0)
    asked = [_once(world, key, **reason) for reason in ({}, {"reason": "back from leave"})]
    silent, after = (states for _, states in asked)
    return {
        "late": late, "states": states, "parked": asked[0][0], "silent": silent, "after": after, **found,
        "then": _state(judgement),
    }  # fmt: skip


def _once(world: Scheduling, key: str, **reason: str) -> tuple[dict[str, str], dict[str, str]]:
    run = world.start(key)
    parked = world.go_on(run)
    world.sweep()
    assert world.answer("alice", run, "ask", "Approve", **reason) == 200
    return parked, world.go_on(run)


def two(world: Scheduling, key: str) -> dict[str, Any]:
    """A second person is needed: first the same one answers twice, then, asked anew, two do."""
    deploy("two", by="approve", second_person=True)
    same = _both(world, key, "alice")
    return {"same": same, **_both(world, key, "bob")}


def _both(world: Scheduling, key: str, second: str) -> dict[str, Any]:
    run = world.start(key)
    world.go_on(run)
    world.answer("alice", run, "ask", "Approve", reason="good")
    parked = world.go_on(run)
    asked = world.questions(second, run)
    world.answer(second, run, "agree", "Approve", reason="agreed")
    states = world.go_on(run)
    return {"parked": parked, "asked": asked, "states": states, **_state(world.value(run, "judge"))}


def stale(world: Scheduling, key: str) -> dict[str, Any]:
    """Two runs ask about the same model; while they wait, somebody else makes another model the champion."""
    from geoml_ops.adapters.mlflow import Tracking
    from geoml_ops.settings import Settings

    deploy("stale", by="approve")
    runs = [world.start(key), world.start(key)]
    parked = [world.go_on(run)["ask"] for run in runs]
    here, judgement = Settings().places(), world.value(runs[0], "judge")
    state, tracking = _state(judgement), Tracking(here.tracking_uri)
    training = tracking.finished_run_of("world", key)
    assert training is not None
    (here.workspace / "another").mkdir()
    other = tracking.register(here.model, here.workspace / "another", noun_id="bundle-another", run_id=training)
    tracking.set_alias(here.model, "champion", other)
    world.answer("alice", runs[0], "ask", "Approve", reason="good")
    first = world.go_on(runs[0])
    during = _state(judgement)["champion"]
    tracking.drop_alias(here.model, "champion")
    world.answer("bob", runs[1], "ask", "Approve", reason="good too")
    second = world.go_on(runs[1])
    return {
        "parked": parked, "other": other, "first": first, "during": during, "second": second,
        "before": state, **_state(judgement),
    }  # fmt: skip


if __name__ == "__main__":
    main({f.__name__: f for f in (auto, approve, reject, bypass, timeout, two, stale)})

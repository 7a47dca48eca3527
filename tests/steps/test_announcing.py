"""Who announces a training: one of several at once, the same again when killed, another one when it came to nothing."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Bundle, Decision, Retrain, Version
from geoml_ops.core.trail import TrailRecord
from geoml_ops.steps import announcing, trail
from geoml_ops.steps.places import Places
from tests.every_noun import any_noun

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
START = multiprocessing.get_context("fork")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "policies.yaml").write_text("name: test\n")
    return Places(
        workspace=tmp_path / "ws",
        store=tmp_path / "store",
        remote="",
        drop=tmp_path / "drop",
        tracking_uri="",
        model="any",
        experiment=tmp_path / "none.yaml",
        policy=tmp_path / "policies.yaml",
    )


def event(places: Places, name: str = "one", at: datetime = NOW) -> Retrain:
    """Keeps an event as a decision does, with its record in the trail."""
    shelf = Shelf(places.nouns)
    version = shelf.put(any_noun(Version).model_copy(update={"rev": f"{len(name):x}" * 40}))
    decision = any_noun(Decision).model_copy(
        update={"drift": "", "champion": "", "version": version.id, "fired": True, "because": name}
    )
    retrain = Retrain(decision=decision.id, version=version.id, because=name)
    record = TrailRecord(
        at=at, inputs=(decision.id,), policy="policy", action="retrain", fired=True, because=name, engine="1"
    )
    trail.keep(places, record, decision, retrain)
    return retrain


def test_one_of_two_announces_an_event_and_the_same_one_again(places: Places) -> None:
    one = event(places)
    assert announcing.due(places, "patrol 1", [one], now=NOW) == one
    assert announcing.due(places, "watch 1", [one], now=NOW) is None
    assert announcing.due(places, "patrol 1", [], now=NOW) == one


def test_an_event_that_a_killed_evaluation_left_is_announced_by_the_next(places: Places) -> None:
    one = event(places)
    assert announcing.due(places, "patrol 2", now=NOW + timedelta(hours=1)) == one


def test_nothing_is_announced_where_nothing_waits(places: Places) -> None:
    assert announcing.due(places, "patrol 1", now=NOW) is None
    one = event(places)
    Shelf(places.nouns).put(any_noun(Bundle).model_copy(update={"version": one.version}))
    assert announcing.due(places, "patrol 1", now=NOW) is None
    assert announcing.due(places, "patrol 1", [one], now=NOW) == one


def test_one_that_came_to_nothing_is_announced_again_only_where_nobody_is_at_it(places: Places) -> None:
    one = event(places)
    announcing.due(places, "watch 1", [one], now=NOW)
    later = NOW + timedelta(hours=1)
    assert announcing.due(places, "patrol 1", now=later) is None
    assert announcing.due(places, "patrol 1", is_idle=True, now=NOW + timedelta(seconds=5)) is None
    assert announcing.due(places, "patrol 1", is_idle=True, now=later) == one
    assert announcing.due(places, "watch 1", now=later) is None


def test_one_that_is_not_waited_for_any_more_is_left(places: Places) -> None:
    event(places)
    assert announcing.due(places, "patrol 1", is_idle=True, now=NOW + timedelta(days=30)) is None


def test_a_second_event_comes_after_the_first(places: Places) -> None:
    one, other = event(places, "one"), event(places, "another")
    assert announcing.due(places, "patrol 1", now=NOW) == one
    assert announcing.due(places, "patrol 2", now=NOW) == other
    assert announcing.due(places, "patrol 3", now=NOW) is None


def test_a_damaged_note_has_the_event_announced_once_more(places: Places) -> None:
    one = event(places)
    announcing.due(places, "patrol 1", [one], now=NOW)
    (note,) = (places.workspace / "announced").glob("*.json")
    for damage in (
        "",
        "{}",
        "[1]",
        '{"by": "patrol 1", "at": "yesterday"}',
        '{"by": "x", "at": "2026-01-01T00:00:00"}',
    ):
        note.write_text(damage)
        assert announcing.due(places, "patrol 2", is_idle=True, now=NOW + timedelta(days=1)) == one, damage


def _ask(places: Places, by: str) -> None:
    if announcing.due(places, by, now=NOW):
        (places.workspace / f"said-{by}").touch()


def test_of_many_processes_at_once_one_announces(places: Places) -> None:
    event(places)
    asking = [START.Process(target=_ask, args=(places, f"patrol-{i}")) for i in range(6)]
    for process in asking:
        process.start()
    for process in asking:
        process.join(60)
    assert [process.exitcode for process in asking] == [0] * 6
    assert len(list(places.workspace.glob("said-*"))) == 1

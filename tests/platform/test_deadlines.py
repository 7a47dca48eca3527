"""What takes too long is told so, what ends in time is left alone."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from geoml_ops.platform import deadlines
from geoml_ops.platform.deadlines import Deadlines


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "LOOK_S", 0.01)


def test_only_what_takes_too_long_is_ended() -> None:
    watch, ended, other = Deadlines(), threading.Event(), threading.Event()
    with watch.over(3600, other.set), watch.over(0.0, ended.set):
        assert ended.wait(10)
    with watch.over(3600, other.set):
        pass
    assert not other.is_set()
    assert watch._due == {}


def test_an_error_inside_is_passed_on() -> None:
    watch = Deadlines()
    with pytest.raises(KeyError), watch.over(3600, lambda: None):
        raise KeyError
    assert watch._due == {}


def _in_child(watch: Deadlines, answer: multiprocessing.queues.Queue[bool]) -> None:
    ended = threading.Event()
    with watch.over(0.0, ended.set):
        answer.put(ended.wait(10))


def test_a_forked_child_has_a_watch_of_its_own() -> None:
    watch = Deadlines()
    with watch.over(3600, lambda: None):
        pass
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=_in_child, args=(watch, answer))
    child.start()
    assert answer.get(timeout=20)
    child.join()

"""Searches for parameters: killed, resumed, shared, pruned; of Optuna and of FLAML."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from geoml_ops.adapters import flaml, optuna
from geoml_ops.core.errors import BadInput, GeomlError
from geoml_ops.core.experiment import Range, TuningRules
from geoml_ops.core.searching import Params, Tried, best_of, hopeless, lies_in, require_space
from geoml_ops.platform.locks import only_one

SPACE = {
    "x": Range(low=-5, high=5),
    "y": Range(low=1e-3, high=10, log=True),
    "k": Range(low=1, high=9, whole=True),
    "c": Range(choices=(None, [32, 16], "a", 3)),
}
BASE: dict[str, JsonValue] = {"x": 0.0, "y": 1.0, "k": 3, "c": None, "fixed": "as it is"}
ENGINES = [optuna.Search, flaml.Search]


def score(params: Params) -> float:
    """Best, 0, at x 1.3, y 0.1, k 4, c [32, 16]."""
    x, y, k = (float(str(params.get(name, 3))) for name in ("x", "y", "k"))
    wrong = 0.0 if params.get("c") == [32, 16] else 0.3
    return -((x - 1.3) ** 2) - abs(math.log10(y) + 1) / 5 - (k - 4) ** 2 / 10 - wrong


def course(params: Params, folds: int = 3) -> Iterator[float]:
    """Yields scores that an easy first fold lifts for everybody."""
    for fold in range(folds):
        yield score(params) + (5.0 if fold == 0 else 0.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_search_finds_what_is_good_and_keeps_to_its_space(engine: Any, tmp_path: Path) -> None:
    seen: list[Tried] = []
    search = engine(tmp_path, SPACE, BASE, TuningRules(trials=60))
    search.work(course, seen.append)
    tried = search.tried()
    assert tuple(seen) == tried
    assert len(tried) == 60
    assert [each.number for each in tried] == list(range(60))
    assert tried[0].params == BASE
    assert best_of(tried).value > score(BASE) + 1.5
    for each in tried:
        assert each.params["fixed"] == "as it is"
        assert all(lies_in(each.params[name], within) for name, within in SPACE.items())
        assert type(each.params["k"]) is int
        assert type(each.params["x"]) is float
    assert {each.state for each in tried} == {"finished", "pruned"}
    pruned = [each for each in tried if each.state == "pruned"]
    assert all(len(each.values) < 3 and math.isnan(each.value) for each in pruned)


def test_what_is_tried_after_the_beginning_is_better_than_chance(tmp_path: Path) -> None:
    def late(folder: Path, startup: int) -> float:
        search = optuna.Search(folder, SPACE, BASE, TuningRules(trials=45, startup=startup, prune=False))
        search.work(lambda params: iter([score(params)]))
        return float(np.median([each.value for each in search.tried()[20:]]))

    assert late(tmp_path / "learned", 8) > late(tmp_path / "drawn", 1000) + 1.0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("base", [BASE, {"x": 0.0, "max": None}, {**BASE, "k": 99}], ids=["inside", "part", "outside"])
def test_the_default_is_trial_0_whatever_it_says(engine: Any, base: dict[str, JsonValue], tmp_path: Path) -> None:
    def worse(params: Params) -> Iterator[float]:
        yield 1.0 if params == base else 0.0

    search = engine(tmp_path, SPACE, base, TuningRules(trials=6))
    search.work(worse)
    assert best_of(search.tried()).params == base
    assert search.tried()[0].params == base
    assert len(search.tried()) == 6


# --- ends and beginnings ---------------------------------------------------------------------


class Stop(Exception):
    """What a machine does to a process."""


def stopping(after: int) -> Callable[[Params], Iterator[float]]:
    """Returns a course that stops the program at its so-manyth fold."""
    left = [after]

    def stopped(params: Params) -> Iterator[float]:
        for value in course(params):
            left[0] -= 1
            if left[0] < 0:
                raise Stop
            yield value

    return stopped


@pytest.mark.parametrize("engine", ENGINES)
def test_a_search_that_was_stopped_anywhere_goes_on_as_if_it_had_not(engine: Any, tmp_path: Path) -> None:
    rules = TuningRules(trials=24)
    whole = engine(tmp_path / "whole", SPACE, BASE, rules)
    whole.work(course)
    for after in (1, 2, 5, 11, 17):
        with pytest.raises(Stop):
            engine(tmp_path / "cut", SPACE, BASE, rules).work(stopping(after))
    cut = engine(tmp_path / "cut", SPACE, BASE, rules)
    cut.work(course)
    assert cut.tried() == whole.tried()


@pytest.mark.parametrize("engine", ENGINES)
def test_more_trials_later_are_the_same_as_at_once(engine: Any, tmp_path: Path) -> None:
    for trials in (5, 14):
        engine(tmp_path / "later", SPACE, BASE, TuningRules(trials=trials)).work(course)
    once = engine(tmp_path / "once", SPACE, BASE, TuningRules(trials=14))
    once.work(course)
    assert engine(tmp_path / "later", SPACE, BASE, TuningRules(trials=14)).tried() == once.tried()
    assert engine(tmp_path / "later", SPACE, BASE, TuningRules(trials=5)).tried() == once.tried()[:5]


@pytest.mark.parametrize(("engine", "journal"), [(optuna.Search, optuna.JOURNAL), (flaml.Search, flaml.JOURNAL)])
@pytest.mark.parametrize("torn", [b'{"op_code": 4, "wor', b"\x00\x00\x00\x00", b'{"op'])
def test_a_line_that_was_cut_short_is_no_obstacle(engine: Any, journal: str, torn: bytes, tmp_path: Path) -> None:
    rules = TuningRules(trials=6)
    engine(tmp_path, SPACE, BASE, rules).work(course)
    before = engine(tmp_path, SPACE, BASE, rules).tried()
    with (tmp_path / journal).open("ab") as stream:
        stream.write(torn)
    search = engine(tmp_path, SPACE, BASE, TuningRules(trials=8))
    search.work(course)
    assert search.tried()[:6] == before
    assert len(search.tried()) == 8


WORKER = """
import sys, time
from pathlib import Path
from geoml_ops.adapters.optuna import Search
from geoml_ops.core.experiment import Range, TuningRules

def slow(params):
    for fold in range(3):
        time.sleep(0.02)
        yield -abs(params["x"] - 1.3)

rules = TuningRules(trials=int(sys.argv[2]), workers=3)
print("ready", flush=True)
Search(Path(sys.argv[1]), {"x": Range(low=-5, high=5)}, {"x": 0.0}, rules).work(slow)
"""
LINE = {"x": Range(low=-5, high=5)}


def worker(folder: Path, trials: int) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[2]
    found = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(trials)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert found.stdout is not None
    assert found.stdout.readline() == b"ready\n"
    return found


def test_processes_share_a_search_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    trials = 24
    crew = [worker(tmp_path, trials) for _ in range(3)]
    search = optuna.Search(tmp_path, LINE, {"x": 0.0}, TuningRules(trials=trials, workers=3))
    deadline = time.monotonic() + 60
    while len(search.tried()) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    crew[0].send_signal(signal.SIGKILL)
    for one in crew:
        one.wait(90)
    search.work(lambda params: iter([score(params)] * 3))
    tried = search.tried()
    assert len(tried) == trials
    assert all(each.state in ("finished", "pruned") for each in tried)
    assert len({tuple(sorted((n, str(v)) for n, v in each.params.items())) for each in tried}) == trials
    held = [trial.number for trial in search._trials() if not trial.state.is_finished()]
    assert held == []


def test_threads_of_one_process_share_a_search_too(tmp_path: Path) -> None:
    rules, failed = TuningRules(trials=25, workers=4), []

    def work() -> None:
        try:
            optuna.Search(tmp_path, SPACE, BASE, rules).work(course)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    crew = [threading.Thread(target=work) for _ in range(4)]
    for one in crew:
        one.start()
    for one in crew:
        one.join(60)
    assert failed == []
    assert len(optuna.Search(tmp_path, SPACE, BASE, rules).tried()) == 25


def test_the_lock_of_a_journal_dies_with_its_holder(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from geoml_ops.platform.locks import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    path = tmp_path / "journal.lock"
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(TimeoutError), only_one(path, timeout_s=0.1):
        pass
    holder.kill()
    holder.wait(10)
    before = time.monotonic()
    optuna.Search(tmp_path, SPACE, BASE, TuningRules(trials=3)).work(course)
    assert time.monotonic() - before < 10


# --- what cannot be --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trial_that_cannot_be_built_or_scored_counts_and_is_told(engine: Any, tmp_path: Path) -> None:
    def some(params: Params) -> Iterator[float]:
        if params != BASE and float(str(params["x"])) < 0:
            raise BadInput("x below 0 cannot be.", "use more")
        if params != BASE and int(str(params["k"])) > 7:
            yield math.nan
        yield score(params)
        yield score(params)

    search = engine(tmp_path, SPACE, BASE, TuningRules(trials=20))
    search.work(some)
    failed = [each for each in search.tried() if each.state == "failed"]
    assert len(search.tried()) == 20
    assert failed
    assert all("x below 0" in each.because or "no number" in each.because for each in failed)
    assert not any("Try:" in each.because for each in failed), "the way out stands once, after the whole sentence"
    assert best_of(search.tried()).state == "finished"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_a_default_without_a_score_is_refused(engine: Any, values: list[float], tmp_path: Path) -> None:
    with pytest.raises(GeomlError, match="default parameters have no score"):
        engine(tmp_path, SPACE, BASE, TuningRules(trials=3)).work(lambda params: iter(values))


def test_flaml_has_one_worker_and_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"2 workers cannot share it.*workers: 1"):
        flaml.Search(tmp_path, SPACE, BASE, TuningRules(workers=2))
    monkeypatch.setattr(flaml, "blendsearch", None)
    with pytest.raises(BadInput, match=r"not installed.*geoml-ops\[flaml\]"):
        flaml.Search(tmp_path, SPACE, BASE, TuningRules())


def test_a_small_space_ends_flaml_instead_of_holding_it(tmp_path: Path) -> None:
    search = flaml.Search(tmp_path, {"c": Range(choices=("a", "b"))}, {"c": "a"}, TuningRules(trials=30))
    search.work(course)
    assert 1 <= len(search.tried()) <= 2


def test_optuna_scores_the_same_parameters_once(tmp_path: Path) -> None:
    asked = []

    def counted(params: Params) -> Iterator[float]:
        asked.append(params["c"])
        yield 1.0

    search = optuna.Search(tmp_path, {"c": Range(choices=("a", "b"))}, {"c": "a"}, TuningRules(trials=12))
    search.work(counted)
    assert len(search.tried()) == 12
    assert sorted(map(str, asked)) == ["a", "b"]


@pytest.mark.parametrize(
    ("space", "sentence"),
    [({}, "nothing to search"), ({"k": Range(low=1.2, high=1.8, whole=True)}, "whole numbers between 1.2 and 1.8")],
)
def test_a_space_that_holds_nothing_is_refused(space: dict[str, Range], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        require_space("forest", space)


# --- when a trial is given up ----------------------------------------------------------------


def ended(*values: float, state: str = "finished") -> Tried:
    return Tried(0, state, {}, values)  # type: ignore[arg-type]


def test_an_easy_first_fold_protects_nobody() -> None:
    others = [ended(0.95, 0.8 + i / 100, 0.8 + i / 100) for i in range(9)]
    assert hopeless([0.95, 0.5], others, startup=3)
    assert not hopeless([0.95, 0.85], others, startup=3)


def test_what_early_folds_cannot_tell_is_not_held_against_a_trial() -> None:
    rng = np.random.default_rng(0)
    others = [ended(v + rng.normal(0, 0.1), v, v) for v in rng.uniform(0.6, 0.8, 20)]
    middle = float(np.median([each.values[0] for each in others]))
    assert not hopeless([middle - 0.05], others, startup=3)
    assert hopeless([middle - 0.3], others, startup=3)


def test_before_enough_have_finished_nothing_is_given_up() -> None:
    others = [ended(0.9, 0.9)] * 2 + [ended(0.1, state="pruned")] * 9
    assert not hopeless([0.0], others, startup=3)
    assert hopeless([0.0], others, startup=2)


@given(values=st.lists(st.floats(0, 1), min_size=3, max_size=30))
def test_the_best_so_far_is_never_given_up(values: list[float]) -> None:
    others = [ended(v, v) for v in values]
    assert not hopeless([max(values)], others, startup=1)


def test_of_equal_trials_the_first_is_best() -> None:
    tried = [dataclasses.replace(ended(0.5), number=n) for n in (2, 0, 1)]
    assert best_of(tried).number == 0
    with pytest.raises(BadInput, match="None of 1 sets"):
        best_of([ended(0.5, state="pruned")])

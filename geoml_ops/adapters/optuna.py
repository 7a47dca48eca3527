"""Optuna: a search for parameters that survives being killed, shared by any number of processes of one machine.

Two things of Optuna 5.0 are replaced here. Its own lock of a journal is a file that stays when its holder is
killed, and is broken by force after 30 seconds, by several waiters at once; the lock here dies with its
holder. And a line that was cut short (a full disk) makes a journal unreadable for good; here it is cut off
when the journal is opened.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState
from pydantic import JsonValue

from geoml_ops.core.errors import GeomlError
from geoml_ops.core.experiment import Range, TuningRules
from geoml_ops.core.searching import Course, Params, Tried, hopeless, lies_in
from geoml_ops.platform.locks import only_one

NAME = "search"
JOURNAL = "journal.log"
_DEFAULT, _LOST, _BECAUSE = "default", "lost", "because"
_STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """One search for parameters, kept in a folder.

    The default parameters are trial 0, so the best is never worse than they are on the folds of the search.
    One worker alone repeats itself exactly, killed in between or not: the sampler of each trial has a seed of
    its own and knows only what had ended before. With several workers the order of their ends decides.
    """

    def __init__(self, folder: Path, space: Mapping[str, Range], base: Params, rules: TuningRules) -> None:
        self.folder, self.space, self.base, self.rules = folder, dict(space), dict(base), rules
        self._distributions = {name: _distribution(each) for name, each in sorted(self.space.items())}
        folder.mkdir(parents=True, exist_ok=True)
        lock = _Lock(folder / "journal.lock")
        path = folder / JOURNAL
        lock.acquire()
        try:
            _cut_torn_end(path)
        finally:
            lock.release()
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
        with self._turn():
            self._study = optuna.create_study(
                storage=storage, study_name=NAME, direction="maximize", load_if_exists=True, sampler=_sampler(rules, 0)
            )

    def tried(self) -> tuple[Tried, ...]:
        """Returns the trials that have ended, in the order in which they were begun; at most as many as asked for."""
        default = self._study.user_attrs.get(_DEFAULT)
        found = [] if default is None else [Tried(0, "finished", self.base, tuple(default))]
        mine = [trial for trial in self._own() if trial.state.is_finished()]
        found += [self._told(trial, 1 + number) for number, trial in enumerate(mine)]
        return tuple(found[: self.rules.trials])

    def work(self, course: Course, told: Callable[[Tried], None] | None = None) -> None:
        """Tries until there are as many trials as asked for, those of other processes included.

        Args:
            course: what scores a set of parameters, fold by fold.
            told: is called with each trial that ends here.

        Raises:
            GeomlError: the default parameters cannot be scored.
        """
        default = self._default(course)
        if default is not None and told:
            told(default)
        while True:
            with ExitStack() as held:
                trial = self._next(held)
                if trial is None:
                    return
                ended = self._run(trial, course)
            if told:
                told(ended)

    def _default(self, course: Course) -> Tried | None:
        """Scores the default parameters where nobody has; returns them, or None where somebody had."""
        with only_one(self.folder / "default.lock", timeout_s=math.inf):
            if self._study.user_attrs.get(_DEFAULT) is not None:
                return None
            values = [float(value) for value in course(self.base)]
            if not values or not math.isfinite(values[-1]):
                raise GeomlError("The default parameters have no score on the folds of this search.", "use fewer folds")
            if all(name in self.base and lies_in(self.base[name], each) for name, each in self.space.items()):
                self._study.add_trial(self._as_trial(values))
            self._study.set_user_attr(_DEFAULT, values)
            return Tried(0, "finished", self.base, tuple(values))

    def _as_trial(self, values: list[float]) -> FrozenTrial:
        """Returns the default as a trial that the sampler learns from; only where the space can say it."""
        return optuna.trial.create_trial(
            params={name: _said(self.base[name], each) for name, each in sorted(self.space.items())},
            distributions=self._distributions,
            value=values[-1],
            intermediate_values=dict(enumerate(values)),
            user_attrs={_DEFAULT: True},
        )

    def _next(self, held: ExitStack) -> optuna.Trial | None:
        """Returns a trial to run, held until ``held`` is closed; None where enough have ended or are run by others."""
        with self._turn():
            self._give_back()
            begun = sum(trial.state != TrialState.WAITING for trial in self._own())
            if 1 + begun >= self.rules.trials:
                return None
            self._study.sampler = _sampler(self.rules, 1 + begun)
            trial = self._study.ask(self._distributions)
            held.enter_context(_held(self._lock_of(trial.number)))
            return trial

    def _give_back(self) -> None:
        """Trials whose process is gone are tried again, with the same parameters."""
        for trial in self._trials():
            if trial.state != TrialState.RUNNING or not _is_free(self._lock_of(trial.number)):
                continue
            lost = {*self._study.user_attrs.get(_LOST, ()), trial.number}
            self._study.set_user_attr(_LOST, sorted(lost))
            self._study.tell(trial.number, state=TrialState.FAIL)
            if set(trial.params) == set(self.space):
                self._study.enqueue_trial(trial.params)

    def _run(self, trial: optuna.Trial, course: Course) -> Tried:
        params, values = self._full(trial.params), list[float]()
        state, because = TrialState.COMPLETE, ""
        known = next((t for t in self.tried() if t.state == "finished" and t.params == params), None)
        steps = iter(known.values) if known else course(params)
        try:
            for value in steps:
                # Asked before the next fold, so that the last one is never judged: a finished trial is finished.
                values.append(float(value))
                trial.report(values[-1], len(values) - 1)
                if not math.isfinite(values[-1]):
                    raise ValueError(f"the score after fold {len(values) - 1} is no number")
                if self.rules.prune and len(values) < self._n_steps() and self._hopeless(values):
                    state = TrialState.PRUNED
                    break
        except (GeomlError, ValueError, ArithmeticError) as error:
            said = error.fact if isinstance(error, GeomlError) else str(error)
            state, because = TrialState.FAIL, said[:500] or type(error).__name__
            trial.set_user_attr(_BECAUSE, because)
        self._study.tell(trial, values[-1] if state == TrialState.COMPLETE else None, state=state)
        return Tried(len(self.tried()) - 1, _STATES[state], params, tuple(values), because)  # type: ignore[arg-type]

    def _n_steps(self) -> int:
        return len(self._study.user_attrs[_DEFAULT])

    def _hopeless(self, values: list[float]) -> bool:
        return hopeless(values, self.tried(), startup=self.rules.startup)

    def _told(self, trial: FrozenTrial, number: int) -> Tried:
        values = tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values))
        because = str(trial.user_attrs.get(_BECAUSE, ""))
        return Tried(number, _STATES[trial.state], self._full(trial.params), values, because)  # type: ignore[arg-type]

    def _full(self, params: Mapping[str, Any]) -> dict[str, JsonValue]:
        return {**self.base, **{name: _meant(value, self.space[name]) for name, value in params.items()}}

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _own(self) -> list[FrozenTrial]:
        """Returns trials in the order they were begun, without lost ones, which were begun again, and the default."""
        lost = set(self._study.user_attrs.get(_LOST, ()))
        return [t for t in self._trials() if t.number not in lost and not t.user_attrs.get(_DEFAULT)]

    def _lock_of(self, number: int) -> Path:
        return self.folder / "running" / f"{number}.lock"

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        return only_one(self.folder / "turn.lock")


class _Lock:
    """Optuna's interface of a journal's lock, over a lock that dies with its holder."""

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, ExitStack()

    def acquire(self) -> bool:
        """Waits for the lock."""
        self._held.enter_context(only_one(self._path))
        return True

    def release(self) -> None:
        """Gives the lock back."""
        self._held.close()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with only_one(path, timeout_s=0.0):
        yield
        path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    try:
        with only_one(path, timeout_s=0.0):
            return True
    except TimeoutError:
        return False


def _sampler(rules: TuningRules, slot: int) -> optuna.samplers.TPESampler:
    """Returns the sampler of one trial; its seed follows from the trial, so a search that is resumed goes on the same.

    TPE (Bergstra et al. 2011), all parameters together (Falkner et al. 2018), with trials that still run
    counted as bad ones so that workers spread out.
    """
    seed = int(np.random.SeedSequence([rules.seed, slot]).generate_state(1)[0])
    return optuna.samplers.TPESampler(
        n_startup_trials=rules.startup, multivariate=True, constant_liar=rules.workers > 1, seed=seed
    )


def _distribution(within: Range) -> BaseDistribution:
    if within.choices:
        return CategoricalDistribution([_said(each, within) for each in within.choices])
    low, high = float(within.low or 0.0), float(within.high or 0.0)
    if within.whole:
        return IntDistribution(math.ceil(low), math.floor(high), log=within.log)
    return FloatDistribution(low, high, log=within.log)


def _said(value: Any, within: Range) -> Any:
    """Returns a value as Optuna keeps it: choices as JSON, since it keeps no lists."""
    if within.choices:
        return json.dumps(value, sort_keys=True)
    return int(value) if within.whole else float(value)


def _meant(value: Any, within: Range) -> JsonValue:
    found: JsonValue = json.loads(value) if within.choices else value
    return found


def _cut_torn_end(path: Path) -> None:
    """Cuts off what a killed writer or a full disk left of a last line."""
    if not path.exists():
        return
    content = path.read_bytes()
    kept = content[: content.rfind(b"\n") + 1]
    while kept and not _is_json(kept.splitlines()[-1]):
        kept = kept[: kept[:-1].rfind(b"\n") + 1]
    if len(kept) < len(content):
        with path.open("r+b") as stream:
            stream.truncate(len(kept))
            os.fsync(stream.fileno())


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True

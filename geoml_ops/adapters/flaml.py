"""FLAML: its search for parameters, over folds that we cut and models that we build. An extra.

FLAML's own cross-validation averages folds and cuts them itself unless told otherwise; here only its
searcher is used (BlendSearch, Wang et al. 2021), so that its trials are scored like any other's. A search
that was killed is replayed: the searcher is asked again from the start, and what was already scored is
looked up.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

try:
    from flaml.tune import sample as domains  # type: ignore[attr-defined]
    from flaml.tune.searcher import blendsearch
except ImportError:
    domains = blendsearch = None  # type: ignore[assignment]

from geoml_ops.core.errors import BadInput, GeomlError
from geoml_ops.core.experiment import Range, TuningRules
from geoml_ops.core.searching import Course, Params, Tried, hopeless, lies_in
from geoml_ops.platform.locks import only_one

JOURNAL = "journal.jsonl"
VAIN = 20
"""Times in a row that the searcher may have nothing new to say before the search is over."""


class Search:
    """One search for parameters, kept in a folder; the same interface as that of Optuna's, for one worker.

    It repeats itself exactly, killed in between or not: the searcher is not told how long anything took.
    """

    def __init__(self, folder: Path, space: Mapping[str, Range], base: Params, rules: TuningRules) -> None:
        if blendsearch is None:
            raise BadInput("FLAML is not installed here.", "pip install 'geoml-ops[flaml]', or search with optuna")
        if rules.workers != 1:
            raise BadInput(
                f"FLAML's search is one after another; {rules.workers} workers cannot share it.",
                "set tuning.workers: 1, or search with optuna",
            )
        self.folder, self.space, self.base, self.rules = folder, dict(space), dict(base), rules
        folder.mkdir(parents=True, exist_ok=True)
        # FLAML's wrapper of Optuna tells about every study it makes.
        logging.getLogger("optuna").setLevel(logging.WARNING)

    def tried(self) -> tuple[Tried, ...]:
        """Returns the trials that have ended, in order; at most as many as asked for."""
        path = self.folder / JOURNAL
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return tuple(_read(line) for line in lines[: self.rules.trials])

    def work(self, course: Course, told: Callable[[Tried], None] | None = None) -> None:
        """Tries until there are as many trials as asked for, or FLAML has nothing new to try.

        Args:
            course: what scores a set of parameters, fold by fold.
            told: is called with each trial that ends here.

        Raises:
            GeomlError: the default parameters cannot be scored.
        """
        with only_one(self.folder / "turn.lock", timeout_s=math.inf):
            self._cut_torn_end()
            known = {_key(each.params): each for each in self.tried()}
            found: list[Tried] = []
            for number, params in self._asked(found):
                ended = known.get(_key(params))
                if ended is None:
                    ended = self._run(number, params, course, found)
                    self._append(ended)
                    if told:
                        told(ended)
                found.append(ended)

    def _asked(self, found: list[Tried]) -> Iterator[tuple[int, dict[str, JsonValue]]]:
        """Yields numbers and parameters; before it goes on, the answer to the last ones is in ``found``."""
        yield 0, dict(self.base)
        inside = all(name in self.base and lies_in(self.base[name], each) for name, each in self.space.items())
        start = {name: _said(self.base[name], each) for name, each in self.space.items()} if inside else None
        searcher = blendsearch.BlendSearch(
            metric="value",
            mode="max",
            space={name: _domain(each) for name, each in sorted(self.space.items())},
            points_to_evaluate=[start] if start else None,
            seed=self.rules.seed + 20,
            cost_attr=None,
        )
        seen, vain, asked = {_key(self.base): 0}, 0, 0
        while len(found) < self.rules.trials and vain < VAIN:
            asked += 1
            config = searcher.suggest(str(asked))
            if config is None:
                vain += 1
                continue
            said = {name: config[name] for name in self.space}
            params = {**self.base, **{name: _meant(said[name], each) for name, each in self.space.items()}}
            if asked == 1 and start:
                params = dict(self.base)
            if _key(params) in seen:
                vain += 1
            else:
                vain, seen[_key(params)] = 0, len(found)
                yield len(found), params
            value = found[seen[_key(params)]].values[-1:] or (math.nan,)
            if math.isfinite(value[0]):
                searcher.on_trial_complete(str(asked), {"value": value[0], "config": config, "training_iteration": 1})
            else:
                searcher.on_trial_complete(str(asked), error=True)

    def _run(self, number: int, params: dict[str, JsonValue], course: Course, found: list[Tried]) -> Tried:
        values = list[float]()
        if not number:
            values = [float(value) for value in course(params)]
            if not values or not math.isfinite(values[-1]):
                raise GeomlError("The default parameters have no score on the folds of this search.", "use fewer folds")
            return Tried(0, "finished", params, tuple(values))
        try:
            for value in course(params):
                values.append(float(value))
                if not math.isfinite(values[-1]):
                    raise ValueError(f"the score after fold {len(values) - 1} is no number")
                last = len(values) == len(found[0].values)
                if self.rules.prune and not last and hopeless(values, found, startup=self.rules.startup):
                    return Tried(number, "pruned", params, tuple(values))
        except (GeomlError, ValueError, ArithmeticError) as error:
            finite = tuple(value for value in values if math.isfinite(value))
            said = error.fact if isinstance(error, GeomlError) else str(error)
            return Tried(number, "failed", params, finite, said[:500] or type(error).__name__)
        return Tried(number, "finished", params, tuple(values))

    def _append(self, ended: Tried) -> None:
        with (self.folder / JOURNAL).open("ab") as stream:
            stream.write(json.dumps(vars(ended)).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _cut_torn_end(self) -> None:
        path = self.folder / JOURNAL
        if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
            with path.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)


def _read(line: bytes) -> Tried:
    content = json.loads(line)
    return Tried(**{**content, "values": tuple(content["values"])})


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _domain(within: Range) -> Any:
    if within.choices:
        return domains.choice([json.dumps(each, sort_keys=True) for each in within.choices])
    low, high = float(within.low or 0.0), float(within.high or 0.0)
    if within.whole:
        whole = (math.ceil(low), math.floor(high) + 1)
        return domains.lograndint(*whole) if within.log else domains.randint(*whole)
    return domains.loguniform(low, high) if within.log else domains.uniform(low, high)


def _said(value: Any, within: Range) -> Any:
    return json.dumps(value, sort_keys=True) if within.choices else value


def _meant(value: Any, within: Range) -> JsonValue:
    """Returns a value in plain numbers; FLAML answers in numpy's."""
    if within.choices:
        found: JsonValue = json.loads(str(value))
        return found
    low, high = float(within.low or 0.0), float(within.high or 0.0)
    bounded = float(np.clip(float(value), low, high))
    return round(bounded) if within.whole else bounded

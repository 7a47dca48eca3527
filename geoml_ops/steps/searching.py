"""One search for parameters: in folds inside a train side, by one process or several, killed and gone on with."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import flaml, optuna
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import Experiment, Range, TuningRules
from geoml_ops.core.flow import FeatureTable, FoldPlan
from geoml_ops.core.noun import digest
from geoml_ops.core.searching import Course, Params, Tried
from geoml_ops.domain.fitting import fitted_on, of_fold, within
from geoml_ops.domain.folds import Split, materialise, part
from geoml_ops.domain.nesting import folds_inside, inner_splits
from geoml_ops.domain.scoring import confusion, metric_of
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.models import FAMILIES, builder
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled, open_table
from geoml_ops.steps.studies import ALL, Searched

Engine = Literal["optuna", "flaml"]
Say = Callable[[str], None]
_LOOK_S = 0.5
_OTHER_FOLDS = 500_009
"""Added to the seed of inner folds, so that a later choice among recipes meets other folds than the search did."""


class Search(Protocol):
    """What engines have in common: one search for parameters, kept in a folder."""

    def __init__(self, folder: Path, space: Mapping[str, Range], base: Params, rules: TuningRules) -> None: ...

    def tried(self) -> tuple[Tried, ...]:
        """Returns the trials that have ended."""
        ...

    def work(self, course: Course, told: Callable[[Tried], None] | None = None) -> None:
        """Tries until there are as many trials as asked for."""
        ...


ENGINES: Mapping[str, type[Search]] = {"optuna": optuna.Search, "flaml": flaml.Search}


@dataclass(frozen=True)
class Asked:
    """Everything that decides one search.

    Attributes:
        places: where things are.
        plan: id of the plan that it is nested in.
        fold: of that plan, whose train side is searched on; :data:`geoml_ops.steps.studies.ALL` for all samples.
        family: entry of the experiment.
        rules: of the search.
        engine: that searches.
    """

    places: Places
    plan: str
    fold: int
    family: str
    rules: TuningRules
    engine: Engine


def space_of(asked: Asked, experiment: Experiment) -> Mapping[str, Range]:
    """Returns what is searched: the experiment's space for this entry, else that of its family.

    Raises:
        BadInput: the experiment has no such family.
    """
    if asked.family not in experiment.families:
        raise BadInput(
            f"There is no family {asked.family[:60]!r} in experiment {experiment.name!r}.",
            f"use one of {', '.join(experiment.families)}",
        )
    strange = sorted(set(asked.rules.space) - set(experiment.families))
    if strange:
        raise BadInput(
            f"tuning.space names {', '.join(strange)[:200]}; the families are {', '.join(experiment.families)}.",
            "write a space under the name of a family",
        )
    named = str(experiment.families[asked.family].get("family", asked.family))
    own = asked.rules.space.get(asked.family)
    return own if own is not None else FAMILIES[named].space if named in FAMILIES else {}


def search_all(asked: Sequence[Asked], tabled: Tabled, experiment: Experiment, say: Say) -> list[Searched]:
    """Returns finished searches, in order; what was tried before, by whomever, counts.

    With several workers all of them go through all searches; what a killed one leaves undone this process does.

    Args:
        asked: the searches.
        tabled: samples that they are about.
        experiment: that the table was made for.
        say: is told about every trial that ends in this process.
    """
    todo = [each for each in asked if not _is_done(each, experiment)]
    with _crew(todo, lambda: all(_is_done(each, experiment) for each in todo)):
        for each in todo:
            which = f"search {asked.index(each) + 1} of {len(asked)}"
            search = _opened(each, experiment)
            search.work(_course(each, tabled, experiment), _telling(say, which))
            _require_some(each, search.tried())
    found = []
    for each in asked:
        search = _opened(each, experiment)
        if each.rules.workers > 1 and len(search.tried()) < each.rules.trials:
            search.work(_course(each, tabled, experiment))
        found.append(Searched(each.plan, each.fold, search.tried()))
    return found


def _require_some(asked: Asked, tried: Sequence[Tried]) -> None:
    failed = [each for each in tried if each.state == "failed"]
    if failed and len(failed) == len(tried) - 1:
        why = failed[0].because[:300]
        raise BadInput(
            f"None of {len(failed)} sets of parameters of {asked.family[:60]} could be fitted: {why}",
            f"look at tuning.space.{asked.family[:60]}",
        )


def _is_done(asked: Asked, experiment: Experiment) -> bool:
    return len(_opened(asked, experiment).tried()) >= asked.rules.trials


def _telling(say: Say, which: str) -> Callable[[Tried], None]:
    def told(tried: Tried) -> None:
        said = f"{tried.values[-1]:.4f}" if tried.values else tried.because[:80]
        say(f"{which}, trial {tried.number}: {said} {tried.state}")

    return told


@contextmanager
def _crew(asked: Sequence[Asked], done: Callable[[], bool]) -> Iterator[None]:
    """Lets other processes go through the same searches while the block runs, and waits for what they have begun."""
    spawn, n = multiprocessing.get_context("spawn"), asked[0].rules.workers - 1 if asked else 0
    crew = [spawn.Process(target=_work, args=(tuple(asked),), daemon=True) for _ in range(n)]
    try:
        for worker in crew:
            worker.start()
        yield
        while any(worker.is_alive() for worker in crew) and not done():
            crew[0].join(_LOOK_S)
    finally:
        for worker in crew:
            worker.terminate()


def _work(asked: Sequence[Asked]) -> None:
    """Goes through searches; the body of a worker process, which ends with the one that began it."""
    # An interrupt from the keyboard reaches all of them; the one that began ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shelf = Shelf(asked[0].places.nouns)
    table = shelf.get(FeatureTable, shelf.get(FoldPlan, asked[0].plan).table)
    tabled, experiment = open_table(asked[0].places, table), experiment_of(asked[0].places, table.experiment)
    for each in asked:
        _opened(each, experiment).work(_watched(_course(each, tabled, experiment)))


def _watched(course: Course) -> Course:
    parent = multiprocessing.parent_process()

    def watched(params: Params) -> Iterator[float]:
        for value in course(params):
            if parent is not None and not parent.is_alive():
                raise SystemExit
            yield value

    return watched


def _opened(asked: Asked, experiment: Experiment) -> Search:
    """Returns a search in the folder that its content names: trials and workers may change, and it goes on."""
    shelf = Shelf(asked.places.nouns)
    plan = shelf.get(FoldPlan, asked.plan)
    base, space = experiment.families[asked.family], space_of(asked, experiment)
    identity = [
        shelf.get(FeatureTable, plan.table).file.sha256,
        [plan.rules.model_dump(mode="json"), plan.repeat, plan.halo_px, plan.block_m],
        [asked.family, base, {name: each.model_dump(mode="json") for name, each in space.items()}],
        [asked.engine, asked.rules.seed, asked.rules.prune, asked.rules.startup],
        [experiment.gate.metric, experiment.sampling.seed, list(experiment.class_names)],
        experiment.selection.model_dump(mode="json") if experiment.selection else None,
        asked.fold,
    ]
    folder = asked.places.workspace / "studies" / digest(identity)[:32]
    return ENGINES[asked.engine](folder, space, base, asked.rules)


def _course(asked: Asked, tabled: Tabled, experiment: Experiment) -> Course:
    """Returns what scores parameters in the folds of a train side, or in the plan's own where all samples are searched.

    The metric is that of everything answered so far, not a mean over folds: folds hold different classes.
    """
    plan, samples, fold = Shelf(asked.places.nouns).get(FoldPlan, asked.plan), tabled.samples, asked.fold
    rows = np.arange(len(samples)) if fold == ALL else materialise(plan, samples)[fold][0]
    splits = _splits(plan, tabled, rows, fold)
    features, code, k = tabled.features[rows], samples.code[rows], len(experiment.class_names)
    weight = None if tabled.weight is None else tabled.weight[rows]
    inner = within(folds_inside(plan, samples), rows)

    def course(params: Params) -> Iterator[float]:
        build, counts = builder(asked.family, params, experiment), np.zeros((k, k), dtype=np.int64)
        for number, (train, test) in enumerate(splits):
            model = fitted_on(train, features, code, of_fold(build, number), k, weight=weight, inner=inner)
            counts = counts + confusion(code[test], np.argmax(model.probability(features[test]), axis=1), k)
            yield float(metric_of(counts, experiment.gate.metric))

    return course


def _splits(plan: FoldPlan, tabled: Tabled, rows: NDArray[np.int64], fold: int) -> Sequence[Split]:
    if fold == ALL and plan.method not in ("nndm", "buffered_loo"):
        return materialise(plan, tabled.samples)
    other = plan.rules.model_copy(update={"seed": plan.rules.seed + _OTHER_FOLDS})
    return inner_splits(plan.model_copy(update={"rules": other}), part(tabled.samples, rows), max(fold, 0))

"""Which layout of a model's graph runs fastest here, found by trying: a measurement, and so no noun.

The same trees run at a quarter or at twice the speed of their own library, as they are laid out in the graph.
Which layout wins depends on the trees, the machine and the rows: neighbouring pixels resemble each other, take
the same branches, and are answered much faster than random ones. So each layout is tried on rows as imagery has
them, in turns with the model's own answer.
"""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.onnx import Layout, head_graph, layouts_for
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import BadInput, Refused, TooLarge
from geoml_ops.core.evidence import Speed
from geoml_ops.domain.parity import TOLERANCE

EDGE_PX = 128
"""Rows are timed as a tile of this edge, as scenes are classified."""
BATCHES_PX = (32, 64, 128, 256)
"""Edges of tiles at which the layout that won is timed once more."""
LIMIT_S = 2.0
_FEW_ROWS = 256
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 25
_STAY = 0.8
"""A layout slower than this share of the fastest one so far is timed once only."""

Rows = NDArray[np.float32]
Work = Callable[[], object]


@dataclass(frozen=True)
class Chosen:
    """The fastest graph that answers as the model does, and how fast it is.

    Attributes:
        layout: of the graph.
        content: the graph's bytes, as :func:`~geoml_ops.adapters.onnx.head_graph` gives them.
        speed: what was measured: one thread, median over rounds.
    """

    layout: Layout
    content: bytes
    speed: Speed


def fastest(
    fitted: Any,
    family: str,
    n_features: int,
    rows: Rows,
    *,
    layouts: tuple[Layout, ...] = (),
    limit_s: float = LIMIT_S,
) -> Chosen:
    """Returns the fastest graph of a fitted model among those that answer as the model does.

    Time is the process's own time on the processor, which other programs on the machine cannot stretch and
    which counts every thread that a library starts; the graph runs on one.

    Args:
        fitted: a fitted classifier, as :func:`~geoml_ops.adapters.onnx.head_graph` takes it.
        family: its name in the experiment.
        n_features: number of features it was fitted on.
        rows: ``(row, feature)`` as imagery has them, neighbours next to each other: the pixels of a tile, row
            by row. Rows that the model itself cannot answer (NaN, for many) must not be among them.
        layouts: what to try, most promising first; empty for those that suit the model.
        limit_s: seconds on the processor for building and trying, and again for the rounds that decide; two
            layouts and three rounds in any case.

    Raises:
        BadInput: there are no rows, or they have other columns.
        Refused: the model has no export, or no layout answers as it does.
    """
    if rows.ndim != 2 or rows.shape[1] != n_features or not len(rows):
        raise BadInput(f"Rows {list(rows.shape)} were given to time a model of {n_features} features.")
    native = _native(fitted)
    asked = _asked(native, np.ascontiguousarray(rows, dtype=np.float32), limit_s)
    wanted, pixels = native(asked), np.ascontiguousarray(asked.T)[None, :, None, :]
    own = _seconds(lambda: native(asked))
    tried: dict[str, float | None] = {}
    runs: list[_Run] = []
    began = time.process_time()
    for layout, content, graph in _graphs(fitted, family, n_features, layouts or layouts_for(fitted), tried):
        equal = _equal(graph.head(pixels)[0, :, 0].T, wanted)
        run = _Run(layout, content, _call(graph, pixels))
        tried[str(layout)] = own / run.once() if equal else None
        # What is far behind at once is not timed again, and its session is let go.
        runs = _near([*runs, run] if equal else runs)
        if len(runs) > 1 and time.process_time() - began > limit_s:
            break
    if not runs:
        raise Refused(
            f"No graph of the {family[:60]} model answers as it does within {TOLERANCE:g} on {len(asked)} rows.",
            "export another family",
        )
    natives = _in_turns(lambda: native(asked), runs, limit_s)
    tried |= {str(run.layout): run.ratio(natives) for run in runs}
    best = max(runs, key=lambda run: run.ratio(natives))
    thousand = len(asked) / 1e3
    return Chosen(
        layout=best.layout,
        content=best.content,
        speed=Speed(
            layout=str(best.layout),
            kpx_per_s=round(thousand / statistics.median(best.seconds[1:]), 2),
            native_kpx_per_s=round(thousand / statistics.median(natives), 2),
            ratio=round(best.ratio(natives), 3),
            tried={name: ratio if ratio is None else round(ratio, 3) for name, ratio in tried.items()},
            n_rows=len(asked),
            batches=_batches(best.content, asked, limit_s / 4),
        ),
    )


def _batches(content: bytes, rows: Rows, limit_s: float) -> dict[str, float]:
    """Returns thousand pixels per second by rows of a call, as far as calls stay short; the better of three each."""
    graph, found = Graph(content), dict[str, float]()
    for edge in BATCHES_PX:
        work = _call(graph, np.ascontiguousarray(np.resize(rows, (edge**2, rows.shape[1])).T)[None, :, None, :])
        first = _seconds(work)
        best = first if first > limit_s else min(first, _seconds(work), _seconds(work))
        found[str(edge**2)] = round(edge**2 / 1e3 / best, 2)
        if first > limit_s:
            break
    return found


@dataclass
class _Run:
    """A graph that is tried; its first time is one alone, the others belong to the rounds."""

    layout: Layout
    content: bytes
    work: Work
    seconds: list[float] = field(default_factory=list)

    def once(self) -> float:
        self.seconds.append(_seconds(self.work))
        return self.seconds[-1]

    def ratio(self, natives: Sequence[float]) -> float:
        return statistics.median(own / ours for own, ours in zip(natives, self.seconds[1:], strict=True))


def _near(runs: Sequence[_Run]) -> list[_Run]:
    least = min((min(run.seconds) for run in runs), default=0.0)
    return [run for run in runs if min(run.seconds) * _STAY <= least]


def _in_turns(native: Work, runs: Sequence[_Run], limit_s: float) -> list[float]:
    """Times the model and the graphs in turns, and returns the model's seconds, one per round."""
    natives: list[float] = []
    began = time.process_time()
    while len(natives) < _LEAST_ROUNDS or (len(natives) < _MOST_ROUNDS and time.process_time() - began < limit_s):
        natives.append(_seconds(native))
        for run in runs if len(natives) % 2 else reversed(runs):
            run.once()
    return natives


def _graphs(
    fitted: Any, family: str, n_features: int, layouts: tuple[Layout, ...], tried: dict[str, float | None]
) -> Iterator[tuple[Layout, bytes, Graph]]:
    """Yields layouts, graphs not seen before, and these loaded; notes layouts whose graph is too large to load."""
    seen: set[bytes] = set()
    for layout in layouts:
        content = head_graph(fitted, family, n_features, layout)
        if content in seen:
            continue
        seen.add(content)
        try:
            graph = Graph(content)
        except TooLarge:
            tried[str(layout)] = None
            continue
        yield layout, content, graph


def _native(fitted: Any) -> Callable[[Rows], NDArray[np.floating[Any]]]:
    """Returns the model's own answer; a library that would take every processor for it is held to one."""
    answer = fitted.predict_proba
    if "thread_count" in inspect.signature(answer).parameters:
        return lambda rows: np.asarray(answer(rows, thread_count=1))
    return lambda rows: np.asarray(answer(rows))


def _asked(native: Callable[[Rows], object], rows: Rows, limit_s: float) -> Rows:
    """Returns as many rows as a tile has, fewer of a slow model, repeated in their order where there are too few."""
    n_rows, whole = _FEW_ROWS, EDGE_PX**2
    native(np.resize(rows, (n_rows, rows.shape[1])))
    while n_rows < whole:
        asked = np.resize(rows, (n_rows, rows.shape[1]))
        if _seconds(partial(native, asked)) * 4 > limit_s / 4:
            return asked
        n_rows *= 4
    return np.resize(rows, (whole, rows.shape[1]))


def _equal(found: NDArray[np.floating[Any]], wanted: NDArray[np.floating[Any]]) -> bool:
    best = np.sort(wanted, axis=1)
    clear = best[:, -1] - best[:, -2] > TOLERANCE
    same = found.argmax(axis=1) == wanted.argmax(axis=1)
    # Not a number compares as not equal.
    return bool((np.abs(found - wanted) <= TOLERANCE).all() and same[clear].all())


def _call(graph: Graph, pixels: Rows) -> Work:
    return lambda: graph.head(pixels)


def _seconds(work: Work) -> float:
    began = time.process_time()
    work()
    return max(time.process_time() - began, 1e-9)

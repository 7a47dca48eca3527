"""What Prometheus asks the service: how fast it answers at each door, how much, with which model, and how it fares.

Numbers are kept here and put into families when they are asked for. BentoML (1.4.39) switches prometheus_client to
files shared by processes before anything is imported; metrics of that kind would be counted there as well. BentoML
serves ``/metrics`` and hands its text to the service, which adds this one.

Labels come from lists of this program and from the bundle, never from a caller.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from geoml_ops.steps.answering import Model
from serving.doors import DOORS

BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RECENT = 200
"""Answers that the gauges of shares look back on."""
EVENTS = ("swap", "rollback", "refused")
_NAMES = frozenset(door.name for door in DOORS)
_OTHER = "other"
_MOST_CLASSES = 250

Number = Callable[[], float | Mapping[str, float]]


@dataclass
class _Door:
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))


@dataclass(frozen=True)
class _Answer:
    bundle: str
    classes: tuple[int, ...]
    outside: int | None


@dataclass(frozen=True)
class _Watched:
    about: str
    number: Number
    by: str
    counts: bool


class Metrics(Collector):
    """Counts what happens; :meth:`text` tells it."""

    def __init__(
        self, readiness: Callable[[], tuple[bool, Mapping[str, Any]]], model: Callable[[], Model | None]
    ) -> None:
        """Keeps what it asks when it is asked.

        Args:
            readiness: as :meth:`serving.follow.Follower.readiness`.
            model: what answers now, None for nothing.
        """
        self._readiness, self._model = readiness, model
        self._lock = threading.Lock()
        self._doors: dict[str, _Door] = {}
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._events: Counter[str] = Counter(dict.fromkeys(EVENTS, 0))
        self._pixels: Counter[str] = Counter({"raster": 0, "chip": 0})
        self._recent: deque[_Answer] = deque(maxlen=RECENT)
        self._watched: dict[str, _Watched] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def observe(self, door: str, status: int, seconds: float) -> None:
        """Counts one answered request.

        Args:
            door: its name in :data:`serving.doors.DOORS`; others count as ``other``.
            status: of the answer.
            seconds: until the answer was sent.
        """
        name = door if door in _NAMES else _OTHER
        code = str(status) if 100 <= status <= 599 else _OTHER
        with self._lock:
            one = self._doors.setdefault(name, _Door())
            one.seconds += seconds
            one.buckets[bisect_left(BUCKETS_S, seconds)] += 1
            self._requests[name, code] += 1

    def classified(self, kind: str, n_px: int) -> None:
        """Counts the pixels of one answer: of a ``chip``, otherwise of a raster."""
        with self._lock:
            self._pixels["chip" if kind == "chip" else "raster"] += n_px

    def seen(self, model: Model, classes: tuple[int, ...], outside: int | None) -> None:
        """Notes what one answer holds, for the gauges of shares.

        Args:
            model: that answered.
            classes: answered pixels by class code.
            outside: answered pixels beyond the area of applicability; None where that is not known.
        """
        with self._lock:
            self._recent.append(_Answer(model.bundle.id, classes, outside))

    def happened(self, event: str) -> None:
        """Counts a ``swap``, a ``rollback`` or a ``refused`` release; anything else is no event."""
        if event in EVENTS:
            with self._lock:
                self._events[event] += 1

    def watch(self, name: str, about: str, number: Number, *, by: str = "", counts: bool = False) -> None:
        """Has a number asked whenever metrics are.

        Args:
            name: without ``geoml_``.
            about: one sentence.
            number: returns it, or with ``by`` a few of them by label.
            by: name of the label; its values may not come from callers.
            counts: whether it only ever grows.
        """
        self._watched[name] = _Watched(about, number, by, counts)

    def text(self) -> str:
        """Returns everything in Prometheus' text format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Yields the families, as prometheus_client asks for them."""
        with self._lock:
            doors = {name: (one.seconds, list(one.buckets)) for name, one in self._doors.items()}
            requests, events, pixels = dict(self._requests), dict(self._events), dict(self._pixels)
            recent = list(self._recent)
        yield _latency(doors)
        yield _counter("geoml_requests", "Answered requests.", ("door", "status"), requests)
        yield _counter("geoml_pixels", "Pixels of answered rasters and chips.", ("kind",), _keyed(pixels))
        yield _counter("geoml_model_events", "What happened to the model.", ("event",), _keyed(events))
        yield from self._of_model()
        yield from _shares(self._model(), recent)
        for name, watched in list(self._watched.items()):
            yield _family(name, watched)

    def _of_model(self) -> Iterator[Metric]:
        ready, said = self._readiness()
        yield GaugeMetricFamily("geoml_ready", "Whether requests can be answered.", value=float(ready))
        follows = GaugeMetricFamily("geoml_follows_registry", "Whether the registry's champion is what serves.")
        follows.add_metric([], float(bool(said.get("following"))))
        yield follows
        info = GaugeMetricFamily(
            "geoml_bundle_info", "What serves; always 1.", labels=("model", "number", "bundle", "graph_sha256")
        )
        model = self._model()
        if model is not None:
            release = model.release
            info.add_metric([release.model, str(release.number), model.bundle.id, model.bundle.file.sha256], 1.0)
        yield info


def _latency(doors: Mapping[str, tuple[float, list[int]]]) -> Metric:
    family = HistogramMetricFamily("geoml_request_seconds", "Seconds until a request was answered.", labels=("door",))
    for name, (seconds, buckets) in sorted(doors.items()):
        upto, told = 0, []
        for edge, count in zip((*BUCKETS_S, float("inf")), buckets, strict=True):
            upto += count
            told.append(("+Inf" if edge == float("inf") else repr(edge), upto))
        family.add_metric([name], told, seconds)
    return family


def _shares(model: Model | None, recent: list[_Answer]) -> Iterator[Metric]:
    """Yields what the last answers of the model that serves hold; those of another model say nothing of it."""
    mine = [one for one in recent if model is not None and one.bundle == model.bundle.id]
    known = sum(sum(one.classes) for one in mine)
    shares = GaugeMetricFamily(
        "geoml_recent_class_share", f"Of the answered pixels of the last {RECENT} answers.", labels=("class",)
    )
    if model is not None and known:
        for code, name in enumerate(model.bundle.classes[:_MOST_CLASSES]):
            shares.add_metric([name], sum(one.classes[code] for one in mine if code < len(one.classes)) / known)
    yield shares
    outside = GaugeMetricFamily(
        "geoml_recent_outside_share", f"Of the answered pixels of the last {RECENT} answers, beyond applicability."
    )
    said = [one for one in mine if one.outside is not None]
    asked = sum(sum(one.classes) for one in said)
    if asked:
        outside.add_metric([], sum(one.outside or 0 for one in said) / asked)
    yield outside


def _counter(name: str, about: str, labels: tuple[str, ...], found: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for key, count in sorted(found.items()):
        family.add_metric(list(key), count)
    return family


def _keyed(found: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): count for name, count in found.items()}


def _family(name: str, watched: _Watched) -> Metric:
    kind = CounterMetricFamily if watched.counts else GaugeMetricFamily
    family = kind(f"geoml_{name}", watched.about, labels=[watched.by] if watched.by else [])
    try:
        found = watched.number()
        for key, number in found.items() if isinstance(found, Mapping) else (("", found),):
            family.add_metric([key] if watched.by else [], float(number))
    except Exception:  # noqa: BLE001  one number that cannot be told must not hide all others
        return family
    return family

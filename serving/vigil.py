"""Watching a model that has just taken over: its first requests against those of the one before it."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

from geoml_ops.domain.swap import Limits, Noted, objection
from geoml_ops.steps.answering import Model

LIMITS = Limits()
KEPT = 400


class Vigil:
    """What was noted of the requests of a model, and of the one before it while that may still return.

    One thread swaps and judges; requests only append, which waits for nobody.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.before: Model | None = None
        self._model: Model | None = None
        self._since = 0.0
        self._noted: deque[Noted] = deque(maxlen=KEPT)
        self._usual: tuple[Noted, ...] = ()

    def begin(self, model: Model | None, before: Model | None) -> None:
        """Watches ``model``; ``before`` is kept to return to, and what was noted of it to compare with."""
        # Nobody's requests count in between, or one of the model before could be taken for one of the new model.
        self._model = None
        self._usual, self._noted = tuple(self._noted), deque(maxlen=KEPT)
        self._model, self.before, self._since = model, before, time.monotonic()

    def note(self, model: Model, one: Noted) -> bool:
        """Keeps one request; those of another model, begun before a swap, do not count. Says whether to judge now."""
        if model is not self._model or self._model is None:
            return False
        self._noted.append(one)
        return self.before is not None and not one.ok

    def objection(self) -> str:
        """Returns why the model before should answer again; empty where nothing speaks for it or it is gone.

        After the first requests, or after some minutes however few they were, the model before is let go.
        """
        if self.before is None:
            return ""
        first = tuple(islice(tuple(self._noted), self.limits.requests))
        why = objection(self._usual, first, self.limits)
        over = len(first) >= self.limits.requests or time.monotonic() - self._since > self.limits.seconds
        if over and not why:
            self.before = None
        return why

    def told(self) -> dict[str, object]:
        """Returns whether a model is still being watched, and how many of its requests were looked at."""
        return {"watching": self.before is not None, "requests": min(len(self._noted), self.limits.requests)}

"""Slots for requests: each lane has its own, so that uploads never stand in the way of chips or looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from serving.refusal import Refusal

SLOTS: Mapping[str, int] = {"look": 64, "raster": 8, "chip": 64, "word": 8}
_RETRY_S: Mapping[str, int] = {"look": 1, "raster": 5, "chip": 1, "word": 1}
_SHARE = 0.75


class Lanes:
    """Counts the requests that are inside; for one event loop."""

    def __init__(self, slots: Mapping[str, int] = SLOTS) -> None:
        self.slots = dict(slots)
        self.inside: Counter[str] = Counter()
        self._owners: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def slot(self, lane: str, owner: str) -> Iterator[None]:
        """Holds a slot while the block runs; one owner never holds all of a lane.

        Raises:
            Refusal: 503, none is free.
        """
        full = self.inside[lane] >= self.slots[lane]
        if full or (owner and self._owners[lane, owner] >= max(1, int(_SHARE * self.slots[lane]))):
            whose = f"All {self.slots[lane]} places" if full else "All places that one key may have"
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{whose} for requests of this kind are taken. Try: again in some seconds.",
                retry_s=_RETRY_S[lane],
            )
        self.inside[lane] += 1
        self._owners[lane, owner] += 1
        try:
            yield
        finally:
            self.inside[lane] -= 1
            self._owners[lane, owner] -= 1
            if not self._owners[lane, owner]:
                del self._owners[lane, owner]

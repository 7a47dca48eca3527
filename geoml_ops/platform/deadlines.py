"""Work that is told to end when its time is over: one thread looks after all of it, a piece costs next to nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 0.5


class Deadlines:
    """Looks every :data:`LOOK_S` seconds at what is under way."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @contextmanager
    def over(self, seconds: float, end: Callable[[], None]) -> Iterator[None]:
        """Calls ``end`` once ``seconds`` have passed and the block has not ended by itself.

        Args:
            seconds: to wait; it may be up to :data:`LOOK_S` more.
            end: tells the work to end; it is called in another thread, perhaps more than once, and must not raise.
        """
        # A child that was forked has the object without its thread.
        if self._thread is None or not self._thread.is_alive():
            self._begin()
        key = id(end)
        self._due[key] = time.monotonic() + seconds, end
        try:
            yield
        finally:
            del self._due[key]

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_S)
            now = time.monotonic()
            for due, end in list(self._due.values()):
                if now > due:
                    end()

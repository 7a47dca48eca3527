"""Parts of requests that wait while all threads are busy, answered together when one of them is free.

There is no delay: a part that finds a free thread is answered at once and alone. Only where parts wait, those of one
key are taken together, as many as there are and as fit into one call. Threads that call share one session that uses one
thread per call, so their number is the number of processors that answering takes. While calls wait they do nothing but
call: beside them others make the next call ready and write down what the last one said, because a session that wanders
between processors leaves its memory behind (a third more time per call, onnxruntime 1.31).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import accumulate, islice
from typing import Generic, Protocol, TypeVar

from geoml_ops.core.errors import GeomlError, Unavailable
from geoml_ops.platform.log import logger
from serving.urgency import give_way

CALL_PX = 2**14
"""Pixels of a call at most, more only where one part alone has more: beyond that, calls get slower by the pixel."""
TURN_PX = 8 * CALL_PX
"""Pixels of one request that are answered before the next request has its turn."""
MOST_WAITING, MOST_LOOKED_AT = 1024, 32
_log = logger("batching")


class Sized(Protocol):
    """A part of a request."""

    @property
    def key(self) -> Hashable:
        """Parts of one key may share a call."""
        ...

    @property
    def size_px(self) -> int:
        """Pixels it has."""
        ...


P = TypeVar("P", bound=Sized)
R = TypeVar("R")
S = TypeVar("S")
CALLS_PER_READER = 3


class _Ticket(Generic[P]):
    """One request while it is here.

    Attributes:
        waiting: parts that no thread has taken yet.
        n_left: parts without an answer.
        taken_px: pixels that were taken in this turn.
    """

    def __init__(self, parts: Sequence[P]) -> None:
        self.waiting, self.n_left = deque(parts), len(parts)
        self.taken_px = 0
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def settle(self, error: GeomlError | None) -> None:
        """Wakes whoever waits for it; runs on its own loop."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


_Taken = list[tuple[_Ticket[P], P]]


class Batches(Generic[P, R, S]):
    """Threads that read and answer what waits; they start with the first request."""

    def __init__(
        self,
        read: Callable[[Sequence[P]], R],
        call: Callable[[R], S],
        keep: Callable[[S], Sequence[GeomlError | None]],
        *,
        threads: int,
        most_waiting_px: int,
    ) -> None:
        """Keeps how to answer and what may wait.

        Args:
            read: parts of one key to what a call needs of them.
            call: to what was said of them; the only one that takes long.
            keep: gives each its answer, and returns what went wrong with each of them, None where nothing did.
            threads: calls at a time.
            most_waiting_px: pixels that may wait, over all requests.
        """
        self.read, self.call, self.keep = read, call, keep
        self.n_threads, self.most_waiting_px = threads, most_waiting_px
        self.waiting_px = 0
        self._tickets: deque[_Ticket[P]] = deque()
        self._ready: deque[tuple[_Taken[P], R]] = deque()
        self._called: deque[tuple[_Taken[P], S]] = deque()
        self._n_reading, self._n_inside = 0, 0
        lock = threading.Lock()
        self._come, self._made = threading.Condition(lock), threading.Condition(lock)
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether other requests are in work or wait."""
        return self._n_inside > 0

    async def answered(self, parts: Sequence[P]) -> None:
        """Returns when all parts of a request are answered.

        Raises:
            Unavailable: too much waits already; nothing of it was begun.
            GeomlError: the first thing that went wrong with a part; the others are not begun any more.
        """
        ticket = self._enter(parts)
        try:
            await ticket.done
        finally:
            self._leave(ticket)

    def close(self) -> None:
        """Ends the threads when they have answered what they are at; what waits is refused."""
        with self._come:
            self._closed = True
            left = [ticket for ticket in self._tickets if ticket.waiting]
            self._tickets, self.waiting_px = deque(), 0
            self._come.notify_all()
            self._made.notify_all()
        for ticket in left:
            _tell(ticket, Unavailable("The service is stopping.", "again in some seconds"))
        for thread in self._threads:
            thread.join(5.0)

    def _enter(self, parts: Sequence[P]) -> _Ticket[P]:
        size_px = sum(part.size_px for part in parts)
        with self._come:
            if self._closed:
                raise Unavailable("The service is stopping.", "again in some seconds")
            full = len(self._tickets) >= MOST_WAITING or self.waiting_px + size_px > self.most_waiting_px
            # A request larger than all that may wait is let in where nothing does.
            # Those of which all is taken may still stand in the queue.
            if full and self.waiting_px:
                raise Unavailable(
                    f"{len(self._tickets)} requests of {self.waiting_px} pixels wait already.", "again in some seconds"
                )
            ticket = _Ticket(parts)
            self._tickets.append(ticket)
            self.waiting_px += size_px
            self._n_inside += 1
            self._start()
            self._come.notify()
        return ticket

    def _leave(self, ticket: _Ticket[P]) -> None:
        """Takes a request out that is over, whether it was answered or nobody waits for it any more."""
        with self._come:
            self._n_inside -= 1
            self.waiting_px -= sum(part.size_px for part in ticket.waiting)
            ticket.waiting.clear()

    def _start(self) -> None:
        if self._threads:
            return
        readers = -(-self.n_threads // CALLS_PER_READER)
        works = [("chips-read", self._reading)] * readers + [("chips-call", self._calling)] * self.n_threads
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
        for thread in self._threads:
            thread.start()

    def _reading(self) -> None:
        # Ready in time is soon enough: the next call is made ready while another one goes on.
        give_way()
        while True:
            with self._come:
                taken: _Taken[P] = []
                while not self._called and not (taken := self._next()):
                    if self._closed:
                        return
                    self._come.wait()
                called = None if taken else self._called.popleft()
                self._n_reading += bool(taken)
            if called is not None:
                self._give(*called)
                continue
            ready = self._made_of(taken)
            with self._come:
                self._n_reading -= 1
                if ready is not None:
                    self._ready.append((taken, ready))
                    self._made.notify()

    def _calling(self) -> None:
        while True:
            with self._made:
                while not self._ready:
                    if self._closed and not self._n_reading:
                        return
                    self._made.wait(None if not self._closed else 0.05)
                taken, ready = self._ready.popleft()
                self._come.notify()
            try:
                called = self.call(ready)
            except Exception as error:  # noqa: BLE001  a thread that dies would leave every later request waiting
                self._settle(taken, _broken(taken, error))
                continue
            with self._made:
                # Where another call is ready, somebody else gives the answers.
                busy = bool(self._ready) and not self._closed
                if busy:
                    self._called.append((taken, called))
            if not busy:
                self._give(taken, called)

    def _give(self, taken: _Taken[P], called: S) -> None:
        try:
            self._settle(taken, self.keep(called))
        except Exception as error:  # noqa: BLE001  a thread that dies would leave every later request waiting
            self._settle(taken, _broken(taken, error))

    def _made_of(self, taken: _Taken[P]) -> R | None:
        try:
            return self.read([part for _, part in taken])
        except Exception as error:  # noqa: BLE001  a thread that dies would leave every later request waiting
            self._settle(taken, _broken(taken, error))
            return None

    def _next(self) -> _Taken[P]:
        """Returns the parts of the next call if it is to be made ready now.

        As many calls are made ready as may begin next, no more: what waits longer comes in larger batches. Where a
        whole call waits anyway, one more for each thread, so that none of them has to wait.
        """
        n_ready = len(self._ready) + self._n_reading
        begins = n_ready < self.n_threads or (n_ready < 2 * self.n_threads and self._whole_call_waits())
        return self._take() if begins else []

    def _whole_call_waits(self) -> bool:
        """Says whether what comes next fills a call; of very many requests the first ones are looked at."""
        if self.waiting_px < CALL_PX:
            return False
        waiting = (part for ticket in islice(self._tickets, MOST_LOOKED_AT) for part in ticket.waiting)
        first = next(waiting, None)
        sizes = (part.size_px for part in waiting if first and part.key == first.key)
        return first is not None and any(px >= CALL_PX for px in accumulate(sizes, initial=first.size_px))

    def _take(self) -> _Taken[P]:
        """Returns the parts of the next call: the first that waits, and all of its key that fit, oldest first."""
        while self._tickets and not self._tickets[0].waiting:
            self._tickets.popleft()
        if not self._tickets:
            return []
        first = self._tickets[0]
        key, room = first.waiting[0].key, max(CALL_PX, first.waiting[0].size_px)
        taken: _Taken[P] = []
        for ticket in self._tickets:
            while ticket.waiting and ticket.waiting[0].key == key and ticket.waiting[0].size_px <= room:
                part = ticket.waiting.popleft()
                room -= part.size_px
                ticket.taken_px += part.size_px
                taken.append((ticket, part))
            if not room:
                break
        self.waiting_px -= sum(part.size_px for _, part in taken)
        if first.taken_px >= TURN_PX and first.waiting:
            first.taken_px = 0
            self._tickets.rotate(-1)
        return taken

    def _settle(self, taken: _Taken[P], errors: Sequence[GeomlError | None]) -> None:
        told: list[tuple[_Ticket[P], GeomlError | None]] = []
        with self._come:
            for (ticket, _), error in zip(taken, errors, strict=True):
                ticket.n_left -= 1
                if error is not None or not ticket.n_left:
                    told.append((ticket, error))
        for ticket, error in told:
            _tell(ticket, error)


def _broken(taken: Sequence[object], error: Exception) -> list[GeomlError]:
    _log.error("broken", error=f"{type(error).__name__}: {error}")
    return [GeomlError("A batch could not be answered.") for _ in taken]


def _tell(ticket: _Ticket[P], error: GeomlError | None) -> None:
    # A loop that was closed has nobody waiting.
    with suppress(RuntimeError):
        ticket.loop.call_soon_threadsafe(ticket.settle, error)

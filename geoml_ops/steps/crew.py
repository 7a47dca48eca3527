"""Threads that share the parts of one work: whoever has nothing else to do takes the next part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Crew:
    """Shares work among the threads of a pool, from inside its own tasks.

    Tasks that wait in the pool go first, so parts are only taken over at the end, or where there is one task alone.
    No thread ever waits for one that has not begun: nothing can lock up.
    """

    def __init__(self, pool: Executor, threads: int) -> None:
        """Takes a pool.

        Args:
            pool: whose threads take over parts.
            threads: how many it has.
        """
        self._pool, self._threads = pool, threads

    def spread(self, work: Callable[[_Item], _Made], items: Iterable[_Item]) -> Sequence[_Made]:
        """Returns what ``map`` does; each part is worked on by this thread or by one that is free."""
        todo: deque[tuple[Callable[[_Item], _Made], _Item, Future[_Made]]] = deque()
        made: list[Future[_Made]] = []
        for item in items:
            made.append(Future())
            todo.append((work, item, made[-1]))
        # Where the pool closes already, this thread does it alone.
        with suppress(RuntimeError):
            for _ in range(min(self._threads, len(todo)) - 1):
                self._pool.submit(_take_over, todo)
        _take_over(todo)
        return [future.result() for future in made]


def _take_over(todo: deque[tuple[Callable[[_Item], _Made], _Item, Future[_Made]]]) -> None:
    """Does parts until there is none left; what is done is not held any longer."""
    while True:
        try:
            work, item, future = todo.popleft()
        except IndexError:
            return
        try:
            future.set_result(work(item))
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever asked for the part
            future.set_exception(error)

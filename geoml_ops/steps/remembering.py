"""Answers of overlapping tiles, kept while there is room: neighbouring blocks need the same ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from geoml_ops.domain.tiling import Answer, Box


class Remembered:
    """Answers by the cell of their tile, the ones asked for last; several threads may ask.

    What is forgotten is answered again, to the same numbers: the room changes how long a map takes, and nothing else.
    """

    def __init__(self, room_bytes: int) -> None:
        self._room, self._taken = room_bytes, 0
        self._held: OrderedDict[Box, Future[Answer | None]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, cell: Box, make: Callable[[], Answer | None]) -> Answer | None:
        """Returns the answer of a tile; one thread makes it, others that want it wait for it.

        Args:
            cell: of the tile.
            make: answers it.
        """
        with self._lock:
            found = self._held.get(cell)
            if found is not None:
                self._held.move_to_end(cell)
            else:
                mine: Future[Answer | None] = Future()
                self._held[cell] = mine
        if found is not None:
            return found.result()
        try:
            answer = make()
        except BaseException as error:
            mine.set_exception(error)
            with self._lock:
                self._held.pop(cell, None)
            raise
        mine.set_result(answer)
        self._forget(_nbytes(answer))
        return answer

    def _forget(self, more: int) -> None:
        with self._lock:
            self._taken += more
            for cell in list(self._held):
                if self._taken <= self._room:
                    break
                if self._held[cell].done():
                    self._taken -= _nbytes(self._held.pop(cell).result())


def _nbytes(answer: Answer | None) -> int:
    if answer is None:
        return 0
    # A part of an array keeps all of it in memory.
    layers = [answer.probability, answer.valid, answer.dissimilarity, answer.density]
    return sum(0 if layer is None else (layer if layer.base is None else layer.base).nbytes for layer in layers)

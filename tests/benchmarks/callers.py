"""Many callers in a process of their own: they stand for other machines, so they cost this one as little as can be.

They know no array and no library: all send the same bytes, and throw away what comes as long as it is an answer.
``python -m tests.benchmarks.callers HOST PORT FILE N`` asks for as many seconds as each line of its input says, and
writes a line with the number of answers.
"""

from __future__ import annotations

import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: ([0-9]+)\r\n")
_ROOM = 2**20


class Caller:
    """One of them, with a connection of its own.

    Attributes:
        socket: the connection.
    """

    def __init__(self, where: tuple[str, int], request: memoryview, waits: select.epoll) -> None:
        self.socket, self._request, self._waits = socket.create_connection(where, 60), request, waits
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._head, self._n_sent, self._n_missing = b"", 0, 0
        waits.register(self.socket, select.EPOLLOUT)

    def step(self, room: memoryview, *, again: bool) -> bool:
        """Goes on as far as it can without waiting; returns whether an answer is whole.

        Args:
            room: for what comes.
            again: whether it asks once more after an answer.
        """
        if self._n_sent < len(self._request):
            self._n_sent += self.socket.send(self._request[self._n_sent :])
            if self._n_sent == len(self._request):
                self._waits.modify(self.socket, select.EPOLLIN)
            return False
        n = self.socket.recv_into(room)
        if not n:
            raise SystemExit("the service closed the connection of a caller")
        if self._n_missing:
            self._n_missing -= n
        else:
            self._begin(self._head + room[:n])
        if self._head or self._n_missing:
            return False
        self._n_sent = 0
        self._waits.modify(self.socket, select.EPOLLOUT if again else 0)
        return True

    def _begin(self, come: bytes) -> None:
        """Takes the beginning of an answer: its head, and what came of its body."""
        head, end, body = come.partition(b"\r\n\r\n")
        self._head = b"" if end else come
        if end:
            if not head.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"the service answered {come[:300]!r}")
            self._n_missing = int(_LENGTH.findall(head + b"\r\n")[0]) - len(body)


def answers(where: tuple[str, int], request: memoryview, n: int, seconds: float) -> int:
    """Returns how many answers came to ``n`` callers within a time; what comes later is waited for and not counted."""
    with select.epoll() as waits:
        # The service lets connections go that are idle for seconds, as they are while the other part is timed.
        callers = {one.socket.fileno(): one for one in (Caller(where, request, waits) for _ in range(n))}
        room, found, n_asking = memoryview(bytearray(_ROOM)), 0, n
        end = time.perf_counter() + seconds
        while n_asking:
            for at, _ in waits.poll():
                again = time.perf_counter() <= end
                if callers[at].step(room, again=again):
                    found += again
                    n_asking -= not again
        for one in callers.values():
            one.socket.close()
    return found


def main(words: Sequence[str]) -> None:
    """Asks for each line of seconds."""
    host, port, file, n = words
    request = memoryview(Path(file).read_bytes())
    for line in sys.stdin:
        print(answers((host, int(port)), request, int(n), float(line)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

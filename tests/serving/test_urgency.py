"""What can wait gives way, and nobody else does."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from serving.urgency import give_way

Order = tuple[int, int]


def order() -> Order:
    """Returns how the calling thread waits for a processor, and its niceness."""
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has an order of threads")
@pytest.mark.parametrize("steps", [0, 10])
def test_a_thread_that_gives_way_leaves_all_others_as_they_are(steps: int) -> None:
    before, found = order(), list[Order]()

    def work() -> None:
        give_way(steps)
        found.append(order())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert found == [(os.SCHED_BATCH, min(19, before[1] + steps))]
    assert order() == before

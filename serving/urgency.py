"""Work that can wait, beside work that somebody waits for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def give_way(steps: int = 0) -> None:
    """Has the thread that calls it wait for a processor rather than push others off one.

    Where the system has no such order, or does not let it be changed, nothing happens.

    Args:
        steps: of ``nice`` by which it gets less of a processor that others want, too.
    """
    if sys.platform == "linux":
        # On Linux both are of a thread, not of its process.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        with suppress(OSError):
            os.nice(steps)

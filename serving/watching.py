"""What metrics ask the parts of the service: how much waits where, what was lost, and what confines uploads."""

from __future__ import annotations

from datetime import UTC, datetime

from serving.guard import Guard
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.routes import Routes

LEAST_PATIENCE_S = 15.0


def watch_all(metrics: Metrics, guard: Guard, recorder: Recorder, routes: Routes, landlock: int) -> None:
    """Has every part of the service asked for its numbers.

    Args:
        metrics: who asks.
        guard: counts the requests that are inside.
        recorder: counts rows that were written, and requests that were not recorded.
        routes: know chips and jobs.
        landlock: version of what confines uploads; 0 for nothing.
    """
    lanes, follower, chips = guard.lanes, routes.follower, routes.chips

    def reachable() -> float:
        asked, patience_s = follower.state.asked, max(LEAST_PATIENCE_S, 3 * follower.poll_s)
        return float(asked is not None and (datetime.now(UTC) - asked).total_seconds() < patience_s)

    metrics.watch("registry_reachable", "Whether the registry answered lately.", reachable)
    metrics.watch(
        "inside", "Requests that are inside, by lane.", lambda: {n: lanes.inside[n] for n in lanes.slots}, by="lane"
    )
    metrics.watch("chips_held_bytes", "What chips in work hold.", lambda: chips.room.held)
    metrics.watch("chips_waiting_pixels", "Pixels of chips that wait for a thread.", lambda: chips.batches.waiting_px)
    metrics.watch("jobs_unfinished", "Jobs that wait or are being worked on.", lambda: routes.work.n_unfinished)
    metrics.watch("log_waiting_bytes", "Imagery that waits to be sketched.", lambda: recorder.waiting_bytes)
    metrics.watch("log_rows", "Rows of chips written to the prediction log.", lambda: recorder.written, counts=True)
    metrics.watch(
        "log_dropped",
        "Requests left out of the prediction log, too many waited.",
        lambda: recorder.dropped,
        counts=True,
    )
    metrics.watch("log_failed", "Requests whose rows could not be written.", lambda: recorder.failed, counts=True)
    metrics.watch("confined", "Version of Landlock that confines uploads; 0 for none.", lambda: landlock)

"""Which training is said to start now: each event once, however many evaluations came to it.

Two evaluations at once may both come to the same event, and one that is killed may have kept an event without saying
so. Who is to say it notes its name first; the same one says it again when it is started again, nobody else does while
that training may be under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from geoml_ops.adapters.configs import read_policy
from geoml_ops.core.flow import Bundle, Decision, Retrain
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps import trail
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.standings import outcomes_of, verdict_of

#: From the end of the run that announces a training until there is a run of it, at most.
BETWEEN_RUNS = timedelta(seconds=30)


def due(
    places: Places, by: str, found: Iterable[Retrain] = (), *, is_idle: bool = False, now: datetime | None = None
) -> Retrain | None:
    """Returns the event that ``by`` is to announce, noted under this name; None where there is none.

    Args:
        places: where things are.
        by: who asks; asked again by the same it is the same event.
        found: events that were just decided on; they come before those that were kept earlier and never announced.
        is_idle: whether nobody else is at it and no training runs: what was announced earlier came to nothing then.
        now: when this is asked; this moment if left out.
    """
    at = now or datetime.now(UTC)
    with only_one(places.workspace / "locks" / "announce.lock"):
        for retrain in dict.fromkeys([*found, *_waiting(places, at)]):
            note = _note(places, retrain.id)
            if note and note["by"] != by and not (is_idle and at - note["at"] > BETWEEN_RUNS):
                continue
            if note.get("by") != by:
                write_json(_path(places, retrain.id), {"by": by, "at": at.isoformat()})
                logger("watch").info("to be announced", retrain=retrain.id, by=by)
            return retrain
    return None


def _waiting(places: Places, now: datetime) -> Iterator[Retrain]:
    """Yields events that are still waited for and whose training has led to nothing yet, oldest first."""
    shelf = Archive(places.nouns)
    lost = set(trail.lost(places, read_policy(places.policy), now))
    trained, outcomes = {bundle.version for bundle in shelf.all(Bundle)}, outcomes_of(shelf)
    for retrain in shelf.all(Retrain):
        if retrain.id in lost or retrain.version in trained:
            continue
        if verdict_of(outcomes, retrain, shelf.get(Decision, retrain.decision)) is None:
            yield retrain


def _path(places: Places, retrain_id: str) -> Path:
    return places.workspace / "announced" / f"{retrain_id}.json"


def _note(places: Places, retrain_id: str) -> dict[str, Any]:
    try:
        told = read_json(_path(places, retrain_id))
        return {"by": str(told["by"]), "at": datetime.fromisoformat(told["at"]).astimezone(UTC)}
    except (OSError, ValueError, KeyError, TypeError):
        # One that is lost has the event announced once more, which is better than never.
        return {}

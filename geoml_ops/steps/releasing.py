"""Release: a promoted entry becomes the champion, if the champion is still the one it was judged against."""

from __future__ import annotations

from geoml_ops.adapters.mlflow import Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import Conflict
from geoml_ops.core.flow import Entry, Judgement
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.approvals import RELEASED, require, tags_of
from geoml_ops.steps.places import Places

CHAMPION, PREVIOUS = "champion", "previous_champion"
_log = logger("publish")


def release(places: Places, judgement_id: str) -> Entry | None:
    """Makes a promoted entry the champion and returns it; None where the gate did not promote.

    The champion must still be the one that was judged against, and people must have approved that very
    judgement where the policy asks for it. Releasing again changes nothing, also after a later model has
    taken over.

    Raises:
        Conflict: another model became champion since; judge again.
        Refused: the policy asks for an approval that is not there, or a person rejected it.
        Unavailable: MLflow does not answer.
    """
    shelf = Shelf(places.nouns)
    judgement = shelf.get(Judgement, judgement_id)
    if judgement.outcome != "PROMOTE":
        _log.info("held", judgement=judgement.id, outcome=judgement.outcome)
        return None
    entry = shelf.get(Entry, judgement.challenger)
    tracking = Tracking(places.tracking_uri)
    # MLflow sets an alias without looking at its old value; one lock per deployment does the looking.
    with only_one(places.workspace / "locks" / "registry.lock"):
        current = tracking.alias_of(entry.model, CHAMPION)
        released = tracking.tags_of(entry.model, entry.number).get(RELEASED) == judgement.id
        if released and current is not None:
            return entry
        expected = shelf.get(Entry, judgement.champion).number if judgement.champion else None
        if current not in (expected, entry.number):
            raise Conflict(
                f"{entry.model} {entry.number} was judged against {_name(expected)}, "
                f"but the champion is {_name(current)} now.",
                f"geoml publish judge {entry.id}",
            )
        approved = require(places, judgement)
        tracking.set_tags(entry.model, entry.number, tags_of(approved))
        if current is not None and current != entry.number:
            tracking.set_alias(entry.model, PREVIOUS, current)
        tracking.set_alias(entry.model, CHAMPION, entry.number)
        tracking.set_tags(entry.model, entry.number, {RELEASED: judgement.id})
    _log.info("released", entry=entry.id, number=entry.number, before=current, approved_by=approved.by)
    return entry


def _name(number: int | None) -> str:
    return f"number {number}" if number is not None else "nobody"

"""What lies in the drop folder and what became of it; light, because every sweep begins here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, GeomlError, StorageFull
from geoml_ops.core.flow import Scene, Verdict
from geoml_ops.platform.log import logger
from geoml_ops.platform.space import is_full
from geoml_ops.steps.deliveries import Delivery, declared, open_delivery, waiting
from geoml_ops.steps.places import Places


def collect(places: Places) -> tuple[str, ...]:
    """Returns names of complete deliveries that were not accepted yet, scenes before labels.

    Labels are judged against scenes: they wait while there is no scene, neither accepted nor delivered.
    """
    scenes: list[str] = []
    others: list[str] = []
    for name in waiting(places):
        delivery = open_delivery(places, name)
        if accepted_before(places, delivery) is None:
            (scenes if kind_of(delivery) == "scene" else others).append(name)
    labels_wait = not scenes and not accepted_scenes(places)
    ready = [name for name in others if not (labels_wait and kind_of(open_delivery(places, name)) == "labels")]
    logger("collect").info("collected", scenes=len(scenes), others=len(ready), waiting=len(others) - len(ready))
    return (*scenes, *ready)


def kind_of(delivery: Delivery) -> str:
    """Returns ``scene`` or ``labels``, or nothing where the declaration cannot be read."""
    try:
        return declared(delivery).kind
    except BadInput:
        return ""


def accepted_before(places: Places, delivery: Delivery) -> Verdict | None:
    """Returns the verdict that accepted this very delivery, or None."""
    for verdict in Shelf(places.nouns).all(Verdict):
        if verdict.accepted and (verdict.delivery, verdict.delivered) == (delivery.name, delivery.sha256):
            return verdict
    return None


def accepted_scenes(places: Places) -> list[Scene]:
    """Returns the newest accepted scene of each name, by name."""
    shelf = Shelf(places.nouns)
    newest: dict[str, Scene] = {}
    for verdict in shelf.all(Verdict):
        if verdict.accepted and verdict.subject.startswith("scene-"):
            scene = shelf.get(Scene, verdict.subject)
            newest[scene.name] = scene
    return [newest[name] for name in sorted(newest)]


@contextmanager
def or_storage_full(places: Places) -> Iterator[None]:
    """Turns whatever a tool makes of a full disk into one sentence; everything else passes through."""
    try:
        yield
    except GeomlError:
        raise
    except Exception as error:
        if is_full(error, places.workspace):
            raise StorageFull(f"No space left in {places.workspace}.", "free some space, then try again") from error
        raise

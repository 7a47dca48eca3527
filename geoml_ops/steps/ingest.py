"""Ingest: deliveries are collected, checked one by one, and what is accepted becomes a version."""

from __future__ import annotations

import tempfile
from pathlib import Path

from geoml_ops.adapters import gx
from geoml_ops.adapters.configs import read_experiment
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Check, Scene, Verdict
from geoml_ops.core.noun import digest
from geoml_ops.domain.delivery import AncillaryDelivery, SceneDelivery, is_name
from geoml_ops.platform.files import whole_folder
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.ancillaries import read_ancillary
from geoml_ops.steps.deliveries import Delivery, declared, open_delivery, quarantine, waiting
from geoml_ops.steps.drop import accepted_before, accepted_scenes, collect, kind_of, or_storage_full
from geoml_ops.steps.harmonise import Judged, read_scene
from geoml_ops.steps.labels import read_labels
from geoml_ops.steps.places import Places
from geoml_ops.steps.tracking import track

__all__ = ["check", "collect", "track"]


def check(places: Places, name: str) -> Verdict:
    """Returns the verdict on a delivery; what is refused is moved to the quarantine with its reasons.

    Deliveries of the same name are judged one at a time. An accepted delivery finds its verdict again; so
    does one whose judge was killed after it was moved away.

    Raises:
        BadInput: ``name`` cannot be the name of a delivery.
        NotFound: there is no such delivery, and never was.
        StorageFull: nothing was left half-written; try again.
    """
    with only_one(places.workspace / "locks" / f"delivery-{digest(name)[:16]}.lock"):
        try:
            delivery = open_delivery(places, name)
        except NotFound:
            earlier = [v for v in Shelf(places.nouns).all(Verdict) if v.delivery == name]
            if not earlier:
                raise
            return earlier[-1]
        known = accepted_before(places, delivery)
        if known is not None:
            return known
        with or_storage_full(places):
            return _judge(places, delivery)


# --- one delivery ----------------------------------------------------------------------------


def _judge(places: Places, delivery: Delivery) -> Verdict:
    shelf = Shelf(places.nouns)
    if kind_of(delivery) == "labels":
        # An experiment that cannot be read is no fault of the delivery: it stays where it is.
        read_experiment(places.experiment)
    places.incoming.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".judging-", suffix=".part", dir=places.incoming) as scratch:
        judged = Judged()
        try:
            _read(places, delivery, judged, Path(scratch))
        except BadInput as error:
            # Only what was handed in can be bad; a broken promise of our own fails this step instead.
            judged.checks.append(Check(name="readable", passed=False, sentence=str(error)))
        if judged.noun is not None:
            if judged.accepted:
                with whole_folder(places.incoming / judged.noun.id) as part:
                    for file in sorted(Path(scratch).iterdir()):
                        file.replace(part / file.name)
            shelf.put(judged.noun)
    verdict = Verdict(
        delivery=delivery.name,
        delivered=delivery.sha256,
        subject=judged.noun.id if judged.noun else "",
        accepted=judged.accepted,
        checks=tuple(judged.checks),
    )
    page = delivery.name if is_name(delivery.name) else f"unnamed-{delivery.sha256[:12]}"
    gx.write_docs(places.data_docs / page, verdict, judged.outcomes)
    shelf.put(verdict)
    _write_index(places)
    if not verdict.accepted:
        quarantine(places, delivery, verdict.reasons)
    logger("check").info(
        "judged", delivery=delivery.name, verdict=verdict.id, accepted=verdict.accepted, reasons=len(verdict.reasons)
    )
    return verdict


def _read(places: Places, delivery: Delivery, judged: Judged, scratch: Path) -> None:
    """Reads one delivery into ``scratch`` and ``judged``, as far as it can be read."""
    judged.checks.extend(Check(name="files", passed=False, sentence=problem) for problem in delivery.problems)
    if delivery.problems:
        return
    said = declared(delivery)
    if isinstance(said, SceneDelivery):
        read_scene(places, delivery, said, judged, scratch)
    elif isinstance(said, AncillaryDelivery):
        read_ancillary(delivery, said, judged, scratch)
    else:
        read_labels(delivery, said, _scenes_now(places), read_experiment(places.experiment), judged, scratch)


def _scenes_now(places: Places) -> list[Scene]:
    """Accepted scenes, after every scene that lies in the drop was judged."""
    for name in waiting(places):
        if kind_of(open_delivery(places, name)) == "scene":
            check(places, name)
    scenes = accepted_scenes(places)
    if not scenes:
        raise BadInput("No scene was accepted yet, so no label can lie on one.", "deliver the scene, then the labels")
    return scenes


# --- what is known already -------------------------------------------------------------------


def _write_index(places: Places) -> None:
    newest = {verdict.delivery: verdict for verdict in Shelf(places.nouns).all(Verdict)}
    listed = [(name, verdict) for name, verdict in sorted(newest.items()) if (places.data_docs / name).is_dir()]
    gx.write_index(places.data_docs, listed)

"""Ingest: deliveries are collected, checked one by one, and what is accepted becomes a version."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from geoml_ops.adapters import gx
from geoml_ops.adapters.configs import read_experiment
from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, GeomlError, NotFound, Refused, StorageFull
from geoml_ops.core.flow import Check, Labels, Scene, Verdict, Version, digest
from geoml_ops.domain.delivery import SceneDelivery, is_name
from geoml_ops.platform.files import read_json, sha256_of, sync_folder, whole_folder
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.platform.space import is_full
from geoml_ops.steps.deliveries import Delivery, declared, open_delivery, quarantine, waiting
from geoml_ops.steps.harmonise import Judged, read_labels, read_scene
from geoml_ops.steps.places import Places

_FOLDERS: dict[type[Scene] | type[Labels], str] = {Scene: "scenes", Labels: "labels"}


def collect(places: Places) -> tuple[str, ...]:
    """Returns names of complete deliveries that were not accepted yet, scenes before labels.

    Labels are judged against scenes: they wait while there is no scene, neither accepted nor delivered.
    """
    scenes: list[str] = []
    others: list[str] = []
    for name in waiting(places):
        delivery = open_delivery(places, name)
        if _accepted_before(places, delivery) is None:
            (scenes if _kind(delivery) == "scene" else others).append(name)
    labels_wait = not scenes and not _accepted_scenes(places)
    ready = [name for name in others if not (labels_wait and _kind(open_delivery(places, name)) == "labels")]
    logger("collect").info("collected", scenes=len(scenes), others=len(ready), waiting=len(others) - len(ready))
    return (*scenes, *ready)


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
        known = _accepted_before(places, delivery)
        if known is not None:
            return known
        with _or_storage_full(places):
            return _judge(places, delivery)


def track(places: Places, verdict_ids: Sequence[str] | None = None) -> Version | None:
    """Returns the version that holds everything accepted so far; the newest delivery of a name counts.

    The same state again gives the same version and creates nothing.

    Args:
        places: where things are.
        verdict_ids: verdicts of this run; when given and none of them was accepted, nothing is tracked.

    Returns:
        The version, or None where nothing was accepted.

    Raises:
        Refused: accepted files are gone or altered, or the store holds what nobody here accepted.
        StorageFull: nothing was left half-written; try again.
    """
    shelf = Shelf(places.nouns)
    if verdict_ids is not None and not any(shelf.get(Verdict, v).accepted for v in verdict_ids):
        return None
    newest: dict[tuple[str, str], tuple[Verdict, Scene | Labels]] = {}
    for verdict in shelf.all(Verdict):
        if verdict.accepted:
            noun = shelf.any(verdict.subject)
            assert isinstance(noun, Scene | Labels)
            newest[(_FOLDERS[type(noun)], noun.name)] = (verdict, noun)
    if not newest:
        return None
    ordered = [newest[key] for key in sorted(newest)]
    scenes = [noun for _, noun in ordered if isinstance(noun, Scene)]
    labels = [noun for _, noun in ordered if isinstance(noun, Labels)]
    store = Store(places.store, places.remote)
    with _or_storage_full(places), store.lock():
        _lay_out(places, store, [*scenes, *labels])
        # Dated by its scenes, not by a clock: the same state is the same commit everywhere.
        when = max((int(scene.acquired.timestamp()) for scene in scenes), default=0)
        rev, data = store.save(f"Hold {len(scenes)} scenes and {len(labels)} deliveries of labels", max(when, 0))
    version = shelf.put(
        Version(
            rev=rev,
            data=data,
            scenes=tuple(noun.id for noun in scenes),
            labels=tuple(noun.id for noun in labels),
            verdicts=tuple(verdict.id for verdict, _ in ordered),
        )
    )
    for noun in (*scenes, *labels):
        shutil.rmtree(places.incoming / noun.id, ignore_errors=True)
    logger("track").info("tracked", version=version.id, scenes=len(scenes), labels=len(labels))
    return version


@contextmanager
def _or_storage_full(places: Places) -> Iterator[None]:
    try:
        yield
    except GeomlError:
        raise
    except Exception as error:
        if is_full(error, places.workspace):
            raise StorageFull(f"No space left in {places.workspace}.", "free some space, then try again") from error
        raise


# --- one delivery ----------------------------------------------------------------------------


def _judge(places: Places, delivery: Delivery) -> Verdict:
    shelf = Shelf(places.nouns)
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
        read_scene(delivery, said, judged, scratch)
    else:
        read_labels(delivery, said, _scenes_now(places), _known_labels(places), judged, scratch)


def _scenes_now(places: Places) -> list[Scene]:
    """Accepted scenes, after every scene that lies in the drop was judged."""
    for name in waiting(places):
        if _kind(open_delivery(places, name)) == "scene":
            check(places, name)
    scenes = _accepted_scenes(places)
    if not scenes:
        raise BadInput("No scene was accepted yet, so no polygon can lie on one.", "deliver the scene, then the labels")
    return scenes


def _known_labels(places: Places) -> list[str]:
    experiment = read_experiment(places.experiment)
    return [label for entry in experiment.classes.values() for label in entry.labels] + list(experiment.ignored_labels)


# --- what is known already -------------------------------------------------------------------


def _kind(delivery: Delivery) -> str:
    try:
        return declared(delivery).kind
    except BadInput:
        return ""


def _accepted_before(places: Places, delivery: Delivery) -> Verdict | None:
    for verdict in Shelf(places.nouns).all(Verdict):
        if verdict.accepted and (verdict.delivery, verdict.delivered) == (delivery.name, delivery.sha256):
            return verdict
    return None


def _accepted_scenes(places: Places) -> list[Scene]:
    shelf = Shelf(places.nouns)
    newest: dict[str, Scene] = {}
    for verdict in shelf.all(Verdict):
        if verdict.accepted and verdict.subject.startswith("scene-"):
            scene = shelf.get(Scene, verdict.subject)
            newest[scene.name] = scene
    return [newest[name] for name in sorted(newest)]


def _write_index(places: Places) -> None:
    newest = {verdict.delivery: verdict for verdict in Shelf(places.nouns).all(Verdict)}
    listed = [(name, verdict) for name, verdict in sorted(newest.items()) if (places.data_docs / name).is_dir()]
    gx.write_index(places.data_docs, listed)


# --- the store's working tree ----------------------------------------------------------------


def _lay_out(places: Places, store: Store, nouns: Sequence[Scene | Labels]) -> None:
    """Makes the store's data folder hold exactly these nouns; each folder appears at once."""
    wanted = {f"{_FOLDERS[type(noun)]}/{noun.name}": noun for noun in nouns}
    shelf = Shelf(places.nouns)
    for path in sorted(store.data.glob("*/*")):
        inside = path.relative_to(store.data).as_posix()
        if inside in wanted:
            continue
        kind = Scene if path.parent.name == "scenes" else Labels
        content = path / f"{kind.kind}.json"
        if not content.exists() or not shelf.path_of(kind.from_json(read_json(content)).id).exists():
            raise Refused(
                f"The store holds {inside}, which nobody accepted here.", "deliver it through the drop folder"
            )
        shutil.rmtree(path)
    for inside, noun in wanted.items():
        goal, source = store.data / inside, places.incoming / noun.id
        if _holds(goal, noun):
            continue
        if not _holds(source, noun):
            raise Refused(
                f"{noun.name} was accepted ({noun.id}), but its files are gone or altered.", "deliver it again"
            )
        staging = store.root / ".dvc" / "tmp" / f"staging-{os.getpid()}"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(source, staging)
        shutil.rmtree(goal, ignore_errors=True)
        goal.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(goal)
        sync_folder(goal.parent)


def _holds(folder: Path, noun: Scene | Labels) -> bool:
    file, content = folder / noun.file.path.rsplit("/", 1)[-1], folder / f"{noun.kind}.json"
    return (
        file.is_file()
        and content.is_file()
        and read_json(content) == noun.as_json()
        and sha256_of(file) == noun.file.sha256
    )

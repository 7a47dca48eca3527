"""Track: everything accepted so far becomes one version of the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Ancillary, Labels, Scene, Verdict, Version
from geoml_ops.platform.files import read_json, sha256_of, sync_folder
from geoml_ops.platform.log import logger
from geoml_ops.steps.drop import or_storage_full
from geoml_ops.steps.places import Places

Stored = Scene | Labels | Ancillary
_FOLDERS: dict[type[Stored], str] = {Scene: "scenes", Labels: "labels", Ancillary: "ancillaries"}


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
    newest: dict[tuple[str, str], tuple[Verdict, Stored]] = {}
    for verdict in shelf.all(Verdict):
        if verdict.accepted:
            noun = shelf.any(verdict.subject)
            assert isinstance(noun, Stored)
            newest[(_FOLDERS[type(noun)], noun.name)] = (verdict, noun)
    if not newest:
        return None
    ordered = [newest[key] for key in sorted(newest)]
    scenes = [noun for _, noun in ordered if isinstance(noun, Scene)]
    labels = [noun for _, noun in ordered if isinstance(noun, Labels)]
    ancillaries = [noun for _, noun in ordered if isinstance(noun, Ancillary)]
    store = Store(places.store, places.remote)
    with or_storage_full(places), store.lock():
        _lay_out(places, store, [*scenes, *labels, *ancillaries])
        # Dated by its scenes, not by a clock: the same state is the same commit everywhere.
        when = max((int(scene.acquired.timestamp()) for scene in scenes), default=0)
        says = f"Hold {len(scenes)} scenes and {len(labels)} deliveries of labels"
        says += f", {len(ancillaries)} of other ground" if ancillaries else ""
        rev, data = store.save(says, max(when, 0))
    version = shelf.put(
        Version(
            rev=rev,
            data=data,
            scenes=tuple(noun.id for noun in scenes),
            labels=tuple(noun.id for noun in labels),
            ancillaries=tuple(noun.id for noun in ancillaries),
            verdicts=tuple(verdict.id for verdict, _ in ordered),
        )
    )
    for noun in (*scenes, *labels, *ancillaries):
        shutil.rmtree(places.incoming / noun.id, ignore_errors=True)
    logger("track").info("tracked", version=version.id, scenes=len(scenes), labels=len(labels))
    return version


# --- the store's working tree ----------------------------------------------------------------


def _lay_out(places: Places, store: Store, nouns: Sequence[Stored]) -> None:
    """Makes the store's data folder hold exactly these nouns; each folder appears at once."""
    wanted = {f"{_FOLDERS[type(noun)]}/{noun.name}": noun for noun in nouns}
    shelf = Shelf(places.nouns)
    for path in sorted(store.data.glob("*/*")):
        inside = path.relative_to(store.data).as_posix()
        if inside in wanted:
            continue
        kind = next((kind for kind, name in _FOLDERS.items() if name == path.parent.name), Labels)
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


def _holds(folder: Path, noun: Stored) -> bool:
    file, content = folder / noun.file.path.rsplit("/", 1)[-1], folder / f"{noun.kind}.json"
    return (
        file.is_file()
        and content.is_file()
        and read_json(content) == noun.as_json()
        and sha256_of(file) == noun.file.sha256
    )

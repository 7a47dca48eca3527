"""The drop folder: which deliveries are complete, what is in them, and where refused ones go."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from geoml_ops.adapters.configs import plain_yaml
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.domain.delivery import AncillaryDelivery, LabelsDelivery, SceneDelivery, is_name
from geoml_ops.platform.files import sha256_of, sync_folder, whole_folder, write_text
from geoml_ops.steps.places import Places

DECLARATION = "delivery.yaml"
MOST_FILES, MOST_DEPTH, MOST_YAML_BYTES = 500, 6, 64 << 10
_KINDS: dict[str, type[SceneDelivery] | type[LabelsDelivery] | type[AncillaryDelivery]] = {
    "scene": SceneDelivery,
    "labels": LabelsDelivery,
    "ancillary": AncillaryDelivery,
}


@dataclass(frozen=True)
class Delivery:
    """One folder of the drop, listed and hashed before anything in it is opened.

    Attributes:
        name: of the folder.
        folder: where it lies.
        files: every regular file, by its path inside the folder.
        problems: sentences about what should not be in a delivery.
        sha256: digest of all paths and contents.
    """

    name: str
    folder: Path
    files: dict[str, FileRef]
    problems: tuple[str, ...]
    sha256: str


def waiting(places: Places) -> Iterator[str]:
    """Yields names of complete deliveries, sorted: those whose ``delivery.yaml`` has arrived."""
    folders = sorted(places.drop.iterdir()) if places.drop.is_dir() else []
    for folder in folders:
        hidden = folder.name.startswith(".")
        if not hidden and folder.is_dir() and not folder.is_symlink() and (folder / DECLARATION).exists():
            yield folder.name


def open_delivery(places: Places, name: str) -> Delivery:
    """Returns the listing of a delivery.

    Raises:
        BadInput: ``name`` is not the name of a folder directly in the drop.
        NotFound: there is no complete delivery of that name.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise BadInput(f"{name[:60]!r} does not name a delivery.", "give the name of a folder in the drop")
    folder = places.drop / name
    if folder.is_symlink() or not (folder / DECLARATION).exists():
        raise NotFound(f"There is no complete delivery {name[:120]!r} in {places.drop}.", "list the drop folder")
    files: dict[str, FileRef] = {}
    problems: list[str] = []
    if not is_name(name):
        problems.append(
            f"The delivery's name {name[:120]!r} holds more than letters, digits, dots, dashes, underlines."
        )
    for path in _walk(folder, problems):
        inside = path.relative_to(folder).as_posix()
        files[inside] = FileRef(path=inside, sha256=sha256_of(path), size=path.stat().st_size)
    content = [sorted((f.path, f.sha256) for f in files.values()), sorted(problems)]
    return Delivery(name=name, folder=folder, files=files, problems=tuple(problems), sha256=digest(content))


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    n_files = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        depth = len(Path(root).relative_to(folder).parts)
        if depth >= MOST_DEPTH and folders:
            problems.append(f"Folders are nested more than {MOST_DEPTH} deep.")
            folders.clear()
        for name in sorted([*names, *(f for f in folders if Path(root, f).is_symlink())]):
            path = Path(root, name)
            inside = path.relative_to(folder).as_posix()
            n_files += 1
            if n_files > MOST_FILES:
                problems.append(f"There are more than {MOST_FILES} files.")
                return
            if not stat.S_ISREG(path.lstat().st_mode):
                problems.append(f"{inside[:120]!r} is a link or a device, not a regular file.")
            else:
                yield path


def declared(delivery: Delivery) -> SceneDelivery | LabelsDelivery | AncillaryDelivery:
    """Returns the content of ``delivery.yaml``.

    Raises:
        BadInput: not YAML, or a key is unknown, missing or of another type.
    """
    if DECLARATION not in delivery.files or delivery.files[DECLARATION].size > MOST_YAML_BYTES:
        raise BadInput(f"{DECLARATION} is not a regular file of at most {MOST_YAML_BYTES} bytes.")
    try:
        text = (delivery.folder / DECLARATION).read_text(encoding="utf-8")
        content = plain_yaml(text, DECLARATION)
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind not in _KINDS:
            raise BadInput(f"{DECLARATION} is of kind {str(kind)[:60]!r}.", f"use one of {', '.join(_KINDS)}")
        return _KINDS[kind].model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        facts = "; ".join(
            f"{'.'.join(map(str, e['loc']))[:80] or 'file'}: {e['msg'][:160]}" for e in error.errors()[:5]
        )
        raise BadInput(f"{DECLARATION} is not valid: {facts}.") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"{DECLARATION} is not YAML: {type(error).__name__}: {str(error)[:200]}.") from None


def quarantine(places: Places, delivery: Delivery, reasons: tuple[str, ...]) -> Path:
    """Moves a refused delivery out of the drop, reasons beside it; returns where it went.

    The same delivery refused again leaves one copy.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", delivery.name).lstrip(".")[:100] or "unnamed"
    home = places.quarantine / f"{plain}-{delivery.sha256[:12]}"
    goal = home / "delivery"
    write_text(home / "reasons.txt", "\n".join(reasons) + "\n")
    if goal.exists():
        shutil.rmtree(delivery.folder)
        return home
    try:
        delivery.folder.rename(goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole_folder(goal) as part:
            shutil.copytree(delivery.folder, part, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(delivery.folder)
    sync_folder(home)
    return home

"""How far a trail goes: a file of one line that carries its own seal."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from geoml_ops.adapters.trail.lines import START, canonical
from geoml_ops.core.errors import Refused
from geoml_ops.platform.files import whole_file

HEAD = "head.json"
SEGMENT = re.compile(r"\d{10}-\d{4}-\d{2}\.jsonl")
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Head:
    """How far a trail goes.

    Attributes:
        number: of the last record; 0 before the first.
        sha256: of the last record.
        segment: file name of its segment; empty before the first.
        size: of that segment in bytes, up to and with the last record.
        pending: most records that a killed writer may have left beyond.
    """

    number: int = 0
    sha256: str = START
    segment: str = ""
    size: int = 0
    pending: int = 1


def write_head(folder: Path, head: Head, key: bytes) -> None:
    """Replaces the head, on disk for good when this returns."""
    with whole_file(folder / HEAD) as part:
        part.write_bytes(_sealed(head, key))


def read_head(folder: Path, key: bytes) -> Head | None:
    """Returns the head, or None where there is none.

    Raises:
        Refused: it is not what was written, or was sealed with another key.
    """
    path = folder / HEAD
    if not path.exists():
        return None
    with path.open("rb") as stream:
        raw = stream.read(_MOST_BYTES)
    head = _told(raw)
    if head is None or not hmac.compare_digest(raw, _sealed(head, key)):
        raise Refused("The head of the trail was changed, or sealed with another key.", "verify the trail")
    return head


def _told(raw: bytes) -> Head | None:
    try:
        content = json.loads(raw)
        head = Head(**{name: content[name] for name in asdict(Head())})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    fits = all(
        type(part) is type(usual) for part, usual in zip(asdict(head).values(), asdict(Head()).values(), strict=True)
    )
    named = bool(SEGMENT.fullmatch(head.segment)) == (head.number > 0) if fits else False
    return head if named and head.number >= 0 and head.size >= 0 else None


def _sealed(head: Head, key: bytes) -> bytes:
    seal = hmac.new(key, canonical(asdict(head)), hashlib.sha256).hexdigest()
    return canonical({**asdict(head), "seal": seal}) + b"\n"

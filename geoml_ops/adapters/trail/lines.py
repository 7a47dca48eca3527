"""One record as one line: canonical JSON whose last field is the SHA-256 of all before it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoml_ops.core.errors import BadInput
from geoml_ops.core.trail import TrailRecord

START = "0" * 64
"""What the first record follows."""
MOST_LINE_BYTES = 1 << 20
SEAL_BYTES = len(',"sha256":""}\n') + 64
_LINE = re.compile(
    rb'\{"content":(\{.*\}),"id":"([a-z]+-[0-9a-f]{16})","number":([1-9]\d{0,9}),"previous":"([0-9a-f]{64})"'
    rb',"sha256":"([0-9a-f]{64})"\}\n',
    re.DOTALL,
)


@dataclass(frozen=True)
class Line:
    """A line whose digest is right; ``content`` is the record as JSON."""

    content: bytes
    id: str
    number: int
    previous: str
    sha256: str


def canonical(content: Any) -> bytes:
    """Returns the one way to write JSON: keys in order, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def line_of(record: TrailRecord, number: int, previous: str) -> tuple[bytes, str]:
    """Returns a record as a line, and its SHA-256.

    Raises:
        BadInput: the line is longer than one may be.
    """
    content = {"content": record.as_json(), "id": record.id, "number": number, "previous": previous}
    said = canonical(content)
    sha256 = hashlib.sha256(said).hexdigest()
    text = said[:-1] + b',"sha256":"%s"}\n' % sha256.encode()
    if len(text) > MOST_LINE_BYTES:
        raise BadInput(f"A record of {len(text)} bytes; the limit is {MOST_LINE_BYTES}.", "keep ids, not contents")
    return text, sha256


def parsed(text: bytes) -> Line | None:
    """Returns what a line says, or None where it is not as it was written."""
    match = _LINE.fullmatch(text)
    if match is None or hashlib.sha256(text[:-SEAL_BYTES] + b"}").hexdigest() != match[5].decode():
        return None
    return Line(match[1], match[2].decode(), int(match[3]), match[4].decode(), match[5].decode())


def lines_of(path: Path, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yields the lines of a file from one byte to before another, with their ends; a longer one comes in parts."""
    left = (path.stat().st_size if stop is None else stop) - start
    with path.open("rb") as stream:
        stream.seek(start)
        while left > 0 and (text := stream.readline(min(left, MOST_LINE_BYTES + 1))):
            left -= len(text)
            yield text


def numbers_of(ids: Set[str], text: bytes) -> dict[str, int]:
    """Returns the number of each of these records that is among lines."""
    # One name is found four times as fast by itself as among all names.
    name = next(iter(ids)) if len(ids) == 1 else r"[a-z]+-[0-9a-f]{16}"
    named = re.compile(rb',"id":"(%s)","number":(\d+),"previous":"[0-9a-f]{64}"' % name.encode())
    found = ((match[1].decode(), int(match[2])) for match in named.finditer(text))
    return {name: number for name, number in found if name in ids}

"""Keys of the service: made once, shown once; the file holds their digests and what each may do."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from geoml_ops.adapters.configs import plain_yaml, validated
from geoml_ops.core.errors import BadInput, Conflict, NotFound
from geoml_ops.core.grid import Value
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.locks import only_one

PREFIX = "geoml_"
MOST_KEYS = 1000
MOST_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_HEAD = (
    "# API keys of the service. Only digests are kept here: a lost key is replaced, not looked up.\n"
    "# The service reads this file again when it changes.\n"
)


class Quota(Value):
    """What one key may use; None where there is no limit."""

    requests_per_minute: int | None = Field(None, ge=1)
    pixels_per_day: int | None = Field(None, ge=1)


class Key(Value):
    """One key: who has it, what it may do, until when.

    Attributes:
        name: of whoever has it; jobs and quotas belong to it.
        sha256: of the key's characters, 64 hex digits.
        role: ``reader`` looks, ``classifier`` also sends, ``operator`` sees what all keys made.
        quota: what it may use.
        expires: the last day (UTC) that it opens anything; None for no end.
    """

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: Literal["reader", "classifier", "operator"]
    quota: Quota = Quota()
    expires: date | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a name has 1 to 40 of a-z, 0-9, '.', '_', '-'")
        return value

    def valid_on(self, day: date) -> bool:
        """Says whether it opens anything on a day (UTC)."""
        return self.expires is None or day <= self.expires


class Keys(Value):
    """The content of a file of keys."""

    keys: tuple[Key, ...] = Field((), max_length=MOST_KEYS)

    @field_validator("keys")
    @classmethod
    def _once(cls, value: tuple[Key, ...]) -> tuple[Key, ...]:
        for what in ("name", "sha256"):
            if len({getattr(key, what) for key in value}) < len(value):
                raise ValueError(f"a {what} is there twice")
        return value


def digest_of(key: str) -> str:
    """Returns the SHA-256 of a key as 64 hex digits. Keys are 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """Returns the keys of a file.

    Raises:
        NotFound: there is no such file, or it may not be read.
        BadInput: it is not a file of keys.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"The file of keys has more than {MOST_BYTES} bytes.")
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise NotFound("The file of keys cannot be read.", "geoml keys new NAME --role reader") from None
    except UnicodeDecodeError:
        raise BadInput("The file of keys is not UTF-8.") from None
    return validated(plain_yaml(text, "the file of keys") or {"keys": []}, Keys, "the file of keys").keys


def new_key(
    path: Path, name: str, role: str, *, quota: Quota | None = None, expires: date | None = None, replace: bool = False
) -> str:
    """Returns a new key, which is kept nowhere; its digest is added to the file, which is made if there is none.

    Args:
        path: the file of keys.
        name: of whoever gets it.
        role: ``reader``, ``classifier`` or ``operator``.
        quota: what it may use.
        expires: the last day (UTC) that it opens anything.
        replace: takes the place of the key of that name, whose holder is locked out.

    Raises:
        BadInput: name, role or the file are not usable, or the day is over.
        Conflict: the name has a key already.
    """
    if expires is not None and expires < datetime.now(UTC).date():
        raise BadInput(f"The last day {expires} is over.")
    secret = PREFIX + secrets.token_urlsafe(32)
    said = {"name": name, "sha256": digest_of(secret), "role": role, "expires": expires and expires.isoformat()}
    key = validated({**said, "quota": (quota or Quota()).model_dump()}, Key, "the key")
    with only_one(path.with_name(f".{path.name}.lock")):
        there = read_keys(path) if path.exists() else ()
        if any(other.name == name for other in there) and not replace:
            raise Conflict(f"{name} has a key already.", "choose another name, or replace it")
        _write(path, (*(other for other in there if other.name != name), key))
    return secret


def remove_key(path: Path, name: str) -> None:
    """Takes a key out of the file.

    Raises:
        NotFound: nobody of that name has one.
    """
    with only_one(path.with_name(f".{path.name}.lock")):
        there = read_keys(path)
        if all(other.name != name for other in there):
            raise NotFound(f"Nobody named {name[:40]!r} has a key.")
        _write(path, tuple(other for other in there if other.name != name))


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    rows = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    # One JSON object a line is YAML too, and needs no writer of its own.
    lines = "".join(f"- {json.dumps(row)}\n" for row in rows)
    with whole_file(path) as part:
        part.touch(mode=0o600)
        os.chmod(part, 0o600)
        part.write_text(f"{_HEAD}keys:\n{lines}" if rows else f"{_HEAD}keys: []\n", encoding="utf-8")

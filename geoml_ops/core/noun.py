"""What every noun is: frozen, strict JSON, named by its content, carrying the ids of its parents."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from geoml_ops.core.grid import Value


def digest(content: Any) -> str:
    """Returns the SHA-256 (64 hex digits) of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Noun(Value):
    """Base of all nouns."""

    kind: ClassVar[str]
    parent_fields: ClassVar[tuple[str, ...]] = ()
    version_of_schema: int = Field(1, alias="schema")
    schema_now: ClassVar[int] = 1
    _named: str = PrivateAttr("")

    model_config = ConfigDict(**Value.model_config, populate_by_name=True)

    @field_validator("version_of_schema")
    @classmethod
    def _of_today(cls, value: int) -> int:
        if value != cls.schema_now:
            raise ValueError(f"schema {value} of a {cls.kind} is unknown here; this program writes {cls.schema_now}")
        return value

    @property
    def id(self) -> str:
        """``<kind>-<16 hex digits of the content's SHA-256>``; of the content as it was written."""
        return self._named or f"{self.kind}-{digest(self.as_json())[:16]}"

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the nouns this one was made from, without duplicates, in field order."""
        found: dict[str, None] = {}
        for name in self.parent_fields:
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if item:
                    found[item] = None
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Returns the content as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Reads what :meth:`as_json` wrote; anything unknown or of another type is an error.

        Content of an older schema is brought to today's and keeps the name it was written under.
        """
        written = content.get("schema")
        if type(written) is not int or not 1 <= written < cls.schema_now:
            return cls.model_validate_json(json.dumps(content))
        noun = cls.model_validate_json(json.dumps({**cls.upgraded(content), "schema": cls.schema_now}))
        noun._named = f"{cls.kind}-{digest(content)[:16]}"
        return noun

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Returns content of an older schema with today's fields; what has a default may be left out."""
        return content


class FileRef(Value):
    """A file known by its content: path relative to its home, SHA-256 and size in bytes."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)

"""One evaluation of the triggers, fired or not, with all it rested on: what the audit trail keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import AwareDatetime, Field, field_validator

from geoml_ops.core.grid import Value
from geoml_ops.core.noun import digest
from geoml_ops.core.watched import Action

SCHEMA = 1


class Cost(Value):
    """What an evaluation and what followed from it took.

    Attributes:
        seconds: of computing, >= 0.
        label_hours: of people who label; None where nobody counted.
    """

    seconds: float = Field(0.0, ge=0)
    label_hours: float | None = Field(None, ge=0)


class TrailRecord(Value):
    """One evaluation of the triggers as it is kept for good.

    Attributes:
        schema_version: of this record, written as ``schema``.
        at: when it was evaluated; aware, kept as UTC.
        stream: what was watched; empty for all.
        inputs: ids of the nouns that were looked at.
        statistics: by name; None where one does not exist.
        thresholds: by the name of the statistic; None where it is uncalibrated.
        policy: id of the policy's content.
        action: what follows.
        fired: whether a training was to start.
        because: the reason, a sentence.
        suppressed: why an alarm was held back (cool-down, budget, a run under way); empty where none was.
        run: id of the run that was started; empty for none.
        verdict: id of what came out of that run, as far as it is known; empty for none.
        cost: of the evaluation and its run.
        engine: version of the program that evaluated.
    """

    schema_version: int = Field(SCHEMA, alias="schema", ge=1, le=SCHEMA)
    at: AwareDatetime
    stream: str = ""
    inputs: tuple[str, ...] = ()
    statistics: dict[str, float | None] = Field(default_factory=dict)
    thresholds: dict[str, float | None] = Field(default_factory=dict)
    policy: str
    action: Action
    fired: bool
    because: str
    suppressed: str = ""
    run: str = ""
    verdict: str = ""
    cost: Cost = Cost()
    engine: str

    @field_validator("at")
    @classmethod
    def _in_utc(cls, at: datetime) -> datetime:
        return at.astimezone(UTC)

    @property
    def id(self) -> str:
        """``evaluation-<16 hex digits>`` of the content: the same evaluation has one name, however often it is kept."""
        return f"evaluation-{digest(self.as_json())[:16]}"

    def as_json(self) -> dict[str, Any]:
        """Returns the content as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Returns the record that a JSON text holds; anything unknown or of another type is an error."""
        return cls.model_validate_json(text)

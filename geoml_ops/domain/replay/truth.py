"""What really changed, as far as somebody knows it."""

from __future__ import annotations

from datetime import date

from pydantic import model_validator

from geoml_ops.core.grid import Value
from geoml_ops.core.watched import Cause
from geoml_ops.domain.streams import DRIFTS


class Change(Value):
    """A real change in a stream.

    Attributes:
        stream: where; empty for every stream.
        since: first day.
        until: last day; None where it stays.
        cause: its name. Training cures a new region, a covariate shift, a label shift and a concept change.
    """

    stream: str = ""
    since: date
    until: date | None = None
    cause: Cause

    @model_validator(mode="after")
    def _forward(self) -> Change:
        if self.until is not None and self.until < self.since:
            raise ValueError(f"a change ends before it begins: {self.since} to {self.until}")
        return self

    @property
    def is_cured_by_training(self) -> bool:
        """Whether new labels and a training are what it needs."""
        return self.cause in DRIFTS

    def covers(self, stream: str, day: date) -> bool:
        """Returns whether it was there in a stream on a day."""
        return self.stream in ("", stream) and self.since <= day and (self.until is None or day <= self.until)


class Truth(Value):
    """Every real change; what is not listed was no change."""

    changes: tuple[Change, ...] = ()

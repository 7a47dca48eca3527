"""What can go wrong, said once: the fact with its numbers, then the way out.

Every error takes positional arguments only, so that it survives pickling between processes.
"""

from __future__ import annotations


class GeomlError(Exception):
    """A condition this platform foresaw.

    Attributes:
        fact: what is so, with the numbers.
        remedy: what the reader can do about it; may be empty.
        retryable: True when the same call may succeed later without any change.
    """

    retryable: bool = False

    def __init__(self, fact: str, remedy: str = "") -> None:
        super().__init__(fact, remedy)
        self.fact = fact
        self.remedy = remedy

    def __str__(self) -> str:
        """Returns the fact, followed by the way out when there is one."""
        return f"{self.fact} Try: {self.remedy}" if self.remedy else self.fact


class BadInput(GeomlError):
    """Something handed in from outside cannot be used as it is."""


class TooLarge(BadInput):
    """An input exceeds a stated limit."""


class NotFound(GeomlError):
    """A noun, a file or a model with this name does not exist."""


class Refused(GeomlError):
    """The platform's own rules say no: parity, the gate, a broken promise of ours."""


class Conflict(GeomlError):
    """Someone else changed what this call was about to change."""

    retryable = True


class Unavailable(GeomlError):
    """A service that is needed does not answer."""

    retryable = True


class StorageFull(GeomlError):
    """The disk is full; nothing was left half-written."""

    retryable = True


class Cancelled(GeomlError):
    """Whoever asked wants no answer any more; what was done so far is kept, asking again goes on from there."""

"""One request while it is here: who asks, through which door, until when, and whether an answer is still wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.requests import Request

from geoml_ops.core.errors import Cancelled
from geoml_ops.steps.keys import Key
from serving.doors import Door
from serving.quotas import Quotas


@dataclass(slots=True, eq=False)
class Caller:
    """What the guard knows of a request; it lies in the request's state.

    Attributes:
        request_id: in the answer's header, in errors and in the log.
        door: what was asked for.
        key: whose request it is; None where no key is needed.
        quotas: where pixels are counted.
        request_s: how long work may take once the body is here.
        deadline: on the monotonic clock, when the work must be over; moved when the body is here.
    """

    request_id: str
    door: Door | None = None
    key: Key | None = None
    quotas: Quotas | None = None
    request_s: float = 60.0
    deadline: float = float("inf")
    _gone: bool = field(default=False, init=False)

    @property
    def owner(self) -> str:
        """The name of the key; empty where no key is needed."""
        return self.key.name if self.key else ""

    @property
    def sees_all(self) -> bool:
        """True where what others made is shown too."""
        return self.key is None or self.key.role == "operator"

    def spend(self, pixels: int) -> None:
        """Counts pixels of one band that are to be classified; call it before any work is done for them.

        Raises:
            OverQuota: the key may not classify so many today.
        """
        if self.key is not None and self.quotas is not None:
            self.quotas.spend(self.key.name, self.key.quota, pixels)

    def give_up(self) -> None:
        """Tells the work that nobody waits for it any more."""
        self._gone = True

    def cancelled(self) -> bool:
        """Says whether the work should stop: its time is over, or whoever asked is gone. For any thread."""
        return self._gone or time.monotonic() > self.deadline

    def require_time(self) -> None:
        """Raises Cancelled where :meth:`cancelled` is true."""
        if self.cancelled():
            raise Cancelled("The request's time is over.")


def caller_of(request: Request) -> Caller:
    """Returns the caller that the guard found."""
    caller = request.scope.get("state", {}).get("caller")
    return caller if isinstance(caller, Caller) else Caller("")

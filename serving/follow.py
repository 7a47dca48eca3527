"""Following the champion: a thread that asks the registry and swaps the model by one assignment."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from geoml_ops.adapters.registry import Registry
from geoml_ops.core.errors import GeomlError, NotFound, Unavailable
from geoml_ops.platform.log import logger
from geoml_ops.steps import classify
from geoml_ops.steps.classify import Model
from geoml_ops.steps.places import Places

_log = logger("follow")


@dataclass(frozen=True)
class State:
    """What serves at one moment; replaced as a whole, so nobody ever sees half of a change.

    Attributes:
        model: what answers; None when nothing can.
        asked: when the registry last answered; None when it never did.
        trouble: why the registry's champion is not what serves; empty when it is.
    """

    model: Model | None = None
    asked: datetime | None = None
    trouble: str = ""


class Follower:
    """Keeps :attr:`state` up with the registry."""

    def __init__(self, places: Places, poll_s: float) -> None:
        self.places, self.poll_s = places, poll_s
        self.state = State(trouble="The service is starting.")
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serves what served last, then follows the registry in the background."""
        try:
            self.state = State(classify.last_champion(self.places), None, "The registry was not asked yet.")
        except GeomlError as error:
            _log.info("nothing kept", reason=str(error))
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; returns when it has ended or is only waiting for the network."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def current(self) -> Model:
        """Returns the model that answers now.

        Raises:
            Unavailable: there is none.
        """
        state = self.state
        if state.model is None:
            raise Unavailable(f"No model can answer yet. {state.trouble}")
        return state.model

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Returns whether requests can be answered, and what to say about it."""
        state = self.state
        release = state.model.release if state.model else None
        return release is not None, {
            "ready": release is not None,
            "model": release.model if release else None,
            "number": release.number if release else None,
            "following": not state.trouble,
            "registry_answered": state.asked.isoformat() if state.asked else None,
            "message": state.trouble or "The champion of the registry answers.",
        }

    def _follow(self) -> None:
        with Registry(self.places.tracking_uri, timeout_s=max(5.0, self.poll_s)) as registry:
            while not self._end.is_set():
                self.state = self._ask(registry, self.state)
                self._end.wait(self.poll_s)

    def _ask(self, registry: Registry, before: State) -> State:
        try:
            model = classify.champion(self.places, registry, before.model)
            after = State(model, datetime.now(UTC))
        except Unavailable as error:
            after = State(before.model, before.asked, str(error))
        except NotFound as error:
            after = State(before.model, datetime.now(UTC), str(error))
        except GeomlError as error:
            after = State(before.model, datetime.now(UTC), f"The champion was refused. {error}")
        except Exception as error:  # noqa: BLE001  a thread that dies would stop following without a word
            _log.error("broken", error=f"{type(error).__name__}: {error}")
            after = State(before.model, before.asked, "The champion cannot be loaded; the reason is in the log.")
        if after.trouble and after.trouble != before.trouble:
            _log.warning(
                "not following", reason=after.trouble, serving=after.model.release.number if after.model else None
            )
        return after

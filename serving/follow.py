"""Following the champion: a thread that asks the registry, tries what it names, and swaps by one assignment.

A candidate is loaded beside the model that serves, reproduces its golden tiles, answers the last live tiles in its
shadow, and takes over between two requests. Its golden tiles are then asked again and its first requests are watched;
where they speak against it the model before answers again, and the release is refused until the alias moves on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.registry import Opened, Registry, Release
from geoml_ops.core.errors import GeomlError, NotFound, Refused, TooLarge, Unavailable
from geoml_ops.core.grid import Grid
from geoml_ops.domain.swap import Limits, Noted
from geoml_ops.platform.log import logger
from geoml_ops.steps.answering import ALIAS, Model, last_champion, load, remember
from geoml_ops.steps.golden import CPU
from geoml_ops.steps.places import Places
from geoml_ops.steps.refusals import Refusal, forget_refusal, keep_refusal, last_refusal
from serving.shadow import Ring, shadow
from serving.told import State, told_of, words_of
from serving.vigil import LIMITS, Vigil

LOOK_S, LEAST_S = 1.0, 0.05
AGAIN_S, LATEST_S = 5.0, 300.0
"""A release whose files are wrong is fetched again after this time, then after twice as long, up to the latter."""
_log = logger("follow")


def unheard(event: str) -> None:
    """Counts nothing."""


class Follower:
    """Keeps :attr:`state` up with the registry; only its own thread ever replaces it."""

    def __init__(self, places: Places, poll_s: float, *, device: str = "cpu", limits: Limits = LIMITS) -> None:
        """Keeps what it needs to follow; :meth:`start` begins.

        Args:
            places: where things are; the registry among them.
            poll_s: between two questions to the registry, unless :meth:`wake` is called.
            device: as in :func:`geoml_ops.steps.answering.load`.
            limits: what a new model may do worse than the one before it.
        """
        self.places, self.poll_s, self.device = places, poll_s, device
        self.state = State(trouble="The service is starting.")
        #: Told of every ``swap``, ``rollback`` and ``refused`` release, for metrics.
        self.heard: Callable[[str], None] = unheard
        self._ring, self._vigil = Ring(), Vigil(limits)
        self._end, self._woken = threading.Event(), threading.Event()
        self._called = False
        self._again: tuple[Release, float, float] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serves what served last, then follows the registry; both in the background, so that health is answered."""
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; returns when it has ended or is only waiting for the network."""
        self._end.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def wake(self) -> None:
        """Has the registry asked now rather than at the next turn."""
        self._called = True
        self._woken.set()

    def current(self) -> Model:
        """Returns the model that answers now.

        Raises:
            Unavailable: there is none.
        """
        state = self.state
        if state.model is None:
            raise Unavailable(f"No model can answer yet. {state.trouble}")
        return state.model

    def seen(self, model: Model, dn: NDArray[np.float32], grid: Grid | None = None) -> None:
        """Shows a live tile that candidates may be asked about too; waits for nobody and fails nowhere.

        Args:
            model: that answered it.
            dn: float32 ``(band, y, x)`` in the model's bands and radiometry, with the model's halo.
            grid: where it lies: of all its pixels, or of those without the halo.
        """
        self._ring.look(model, dn, grid)

    def noted(self, model: Model, ok: bool, latency_s: float, pixels: int) -> None:
        """Notes a request for the watch over a new model; waits for nobody.

        Args:
            model: that answered it, as :meth:`current` gave it.
            ok: False where the model or the service failed; what a caller did wrong is no failure.
            latency_s: seconds it took.
            pixels: that were asked for.
        """
        if self._vigil.note(model, Noted(ok, latency_s, pixels)):
            self._woken.set()

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Returns whether requests can be answered, and what to say about it."""
        return self.state.model is not None, words_of(self.state)

    def told(self) -> dict[str, Any]:
        """Returns what :meth:`readiness` has no room for: golden tiles, shadow, watch and refusal."""
        return told_of(self.state) | {"vigil": self._vigil.told()}

    def _follow(self) -> None:
        self._resume()
        due = 0.0
        with Registry(self.places.tracking_uri, timeout_s=max(5.0, self.poll_s)) as registry:
            while not self._end.is_set():
                self._watch()
                if self._called or time.monotonic() >= due:
                    self._called = False
                    self._ask(registry)
                    due = time.monotonic() + self.poll_s
                self._woken.wait(max(0.0, min(due - time.monotonic(), LOOK_S)))
                self._woken.clear()
                self._end.wait(LEAST_S)

    def _resume(self) -> None:
        """Serves what served last on this machine."""
        waiting = State(None, None, "The registry was not asked yet.", refused=last_refusal(self.places))
        try:
            model = last_champion(self.places, device=self.device)
            self._vigil.begin(model, None)
            self.state = replace(waiting, model=model)
        except GeomlError as error:
            self.state = waiting
            _log.info("nothing kept", reason=str(error))
        except Exception as error:  # noqa: BLE001  a thread that dies would stop following without a word
            self.state = waiting
            _log.error("broken", error=f"{type(error).__name__}: {error}")

    def _ask(self, registry: Registry) -> None:
        before = self.state
        try:
            trouble = self._turn(registry)
            asked: datetime | None = datetime.now(UTC)
        except Unavailable as error:
            trouble, asked = str(error), before.asked
        except NotFound as error:
            trouble, asked = str(error), datetime.now(UTC)
        except GeomlError as error:
            trouble, asked = f"The champion was refused. {error}", datetime.now(UTC)
        except Exception as error:  # noqa: BLE001  a thread that dies would stop following without a word
            _log.error("broken", error=f"{type(error).__name__}: {error}")
            trouble, asked = "The champion cannot be loaded; the reason is in the log.", before.asked
        self.state = replace(self.state, asked=asked, trouble=trouble)
        if trouble and trouble != before.trouble:
            model = self.state.model
            _log.warning("not following", reason=trouble, serving=model.release.number if model else None)

    def _turn(self, registry: Registry) -> str:
        """Returns why the registry's champion is not what serves; takes it over first where it may be."""
        release = registry.release(self.places.model, ALIAS)
        state = self.state
        if state.refused is not None and state.refused.release != release:
            forget_refusal(self.places)
            self.state = state = replace(state, refused=None)
        if state.model is not None and state.model.release == release:
            return ""
        if state.refused is not None:
            return f"Number {release.number} was refused. {state.refused.reason}"
        if self._again and self._again[0] == release and time.monotonic() < self._again[1]:
            return state.trouble
        try:
            candidate = self._tried(registry.fetch(release, self.places.bundles), release)
        except Exception:
            self._wait_longer(release)
            raise
        if candidate is not None and self._newest(registry, release):
            self._take(candidate)
        refused = self.state.refused
        return f"Number {release.number} was refused. {refused.reason}" if refused else self.state.trouble

    def _wait_longer(self, release: Release) -> None:
        """Wrong files may be put right, so a release is asked for again, ever more seldom: it may be large."""
        known = self._again if self._again and self._again[0] == release else None
        wait = min(2 * known[2], LATEST_S) if known else AGAIN_S
        self._again = release, time.monotonic() + wait, wait

    def _tried(self, opened: Opened, release: Release) -> Model | None:
        """Returns a candidate that was tried on golden tiles and live ones; None where it may never serve here."""
        try:
            candidate = load(opened, release, device=self.device)
            # Once a session found no GPU it is not looked for again: onnxruntime 1.31 complains each time, aloud.
            self.device = "cpu" if candidate.provider == CPU else self.device
            self._shadow(candidate)
        except (Refused, TooLarge) as error:
            self._refuse(release, str(error))
            return None
        return candidate

    def _shadow(self, candidate: Model) -> None:
        serving, home = self.state.model, self.places.workspace / "service" / "shadow"
        if serving is None:
            return
        try:
            report = shadow(serving, candidate, self._ring.of(serving), home)
        except OSError as error:
            _log.warning("no shadow", error=type(error).__name__)
            return
        self.state = replace(self.state, shadow=report)
        _log.info("shadowed", number=candidate.release.number, share=report["share"], sentence=report["sentence"])

    def _newest(self, registry: Registry, release: Release) -> bool:
        """Says whether the alias still points at a release; one that it left meanwhile is not taken any more."""
        try:
            newest = registry.release(self.places.model, ALIAS) == release
        except GeomlError:
            return True
        self._called = self._called or not newest
        return newest

    def _take(self, candidate: Model) -> None:
        """Lets a candidate answer from now on, and asks its golden tiles once more while it does."""
        before = self.state.model
        remember(self.places, candidate)
        self._vigil.begin(candidate, before)
        self.state = replace(self.state, model=candidate, trouble="")
        self.heard("swap")
        _log.info("champion", model=candidate.release.model, number=candidate.release.number,
                  bundle=candidate.bundle.id, before=before.release.number if before else None,
                  golden=candidate.asked.n_tiles if candidate.asked else 0)  # fmt: skip
        try:
            if candidate.golden is not None:
                candidate.golden()
        except GeomlError as error:
            self._return(str(error))

    def _watch(self) -> None:
        if why := self._vigil.objection():
            self._return(why)

    def _return(self, why: str) -> None:
        """Lets the model before answer again; where there is none, nobody: no answer is better than a doubtful one."""
        bad, good = self.state.model, self._vigil.before
        self._vigil.begin(good, None)
        self.state = replace(self.state, model=good)
        self.heard("rollback")
        number = good.release.number if good else None
        _log.error("rolled back", number=bad.release.number if bad else None, serving=number, reason=why)
        try:
            if good is not None:
                remember(self.places, good)
        except OSError as error:
            _log.error("not remembered", error=type(error).__name__)
        if bad is not None:
            self._refuse(bad.release, why)

    def _refuse(self, release: Release, why: str) -> None:
        refusal = Refusal(release, why)
        self.heard("refused")
        self.state = replace(
            self.state, refused=refusal, trouble=f"Number {release.number} was refused. {refusal.reason}"
        )
        try:
            keep_refusal(self.places, refusal)
        except OSError as error:
            _log.error("refusal not remembered", error=type(error).__name__)

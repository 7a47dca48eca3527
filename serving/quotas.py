"""How much each key has used: requests in the last minute, pixels today; pixels survive a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from geoml_ops.core.errors import GeomlError
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.keys import Quota

WRITE_S = 1.0
_log = logger("quotas")


class OverQuota(GeomlError):
    """A key has used what it may for now.

    Attributes:
        retry_s: seconds until it may ask again.
    """

    retryable = True

    def __init__(self, fact: str, remedy: str = "", retry_s: int = 60) -> None:
        super().__init__(fact, remedy)
        self.retry_s = retry_s


class Quotas:
    """Counts by the name of a key.

    Pixels are written by a thread at most once a second: a killed process forgets a second of them, no more.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self.clock = path, clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        self._day, self._pixels = _read(path)
        self._changed, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to write down what is counted."""
        self._thread = threading.Thread(target=self._keep, name="quotas", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes down what was counted and ends."""
        self._end.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def ask(self, name: str, quota: Quota) -> None:
        """Counts one request.

        Raises:
            OverQuota: it is one too many; it is not counted.
        """
        most = quota.requests_per_minute
        if most is None:
            return
        now, rate = self.clock(), most / 60.0
        with self._lock:
            left, at = self._buckets.get(name, (float(most), now))
            left = min(float(most), left + (now - at) * rate)
            if left < 1.0:
                self._buckets[name] = (left, now)
                wait = max(1, int((1.0 - left) / rate + 1.0))
                raise OverQuota(f"This key may ask {most} times a minute.", f"again in {wait} s", wait)
            self._buckets[name] = (left - 1.0, now)

    def spend(self, name: str, quota: Quota, pixels: int) -> None:
        """Counts pixels of one band, before any work is done for them.

        Raises:
            OverQuota: they are more than are left of today; they are not counted.
        """
        now = datetime.now(UTC)
        with self._lock:
            if now.date() != self._day:
                self._day, self._pixels = now.date(), {}
            used, most = self._pixels.get(name, 0), quota.pixels_per_day
            if most is not None and used + pixels > most:
                wait = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
                left = f"This key may classify {most} pixels a day (UTC), {max(0, most - used)} are left of today"
                raise OverQuota(f"{left}; this has {pixels}.", "less, or tomorrow", wait)
            self._pixels[name] = used + pixels
        self._changed.set()

    def used(self, name: str) -> int:
        """Returns the pixels that a key has used today."""
        with self._lock:
            return self._pixels.get(name, 0) if self._day == datetime.now(UTC).date() else 0

    def _keep(self) -> None:
        while not self._end.is_set():
            self._changed.wait()
            self._changed.clear()
            with self._lock:
                content = {"day": self._day.isoformat(), "pixels": dict(self._pixels)}
            try:
                write_json(self.path, content)
            except OSError as error:
                _log.warning("not kept", reason=error.strerror)
            self._end.wait(WRITE_S)


def _read(path: Path) -> tuple[date, dict[str, int]]:
    today = datetime.now(UTC).date()
    try:
        content = read_json(path)
        if date.fromisoformat(content["day"]) == today:
            return today, {str(name): int(pixels) for name, pixels in content["pixels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return today, {}

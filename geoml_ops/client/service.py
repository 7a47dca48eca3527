"""The client: one method per address of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, cast
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import raster as rasters
from geoml_ops.client.answers import error_of, kept, object_in, pause_s
from geoml_ops.client.chips import ChipAnswer, Numbers, as_bytes, chip_answer
from geoml_ops.core.errors import BadInput, Cancelled, TooLarge, Unavailable

Progress = Callable[[int, int], None]
RETRIES = 2
"""How often an answer of "later" is waited for."""
_DONE, _FAILED, _CANCELLED = "done", "failed", "cancelled"


class Client:
    """One service; use it as a context, or call :meth:`close`. It may be shared by threads."""

    def __init__(self, url: str, key: str | None = None, timeout_s: float = 600.0) -> None:
        """Keeps where the service is; nothing is sent yet.

        Args:
            url: base address.
            key: that the service knows the caller by; None where it asks for none.
            timeout_s: how long to wait for an answer, or for the next piece of one.

        Raises:
            BadInput: the key cannot be sent.
        """
        self.url = url.rstrip("/")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise BadInput("The key holds signs that no key has.", "give it as it was shown, with nothing around it")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy variable must not send a loopback address away from this machine.
        near = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        # The service closes connections that are idle for 5 s; one must not be used again just then.
        limits = httpx.Limits(max_connections=64, keepalive_expiry=2.0)
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout_s, trust_env=not near, limits=limits
        )
        self._limits: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Returns whether the service has a model that can answer; False where there is no service."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def model(self) -> dict[str, Any]:
        """Returns what serves: names, contract, classes, scores and limits.

        Raises:
            Unavailable: the service does not answer.
        """
        return self._json("GET", "/model")

    def is_large(self, raster: Path) -> bool:
        """Returns whether a raster is beyond what is answered at once, so that it has to be a job.

        Raises:
            Unavailable: the service does not answer.
        """
        self._limits = self._limits if self._limits is not None else dict(self.model().get("limits", {}))
        most = self._limits.get("max_sync_pixels")
        try:
            grid = rasters.describe(raster).grid
            return most is not None and grid.width * grid.height > int(most)
        except TooLarge:
            return True
        except BadInput:
            return False  # What is wrong with it is the service's to say.

    def classify(self, raster: Path, out: Path, layers: Sequence[str] = ()) -> dict[str, str]:
        """Sends a GeoTIFF, writes the map to ``out``, whole or not at all, and returns what answered.

        Args:
            raster: a GeoTIFF with named bands and declared radiometry; it is sent as it is read.
            out: where the map goes.
            layers: bands of the map; all if left out.

        Returns:
            ``prediction``, ``number`` and ``bundle`` as the service names them, ``outside_share`` (0 to 1) and
            ``mean_set_size`` where the model knows them, and ``map``, the file.

        Raises:
            BadInput: the service refused the raster; its own sentence is passed on.
            Unavailable: the service does not answer or has no champion.
        """
        with self._sent("POST", "/classify", raster, layers) as answer:
            return kept(answer, out)

    def classify_chip(
        self,
        dn: NDArray[Any],
        bands: Sequence[str],
        scale: Numbers,
        offset: Numbers,
        nodata: float | None = None,
        output: Literal["layers", "probability"] = "layers",
    ) -> ChipAnswer:
        """Returns what the service says of an array.

        Args:
            dn: ``(band, y, x)`` or ``(n, band, y, x)`` as the product has them.
            bands: name of each layer.
            scale: value per DN, for all bands or one each, e.g. 0.0001.
            offset: value added after scaling, for all bands or one each, e.g. -0.1.
            nodata: the DN that stands for "not observed"; the sensor's own where nothing is said.
            output: layers as maps have them, or probabilities.

        Raises:
            BadInput: the array does not fit the model; the service's own sentence is passed on.
            Unavailable: the service does not answer or has too much to do.
        """
        body, headers = as_bytes(np.asanyarray(dn), bands, scale, offset, nodata)
        with self._asked("POST", "/classify_chip", headers, lambda: body, {"output": output}) as answer:
            return chip_answer(answer.headers, answer.read())

    def submit(self, raster: Path, layers: Sequence[str] = ()) -> dict[str, Any]:
        """Sends a GeoTIFF to be mapped as a job and returns it: ``id``, ``state``, ``done_px``, ``all_px``.

        Raises:
            BadInput: the service refused the raster.
            Unavailable: the service does not answer.
        """
        with self._sent("POST", "/jobs", raster, layers) as answer:
            answer.read()
            return object_in(answer)

    def job(self, job_id: str) -> dict[str, Any]:
        """Returns how far a job is.

        Raises:
            NotFound: there is none of this id.
            Unavailable: the service does not answer.
        """
        return self._json("GET", f"/jobs/{quote(job_id, safe='')}")

    def wait(self, job_id: str, progress: Progress | None = None, *, every_s: float = 0.5) -> dict[str, Any]:
        """Returns a job when it is done; a service that does not answer for a while is asked again.

        Args:
            job_id: as :meth:`submit` gave it.
            progress: is told how many pixels are done, and of how many.
            every_s: how often to look.

        Raises:
            BadInput: the job failed; the service's own sentence is passed on.
            Cancelled: it was cancelled.
            Unavailable: the service has not answered for as long as the client waits.
        """
        silent_since: float | None = None
        while True:
            try:
                job, silent_since = self.job(job_id), None
            except Unavailable:
                silent_since = silent_since or monotonic()
                if monotonic() - silent_since > (self._http.timeout.read or 0.0):
                    raise
                job = {}
            if progress is not None and job:
                progress(int(job.get("done_px") or 0), int(job.get("all_px") or 0))
            if job.get("state") == _DONE:
                return job
            if job.get("state") == _FAILED:
                raise BadInput(str(job.get("message") or "The job failed.")[:1000])
            if job.get("state") == _CANCELLED:
                raise Cancelled(f"The job {job_id[:60]} was cancelled.")
            sleep(every_s)

    def result(self, job_id: str, out: Path) -> dict[str, str]:
        """Writes the map of a job to ``out``, whole or not at all, and returns what answered, as :meth:`classify`.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not done.
            Unavailable: the service does not answer.
        """
        with self._asked("GET", f"/jobs/{quote(job_id, safe='')}/result") as answer:
            return kept(answer, out)

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancels a job and returns it; raises as :meth:`job`."""
        return self._json("POST", f"/jobs/{quote(job_id, safe='')}/cancel")

    def _json(self, method: str, path: str) -> dict[str, Any]:
        with self._asked(method, path) as answer:
            answer.read()
            return object_in(answer)

    @contextmanager
    def _sent(self, method: str, path: str, raster: Path, layers: Sequence[str]) -> Iterator[httpx.Response]:
        question = {"layers": ",".join(layers)} if layers else {}
        with raster.open("rb") as stream:

            def again() -> BinaryIO:
                stream.seek(0)
                return stream

            with self._asked(method, path, {"Content-Type": "image/tiff"}, again, question) as answer:
                yield answer

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], bytes | BinaryIO] | None = None,
        question: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """Yields an answer of success whose body was not read yet; "later" is waited for, a few times."""
        try:
            for left in range(RETRIES, -1, -1):
                # httpx 0.28 sends whatever can be iterated; its types name iterables of bytes only.
                content = cast(Any, body()) if body is not None else None
                with self._http.stream(method, path, headers=headers, content=content, params=question) as answer:
                    if answer.is_success:
                        yield answer
                        return
                    answer.read()
                    rest_s = pause_s(answer) if left else None
                    if rest_s is None:
                        raise error_of(answer)
                sleep(rest_s)
        except httpx.HTTPError as error:
            name = type(error).__name__
            raise Unavailable(f"The service at {self.url} does not answer: {name}.", "geoml up") from None


def classify(url: str, raster: Path, out: Path, *, timeout_s: float = 600.0) -> dict[str, str]:
    """Sends a GeoTIFF to the service at ``url``; arguments, answer and errors as :meth:`Client.classify`."""
    with Client(url, timeout_s=timeout_s) as client:
        return client.classify(raster, out)

"""``POST /classify_chip``: an array in, an array out, from memory to memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from geoml_ops.core.errors import BadInput, GeomlError, TooLarge, Unavailable
from geoml_ops.platform.log import logger
from geoml_ops.settings import Settings
from geoml_ops.steps.chips import Asked, Output, ask, call, fit, keep, read
from geoml_ops.steps.classify import Model
from serving.arrays import BYTES, JSON, MOST_JSON_BYTES, announced, answer_headers, as_lists, from_json
from serving.batching import Batches
from serving.caller import caller_of
from serving.follow import Follower

PATH = "/classify_chip"
#: A request that was answered in layers, seconds, and its id. It is called between an answer and the next request, so
#: it has to be quick.
Record = Callable[[Asked, float, str], None]
Take = Callable[[int], None]
_SHARE = 0.5
"""Of the memory that classifying may take, what chips may take: bodies, what is read of them, and answers."""
_ANSWER_BYTES = 8
"""Of a pixel's answer, about: layers, or the probabilities of a few classes."""
_MOST_WAITING_PX = 2**26
_GONE = 499
_log = logger("service")


class Room:
    """Bytes that requests may hold at a time; one that needs more than all of it has it alone.

    Attributes:
        held: by all of them now.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.held = most_bytes, 0

    @contextmanager
    def share(self) -> Iterator[Take]:
        """Yields what a request takes bytes with; all of them are given back at the end.

        Raises:
            Unavailable: others hold too much.
        """
        own = 0

        def take(n_bytes: int) -> None:
            nonlocal own
            if self.held > own and self.held + n_bytes > self.most_bytes:
                raise Unavailable(f"Chips of {self.held} bytes are in work already.", "again in some seconds")
            own += n_bytes
            self.held += n_bytes

        try:
            yield take
        finally:
            self.held -= own


class Chips:
    """The address, over one follower; threads start with the first chip."""

    def __init__(self, settings: Settings, follower: Follower, record: Record | None = None) -> None:
        """Keeps what it needs.

        Args:
            settings: of this machine: ``threads``, ``memory_mb`` and ``request_s`` count.
            follower: knows which model answers.
            record: notes what was answered; None to note nothing.
        """
        self.follower, self.record, self.request_s = follower, record, settings.request_s
        self.room = Room(int(settings.memory_mb * 2**20 * _SHARE))
        # A pixel that waits is held as sent; a hundred bytes are ten bands of the widest type and more.
        self.batches = Batches(
            read, call, partial(keep, look=follower.seen), threads=settings.threads, most_waiting_px=_MOST_WAITING_PX
        )

    def routes(self) -> list[Route]:
        """Returns the address."""
        return [Route(PATH, self.classify_chip, methods=["POST"])]

    def close(self) -> None:
        """Ends the threads."""
        self.batches.close()

    async def classify_chip(self, request: Request) -> Response:
        """Returns the layers, or the probabilities, of the chips in the body."""
        began = time.perf_counter()
        # Once: whatever is promoted meanwhile, the graph that is named in the answer is the one that made it.
        model = self.follower.current()
        with self.room.share() as take:
            try:
                asked, single, kind = await self._asked(request, model, take)
                with self._watched(asked, began):
                    there = await self._answered(request, asked)
            except ClientDisconnect:
                there = False
            if not there:
                return Response(status_code=_GONE)
            self._note(asked, time.perf_counter() - began, request)
            return _response(asked, single, kind, request)

    @contextmanager
    def _watched(self, asked: Asked, began: float) -> Iterator[None]:
        """Tells the watch over a new model how the request went; what a caller did wrong is no failure."""
        ok = True
        try:
            yield
        except GeomlError as error:
            ok = isinstance(error, BadInput | Unavailable)
            raise
        finally:
            self.follower.noted(asked.model, ok, time.perf_counter() - began, _pixels(asked.dn.shape))

    async def _asked(self, request: Request, model: Model, take: Take) -> tuple[Asked, bool, str]:
        """Returns what is asked, whether it is one chip, and how it was said; before the body is read if it can be."""
        output, length = _output(request), _length(request)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == JSON:
            if length > MOST_JSON_BYTES:
                raise TooLarge(f"The body has {length} bytes, as JSON the limit is {MOST_JSON_BYTES}.", f"send {BYTES}")
            dn, single, said = from_json((await _body(request, length, take)).tobytes())
            fit(model, dn.shape, dn.dtype, said)
        elif kind == BYTES:
            head = announced(request.scope["headers"])
            head.require(length)
            fit(model, head.shape, head.dtype, head.said)
            dn, single, said = head.array(await _body(request, length, take)), head.single, head.said
        else:
            raise BadInput(f"The body is {kind[:40] or 'of no type'!r}.", f"send {BYTES}, or {JSON}")
        n_pixels = _pixels(dn.shape)
        take(n_pixels * _ANSWER_BYTES)
        caller_of(request).spend(n_pixels)
        return ask(model, dn, said, output=output), single, kind

    async def _answered(self, request: Request, asked: Asked) -> bool:
        """Waits for the answer; returns whether somebody still waits for it."""
        try:
            async with asyncio.timeout(self.request_s):
                if self.batches.busy:
                    return await self._unless_gone(request, asked)
                await self.batches.answered(asked.parts())
                return True
        except TimeoutError:
            raise Unavailable(f"The chip was not answered within {self.request_s:g} s.", "again later") from None

    async def _unless_gone(self, request: Request, asked: Asked) -> bool:
        """Waits for the answer or for the caller to go, whichever comes first; then nothing more is begun for it."""
        gone = asyncio.ensure_future(_gone(request))
        work = asyncio.ensure_future(self.batches.answered(asked.parts()))
        try:
            await asyncio.wait((gone, work), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return True
            return False
        finally:
            for task in (gone, work):
                task.cancel()

    def _note(self, asked: Asked, latency_s: float, request: Request) -> None:
        if self.record is None or asked.output != "layers":
            return
        try:
            self.record(asked, latency_s, caller_of(request).request_id)
        except Exception as error:  # noqa: BLE001  what is noted of an answer must never cost the answer
            _log.error("not noted", request=caller_of(request).request_id, error=f"{type(error).__name__}: {error}")


def _pixels(shape: Sequence[int]) -> int:
    return shape[0] * shape[2] * shape[3]


def _output(request: Request) -> Output:
    asked = request.query_params.get("output", "layers")
    if asked not in get_args(Output):
        raise BadInput(f"There is no output {asked[:40]!r}.", f"?output={' or '.join(get_args(Output))}")
    return cast(Output, asked)


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadInput("The length of the body is not declared.", "send Content-Length")
    return int(text)


async def _body(request: Request, length: int, take: Take) -> NDArray[np.uint8]:
    """Returns the body in one piece, never more than was declared; it counts as it comes, not as it is declared."""
    # Each part is put in its place while it is still in the processor's cache. Memory that nothing was written to yet
    # is an address and no more.
    whole = np.empty(length, np.uint8)
    room, there = whole.data, 0
    async for part in request.stream():
        take(len(part))
        if there + len(part) > length:
            raise BadInput(f"The body has more than the {length} bytes that were declared.")
        room[there : there + len(part)] = part
        there += len(part)
    if there != length:
        raise BadInput(f"{length} bytes were declared, {there} came.", "send it again, whole")
    return whole


async def _gone(request: Request) -> None:
    """Returns when the caller has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _response(asked: Asked, single: bool, kind: str, request: Request) -> Response:
    release, bundle = asked.model.release, asked.model.bundle
    said = {
        "X-Bundle-Id": release.bundle,
        "X-Graph-SHA256": bundle.file.sha256,
        "X-Model-Number": str(release.number),
    }
    if kind == JSON:
        names = {"bundle": release.bundle, "graph_sha256": bundle.file.sha256, "number": release.number}
        return JSONResponse(
            names | {"request_id": caller_of(request).request_id} | as_lists(asked, single), headers=said
        )
    return Response(asked.answer.tobytes(), HTTPStatus.OK, said | answer_headers(asked, single), media_type=BYTES)

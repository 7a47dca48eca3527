"""The registry's call: a signed word that something changed. It wakes the follower and is believed nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from geoml_ops.core.errors import NotFound, TooLarge
from geoml_ops.settings import Settings
from serving.follow import Follower
from serving.schemas import error_body

PATH = "/hooks/registry"
WINDOW_S = 300.0
MAX_BODY, MOST_KNOWN = 64 << 10, 4096
_DELIVERY = re.compile(r"[\x21-\x7e]{1,200}")


class Hooks:
    """The address that MLflow's webhook calls (MLflow 3.17: ``v1,`` and HMAC-SHA256 of id, timestamp and body)."""

    def __init__(self, settings: Settings, follower: Follower) -> None:
        self.follower = follower
        self._secret = (settings.webhook_secret or "").encode()
        self._known: OrderedDict[str, float] = OrderedDict()

    def routes(self) -> list[Route]:
        """Returns its one address."""
        return [Route(PATH, self.called, methods=["POST"])]

    async def called(self, request: Request) -> Response:
        """Wakes the follower where the call is signed, of now, and new.

        Raises:
            NotFound: no secret is set, so nobody may call.
            TooLarge: the body is no notice.
        """
        if not self._secret:
            raise NotFound("This service is not called by its registry.", "it asks the registry by itself")
        body = await _body(request)
        names = ("x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature")
        delivery, stamp, signature = (request.headers.get(name, "") for name in names)
        why = self._objection(delivery, stamp, signature, body)
        if why:
            request_id = request.scope.get("state", {}).get("request_id", "")
            return JSONResponse(error_body(HTTPStatus.UNAUTHORIZED, why, request_id), HTTPStatus.UNAUTHORIZED)
        self.follower.wake()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _objection(self, delivery: str, stamp: str, signature: str, body: bytes) -> str:
        if not _DELIVERY.fullmatch(delivery) or not re.fullmatch(r"[0-9]{1,12}", stamp):
            return "The call names no delivery or no time."
        if not hmac.compare_digest(_signature(self._secret, delivery, stamp, body), signature.encode("latin-1")):
            return "The call is not signed with the registry's secret."
        now = time.time()
        if abs(now - int(stamp)) > WINDOW_S:
            return f"The call is of another time; {WINDOW_S:.0f} s are allowed."
        return "" if self._is_new(delivery, now) else "This call came before."

    def _is_new(self, delivery: str, now: float) -> bool:
        """Keeps the deliveries of as long as their time is accepted, on both sides of now."""
        while self._known and (next(iter(self._known.values())) < now - 2 * WINDOW_S or len(self._known) > MOST_KNOWN):
            self._known.popitem(last=False)
        if delivery in self._known:
            return False
        self._known[delivery] = now
        return True


def _signature(secret: bytes, delivery: str, stamp: str, body: bytes) -> bytes:
    signed = hmac.new(secret, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return b"v1," + base64.b64encode(signed)


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise TooLarge(f"A notice of the registry has at most {MAX_BODY} bytes.")
    return bytes(content)

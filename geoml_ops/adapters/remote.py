"""One raster from one address: named hosts only, public addresses only, nothing followed, whole or absent.

GDAL never sees the address: the file is fetched here and opened from the disk. What an address may be is decided before
any byte is sent, and the connection goes to the very address that was looked at.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from geoml_ops.core.errors import BadInput, TooLarge, Unavailable
from geoml_ops.platform.files import whole_file

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CONNECT_S, READ_S, HEAD_S = 10.0, 20.0, 30.0
"""To connect, between two pieces, and until the answer's head is there."""
LEAST_BYTES_PER_S = 64 << 10
"""Slower than this on average, after the first :data:`PATIENCE_S`, is given up."""
PATIENCE_S = 10.0
MAX_ADDRESSES = 16
_PART = 1 << 18
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+")
_SIGNS = re.compile(r"[!-~]{1,2048}")
# Addresses of version 6 that carry one of version 4 inside, or lead to it by way of a translator.
_CARRIERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")))


@dataclass(frozen=True)
class Target:
    """An address that was looked at: where to connect, and what to ask for.

    Attributes:
        scheme: ``https``, or ``http`` on loopback in tests.
        host: the name as it was asked for.
        port: of the host.
        address: of the host, checked.
        question: path and query; it may hold a signature and is never said.
    """

    scheme: str
    host: str
    port: int
    address: str
    question: str


def fetch(
    url: str,
    path: Path,
    allowed: Iterable[str],
    *,
    max_bytes: int,
    loopback: bool = False,
    trust: ssl.SSLContext | None = None,
    least_bytes_per_s: float = LEAST_BYTES_PER_S,
) -> int:
    """Fetches a TIFF by its address and returns its size; the file appears whole or not at all.

    Args:
        url: ``https://name/path``, on port 443.
        path: where the file appears.
        allowed: names of hosts that may be asked.
        max_bytes: the largest file that is taken.
        loopback: for tests: this machine may be asked, at any port, also over http.
        trust: certificates that are believed; the system's when None.
        least_bytes_per_s: the slowest that is waited for.

    Raises:
        BadInput: an address that may not be asked, an answer that is no TIFF or says it is something else.
        TooLarge: more than ``max_bytes``.
        Unavailable: the host does not answer, or too slowly, or not to the end.
    """
    target = checked(url, allowed, loopback=loopback)
    with whole_file(path) as part:
        try:
            with httpx.Client(
                verify=trust or ssl.create_default_context(),
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            ) as client:
                return _received(client, target, part, max_bytes, least_bytes_per_s)
        except httpx.HTTPError as error:
            # The tool's own words quote the address, which may hold a signature.
            raise Unavailable(f"{target.host} did not answer to the end ({type(error).__name__}).") from None


def checked(url: str, allowed: Iterable[str], *, loopback: bool = False) -> Target:
    """Returns where to connect for an address that may be asked.

    Raises:
        BadInput: it may not.
        Unavailable: its host has no address.
    """
    parts = _parts(url)
    host = (parts.hostname or "").lower()
    name = host[:60]
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise BadInput(f"Rasters are fetched by https, not by {parts.scheme[:20] or 'nothing'}.", "https://host/path")
    if host not in {one.strip().lower() for one in allowed if one.strip()}:
        raise BadInput(f"{name!r} is not among the hosts that may be asked.", "add it to GEOML_ALLOWED_HOSTS")
    if not (_HOST.fullmatch(host) or (loopback and host in ("localhost", "127.0.0.1"))):
        raise BadInput(f"{name!r} is no name of a host.", "a name such as data.example.org")
    port = _port(parts)
    if port != 443 and not loopback:
        raise BadInput(f"Port {port} of {name} is not asked.", "leave the port away: 443")
    question = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, _address(host, port, loopback=loopback), question)


def _parts(url: str) -> SplitResult:
    if not _SIGNS.fullmatch(url) or "\\" in url:
        raise BadInput("The address holds signs that addresses do not have, or is too long.", "https://host/path")
    try:
        parts = urlsplit(url)
        _ = parts.hostname
    except ValueError:
        raise BadInput("The address is none.", "https://host/path") from None
    if "@" in parts.netloc or parts.fragment:
        raise BadInput("The address holds a user or a fragment.", "https://host/path")
    return parts


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise BadInput("The port of the address is none.", "https://host/path") from None


def _address(host: str, port: int, *, loopback: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable(f"{host[:60]} has no address.") from None
    addresses = [str(one[4][0]) for one in found[:MAX_ADDRESSES]]
    # One private address among public ones is how a name is turned against those who ask for it.
    if not addresses or not all(_public(one, loopback=loopback) for one in addresses):
        raise BadInput(f"{host[:60]} lies in a network that is not asked.", "a host on the public network")
    return addresses[0]


def _public(text: str, *, loopback: bool) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if loopback and address.is_loopback:
        return True
    if address.version == 6 and (address.ipv4_mapped or any(address in network for network in _CARRIERS)):
        return False
    # "Not private" is not enough: addresses shared behind a carrier's translation are neither private nor global.
    return address.is_global and not address.is_multicast


def _received(client: httpx.Client, target: Target, part: Path, max_bytes: int, least: float) -> int:
    host = f"[{target.address}]" if ":" in target.address else target.address
    default = {"https": 443, "http": 80}[target.scheme]
    named = target.host if target.port == default else f"{target.host}:{target.port}"
    headers = {"Host": named, "Accept": "image/tiff, application/octet-stream", "Accept-Encoding": "identity"}
    request = client.build_request(
        "GET",
        httpx.URL(
            scheme=target.scheme, host=host.strip("[]"), port=target.port, raw_path=target.question.encode("ascii")
        ),
        headers=headers,
        extensions={"sni_hostname": target.host, "trace": (line := _Line()).follow},
    )
    began = time.monotonic()
    # A head that comes letter by letter never exceeds the time between two pieces.
    patience = threading.Timer(HEAD_S, line.cut)
    patience.daemon = True
    patience.start()
    try:
        answer = client.send(request, stream=True)
    finally:
        patience.cancel()
    try:
        promised = _promised(answer, target.host, max_bytes)
        size = _written(answer, part, target.host, (max_bytes, least, began))
    finally:
        answer.close()
    if promised is not None and size != promised:
        raise Unavailable(f"{target.host} sent {size} bytes of {promised}.", "ask again")
    return size


class _Line:
    """The connection under a request, as the transport tells of it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def follow(self, event: str, told: dict[str, Any]) -> None:
        """Keeps the newest socket: that of the connection, then the one of its encryption."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = told["return_value"].get_extra_info("socket")

    def cut(self) -> None:
        """Ends the connection, whoever waits for it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # The method of an encrypted socket would also take the encryption away from under its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _promised(answer: httpx.Response, host: str, max_bytes: int) -> int | None:
    if answer.status_code != httpx.codes.OK:
        way = "ask the address it leads to" if answer.is_redirect else "check the address"
        raise BadInput(f"{host} answered {answer.status_code}.", way)
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadInput(f"{host} sends the file in a coding.", "serve it as it is")
    length = answer.headers.get("content-length")
    if length is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", length):
        raise BadInput(f"{host} sends a length that is none.")
    if int(length) > max_bytes:
        raise TooLarge(f"The file at {host} has {length} bytes; the limit is {max_bytes}.", "fetch a smaller one")
    return int(length)


def _written(answer: httpx.Response, part: Path, host: str, bounds: tuple[int, float, float]) -> int:
    max_bytes, least, began = bounds
    size, head = 0, b""
    with part.open("wb") as stream:
        for piece in _pieces(answer, host, least, began):
            if len(head) < 4:
                head += piece[: 4 - len(head)]
                if len(head) == 4 and head not in MAGIC:
                    raise BadInput(f"What {host} sends begins with {head.hex()}, not as a TIFF does.")
            size += len(piece)
            if size > max_bytes:
                raise TooLarge(f"{host} sends more than {max_bytes} bytes.", "fetch a smaller file")
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
    if len(head) < 4:
        raise BadInput(f"{host} sent {size} bytes, which are no TIFF.")
    return size


def _pieces(answer: httpx.Response, host: str, least: float, began: float) -> Iterator[bytes]:
    size = 0
    for piece in answer.iter_raw():
        size += len(piece)
        passed = time.monotonic() - began
        if passed > PATIENCE_S and size < least * passed:
            raise Unavailable(f"{host} sends {size / passed:.0f} bytes per second; {least:.0f} are waited for.")
        yield piece

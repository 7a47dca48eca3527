"""The monitoring pages as the service hands them out: their types, who may show them, and the watch's own numbers."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FILE = "metrics.prom"
TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".tif": "image/tiff",
    ".prom": "text/plain; version=0.0.4; charset=utf-8",
    ".json": "application/json",
}
_MOST_BYTES = 4 << 20
_OURS = re.compile(r"(?:# (?:HELP|TYPE) )?geoml_watch_[a-z_]+[ {].*")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_LOOPBACK = ("127.0.0.1", "localhost")


class Pages(StaticFiles):
    """Static files with the types of maps; what is kept only for the next writing is not handed out."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Returns the answer to a request for one file."""
        answer = await super().get_response(path, scope)
        kind = TYPES.get(Path(path).suffix)
        if kind is not None and answer.status_code in (200, 206):
            answer.headers["content-type"] = kind
        return answer


def page_policy(shows: str) -> bytes:
    """Returns the content policy of the monitoring pages.

    Reports below them are pages made elsewhere with code of their own inside; they may not reach beyond this origin.

    Args:
        shows: address of the pages that may show them inside themselves; what is no address counts as none.

    >>> page_policy("http://127.0.0.1:8080/home")[-70:].decode()
    "frame-ancestors 'self' http://127.0.0.1:8080 http://localhost:8080"
    """
    may = " ".join(["'self'", *origins_of(shows)])
    base = "default-src 'self' 'unsafe-inline' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors "
    return (base + may).encode("ascii")


def origins_of(address: str) -> tuple[str, ...]:
    """Returns the origin of an address, under both names of this machine where it is this one; () for no address."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ()
    host = f"[{host}]" if ":" in host else host
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return ()
    hosts = _LOOPBACK if host in _LOOPBACK else (host,)
    return tuple(f"{parts.scheme}://{name}{f':{port}' if port else ''}" for name in hosts)


def watch_text(folder: Path) -> str:
    """Returns what the watch wrote for Prometheus, and when; nothing where it wrote nothing.

    Lines of another form are left out: a damaged file must not spoil the numbers of the service.
    """
    path = folder / FILE
    try:
        written = path.stat().st_mtime
        with path.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MOST_BYTES)
    except OSError:
        return ""
    lines = [line for line in text.split("\n")[:-1] if _OURS.fullmatch(line)]
    lines += [
        "# HELP geoml_watch_written_timestamp_seconds When the watch last wrote what it knows.",
        "# TYPE geoml_watch_written_timestamp_seconds gauge",
        f"geoml_watch_written_timestamp_seconds {written!r}",
    ]
    return "".join(f"{line}\n" for line in lines)

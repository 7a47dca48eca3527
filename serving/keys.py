"""Who is asking: keys of a file that is read again when it changes, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from geoml_ops.core.errors import GeomlError
from geoml_ops.platform.log import logger
from geoml_ops.steps.keys import PREFIX, Key, digest_of, read_keys

LONGEST = 200
_log = logger("keys")


@dataclass(frozen=True)
class Found:
    """What became of looking for a key.

    Attributes:
        key: whose it is; None where there is none that is good.
        why: a sentence for whoever asked; empty with a key.
    """

    key: Key | None
    why: str = ""


class Keyring:
    """The keys of one file; without a file nobody is asked for one.

    A file that cannot be used changes nothing: the keys of its last good content stay, and where there was none yet,
    no key is good.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.trouble = path, ""
        self._keys: tuple[Key, ...] = ()
        self._seen: object = ()
        if path is None:
            _log.warning("no keys", note="requests need none; they are answered on the loopback address only")

    @property
    def asks(self) -> bool:
        """True where requests need a key."""
        return self.path is not None

    def find(self, presented: str) -> Found:
        """Returns whose key was presented; empty for none."""
        if not presented:
            return Found(None, "A key is needed.")
        if len(presented) > LONGEST or not presented.startswith(PREFIX) or not presented.isascii():
            return Found(None, "This is not a key of this service.")
        self._refresh()
        wanted, match = digest_of(presented), None
        for key in self._keys:  # no early end: how long it takes tells nothing
            if hmac.compare_digest(key.sha256, wanted):
                match = key
        if match is None:
            return Found(None, "This key is not known here.")
        if not match.valid_on(datetime.now(UTC).date()):
            return Found(None, f"This key expired after {match.expires}.")
        return Found(match)

    def _refresh(self) -> None:
        assert self.path is not None
        try:
            stat = self.path.stat()
            seen: object = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            seen = None
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys, self.trouble = read_keys(self.path), ""
            _log.info("keys", number=len(self._keys))
        except GeomlError as error:
            self.trouble = f"The file of keys cannot be used; {len(self._keys)} keys of before still open."
            _log.error("bad keys", reason=str(error), still_good=len(self._keys))


def presented_in(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Returns the key that a request carries as ``Authorization: Bearer`` or ``X-API-Key``; empty for none."""
    other = ""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
        if name == b"x-api-key":
            other = value.strip().decode("latin-1")
    return other


def is_loopback(host: str) -> bool:
    """Says whether a host of a header or a socket is this machine itself."""
    name = host.strip().lower()
    name = name[1 : name.index("]")] if name.startswith("[") and "]" in name else name
    if name.count(":") == 1:
        name = name.split(":")[0]
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False

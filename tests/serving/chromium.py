"""Chromium without a screen, driven by the DevTools protocol over two pipes: no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Page:
    """One page of a browser: what it is told, what it says, and what it asked the network for.

    Attributes:
        asked: addresses of all requests, in order.
        complaints: what its console and its content policy reported.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._rest, self._turn, self._session = reads, writes, b"", 0, ""
        self.asked: list[str] = []
        self.complaints: list[str] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """Returns what a command answers."""
        self._turn += 1
        turn, words = self._turn, {"id": self._turn, "method": method, "params": params}
        words |= {"sessionId": self._session} if self._session else {}
        os.write(self._writes, json.dumps(words).encode() + b"\0")
        while (said := self._next(60.0)).get("id") != turn:
            self._heard(said)
        assert "error" not in said, f"{method}: {said['error']}"
        answer: dict[str, Any] = said["result"]
        return answer

    def size(self, width: int, height: int, *, scale: float = 1.0) -> None:
        """Gives the page so many pixels."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def open(self, url: str) -> None:
        """Goes to an address."""
        self.tell("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """Returns the value of an expression in the page."""
        said = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Returns the value of an expression once it is true."""
        deadline = time.monotonic() + timeout_s
        while not (value := self.js(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}\n{self.complaints}"
            time.sleep(0.05)
        return value

    def settled(self) -> None:
        """Waits until every tile that is shown has been drawn."""
        self.wait(
            "document.querySelectorAll('.leaflet-tile').length > 0 && "
            "document.querySelectorAll('.leaflet-tile:not(.leaflet-tile-loaded)').length === 0 && "
            "!document.querySelector('.leaflet-zoom-anim .leaflet-zoom-animated[style*=transition]')"
        )
        time.sleep(0.4)

    def click(self, x: float, y: float) -> None:
        """Presses and lets go of the left button at a point of the page."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int = 0) -> None:
        """Presses and lets go of a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def choose_file(self, selector: str, path: Path) -> None:
        """Puts a file into an input."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def drop_file(self, x: float, y: float, path: Path) -> None:
        """Drags a file over the page and lets go of it at a point."""
        held = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.tell("Input.dispatchDragEvent", type=kind, x=x, y=y, data=held)

    def shot(self, path: Path) -> Path:
        """Writes a picture of what is seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))
        return path

    def _next(self, timeout_s: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reads], [], [], timeout_s)
            part = os.read(self._reads, 1 << 16) if ready else b""
            assert part, "the browser says nothing any more"
            self._rest += part
        words, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(words)
        return said

    def _heard(self, said: dict[str, Any]) -> None:
        method, params = said.get("method", ""), said.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(arg.get("value")) for arg in params["args"]))


@contextmanager
def browser() -> Iterator[Page]:
    """Yields a page of a fresh browser; the browser ends with the block."""
    assert PROGRAM is not None
    to_read, to_write = os.pipe(), os.pipe()  # what the browser reads and what it writes: its handles 3 and 4
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        script = f'exec "$@" 3<&{to_read[0]} 4>&{to_write[1]}'
        process = subprocess.Popen(
            ["bash", "-c", script, "browser", PROGRAM, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            pass_fds=(to_read[0], to_write[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read[0])
        os.close(to_write[1])
        try:
            yield Page(to_write[0], to_read[1])
        finally:
            os.close(to_read[1])  # a browser whose pipe ends goes away by itself
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            os.close(to_write[0])

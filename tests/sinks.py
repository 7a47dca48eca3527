"""Two servers on loopback that take what is sent to them and keep it: one for JSON, one for mail (RFC 5321)."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


@dataclass
class Kept:
    """What came in, and whether to take it: ``status`` is what JSON is answered with, ``refuse`` turns mail away."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)
    status: int = 200
    refuse: bool = False
    webhook: str = ""
    smtp: str = ""


@contextmanager
def sinks() -> Iterator[Kept]:
    """Yields what two fresh servers keep; they end with the block."""
    kept = Kept()
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _web(kept))
    mail = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _mail(kept))
    mail.daemon_threads = True
    kept.webhook = f"http://127.0.0.1:{web.server_address[1]}/hook?token=secret"
    kept.smtp = f"smtp://127.0.0.1:{mail.server_address[1]}"
    for server in (web, mail):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kept
    finally:
        for server in (web, mail):
            server.shutdown()
            server.server_close()


def _web(kept: Kept) -> type[http.server.BaseHTTPRequestHandler]:
    class Web(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keeps one body."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if kept.status < 300:
                kept.bodies.append(json.loads(body))
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Web


def _mail(kept: Kept) -> type[socketserver.StreamRequestHandler]:
    class Mail(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            """Answers one line."""
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            """Takes one mail after the other."""
            self.say("220 sink" if not kept.refuse else "554 no")
            envelope: list[str] = []
            for line in self.rfile:
                word = line[:4].upper()
                if word == b"QUIT":
                    self.say("221 bye")
                    return
                if word == b"DATA":
                    self.say("354 go on")
                    body = b""
                    for part in self.rfile:
                        if part == b".\r\n":
                            break
                        body += part[1:] if part.startswith(b"..") else part
                    kept.mails.append(message_from_bytes(body, policy=policy.default))  # type: ignore[arg-type]
                    kept.envelopes.append(envelope)
                    envelope = []
                elif word in (b"MAIL", b"RCPT"):
                    envelope.append(line.decode().strip())
                self.say("250 ok")

    return Mail

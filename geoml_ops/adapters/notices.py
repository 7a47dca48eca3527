"""Notices to people: one JSON body posted to an address, one mail through a server; whichever is set up."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from geoml_ops.core.errors import BadInput, Unavailable

PATIENCE_S = 10.0
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True)
class Notice:
    """What people are told.

    Attributes:
        key: letters, digits and hyphens; the same thing has the same key.
        subject: one line.
        sentence: what happened, with its numbers.
        severity: ``info``, ``warning`` or ``critical``.
        facts: what it is about, by name: stream, cause, action, bounds ...
        links: words → address.
    """

    key: str
    subject: str
    sentence: str
    severity: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain JSON values; ``text`` is what chat programs show."""
        text = f"{self.subject}\n{self.sentence}" + "".join(f"\n{words}: {url}" for words, url in self.links.items())
        kept = {"key": self.key, "subject": self.subject, "sentence": self.sentence, "severity": self.severity}
        return {"text": text, **kept, "facts": dict(self.facts), "links": dict(self.links)}

    def as_text(self) -> str:
        """Returns it as the body of a mail."""
        facts = "".join(f"{name}: {value}\n" for name, value in self.facts.items())
        links = "".join(f"{words}: {url}\n" for words, url in self.links.items())
        return f"{self.sentence}\n\n{facts}\n{links}"


@dataclass(frozen=True)
class Channels:
    """Where notices go; nothing for nowhere.

    Attributes:
        webhook: address that takes JSON.
        smtp: ``smtp://``, ``smtp+starttls://`` or ``smtps://``, ``user:password@`` where the server asks.
        sender: of mail.
        receivers: of mail.
    """

    webhook: str = ""
    smtp: str = ""
    sender: str = ""
    receivers: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Which of them are set up."""
        mail = ("mail",) if self.smtp and self.receivers else ()
        return (("webhook",) if self.webhook else ()) + mail


def send(notice: Notice, channels: Channels, name: str) -> None:
    """Sends a notice over one channel, ``webhook`` or ``mail``.

    Raises:
        BadInput: the address of the channel is none.
        Unavailable: nobody there took it.
    """
    if name == "webhook":
        _post(notice, channels.webhook)
    else:
        _mail(notice, channels)


def _post(notice: Notice, address: str) -> None:
    if urlsplit(address).scheme not in ("http", "https"):
        raise BadInput("The address of the webhook is neither http:// nor https://.", "correct GEOML_NOTIFY_WEBHOOK")
    try:
        answer = httpx.post(address, json=notice.as_json(), timeout=PATIENCE_S, follow_redirects=False)
    except httpx.HTTPError as error:
        # The address may hold a secret: it is not repeated.
        raise Unavailable(f"The webhook did not take {notice.key}: {type(error).__name__}.") from None
    if not answer.is_success:
        raise Unavailable(f"The webhook answered {answer.status_code} to {notice.key}.")


def _mail(notice: Notice, channels: Channels) -> None:
    parts = urlsplit(channels.smtp)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadInput("The mail server is no address.", "write GEOML_NOTIFY_SMTP as smtp://host:port")
    where = (parts.hostname, parts.port or _PORTS[parts.scheme])
    try:
        with _server(parts.scheme, where) as server:
            if parts.scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(_message(notice, channels))
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(f"The mail server did not take {notice.key}: {type(error).__name__}.") from None


def _server(scheme: str, where: tuple[str, int]) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(*where, timeout=PATIENCE_S, context=ssl.create_default_context())
    return smtplib.SMTP(*where, timeout=PATIENCE_S)


def _message(notice: Notice, channels: Channels) -> EmailMessage:
    message = EmailMessage()
    # A line break in a header would begin another header.
    message["Subject"] = " ".join(f"[geoml {notice.severity}] {notice.subject}".split())[:200]
    message["From"], message["To"] = channels.sender, ", ".join(channels.receivers)
    message["Message-ID"] = make_msgid(idstring=notice.key, domain="geoml.invalid")
    message.set_content(notice.as_text())
    return message

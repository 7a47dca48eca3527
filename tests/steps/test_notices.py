"""What people are told: over real servers on loopback, once, with where and why, and nothing when nothing happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from geoml_ops.adapters.notices import Channels, Notice, send
from geoml_ops.core.errors import BadInput, Unavailable
from geoml_ops.core.watched import Diagnosis
from geoml_ops.settings import Settings
from geoml_ops.steps import notices
from geoml_ops.steps.places import Places
from tests.conftest import free_port
from tests.pages import HOSTILE
from tests.showing import FIRST, Show, calm, charts
from tests.sinks import Kept, sinks

LINKS = {"dashboard": "http://127.0.0.1:3000/dashboard/", "Airflow": "http://127.0.0.1:8080/"}
FAULT = Diagnosis(cause="band swap", action="fix ingest", sentence="B04 looks like B08.")
SHIFT = Diagnosis(cause="covariate shift", action="collect labels", sentence="Bands moved.")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Settings(workspace=tmp_path / "workspace").places()


@pytest.fixture
def kept() -> Iterator[Kept]:
    with sinks() as found:
        yield found


def channels(kept: Kept) -> Channels:
    return notices.channels_of(kept.webhook, kept.smtp, "geoml@localhost", "a@example.org, b@example.org,")


def decided(places: Places, diagnosis: Diagnosis, *, alarm: bool = False, fired: bool = False, onset: str = "") -> str:
    show = Show(places)
    drift = show.scene("s2/EPSG:32633-3-58", FIRST, diagnosis, chart=charts(4.0, 2.0, alarm=alarm, onset=onset))
    return show.decide(drift, diagnosis.action, fired=fired, held="" if fired else "cool-down of 90 days").id


def test_a_fault_is_told_with_where_and_why(places: Places, kept: Kept) -> None:
    notice = notices.about_decision(places, decided(places, FAULT), LINKS)
    assert notice is not None
    assert notices.tell(places, notice, channels(kept)) == ("webhook", "mail")
    (body,) = kept.bodies
    assert (body["severity"], body["sentence"]) == ("critical", "B04 looks like B08.")
    assert body["subject"] == "band swap in s2/EPSG:32633-3-58"
    assert body["facts"]["where"] == "399960,5790240,509760,5900040"
    assert body["facts"]["held back"] == "cool-down of 90 days"
    assert body["links"]["Why"].startswith("http://127.0.0.1:3000/dashboard/drifts/drift-")
    assert "Airflow: http://127.0.0.1:8080/" in body["text"]
    (mail,) = kept.mails
    assert mail["subject"] == "[geoml critical] band swap in s2/EPSG:32633-3-58"
    assert mail["to"] == "a@example.org, b@example.org"
    assert sum(line.upper().startswith("RCPT") for line in kept.envelopes[0]) == 2
    assert "where: 399960,5790240,509760,5900040" in mail.get_content()


@pytest.mark.parametrize(
    ("diagnosis", "more", "severity"),
    [
        (SHIFT, {"alarm": True}, "warning"),
        (SHIFT, {"fired": True}, "info"),
        (FAULT, {}, "critical"),
        (FAULT, {"alarm": True}, "critical"),
        (SHIFT, {}, None),
        (calm(), {}, None),
        (SHIFT, {"alarm": True, "onset": "reading-" + "0" * 16}, None),
    ],
)
def test_what_is_worth_telling(
    places: Places, diagnosis: Diagnosis, more: dict[str, Any], severity: str | None
) -> None:
    notice = notices.about_decision(places, decided(places, diagnosis, **more), LINKS)
    assert (notice.severity if notice else None) == severity


def test_the_same_is_told_once_and_anything_else_again(places: Places, kept: Kept) -> None:
    show = Show(places)
    drift = show.scene("s", FIRST, FAULT)
    ids = [show.decide(drift, "fix ingest", rule=rule).id for rule in ("fault", "patrol")]
    told = [notices.about_decision(places, decision) for decision in ids]
    other = show.decide(show.scene("s", FIRST + timedelta(days=1), FAULT), "fix ingest")
    for notice in (*told, *told, notices.about_decision(places, other.id)):
        assert notice is not None
        notices.tell(places, notice, channels(kept))
    assert (len(kept.bodies), len(kept.mails)) == (2, 2)


def test_a_channel_that_is_out_of_order_keeps_no_other_from_telling(places: Places, kept: Kept) -> None:
    notice = notices.about_failure("watch", "decide", "run 1", "BadInput: no")
    kept.status = 500
    with pytest.raises(Unavailable, match="500") as raised:
        notices.tell(places, notice, channels(kept))
    assert "secret" not in str(raised.value)
    assert len(kept.mails) == 1
    kept.status = 204
    assert notices.tell(places, notice, channels(kept)) == ("webhook",)
    assert (len(kept.bodies), len(kept.mails)) == (1, 1)


def test_no_channel_no_notice(places: Places) -> None:
    notice = notices.about_failure("watch", "decide", "run 1", "")
    assert notices.tell(places, notice, notices.channels_of(None, None, "a", "")) == ()
    assert notices.channels_of(None, "smtp://127.0.0.1", "a", " , ").names == ()


@pytest.mark.parametrize("decision", ["", "decision-" + "0" * 16, "drift-" + "0" * 16, "no id", "decision-../../x"])
def test_a_decision_that_is_not_there_is_no_notice(places: Places, decision: str) -> None:
    assert notices.about_decision(places, decision) is None


def test_hostile_words_stay_in_their_place(places: Places, kept: Kept) -> None:
    words = f"{HOSTILE}\r\nBcc: everybody@example.org\r\n\r\n.\r\nhello"
    notice = Notice("notice-1", words, words, "info", {"stream": words})
    for name in ("webhook", "mail"):
        send(notice, channels(kept), name)
    (mail,) = kept.mails
    assert mail["bcc"] is None
    assert "Bcc: everybody" in mail["subject"]
    assert kept.bodies[0]["subject"] == words
    assert not [line for line in kept.envelopes[0] if "everybody" in line]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"webhook": "file:///etc/passwd"}, "webhook"),
        ({"webhook": "nonsense"}, "webhook"),
        ({"smtp": "http://127.0.0.1"}, "mail"),
        ({"smtp": "smtp://"}, "mail"),
    ],
)
def test_addresses_that_are_none_are_refused(wrong: dict[str, str], name: str) -> None:
    with pytest.raises(BadInput):
        send(Notice("notice-1", "a", "b", "info"), Channels(**wrong, sender="a@b", receivers=("c@d",)), name)


def test_nobody_there_is_said_without_the_address(kept: Kept) -> None:
    notice, gone = Notice("notice-1", "a", "b", "info"), free_port()
    with pytest.raises(Unavailable) as raised:
        send(notice, Channels(webhook=f"http://user:secret@127.0.0.1:{gone}/"), "webhook")
    assert "secret" not in str(raised.value)
    kept.refuse = True
    with pytest.raises(Unavailable):
        send(notice, Channels(smtp=kept.smtp, sender="a@b", receivers=("c@d",)), "mail")

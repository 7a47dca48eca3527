"""Keys: made, kept as digests, read again, refused; and what each may use."""

from __future__ import annotations

import os
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.errors import BadInput, Conflict, NotFound
from geoml_ops.steps.keys import Quota, digest_of, new_key, read_keys, remove_key
from serving import quotas as counting
from serving.keys import Keyring, presented_in
from serving.quotas import OverQuota, Quotas
from tests.serving.test_guard import ask, body_of, guard, run


def test_a_key_is_shown_once_and_its_digest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    secret = new_key(path, "survey-office", "classifier", quota=Quota(pixels_per_day=10), expires=date(2999, 1, 1))
    text = path.read_text()
    assert secret not in text
    assert secret.removeprefix("geoml_") not in text
    assert digest_of(secret) in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (key,) = read_keys(path)
    assert (key.name, key.role, key.quota.pixels_per_day, key.expires) == (
        "survey-office",
        "classifier",
        10,
        date(2999, 1, 1),
    )
    assert len(secret) > 40
    assert new_key(path, "other", "reader") != secret
    assert [key.name for key in read_keys(path)] == ["survey-office", "other"]


def test_names_roles_and_days_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    new_key(path, "one", "reader")
    before = path.read_bytes()
    for name, role in (("", "reader"), ("a b", "reader"), ("two\n", "reader"), ("../x", "reader"), ("two", "admin")):
        with pytest.raises(BadInput):
            new_key(path, name, role)
    with pytest.raises(BadInput, match="over"):
        new_key(path, "two", "reader", expires=date(2020, 1, 1))
    with pytest.raises(Conflict, match="already"):
        new_key(path, "one", "operator")
    assert path.read_bytes() == before
    again = new_key(path, "one", "operator", replace=True)
    assert [(key.role, key.sha256) for key in read_keys(path)] == [("operator", digest_of(again))]
    remove_key(path, "one")
    assert read_keys(path) == ()
    with pytest.raises(NotFound):
        remove_key(path, "one")


def test_a_key_opens_until_its_last_day(tmp_path: Path) -> None:
    path, today = tmp_path / "keys.yaml", datetime.now(UTC).date()
    secret = new_key(path, "one", "reader", expires=today)
    ring = Keyring(path)
    assert ring.find(secret).key is not None
    path.write_text(path.read_text().replace(str(today), str(today - timedelta(days=1))))
    found = ring.find(secret)
    assert found.key is None
    assert "expired" in found.why


BAD = [
    "keys: [",
    "keys: 3",
    "- a",
    "other: []",
    "keys: [{name: a}]",
    "keys: &a [*a]",
    "keys:\n- {name: a, sha256: x, role: reader}",
]


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_keeps_the_keys_of_before_and_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.yaml"
    secret = new_key(path, "one", "reader")
    ring = Keyring(path)
    assert ring.find(secret).key is not None
    good = path.read_text()
    path.write_text(text)
    assert ring.find(secret).key is not None
    assert "still open" in ring.trouble
    path.write_bytes(b"\xff\xfe")
    assert ring.find(secret).key is not None
    path.unlink()
    assert ring.find(secret).key is not None
    path.write_text(good.replace("one", "renamed"))
    key = ring.find(secret).key
    assert (key is not None and key.name, ring.trouble) == ("renamed", "")
    os.chmod(path, 0o600)
    path.write_text("keys: []\n")
    assert ring.find(secret).key is None


def test_a_file_that_was_never_good_opens_nothing(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "not there.yaml")
    assert ring.asks
    assert ring.find("geoml_" + "x" * 43).key is None
    assert ring.trouble


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_no_text_is_a_key_by_chance(text: str) -> None:
    ring = Keyring(Path("/nonexistent/keys.yaml"))
    assert ring.find(text).key is None
    assert ring.find("geoml_" + text).key is None


def test_where_a_key_is_presented() -> None:
    assert presented_in([(b"authorization", b"Bearer abc")]) == "abc"
    assert presented_in([(b"authorization", b"bearer  abc ")]) == "abc"
    assert presented_in([(b"x-api-key", b"abc")]) == "abc"
    assert presented_in([(b"authorization", b"Basic eDp5"), (b"x-api-key", b"abc")]) == "abc"
    assert presented_in([(b"authorization", b"Basic eDp5")]) == ""
    assert presented_in([(b"cookie", b"key=abc")]) == ""


def test_the_guard_asks_for_a_key_and_for_its_role(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    keys = {role: new_key(path, role, role) for role in ("reader", "classifier", "operator")}
    watched, behind = guard(tmp_path, keyring=Keyring(path))
    raster = body_of(b"II*\0" + bytes(10))

    def asked(method: str, door: str, key: str = "", **more: Any) -> Any:
        headers = {**more.pop("headers", {}), **({"authorization": f"Bearer {key}"} if key else {})}
        # With keys it does not matter where a request comes from.
        return run(ask(watched, method, door, headers, server=("10.0.0.5", 80), **more))

    without = asked("GET", "/model")
    assert (without.status, without.error["code"]) == (401, "no_key")
    assert without.headers["www-authenticate"].startswith("Bearer")
    for wrong in ("geoml_" + "A" * 43, keys["reader"][:-1], keys["reader"] + "A", keys["reader"].upper(), "\xff"):
        refused = asked("GET", "/model", wrong)
        assert refused.status == 401
        assert wrong not in refused.error["message"]
    assert behind.seen == []
    assert asked("GET", "/model", keys["reader"]).status == 200
    lesser = asked("POST", "/classify", keys["reader"], **raster)
    assert (lesser.status, lesser.error["code"]) == (403, "not_allowed")
    assert "classifier" in lesser.error["message"]
    assert keys["reader"] not in lesser.error["message"]
    for role in ("classifier", "operator"):
        assert asked("POST", "/classify", keys[role], **body_of(b"II*\0" + bytes(10))).status == 200
    assert asked("DELETE", "/jobs/job-0123456789abcdef", keys["reader"]).status == 403
    for door in ("/", "/page/app.js", "/openapi.json", "/livez", "/healthz"):
        assert asked("GET", door).status == 200
    for door in ("/metrics", "/dashboard/", "/jobs", "/predictions", "/tiles/1/1/1.png"):
        assert asked("GET", door).status == 401
        assert asked("GET", door, keys["reader"]).status == 200
    assert [caller.owner for caller in behind.callers][:2] == ["reader", "classifier"]


def test_who_has_no_key_learns_no_model_from_readiness(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    secret = new_key(path, "one", "reader")
    watched, _ = guard(tmp_path, keyring=Keyring(path))
    assert run(ask(watched, "GET", "/readyz")).body == b'{"ready": true}'
    assert b"number" in run(ask(watched, "GET", "/readyz", {"x-api-key": secret})).body


def test_requests_beyond_the_minute_are_refused_until_there_is_room(tmp_path: Path) -> None:
    now = [1000.0]
    quotas = Quotas(tmp_path / "quotas.json", clock=lambda: now[0])
    quota = Quota(requests_per_minute=30)
    for _ in range(30):
        quotas.ask("one", quota)
    with pytest.raises(OverQuota) as refusal:
        quotas.ask("one", quota)
    assert 1 <= refusal.value.retry_s <= 3
    quotas.ask("other", quota)
    now[0] += refusal.value.retry_s
    quotas.ask("one", quota)
    now[0] += 3600
    for _ in range(30):
        quotas.ask("one", quota)
    with pytest.raises(OverQuota):
        quotas.ask("one", quota)
    for _ in range(1000):
        quotas.ask("one", Quota())


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 400))
@settings(max_examples=100, deadline=None)
def test_pixels_of_a_day_never_exceed_the_quota(wanted: list[int], most: int) -> None:
    quotas, spent = Quotas(Path("/nonexistent/quotas.json")), 0
    for pixels in wanted:
        if spent + pixels > most:
            with pytest.raises(OverQuota) as refusal:
                quotas.spend("one", Quota(pixels_per_day=most), pixels)
            assert 0 < refusal.value.retry_s <= 86_400
        else:
            quotas.spend("one", Quota(pixels_per_day=most), pixels)
            spent += pixels
    assert quotas.used("one") == spent <= most


def test_pixels_survive_a_restart_and_end_with_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, quota = tmp_path / "quotas.json", Quota(pixels_per_day=100)
    first = Quotas(path)
    first.start()
    first.spend("one", quota, 90)
    first.stop()
    again = Quotas(path)
    assert again.used("one") == 90
    with pytest.raises(OverQuota, match="10 are left"):
        again.spend("one", quota, 11)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=1)

    monkeypatch.setattr(counting, "datetime", Tomorrow)
    assert again.used("one") == 0
    again.spend("one", quota, 100)
    assert Quotas(path).used("one") == 0
    for text in ("", "[]", '{"day": 3}', '{"day": "2020-01-01", "pixels": {"one": 5}}', "{"):
        path.write_text(text)
        assert Quotas(path).used("one") == 0


def test_over_quota_says_when_to_come_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    secret = new_key(path, "one", "classifier", quota=Quota(requests_per_minute=2))
    watched, behind = guard(tmp_path, keyring=Keyring(path))
    answers = [run(ask(watched, "GET", "/model", {"x-api-key": secret})) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].error["code"] == "over_quota"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert len(behind.seen) == 2

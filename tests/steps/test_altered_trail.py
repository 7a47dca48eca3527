"""Nothing is decided beside a trail that was altered, neither anew nor from what is on record already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.cli import app
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Decision
from geoml_ops.core.trail import TrailRecord
from geoml_ops.steps import decisions, trail, watch
from geoml_ops.steps.places import Places
from tests.every_noun import any_noun
from tests.histories import begin, places_of

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A deployment with five records in its trail; its registry is nowhere."""
    record = begin(places_of(tmp_path, "name: now\n"))
    kept = [
        TrailRecord(at=AT, inputs=(), policy="policy", action="none", fired=False, because=f"no {i}.", engine="1")
        for i in range(5)
    ]
    trail.trail_of(record.places).extend(kept)
    trail.require_whole(record.places)
    return record.places


def _lines(places: Places, change: Callable[[list[bytes]], list[bytes]]) -> None:
    (path,) = (places.workspace / "trail").glob("*.jsonl")
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


ALTERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": lambda lines: [lines[0], lines[1].replace(b"no 1", b"no 9"), *lines[2:]],
    "missing": lambda lines: [*lines[:2], *lines[3:]],
    "swapped": lambda lines: [lines[1], lines[0], *lines[2:]],
    "cut": lambda lines: [*lines[:-1], lines[-1][:-30]],
    "shorter": lambda lines: lines[:-1],
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_look_begins_with_the_whole_trail(places: Places, how: str) -> None:
    _lines(places, ALTERED[how])
    with pytest.raises(Refused, match=r"audit trail was altered: 0000000001-2026-01\.jsonl"):
        next(watch.rounds(places))
    assert not list(trail.Archive(places.nouns).all(Decision))


@pytest.mark.parametrize("how", ["cut", "shorter", "headless"])
def test_a_decision_begins_with_the_end_of_the_trail(places: Places, how: str) -> None:
    if how == "headless":
        (places.workspace / "trail" / "head.json").unlink()
    else:
        _lines(places, ALTERED[how])
    # The registry does not answer either: the trail is asked first.
    with pytest.raises(Refused, match="head"):
        decisions.decide(places, "", "")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"calibration": {"alpha": 0.01}}, "fixed thresholds until 99 scenes are pooled"),
        ({"calibration": {"alpha": 1e-4}}, "until 9,999 scenes are pooled"),
        ({"calibration": {"uncalibrated": "quiet"}}, "quiet until 19 scenes are pooled; charts alarm after 3 years"),
        ({"name": "two\nlines " + "x" * 500}, "two lines xxx"),
    ],
)
def test_what_a_policy_means_is_said_of_its_own_numbers(tmp_path: Path, told: dict[str, object], said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps({"name": "x", **told}))
    done = CliRunner().invoke(app, ["policy", "check", str(path)])
    assert done.exit_code == 0
    assert said in done.stderr
    assert max(map(len, done.stderr.splitlines())) < 300


def test_a_trail_that_was_removed_whole_is_not_called_whole_in_silence(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("workspace", "store", "drop", "tracking_uri", "model", "experiment", "policy"):
        monkeypatch.setenv(f"GEOML_{name.upper()}", str(getattr(places, name)))
    Shelf(places.nouns).put(any_noun(Decision))
    assert "But the shelf" not in CliRunner().invoke(app, ["trail", "verify"]).output
    shutil.rmtree(places.workspace / "trail")
    assert (
        "the shelf holds 1 decision(s) and the trail no record" in CliRunner().invoke(app, ["trail", "verify"]).output
    )

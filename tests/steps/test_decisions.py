"""Decisions and their trail: units of evidence, one run at a time, nothing lost and nothing doubled."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.trail import Head
from geoml_ops.cli import app
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.flow import Accuracy, Decision, Design, Drift, Labels, Reading, Reference, Retrain, Scene
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.core.trail import TrailRecord
from geoml_ops.core.watched import ControlChart, Diagnosis, Estimate
from geoml_ops.settings import CHECKOUT
from geoml_ops.steps import decisions, trail
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.backtest import backtest
from geoml_ops.steps.places import Places
from tests.answering import publish, write_bundle
from tests.histories import BEGIN, Record, begin, of, places_of, stream_of

pytestmark = pytest.mark.slow
FULL = os.environ.get("GEOML_FULL") == "1"
NUMBERS = CHECKOUT / "workspace" / "full" / "decisions.json"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = Grid(crs="EPSG:32633", left=630000.0, top=5822000.0, pixel_m=10.0, width=256, height=128)
COUNT = iter(range(1000))


def made(folder: Path, uri: str, policy: str = "name: now\n") -> Record:
    """Returns a deployment whose champion the registry knows."""
    places = places_of(folder, policy, uri, f"decide-{next(COUNT)}")
    home = folder / "bundle"
    bundle = write_bundle(home, 0.01)
    record = begin(places, bundle)
    (home / "bundle.json").write_text(json.dumps(record.bundle.as_json()))
    number = publish(uri, places.model, home, record.bundle)
    return record if number == record.entry.number else replace(record, entry=of(type(record.entry)))


@pytest.fixture
def record(tmp_path: Path, mlflow_server: str) -> Record:
    return made(tmp_path, mlflow_server)


def records(places: Places) -> list[TrailRecord]:
    return [entry.record for entry in trail.show(places)]


def decide(record: Record, drift: str = "", version: str = "", hours: float = 0.0) -> tuple[Decision, Retrain | None]:
    return decisions.decide(record.places, drift, version, now=NOW + timedelta(hours=hours))


# --- what is looked at next -----------------------------------------------------------------------


def test_one_scene_in_one_stream_at_a_time_oldest_first(record: Record) -> None:
    later, earlier = record.see(40), record.see(10)
    same_day = record.shelf.put(
        earlier.model_copy(update={"name": "an hour on", "acquired": earlier.acquired + timedelta(hours=1)})
    )
    a = record.predict([later])
    b = record.predict([earlier])
    c = record.predict([earlier], FAR)
    d = record.predict([same_day])
    e = record.predict([earlier, later])
    f = record.predict((), at=BEGIN + timedelta(days=90))
    g = record.predict((), at=BEGIN + timedelta(days=90, hours=3))
    units = []
    while unit := decisions.gather(record.places):
        units.append(unit)
        of_unit = record.shelf.put(of_drift(record, unit))
        assert decisions.gather(record.places) == unit, "compared and not decided on"
        decide(record, of_unit.id)
    # Scenes of two days are of no day; that answer was logged six hours after the first of them.
    assert units == [(b.id, d.id), (c.id,), (e.id,), (a.id,), (f.id, g.id)]


def of_drift(record: Record, unit: tuple[str, ...]) -> Drift:
    calm = Diagnosis(cause="none", action="none", sentence="calm.")
    return of(Drift, bundle=record.bundle.id, predictions=unit, reading="", reference="", acquired=None, charts=(),
              statistics=(), diagnosis=calm, where=None)  # fmt: skip


def test_a_scene_that_is_not_here_has_no_day(record: Record) -> None:
    scene = record.see(5)
    one = record.predict([scene], at=BEGIN + timedelta(days=30))
    record.shelf.path_of(scene.id).unlink()
    other = record.predict([record.see(20)])
    assert decisions.gather(record.places) == (other.id,)
    assert decisions.gather(record.places) != (one.id,)


# --- what is kept -----------------------------------------------------------------------------------


def test_every_evaluation_is_kept_with_its_numbers(record: Record) -> None:
    chart = ControlChart(
        family="bands", state="beyond", value=4.5, threshold=3.0, path=2.0, limit=1.5, alarm=True, n=40
    )
    drift = record.find("covariate shift", day=3, charts=(chart,), values={"outside_share": 0.4})
    usual = record.shelf.put(of(Reading, statistics={"outside_share": 0.1}, bundle=record.bundle.id))
    reference = record.shelf.put(of(Reference, readings=(usual.id, drift.reading), before="", number=1))
    estimate = Estimate(method="cbpe", value=0.7, expected=0.8)
    seen = record.shelf.put(drift.model_copy(update={"reference": reference.id, "estimates": (estimate,)}))
    decision, retrain = decide(record, seen.id)
    assert (decision.action, retrain) == ("collect labels", None)
    (kept,) = records(record.places)
    assert kept.inputs == (decision.id, seen.id, drift.reading, reference.id, record.version.id, record.entry.id)
    assert (kept.stream, kept.at, kept.action, kept.fired, kept.run) == (stream_of(), NOW, "collect labels", False, "")
    assert (kept.because, kept.policy) == (decision.because, decision.policy)
    assert kept.statistics["bands:value"] == 4.5
    assert kept.thresholds["bands:value"] == 3.0
    assert (kept.statistics["bands:path"], kept.thresholds["bands:path"]) == (2.0, 1.5)
    assert (kept.statistics["accuracy:cbpe"], kept.thresholds["accuracy:cbpe"]) == (0.7, pytest.approx(0.75))
    assert kept.statistics["outside_share"] == 0.4
    assert set(kept.statistics) == set(kept.thresholds)
    assert kept.cost.label_hours == pytest.approx(100 * 2 / 60)
    assert kept.cost.seconds > 0
    policy = json.loads((record.places.workspace / "evaluations" / f"{decision.policy}.json").read_text())
    assert policy["name"] == "now"


def test_an_answer_that_stays_is_kept_once_a_day_and_a_training_once(record: Record) -> None:
    record.find("covariate shift", day=3)
    for hours in (0, 1, 5, 24, 25, 72):
        decide(record, hours=hours)
    assert [(r.at - NOW).days for r in records(record.places)] == [0, 1, 3]
    version = record.deliver("there")
    told = {decide(record, "", version.id, hours) for hours in (73, 74, 200, 400)}
    assert len({d.id for d, _ in told}) == 1
    assert [r.fired for r in records(record.places)] == [False, False, False, True]


def test_what_became_of_a_training_is_kept_once(record: Record) -> None:
    record.find("covariate shift", day=3)
    version = record.deliver("there")
    decision, retrain = decide(record, "", version.id)
    assert retrain is not None
    assert trail.settle(record.places, NOW) == ()
    verdict = record.judge(retrain, "HOLD")
    (outcome,) = trail.settle(record.places, NOW + timedelta(hours=2))
    assert trail.settle(record.places, NOW + timedelta(hours=3)) == ()
    assert (outcome.run, outcome.verdict, outcome.stream) == (retrain.id, verdict.id, stream_of())
    assert "HOLD" in outcome.because
    assert decision.id in outcome.inputs
    assert records(record.places)[-1] == outcome
    assert trail.hours(record.places)[retrain.id] == pytest.approx(outcome.cost.seconds / 3600)
    # Asked the same again there is another answer now: what was tried is over.
    same, nothing = decide(record, "", version.id, 3)
    assert (same.action, same.fired, nothing) == ("collect labels", False, None)
    assert "HOLD" in same.suppressed
    # Training did not cure it: without other labels it is not tried again, and that is said.
    again, none = decide(record, record.find("covariate shift", day=9).id, version.id, 4)
    assert (again.action, none) == ("collect labels", None)
    assert retrain.id in again.suppressed
    assert records(record.places)[-1].suppressed == again.suppressed


def test_one_training_runs_at_a_time_and_one_that_is_lost_is_not_waited_for(record: Record) -> None:
    record.find("covariate shift", day=3)
    first, retrain = decide(record, "", record.deliver("some").id)
    assert retrain is not None
    second = record.deliver("more")
    held, none = decide(record, "", second.id, 71)
    assert (held.fired, none) == (False, None)
    assert "no verdict yet" in held.suppressed
    late, other = decide(record, "", second.id, 73)
    assert late.fired
    assert other is not None
    assert other.id != retrain.id
    assert first.id != late.id


def test_two_alarms_at_once_start_one_run(record: Record) -> None:
    here, there = record.find("covariate shift", day=3), record.find("new region", day=3, grid=FAR)
    labels = record.deliver("here")
    with ThreadPoolExecutor(2) as both:
        asked = [both.submit(decide, record, drift.id, labels.id) for drift in (here, there)]
        told = [one.result() for one in asked]
    assert sorted(decision.fired for decision, _ in told) == [False, True]
    assert len(list(record.shelf.all(Retrain))) == 1
    assert [r.fired for r in records(record.places)].count(True) == 1
    assert all(d.suppressed for d, _ in told if not d.fired)


def test_a_drift_of_any_stream_is_cured_by_its_own_labels(record: Record) -> None:
    record.find("covariate shift", day=3, grid=FAR)
    calm = record.find("none", day=4)
    decision, retrain = decide(record, calm.id, record.deliver("not there").id)
    assert (decision.action, retrain) == ("collect labels", None)
    assert decision.drift == calm.id
    assert "do not lie on that ground" in decision.because
    assert records(record.places)[-1].stream == stream_of(FAR)


def test_an_audit_below_the_floor_trains_on_labels_that_are_new(tmp_path: Path, mlflow_server: str) -> None:
    record = made(tmp_path, mlflow_server, "name: audited\naudit: {floor: 0.8}\n")
    prediction = record.predict([record.see(3)])
    design = record.shelf.put(of(Design, prediction=prediction.id, drift="", asked=None))
    found = record.shelf.put(of(Accuracy, design=design.id, n=120, overall=0.78, overall_half=0.04))
    elsewhere = record.shelf.put(of(Design, prediction="", drift="", asked=None))
    record.shelf.put(of(Accuracy, design=elsewhere.id, n=500, overall=0.1, overall_half=0.01))
    decision, _ = decide(record)
    assert (decision.rule, decision.action) == ("audit", "collect labels")
    decision, retrain = decide(record, "", record.deliver("answers").id, 1)
    assert (decision.rule, decision.fired, retrain is not None) == ("audit", True, True)
    kept = records(record.places)[-1]
    assert found.id in kept.inputs
    assert (kept.statistics["audit:low"], kept.thresholds["audit:low"]) == (pytest.approx(0.74), 0.8)


def test_labels_beyond_the_projection_are_simply_elsewhere(record: Record) -> None:
    record.find("covariate shift", day=3)
    away = of(Labels, name="pole", crs="EPSG:32733", design="", use="learning",
              bounds=Bounds(left=-9e8, bottom=-9e8, right=9e8, top=9e8))  # fmt: skip
    version = record.version.model_copy(update={"labels": (record.labels.id, record.shelf.put(away).id)})
    decision, _ = decide(record, "", record.shelf.put(version).id)
    assert decision.action == "collect labels"


def test_what_is_named_and_not_there_is_said(record: Record) -> None:
    with pytest.raises(NotFound):
        decide(record, "drift-0000000000000000")
    assert records(record.places) == []


# --- nothing is lost, doubled or changed --------------------------------------------------------------


def test_a_changed_trail_stops_decisions_until_it_is_put_right(record: Record) -> None:
    drift = record.find("none", day=3)
    first, _ = decide(record, drift.id)
    (path,) = (record.places.workspace / "trail").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    with pytest.raises(Refused):
        decide(record, record.find("gain", day=4).id)
    found = trail.verify(record.places)
    assert not found.is_whole
    assert (found.flaws[0].file, found.flaws[0].line) == (path.name, 1)
    path.write_bytes(whole)
    decide(record, "", "", 1)
    kept = records(record.places)
    assert kept[0].inputs[0] == first.id
    assert [r.action for r in kept].count("fix ingest") == 1, "what was begun is finished"


def test_the_command_names_the_changed_line_and_fails(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    for hours, day in enumerate((3, 4, 5)):
        decide(record, record.find("none", day=day).id, "", hours)
    monkeypatch.setenv("GEOML_WORKSPACE", str(record.places.workspace))
    monkeypatch.setenv("GEOML_POLICY", str(record.places.policy))
    run = CliRunner()
    whole = run.invoke(app, ["trail", "verify"])
    assert whole.exit_code == 0
    head = json.loads(whole.stdout)["last"]
    assert head["number"] == 3
    assert run.invoke(app, ["trail", "verify", "--noted", f"{head['number']}:{head['sha256']}"]).exit_code == 0
    assert run.invoke(app, ["trail", "verify", "--noted", f"{head['number']}:{'0' * 64}"]).exit_code == 1
    shown = run.invoke(app, ["trail", "show", "--last", "2"])
    assert [json.loads(line)["number"] for line in shown.stdout.splitlines() if line.startswith("{")] == [2, 3]
    (path,) = (record.places.workspace / "trail").glob("*.jsonl")
    content = bytearray(path.read_bytes())
    place = content.index(b"\n") + 40
    content[place] ^= 1
    path.write_bytes(bytes(content))
    broken = run.invoke(app, ["trail", "verify"])
    assert broken.exit_code == 1
    assert f"{path.name}, line 2" in broken.output
    report = run.invoke(app, ["policy", "backtest", str(record.places.policy)])
    assert report.exit_code == 1
    assert not report.stdout.startswith("{")


def test_the_commands_of_policies(record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    decide(record, record.find("none", day=3).id)
    monkeypatch.setenv("GEOML_WORKSPACE", str(record.places.workspace))
    monkeypatch.setenv("GEOML_POLICY", str(record.places.policy))
    run, naive = CliRunner(), str(CHECKOUT / "monitoring" / "policies" / "naive.yaml")
    assert '"name": "now"' in run.invoke(app, ["policy", "show"]).stdout
    assert run.invoke(app, ["policy", "check", naive]).exit_code == 0
    truth = tmp_path / "truth.yaml"
    truth.write_text("changes: [{since: 2020-01-01, cause: covariate shift}]\n")
    words = ["policy", "backtest", naive, "--since", "2020-01-01", "--truth", str(truth)]
    out = [run.invoke(app, words) for _ in range(2)]
    assert [one.exit_code for one in out] == [0, 0]
    assert out[0].stdout == out[1].stdout
    assert json.loads(out[0].stdout[: out[0].stdout.rindex("}") + 1])["n_scenes"] == 1
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\ncooldown: 3\n")
    assert run.invoke(app, ["policy", "check", str(wrong)]).exit_code == 1


def test_the_replay_of_the_policy_in_force_trains_where_it_did(record: Record) -> None:
    for day, cause in ((1, "none"), (2, "covariate shift")):
        decide(record, record.find(cause, day=day).id)  # type: ignore[arg-type]
    fired, retrain = decide(record, "", record.deliver("there").id, 1)
    assert retrain is not None
    record.judge(retrain, "REJECT")
    decide(record, record.find("covariate shift", day=9).id, "", 2)
    decide(record, record.find("gain", day=12).id, "", 3)
    report = backtest(record.places, read_policy(record.places.policy))
    ours = report["in_force"]
    assert [(t["rule"], t["version"]) for t in ours["trainings"]] == [(fired.rule, fired.version)]
    assert (ours["n_alarms"], ours["held_back"]) == (1, 1)
    assert (report["n_evaluations"], report["n_scenes"]) == (5, 4)
    assert ours["n_false_trainings"] == 1, "the gate did not bear it out"


def test_what_a_killed_step_left_may_not_be_altered(record: Record) -> None:
    decide(record, record.find("none", day=3).id)
    pending = record.places.workspace / "evaluations" / "pending.json"
    pending.write_text('{"record": {}}')
    with pytest.raises(Refused, match="not what was written"):
        decide(record, record.find("none", day=4).id)


def _in_child(work: Callable[[], None], after_s: float | None) -> bool:
    """Runs work in a child process, killed with SIGKILL after a while; returns whether it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _die_at(number: int) -> Callable[..., None]:
    """Returns an ``os.fsync`` that kills its process the so-manyth time it is called."""
    left, real = [number], os.fsync

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    return fsync


def _turns(record: Record) -> list[tuple[str, str]]:
    """Four questions: calm, drift, its labels (a training starts), and a fault."""
    calm, drift = record.find("none", day=1), record.find("covariate shift", day=2)
    version = record.deliver("there")
    fault = record.find("gain", day=3)
    first = record.version.id
    return [(calm.id, first), (drift.id, first), ("", version.id), (fault.id, version.id)]


def _ask(places: Places, questions: list[tuple[str, str]]) -> None:
    for drift, version in questions:
        decisions.decide(places, drift, version, now=NOW)


def _whole(places: Places, calm: Places) -> None:
    assert trail.verify(places).is_whole
    kept, wanted = records(places), records(calm)
    assert [r.inputs for r in kept] == [r.inputs for r in wanted]
    assert [r.run for r in kept] == [r.run for r in wanted]
    for kind in (Decision, Retrain):
        assert {n.id for n in Shelf(places.nouns).all(kind)} == {n.id for n in Shelf(calm.nouns).all(kind)}
    assert not (places.workspace / "evaluations" / "pending.json").exists()
    assert Counter(r.inputs[0] for r in kept).most_common(1)[0][1] == 1


def _copies(record: Record, folder: Path, n: int) -> list[Places]:
    found = []
    for number in range(n):
        shutil.copytree(record.places.workspace, folder / f"copy-{number}")
        found.append(replace(record.places, workspace=folder / f"copy-{number}"))
    return found


def _note(numbers: dict[str, int]) -> None:
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    NUMBERS.write_text(json.dumps({**known, **numbers}))


def test_killed_at_every_write_nothing_is_lost_and_nothing_doubled(record: Record, tmp_path: Path) -> None:
    questions = _turns(record)
    (calm,) = _copies(record, tmp_path / "calm", 1)
    _ask(calm, questions)
    killed, dies_at = True, 0
    while killed:
        (places,) = _copies(record, tmp_path / f"dies-{dies_at}", 1)

        def work(places: Places = places, dies_at: int = dies_at) -> None:
            os.fsync = _die_at(dies_at)
            _ask(places, questions)

        killed = _in_child(work, None)
        _ask(places, questions)
        _whole(places, calm)
        # Each decision writes the same way: where time is short one write in seven is tried, in another place each.
        dies_at += 1 if FULL else 7
    if FULL:
        _note({"writes_killed_at": dies_at})
    assert dies_at >= 40


def test_killed_at_random_again_and_again_nothing_is_lost_and_nothing_doubled(record: Record, tmp_path: Path) -> None:
    questions = _turns(record)
    calm, *copies = _copies(record, tmp_path / "copies", 6 if not FULL else 11)
    began = time.monotonic()
    _ask(calm, questions)
    took = time.monotonic() - began
    draw, kills = random.Random(1), 0
    wanted = 50 if FULL else 20
    for number, places in enumerate(copies, 1):
        while kills < wanted * number / len(copies):
            kills += _in_child(partial(_ask, places, questions), draw.uniform(0.05, 0.9) * took)
        _ask(places, questions)
        _whole(places, calm)
    if FULL:
        _note({"kills": kills, "lost": 0, "doubled": 0})
    assert kills >= wanted


def test_a_noun_that_was_altered_is_found_though_it_was_read_before(record: Record) -> None:
    drift, archive = record.find("none", day=3), Archive(record.places.nouns)
    assert archive.get(Drift, drift.id) is archive.get(Drift, drift.id)
    path = archive.path_of(drift.id)
    path.write_text(path.read_text().replace("said: none", "said: nothing"))
    with pytest.raises(Refused, match="altered"):
        archive.get(Drift, drift.id)
    path.unlink()
    with pytest.raises(NotFound):
        archive.get(Drift, drift.id)
    with pytest.raises(NotFound):
        archive.get(Scene, drift.id)


def test_marks_that_were_altered_are_said(record: Record) -> None:
    drift = record.find("none", day=3)
    decision, _ = decide(record, drift.id)
    (record.places.workspace / "evaluations" / f"{decision.id}.json").write_text("{}")
    with pytest.raises(Refused, match="altered"):
        decide(record, drift.id)


def test_a_head_noted_elsewhere_is_still_on_the_way(record: Record) -> None:
    decide(record, record.find("none", day=3).id)
    head = trail.trail_of(record.places).head()
    decide(record, record.find("none", day=4).id)
    assert trail.verify(record.places, [head]).is_whole
    assert not trail.verify(record.places, [Head(number=1, sha256="0" * 64)]).is_whole

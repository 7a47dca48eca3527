"""History replayed under other policies: the same bytes each time, and what is counted is what happened."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from geoml_ops.adapters.configs import read_policy
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Decision, Reading, Retrain
from geoml_ops.core.policy import Budget, CalibrationRules, ChartRules, Policy
from geoml_ops.core.watched import ControlChart, Statistic
from geoml_ops.domain.replay import Truth, renamed
from geoml_ops.settings import CHECKOUT
from geoml_ops.steps import evidence
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.backtest import as_text, backtest, read_truth, renamed_by
from geoml_ops.steps.replaying import read_history
from tests.histories import BANDS, BEGIN, Record, begin, of, places_of, stream_of, year_of

pytestmark = pytest.mark.slow
NAIVE = CHECKOUT / "monitoring" / "policies" / "naive.yaml"
FAST = "name: now\ncalibration: {least: 4, by: season, waves: 0, years_apart: false, least_years: 1}\n"
CHANGE = 540
#: A year and a half as it always was, then red moves for good.
DAYS = [float(day) for day in range(0, 720, 12)]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record = begin(places_of(tmp_path_factory.mktemp("moved"), FAST))
    year_of(record, DAYS, moved_from=CHANGE, moved_by=9.0)
    return record


@pytest.fixture(scope="module")
def truth() -> Truth:
    since = (BEGIN + timedelta(days=CHANGE)).date()
    return Truth.model_validate({"changes": ({"since": since, "cause": "covariate shift"},)})


@pytest.fixture(scope="module")
def report(moved: Record, truth: Truth) -> dict[str, Any]:
    return backtest(moved.places, read_policy(NAIVE), truth=truth)


def test_a_naive_policy_trains_on_the_season_and_the_calibrated_one_does_not(report: dict[str, Any]) -> None:
    naive, ours = report["candidate"], report["in_force"]
    assert naive["n_trainings"] > 20
    assert naive["n_false_trainings"] > 15
    assert (ours["n_trainings"], ours["n_false_trainings"]) == (0, 0)
    assert ours["n_alarms"] - ours["n_false_alarms"] == 1
    assert ours["n_false_alarms"] <= 2
    (delay,) = ours["delays"]
    assert delay["cause"] == "covariate shift"
    assert 0 <= delay["days_to_alarm"] <= 90
    assert delay["scenes_to_alarm"] == delay["days_to_alarm"] // 12 + 1
    assert delay["days_to_labels"] == delay["days_to_alarm"]
    assert delay["days_to_training"] is None
    assert ours["cost"]["label_minutes"] == 200.0 * len(ours["label_rounds"])
    assert report["n_scenes"] == len(DAYS)


def test_the_same_inputs_give_the_same_bytes(
    moved: Record, truth: Truth, report: dict[str, Any], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(moved.places.workspace, copy / "ws")
    again = backtest(places_of(copy, FAST), read_policy(NAIVE), truth=truth)
    assert as_text(again).encode() == as_text(report).encode()
    assert json.loads(as_text(report)) == json.loads(json.dumps(report))


def test_days_cut_the_report_and_not_the_history(moved: Record, truth: Truth, report: dict[str, Any]) -> None:
    since = (BEGIN + timedelta(days=CHANGE - 12)).date()
    cut = backtest(moved.places, read_policy(moved.places.policy), since=since, truth=truth)
    assert cut["n_scenes"] == sum(day >= CHANGE - 12 for day in DAYS)
    assert cut["in_force"]["delays"] == report["in_force"]["delays"]
    assert cut["candidate"] == cut["in_force"]
    with pytest.raises(BadInput, match="is after"):
        backtest(moved.places, read_policy(NAIVE), since=since, until=since - timedelta(days=1))


def test_without_the_truth_what_nothing_bore_out_is_unconfirmed(moved: Record, report: dict[str, Any]) -> None:
    found = backtest(moved.places, read_policy(moved.places.policy))
    ours = found["in_force"]
    assert (found["false_means"], ours["delays"]) == ("unconfirmed", None)
    assert ours["n_false_alarms"] == ours["n_alarms"] == report["in_force"]["n_alarms"]


def trained_record(folder: Path, policy: str = "name: now\n") -> Record:
    """A drift that stands uncalibrated on the champion's own ground; labels of it arrive a month later."""
    record = begin(places_of(folder, policy))
    record.find("none", day=0)
    record.find("covariate shift", day=10)
    # The version is weighed once a scene newer than all of its own has been looked at.
    record.deliver("labels of that ground", [record.see(12)])
    record.find("covariate shift", day=20)
    record.find("covariate shift", day=25)
    record.find("none", day=30)
    record.find("undeclared offset", day=40, charts=())
    return record


def test_labels_that_arrive_start_one_training(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    report = backtest(record.places, Policy(name="hands off", retrain_on_drift=False))
    ours, other = report["in_force"], report["candidate"]
    assert [t["rule"] for t in ours["trainings"]] == ["drift"]
    assert ours["trainings"][0]["day"] == "2020-01-23"
    assert (other["n_trainings"], other["n_alarms"]) == (0, ours["n_alarms"])
    # Once before the labels came, and once more when the training with them had not cured it.
    assert len(ours["label_rounds"]) == 2


def test_a_training_that_was_refused_teaches_nothing(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    first = backtest(record.places, Policy(name="any"))
    assert [t["rule"] for t in first["candidate"]["trainings"]] == ["drift"]
    # The version of that training was really judged, and not promoted: the same labels are not tried again.
    retrain = _asked(record, first["in_force"]["trainings"][0]["version"])
    record.judge(retrain, "HOLD")
    again = backtest(record.places, Policy(name="any"))
    assert [t["rule"] for t in again["candidate"]["trainings"]] == ["drift"]
    assert again["candidate"]["held_back"] >= 1


def _asked(record: Record, version: str) -> Retrain:

    decision = of(Decision, drift="", version=version, champion=record.entry.id, fired=True, action="retrain")
    record.shelf.put(decision)
    return record.shelf.put(of(Retrain, decision=decision.id, version=version))


def test_budget_and_season_are_policies_to_try(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    for policy in (
        Policy(name="july", months=(7,)),
        Policy(name="calm", calibration=CalibrationRules(uncalibrated="quiet")),
    ):
        found = backtest(record.places, policy)["candidate"]
        assert found["n_trainings"] == 0
    assert backtest(record.places, Policy(name="july", months=(7,)))["candidate"]["held_back"] == 2


def test_an_alarm_on_a_recorded_fault_is_no_alarm_of_drift(tmp_path: Path) -> None:
    record = begin(places_of(tmp_path, "name: now\n"))
    record.find("undeclared offset", day=3)
    shares = (Statistic(column="class shares", distance=0.4, mean_shift=0.3, sd_ratio=None, drifted=True),)
    record.find("band swap", day=6, statistics=shares)
    report = backtest(record.places, read_policy(NAIVE))
    assert report["in_force"]["n_alarms"] == 0
    naive = report["candidate"]
    assert (naive["n_trainings"], naive["n_false_trainings"]) == (1, 1)
    assert naive["trainings"][0]["recorded"] == "band swap"


def test_nothing_is_replayed_of_nothing(tmp_path: Path) -> None:
    report = backtest(places_of(tmp_path, "name: now\n"), Policy(name="any"))
    assert (report["n_evaluations"], report["candidate"]["n_alarms"], report["n_left_out"]) == (0, 0, 0)


def test_a_champion_that_is_not_here_is_left_out(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    record.shelf.path_of(record.entry.id).unlink()
    report = backtest(record.places, Policy(name="any"))
    assert (report["n_evaluations"], report["n_left_out"]) == (0, 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("changes: [{since: 2020-05-01, until: 2020-04-01, cause: gain}]", "before it begins"),
        ("changes: [{since: 2020-05-01, cause: weather}]", "cause"),
        ("changes: [{since: soon, cause: gain}]", "since"),
        ("change: []", "change"),
        ("[1, 2", "YAML"),
    ],
)
def test_a_truth_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "truth.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        read_truth(path)


def test_a_truth_may_be_yaml_or_json(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    path.write_text("changes: [{since: 2020-05-01, cause: gain, stream: a/b}]")
    one = read_truth(path)
    path.write_text(json.dumps({"changes": [{"since": "2020-05-01", "cause": "gain", "stream": "a/b"}]}))
    assert read_truth(path) == one
    assert one.changes[0].covers("a/b", BEGIN.date() + timedelta(days=300))
    assert not one.changes[0].covers("a/c", BEGIN.date() + timedelta(days=300))
    assert not one.changes[0].is_cured_by_training
    with pytest.raises(NotFound):
        read_truth(tmp_path / "none")


# --- names under other charts ---------------------------------------------------------------------


def chart(alarm: bool, limit: float | None = 3.0) -> tuple[ControlChart, ...]:
    state = "uncalibrated" if limit is None else "beyond" if alarm else "in control"
    return (ControlChart(family="bands", state=state, limit=limit, alarm=alarm, n=30),)  # type: ignore[arg-type]


def test_names_follow_the_charts_and_faults_stay(tmp_path: Path) -> None:
    record, policy = begin(places_of(tmp_path, "name: now\n")), Policy(name="any")
    shift, calm = record.find("new region", day=1), record.find("season as expected", day=2)
    fault = record.find("gain", day=3)
    assert renamed(shift, chart(True), policy).diagnosis.cause == "new region"
    assert renamed(shift, chart(False), policy).diagnosis.cause == "none"
    assert renamed(calm, chart(True), policy).diagnosis.cause == "covariate shift"
    assert renamed(calm, chart(True), policy).diagnosis.action == "collect labels"
    assert renamed(calm, chart(False), policy).diagnosis.cause == "season as expected"
    assert renamed(fault, chart(True), policy).diagnosis.cause == "gain"


def test_without_charts_fixed_thresholds_name(tmp_path: Path) -> None:
    record = begin(places_of(tmp_path, "name: now\n"))
    far = tuple(Statistic(column=b, distance=0.8, mean_shift=0.0, sd_ratio=1.0, drifted=False) for b in BANDS)
    shift = record.find("covariate shift", day=1, statistics=far)
    loose = Policy.model_validate({"name": "loose", "drift": {"distance": 1.5}})
    calm = record.find("none", day=2, statistics=far)
    strict = Policy.model_validate({"name": "strict", "drift": {"distance": 0.5}})
    assert renamed(shift, (), Policy(name="any")).diagnosis.cause == "covariate shift"
    assert renamed(calm, (), Policy(name="any")).diagnosis.cause == "none"
    assert renamed(shift, (), loose).diagnosis.cause == "none"
    assert renamed(shift, (), strict).diagnosis.cause == "covariate shift"
    assert renamed(calm, (), strict).diagnosis.cause == "covariate shift"
    quiet = Policy(name="quiet", calibration=CalibrationRules(uncalibrated="quiet"))
    assert renamed(shift, chart(False, None), quiet).diagnosis.cause == "covariate shift"
    assert not renamed(shift, chart(False, None), quiet).calibrated


def test_the_reference_a_policy_would_have_had_is_its_own(moved: Record) -> None:
    """A policy that never alarms takes the change into its reference; one that alarms keeps it out."""
    history = read_history(moved.places)
    chart_rules = ChartRules(kind="k_of_m", k=5)
    rules = CalibrationRules(
        least=4, by="season", waves=0, years_apart=False, least_years=1, alarms_per_year=0.4, chart=chart_rules
    )
    deaf = Policy(name="deaf", calibration=rules)
    keen = read_policy(moved.places.policy)
    last = [list(renamed_by(Archive(moved.places.nouns), history, p).values())[-1] for p in (deaf, keen)]
    sizes = [drift.chart("bands").n for drift in last]  # type: ignore[union-attr]
    assert sizes[0] >= sizes[1]
    assert last[1].alarm


def test_hours_and_labels_cost(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    policy = Policy(name="any", budget=Budget(label_units=50, label_minutes=3.0))
    found = backtest(record.places, policy)["candidate"]
    assert found["cost"] == {"training_hours": None, "label_minutes": 300.0}


def test_streams_are_named_as_readings_name_them() -> None:
    assert stream_of() == "sentinel-2-l1c/EPSG:32633-3-58"


def test_a_trail_that_was_changed_is_not_replayed(tmp_path: Path) -> None:
    record = trained_record(tmp_path)
    folder = record.places.workspace / "trail"
    folder.mkdir()
    (folder / "0000000001-2020-01.jsonl").write_text("{}\n")
    with pytest.raises(Refused):
        backtest(record.places, Policy(name="any"))


def test_numbers_are_plain(report: dict[str, Any]) -> None:
    assert np.isfinite(report["in_force"]["cost"]["label_minutes"])
    assert "NaN" not in as_text(report)


def test_a_replay_under_the_policy_in_force_draws_the_charts_that_were_drawn(tmp_path: Path) -> None:
    """The oracle is the watch itself: references that grow on disk, scene by scene."""
    record = begin(places_of(tmp_path, FAST))
    policy, shelf = read_policy(record.places.policy), Archive(record.places.nouns)
    record.by = policy.calibration.by
    year_of(record, [float(day) for day in range(0, 420, 10)], moved_from=330, moved_by=9.0)
    scenes = [(drift, shelf.get(Reading, drift.reading)) for drift in record.made]
    for drift in record.made:
        record.shelf.path_of(drift.id).unlink()
    drawn = []
    for drift, reading in scenes:
        stand = evidence.standing(record.places, record.bundle, reading, policy.calibration)
        drawn.append(record.shelf.put(renamed(drift, stand.charts, policy)))
    again = renamed_by(shelf, read_history(record.places), policy)
    assert [d.id for d in drawn] == [again[d.id].id for d in drawn]
    assert any(d.alarm for d in drawn)
    assert not drawn[20].alarm


def test_every_key_of_a_policy_is_explained() -> None:
    text = (CHECKOUT / "docs" / "policy.md").read_text()
    shipped = yaml.safe_load((CHECKOUT / "monitoring" / "policies.yaml").read_text())
    for name, value in Policy(name="any").model_dump(mode="json").items():
        assert f"`{name}" in text, name
        assert name in shipped, f"{name} is not in the file that ships"
        for inner in value if isinstance(value, dict) else ():
            assert f"{name}.{inner}" in text, f"{name}.{inner}"
            assert inner in shipped[name], f"{name}.{inner} is not in the file that ships"

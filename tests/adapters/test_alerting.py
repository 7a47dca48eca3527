"""The watch's numbers parse as Prometheus reads them, and rules fire on them: asked of promtool where it is."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from geoml_ops.adapters.alerting import (
    Addresses,
    WatchNumbers,
    alertmanager_yaml,
    metrics_text,
    prometheus_yaml,
    rules_yaml,
)
from geoml_ops.adapters.configs import read_policy
from geoml_ops.core.policy import AlertRules, DriftTrigger, Policy
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain.streams import Place, SceneRow
from tests.conftest import ROOT
from tests.pages import HOSTILE

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian: prometheus)")
HERE = Addresses(service="http://127.0.0.1:3000")
DAY = datetime(2021, 5, 1, 10, tzinfo=UTC)
CHART = ControlChart(
    family="bands", state="beyond", value=4.5, worst="B08:mean", threshold=3.1, path=2.25, limit=1.5, alarm=True, n=34
)


def row(stream: str = "s2/r1", **more: object) -> SceneRow:
    plain = SceneRow(
        drift="drift-" + "1" * 16, bundle="bundle-" + "2" * 16, stream=stream, key="k", acquired=DAY,
        logged=DAY + timedelta(hours=5), scenes=("a",), standing="alarm", cause="covariate shift",
        action="collect labels", sentence="So.", alarm=True, onset="", calibrated=True, charts=(CHART,), n_tiles=9,
        farthest=0.5, farthest_column="B08", fixed=1.0, outside=0.31, accuracy=0.7, expected=0.83,
        place=Place((399960.0, 5790240.0, 509760.0, 5900040.0), "EPSG:32633"), n_spots=1,
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {
        sample.name: [(s.labels, s.value) for s in family.samples if s.name == sample.name]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_numbers_of_a_stream_are_told_with_where_they_are() -> None:
    found = parsed(metrics_text(WatchNumbers({"s2/r1": [row()]}, 7, 2, 1, "policy-x", 9, "ab", trail_whole=False)))
    ((labels, value),) = found["geoml_watch_path"]
    assert (labels, value) == ({"stream": "s2/r1", "sensor": "s2", "region": "r1", "family": "bands"}, 2.25)
    assert [v for labels, v in found["geoml_watch_state"] if labels["state"] == "alarm"] == [1.0]
    assert sum(v for _, v in found["geoml_watch_state"]) == 1.0
    ((where, _),) = found["geoml_watch_place"]
    assert (where["bounds"], where["crs"]) == ("399960,5790240,509760,5900040", "EPSG:32633")
    assert found["geoml_watch_last_scene_timestamp_seconds"][0][1] == DAY.timestamp()
    assert "geoml_watch_uncalibrated_since_timestamp_seconds" not in found
    counted = ("decisions_total", "trainings_total", "held_back_total", "trail_records", "trail_whole")
    assert [found[f"geoml_watch_{name}"][0][1] for name in counted] == [7, 2, 1, 9, 0]


def test_what_is_not_known_is_absent_and_never_nought() -> None:
    bare = row(outside=None, accuracy=math.nan, acquired=None, place=None, charts=(), calibrated=False, farthest=None)
    found = parsed(metrics_text(WatchNumbers({"s2/r1": [bare]})))
    missing = (
        "outside_share",
        "estimated_accuracy",
        "last_scene_timestamp_seconds",
        "value",
        "farthest_sd",
        "trail_whole",
    )
    assert not {f"geoml_watch_{name}" for name in missing} & set(found)
    assert found["geoml_watch_place"][0][0]["bounds"] == ""
    assert found["geoml_watch_uncalibrated_since_timestamp_seconds"][0][1] == (DAY + timedelta(hours=5)).timestamp()


def test_uncalibrated_begins_with_the_last_run_of_scenes_without_a_threshold() -> None:
    rows = [row(calibrated=i == 1, logged=DAY + timedelta(days=i)) for i in range(4)]
    found = parsed(metrics_text(WatchNumbers({"s": rows})))
    assert found["geoml_watch_uncalibrated_since_timestamp_seconds"][0][1] == (DAY + timedelta(days=2)).timestamp()


@given(st.lists(st.text(max_size=300), min_size=1, max_size=4, unique=True))
def test_no_name_breaks_the_format(names: list[str]) -> None:
    streams = {name: [row(name, cause=HOSTILE)] for name in names}
    found = parsed(metrics_text(WatchNumbers(streams)))
    told = [labels["stream"] for labels, _ in found["geoml_watch_scenes"]]
    assert len(told) == len(names)
    assert all(len(labels["cause"]) <= 200 for labels, _ in found["geoml_watch_cause"])


def test_two_long_names_that_begin_alike_stay_two() -> None:
    streams = {name: [row(name)] for name in ("x" * 400 + "a", "x" * 400 + "b")}
    told = {labels["stream"] for labels, _ in parsed(metrics_text(WatchNumbers(streams)))["geoml_watch_scenes"]}
    assert len(told) == 2
    assert max(map(len, told)) <= 200


def rules(policy: Policy) -> dict[str, dict[str, object]]:
    groups = yaml.safe_load(rules_yaml(policy, HERE))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_rules_follow_the_policy() -> None:
    policy = Policy(
        name="strict",
        on_drift=DriftTrigger(most_outside=0.125, accuracy_drop=0.0625),
        alerts=AlertRules(silent_days=3, slow_s=1.5, error_share=0.01, minutes=2),
    )
    found = rules(policy)
    assert "> 0.125" in str(found["GeomlOutsideGround"]["expr"])
    assert "> 0.0625" in str(found["GeomlAccuracyFell"]["expr"])
    assert "> 259200" in str(found["GeomlNoScene"]["expr"])
    assert "> 1.5" in str(found["GeomlSlow"]["expr"])
    assert (found["GeomlErrors"]["for"], "> 0.01" in str(found["GeomlErrors"]["expr"])) == ("120s", True)
    assert rules_yaml(policy, HERE) == rules_yaml(policy, HERE)
    assert policy.id in rules_yaml(policy, HERE)


def test_every_alert_of_a_stream_names_where() -> None:
    found = rules(Policy(name="p"))
    streams = [rule for rule in found.values() if "geoml_watch_place" in str(rule["expr"])]
    assert len(streams) == 7
    for rule in streams:
        said = rule["annotations"]
        assert isinstance(said, dict)
        assert all(f"$labels.{name}" in said["summary"] for name in ("region", "bounds", "crs"))
        assert said["page"].startswith("http://127.0.0.1:3000/dashboard/drifts/")


def test_every_metric_a_rule_asks_for_is_told_by_somebody() -> None:
    import re

    told = metrics_text(WatchNumbers({"s": [row(), row(calibrated=False)]}, trail_records=1))
    source = "".join((ROOT / "serving" / name).read_text() for name in ("metrics.py", "watching.py", "monitoring.py"))
    for rule in rules(Policy(name="p")).values():
        for name in re.findall(r"geoml_[a-z_]+", str(rule["expr"])):
            plain = re.sub(r"_(total|bucket)$", "", name)
            assert name in told or plain in source or f'"{plain.removeprefix("geoml_")}"' in source, name


@pytest.mark.parametrize("name", [HOSTILE, "a: b\nc", "{{ .Evil }}", "x" * 500])
def test_no_name_of_a_policy_breaks_the_file(name: str) -> None:
    text = rules_yaml(Policy(name=name), HERE)
    assert yaml.safe_load(text)["groups"][0]["rules"][0]["labels"]["policy"] == name
    assert sum(line.startswith("#") for line in text.splitlines()) == 1


def test_the_files_in_the_checkout_are_those_of_the_policy_in_the_checkout() -> None:
    policy, folder = read_policy(ROOT / "monitoring" / "policies.yaml"), ROOT / "monitoring" / "alerts"
    again = "make them again: geoml alerts"
    assert (folder / "geoml.rules.yml").read_text() == rules_yaml(policy, HERE), again
    assert (folder / "prometheus.example.yml").read_text() == prometheus_yaml(HERE), again
    assert (folder / "alertmanager.example.yml").read_text() == alertmanager_yaml(HERE), again


def test_receivers_and_inhibitions_of_the_example_name_what_exists() -> None:
    content, known = yaml.safe_load(alertmanager_yaml(HERE)), set(rules(Policy(name="p")))
    receivers = {one["name"] for one in content["receivers"]}
    assert {content["route"]["receiver"], *(r["receiver"] for r in content["route"]["routes"])} <= receivers
    for rule in content["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            assert set(matcher.split('"')[1].split("|")) <= known


@pytest.mark.skipif(shutil.which("amtool") is None, reason="no amtool here (Debian: prometheus-alertmanager)")
def test_amtool_takes_the_example(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(alertmanager_yaml(HERE))
    check = ["amtool", "check-config", "alertmanager.yml"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def promtool(*words: str, cwd: Path) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_rules_configuration_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "geoml.rules.yml").write_text(rules_yaml(Policy(name=HOSTILE), HERE))
    (tmp_path / "prometheus.yml").write_text(prometheus_yaml(HERE))
    assert "15 rules" in promtool("check", "rules", "geoml.rules.yml", cwd=tmp_path)
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=tmp_path)


@needs_promtool
def test_alerts_fire_on_what_the_watch_wrote_and_not_otherwise(tmp_path: Path) -> None:
    """Series are those that the text format gives; time 0 is 1970, so ages are those of scenes of 1969 and 1970."""
    policy = Policy(name="p", alerts=AlertRules(silent_days=1, uncalibrated_days=1, unwatched_hours=1))
    (tmp_path / "geoml.rules.yml").write_text(rules_yaml(policy, HERE))
    early, calm = datetime(1970, 1, 1, tzinfo=UTC), {"standing": "in control", "cause": "none", "action": "none"}
    streams = {
        "s2/drifts": [row("s2/drifts", acquired=early + timedelta(days=2))],
        "s2/swapped": [row("s2/swapped", standing="fault", cause="band swap", action="fix ingest", outside=0.9,
                           acquired=early + timedelta(days=2))],
        "s2/silent": [row("s2/silent", **calm, acquired=early, logged=early, calibrated=False, accuracy=0.9)],
        "s2/fine": [row("s2/fine", **calm, acquired=early + timedelta(days=2), accuracy=None)],
    }  # fmt: skip
    text = metrics_text(WatchNumbers(streams, trail_records=3, trail_whole=False))
    text += "geoml_watch_written_timestamp_seconds 0.0\ngeoml_ready 0.0\n"
    series = [
        {"series": line.rpartition(" ")[0], "values": f"{line.rpartition(' ')[2]}x3000"}
        for line in text.splitlines()
        if not line.startswith("#")
    ]
    series += [
        {"series": 'geoml_requests_total{door="classify",status="200"}', "values": "0+9x3000"},
        {"series": 'geoml_requests_total{door="classify",status="500"}', "values": "0+1x3000"},
        {"series": 'geoml_request_seconds_bucket{door="classify",le="1.0"}', "values": "0+1x3000"},
        {"series": 'geoml_request_seconds_bucket{door="classify",le="60.0"}', "values": "0+10x3000"},
        {"series": 'geoml_request_seconds_bucket{door="classify",le="+Inf"}', "values": "0+10x3000"},
    ]
    at = {"eval_time": "2d", "alertname": ""}
    expected = {
        "GeomlDriftAlarm": ["s2/drifts"],
        "GeomlFaultNamed": ["s2/swapped"],
        "GeomlNoScene": ["s2/silent"],
        "GeomlUncalibrated": ["s2/silent"],
        "GeomlOutsideGround": ["s2/swapped"],
        "GeomlAccuracyFell": ["s2/drifts", "s2/swapped"],
        "GeomlCannotTell": [],
    }
    labels = _labels_of(streams, policy)
    known = rules(policy)
    cases = []
    for name, which in expected.items():
        extra = {"severity": known[name]["labels"]["severity"], "policy": "p"}  # type: ignore[index]
        state = {"GeomlDriftAlarm": {"state": "alarm"}, "GeomlFaultNamed": {"state": "fault"}}.get(name, {})
        cases.append(
            at | {"alertname": name, "exp_alerts": [{"exp_labels": {**labels[s], **extra, **state}} for s in which]}
        )
    plain = {"GeomlTrailBroken": {}, "GeomlUnwatched": {}, "GeomlNotReady": {}, "GeomlErrors": {"door": "classify"},
             "GeomlSlow": {"door": "classify"}}  # fmt: skip
    for name, more in plain.items():
        extra = {"severity": known[name]["labels"]["severity"], "policy": "p", **more}  # type: ignore[index]
        cases.append(at | {"alertname": name, "exp_alerts": [{"exp_labels": extra}]})
    for case in cases:
        for alert in case["exp_alerts"]:  # type: ignore[attr-defined]
            alert["exp_annotations"] = _annotations(known[str(case["alertname"])], alert["exp_labels"])
    test = {"rule_files": ["geoml.rules.yml"], "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": cases}]}  # fmt: skip
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    promtool("test", "rules", "test.yml", cwd=tmp_path)


def _labels_of(streams: dict[str, list[SceneRow]], policy: Policy) -> dict[str, dict[str, str]]:
    found = {}
    for name, (one,) in streams.items():
        place = one.place
        assert place is not None
        found[name] = {
            "stream": name, "sensor": "s2", "region": name.partition("/")[2], "cause": one.cause, "action": one.action,
            "crs": place.crs, "bounds": place.words, "drift": one.drift,
        }  # fmt: skip
    return found


def _annotations(rule: dict[str, object], labels: dict[str, str]) -> dict[str, str]:
    """Fills in what templates would, and so asks that no template asks for a label that is not there."""
    import re

    values = {"GeomlErrors": "10%", "GeomlSlow": "56.72s", "GeomlOutsideGround": "90%", "GeomlAccuracyFell": "13%"}
    said: dict[str, str] = {}
    annotations = rule["annotations"]
    assert isinstance(annotations, dict)
    for name, text in annotations.items():
        filled = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: labels[m[1]], str(text))
        said[name] = re.sub(r"\{\{ \$value[^}]*\}\}", values.get(str(rule["alert"]), "?"), filled)
    return said

"""``geoml alerts`` writes what the policy in force says, whole, and says what is wrong with one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from geoml_ops.cli import app
from geoml_ops.core.errors import BadInput
from geoml_ops.steps.alerts import write_alerts


def test_the_command_writes_the_rules_of_the_policy_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("name: mine\nalerts: {silent_days: 2}\n")
    monkeypatch.setenv("GEOML_POLICY", str(policy))
    monkeypatch.setenv("GEOML_PUBLIC_URL", "https://maps.example.org/geo/")
    done = CliRunner().invoke(app, ["alerts", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["alertmanager.example.yml", "geoml.rules.yml", "prometheus.example.yml"]
    rules = yaml.safe_load((tmp_path / "out" / "geoml.rules.yml").read_text())["groups"][0]["rules"]
    (silent,) = [rule for rule in rules if rule["alert"] == "GeomlNoScene"]
    assert "> 172800" in silent["expr"]
    assert silent["annotations"]["page"].startswith("https://maps.example.org/geo/dashboard/drifts/")
    asked = yaml.safe_load((tmp_path / "out" / "prometheus.example.yml").read_text())["scrape_configs"][0]
    assert (asked["scheme"], asked["static_configs"]) == ("https", [{"targets": ["maps.example.org"]}])
    assert asked["metrics_path"] == "/geo/metrics"


@pytest.mark.parametrize("text", ["name: x\nalerts: {silent_days: 0}\n", "name: x\nalarts: {}\n", "[1]", ""])
def test_a_policy_that_is_none_writes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(BadInput):
        write_alerts(tmp_path / "policy.yaml", tmp_path / "out", "http://127.0.0.1:3000")
    assert not (tmp_path / "out").exists()

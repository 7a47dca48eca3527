"""Airflow itself lists the monitoring view, in a process of its own that is set up as the stack sets it up."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from geoml_ops.servers import environment, new_secrets
from geoml_ops.settings import CHECKOUT, Settings
from tests.conftest import ROOT

LISTED = """
import json
from airflow.plugins_manager import _get_plugins, _get_ui_plugins
plugins, errors = _get_plugins()
print("FOUND " + json.dumps({"names": [p.name for p in plugins], "errors": errors, "views": _get_ui_plugins()[0]}))
"""


@pytest.mark.slow
def test_airflow_lists_the_view_with_the_address_of_this_stack(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path / "workspace", service_url="http://127.0.0.1:3456")
    ports = {"airflow": 8080, "mlflow": 5000, "service": 3456, "evidently": 8000}
    env = environment(settings, ports, new_secrets(), witness=None)
    listed = [sys.executable, "-m", "airflow", "plugins", "--output", "json"]
    done = subprocess.run(listed, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "geoml_monitoring" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    inside = [sys.executable, "-c", LISTED]
    done = subprocess.run(inside, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["errors"] == {}
    (view,) = [view for view in found["views"] if view["url_route"] == "geoml-monitoring"]
    assert (view["href"], view["destination"], view["name"]) == (
        "http://127.0.0.1:3456/dashboard/",
        "nav",
        "Monitoring",
    )


def test_browsers_are_sent_to_the_address_they_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOML_SERVICE_URL", "http://service:3000")
    assert Settings().dashboard_url == "http://service:3000/dashboard/"
    monkeypatch.setenv("GEOML_PUBLIC_URL", "https://maps.example.org/geo/")
    assert Settings().dashboard_url == "https://maps.example.org/geo/dashboard/"
    assert Settings().links()["Map and service"] == "https://maps.example.org/geo/"
    monkeypatch.setenv("GEOML_TRACKING_URI", "http://user:secret@mlflow:5000/")
    monkeypatch.setenv("GEOML_MODEL", "land cover")
    assert Settings().links()["MLflow"] == "http://mlflow:5000/#/models/land%20cover"


def test_the_view_knows_the_settings_and_nothing_else_of_the_project() -> None:
    (path,) = (ROOT / "dags" / "plugins").glob("*.py")
    imported = {
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported == {"__future__", "typing", "airflow.plugins_manager", "geoml_ops.settings"}
    assert "plugins/" in (CHECKOUT / "dags" / ".airflowignore").read_text().split()

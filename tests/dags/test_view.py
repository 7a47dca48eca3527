"""Airflow's own pages show the dashboard of the real service inside themselves, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from geoml_ops.servers import environment, new_secrets
from geoml_ops.settings import Settings
from geoml_ops.steps import dashboard
from tests.conftest import ROOT, free_port, wait_for
from tests.serving.chromium import PROGRAM, browser
from tests.serving.conftest import start, stop
from tests.showing import fill


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="starts Airflow's API server; make full")
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")
def test_the_dashboard_is_a_page_of_airflow(tmp_path: Path, mlflow_server: str) -> None:
    ports = {"airflow": free_port(), "mlflow": 5000, "evidently": 8000}
    airflow = f"http://127.0.0.1:{ports['airflow']}"
    service = start(tmp_path / "service", mlflow_server, "viewed", GEOML_AIRFLOW_URL=airflow)
    keys, log = new_secrets(), tmp_path / "airflow.log"
    settings = Settings(workspace=tmp_path / "airflow", service_url=service.url)
    env = environment(settings, ports | {"service": 0}, keys, witness=None)
    command, process = [sys.executable, "-m", "airflow"], None
    try:
        fill(service.places)
        dashboard.summarise(service.places)
        subprocess.run([*command, "db", "migrate"], env=env, cwd=tmp_path, capture_output=True, check=True)
        with log.open("wb") as stream:
            process = subprocess.Popen([*command, "api-server"], env=env, cwd=tmp_path, stdout=stream, stderr=stream)
        wait_for(f"{airflow}/api/v2/version", process, log)
        login = {"username": "admin", "password": keys["admin"]}
        token = httpx.post(f"{airflow}/auth/token", json=login, timeout=60, trust_env=False).json()["access_token"]
        asked = {"Authorization": f"Bearer {token}"}
        listed = httpx.get(f"{airflow}/api/v2/plugins", headers=asked, timeout=60, trust_env=False).json()
        (plugin,) = [one for one in listed["plugins"] if one["name"] == "geoml_monitoring"]
        assert plugin["external_views"][0]["href"] == f"{service.url}/dashboard/"
        with browser() as page:
            page.size(1400, 900)
            page.tell("Network.setCookie", name="_token", value=token, url=f"{airflow}/")
            page.open(f"{airflow}/plugin/geoml-monitoring")
            page.wait("document.querySelector('iframe') !== null", 60)
            time.sleep(3)
            (inside,) = page.tell("Page.getFrameTree")["frameTree"]["childFrames"]
            assert inside["frame"]["url"] == f"{service.url}/dashboard/"
            assert not [words for words in page.complaints if "frame-ancestors" in words]
            page.shot(ROOT / "workspace" / "screenshots" / "dashboard-7-inside-airflow.png")
    finally:
        stop(service)
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

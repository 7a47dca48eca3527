"""The document tells the truth: it is valid, knows every door, and a running service answers as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from serving.doors import DOORS
from serving.openapi import WORDS, document
from tests.conftest import ROOT
from tests.serving.keyed import Keyed, keyed, raster_of  # noqa: F401  a fixture

FULL = os.environ.get("GEOML_FULL") == "1"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance,ignored_auth"
)


def operations(said: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(method.upper(), path): what for path, doors in said["paths"].items() for method, what in doors.items()}


def test_every_door_is_described_and_nothing_else() -> None:
    assert set(WORDS) == {(door.method, door.path) for door in DOORS}
    for asks in (False, True):
        said = operations(document(asks_keys=asks, max_upload=1000))
        assert set(said) == set(WORDS)
        for door in DOORS:
            what = said[door.method, door.path]
            assert bool(what["security"]) == (asks and door.role != "open")
            assert ("requestBody" in what) == bool(door.body.max_bytes)
            assert ("401" in what["responses"]) == (asks and door.role != "open") or door.name == "hook"
            assert [p["name"] for p in what["parameters"] if p["in"] == "path"] == re.findall(r"\{(\w+)\}", door.path)


def test_every_reference_leads_somewhere() -> None:
    said = document(asks_keys=True, max_upload=1000)
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(said)))
    assert names <= set(said["components"]["schemas"])
    ids = [what["operationId"] for what in operations(said).values()]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_a_running_service_answers_as_the_document_says(keyed: Keyed, tmp_path: Path) -> None:  # noqa: F811
    small, _ = raster_of(tmp_path / "small.tif", 60, 80)
    prediction = keyed.send("/classify", small, "owner").headers["x-prediction-id"]
    job = keyed.send("/jobs", small, "owner").json()["id"]
    keyed.wait(job, who="owner")
    said = keyed.ask("GET", "/openapi.json", "").json()
    assert said == document(asks_keys=True, max_upload=16 << 20)
    # The fuzzer draws ids that nobody has; these are somebody's.
    for (_, path), what in operations(said).items():
        for parameter in what["parameters"]:
            if parameter["name"] == "id":
                parameter["example"] = job if path.startswith("/jobs") else prediction
            if parameter["name"] == "prediction":
                parameter["example"] = prediction
    (tmp_path / "openapi.json").write_text(json.dumps(said))
    report = fuzzed(keyed, tmp_path, 600 if FULL else 25)
    if FULL:
        (ROOT / "workspace" / "full").mkdir(parents=True, exist_ok=True)
        (ROOT / "workspace" / "full" / "openapi.json").write_text(json.dumps(report, indent=1))
    assert keyed.ask("GET", "/livez", "").status_code == 200
    log = keyed.service.log.read_text()
    assert "broken" not in log, log[-3000:]
    assert "Traceback" not in log, log[-3000:]


def fuzzed(keyed: Keyed, tmp_path: Path, seconds: int) -> dict[str, Any]:  # noqa: F811
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(tmp_path / "openapi.json")]
    command += ["--url", keyed.service.url, "--checks", CHECKS, "--max-time", str(seconds), "--seed", "7"]
    command += ["--max-examples", "50" if FULL else "5", "--request-timeout", "30", "--no-shrink"]
    command += ["--suppress-health-check", "all", "-H", f"Authorization: Bearer {keyed.keys['owner']}"]
    command += ["--report", "json", "--report-dir", str(tmp_path / "report")]
    if not FULL:
        command += ["--phases", "examples,coverage,fuzzing"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds + 600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = re.findall(r"(\d+) generated", done.stdout)
    return {"seconds": round(time.monotonic() - began, 1), "cases": found, "end": done.stdout[-800:]}

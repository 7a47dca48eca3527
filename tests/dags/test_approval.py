"""People and the DAG ``publish``: real questions, answered through Airflow's real API, swept by its real scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geoml_ops.domain.world import landscape
from geoml_ops.settings import CHECKOUT, QUIET, Settings
from tests.versions import EXPERIMENT, cube, keep_version

pytestmark = pytest.mark.slow
NAMES = ("auto", "approve", "reject", "bypass", "timeout", "two", "stale")
USERS = {"admin": "admin", "alice": "op", "bob": "op", "vera": "viewer"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> dict[str, Any]:
    """What became of each scenario, all of them in one process with one database."""
    home = tmp_path_factory.mktemp("people")
    experiment = {**EXPERIMENT, "families": {"random_forest": {"n_estimators": 8, "max_depth": 6}}}
    (home / "experiment.yaml").write_text(json.dumps(experiment))
    (home / "policy.yaml").write_text(json.dumps({"name": "people"}))
    settings = Settings(
        workspace=home / "workspace",
        experiment=home / "experiment.yaml",
        policy=home / "policy.yaml",
        tracking_uri=mlflow_server,
        model="people",
    )
    world = landscape(384, 384, seed=3)
    polygons, labels = world.polygons, world.labels
    version = keep_version(
        settings.places(), {"scene": (cube(world), world.grid)}, {"all": (polygons, labels, world.grid.crs)}
    )
    env = _environment(home, settings)
    trained = _run([sys.executable, "-m", "geoml_ops.cli", "train", "run", version.id], env, 200)
    evaluation = json.loads(trained.stdout.splitlines()[-1])["id"]
    done = _run([sys.executable, "-m", "tests.dags.people", str(CHECKOUT / "dags"), evaluation, *NAMES], env, 400)
    line = [x for x in done.stdout.splitlines() if x.startswith("FOUND ")]
    assert line, done.stdout[-3000:] + done.stderr[-3000:]
    return dict(json.loads(line[0].removeprefix("FOUND ")))


def _environment(home: Path, settings: Settings) -> dict[str, str]:
    airflow = home / "airflow"
    airflow.mkdir()
    passwords = airflow / "passwords.json"
    passwords.write_text(json.dumps({user: f"{user}-secret" for user in USERS}))
    options = {
        "CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "CORE__UNIT_TEST_MODE": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow / 'airflow.db'}",
        "API_AUTH__JWT_SECRET": "s" * 96,
        "LOGGING__LOGGING_LEVEL": "ERROR",
    }
    return {
        **os.environ,
        **QUIET,
        **settings.as_environment(),
        "PYTHONPATH": str(CHECKOUT),
        "AIRFLOW_HOME": str(airflow),
        **{f"AIRFLOW__{name}": value for name, value in options.items()},
    }


def _run(command: list[str], env: dict[str, str], limit_s: int) -> subprocess.CompletedProcess[str]:
    # A question that nobody answers would wait for ever, and does not end on SIGTERM.
    bounded = ["timeout", "-k", "5", str(limit_s), *command]
    done = subprocess.run(bounded, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done


def test_where_the_policy_promotes_by_itself_nobody_is_asked(found: dict[str, Any]) -> None:
    got = found["auto"]
    states = got["states"]
    assert (states["ask"], states["agree"], states["record"]) == ("skipped", "skipped", "skipped")
    assert (states["release"], states["run"]) == ("success", "success")
    assert got["champion"] == got["number"]
    assert not got["approvals"]
    assert "geoml.approval" not in got["tags"]


def test_a_promoted_model_waits_for_a_person_who_sees_the_verdict(found: dict[str, Any]) -> None:
    got = found["approve"]
    assert (got["parked"]["ask"], got["parked"]["run"]) == ("awaiting_input", "running")
    assert got["parked"]["release"] == "None"
    (asked,) = got["asked"]
    assert asked["subject"] == "May people-approve 1 become the champion?"
    assert (asked["options"], asked["defaults"]) == (["Approve", "Reject"], ["Reject"])
    assert [user["id"] for user in asked["assigned_users"]] == ["alice"]
    assert "reason" in asked["params"]
    for words in ("The gate says PROMOTE", "percentage points higher", "blocks", f"verdicts/{got['judgement']}.html"):
        assert words in asked["body"]
    assert got["page"].startswith("<!doctype html>")


def test_only_who_may_answer_can_and_only_once(found: dict[str, Any]) -> None:
    got = found["approve"]
    assert got["strangers"] == [403, 403]
    assert got["odd"] == 400
    assert got["still"]["ask"] == "awaiting_input"
    assert got["answers"] == [200, 409]


def test_an_approval_releases_and_says_who_and_why(found: dict[str, Any]) -> None:
    got = found["approve"]
    assert (got["states"]["agree"], got["states"]["run"]) == ("skipped", "success")
    assert got["champion"] == got["number"]
    (approval,) = got["approvals"]
    assert approval["judgement"] == got["judgement"]
    assert (approval["decision"], approval["by"]) == ("Approve", ["alice"])
    assert approval["reason"] == "forest is what users asked for"
    assert got["tags"]["geoml.approval"].startswith("approval-")
    assert got["tags"]["geoml.approved_by"] == "alice"
    assert "forest is what users asked for" in got["page"]


def test_what_was_approved_is_not_asked_about_again(found: dict[str, Any]) -> None:
    again = found["approve"]["again"]
    assert (again["ask"], again["release"], again["run"]) == ("skipped", "success", "success")


def test_a_rejection_ends_well_and_leaves_the_champion(found: dict[str, Any]) -> None:
    got = found["reject"]
    assert (got["states"]["record"], got["states"]["release"], got["states"]["run"]) == (
        "success",
        "skipped",
        "success",
    )
    assert got["champion"] is None
    (approval,) = got["approvals"]
    assert (approval["decision"], approval["by"]) == ("Reject", ["alice"])
    assert got["tags"]["geoml.approval_decision"] == "Reject"
    assert got["tags"]["geoml.approved_by"] == "nobody"


def test_what_a_person_rejected_stays_rejected(found: dict[str, Any]) -> None:
    got = found["reject"]
    assert len(got["refused"]) == 2
    assert all("alice rejected it: water is wrong in the north" in sentence for sentence in got["refused"])
    assert (got["again"]["ask"], got["again"]["release"]) == ("skipped", "skipped")


def test_marking_the_question_as_done_is_no_answer(found: dict[str, Any]) -> None:
    got = found["bypass"]
    assert got["marked"] == 200
    assert (got["states"]["ask"], got["states"]["record"]) == ("success", "skipped")
    assert (got["states"]["release"], got["champion"]) == ("failed", None)
    assert not got["approvals"]


def test_no_answer_in_time_is_a_rejection_by_nobody(found: dict[str, Any]) -> None:
    got = found["timeout"]
    assert (got["states"]["ask"], got["states"]["release"], got["states"]["run"]) == ("success", "skipped", "success")
    assert got["champion"] is None
    (approval,) = got["approvals"]
    assert (approval["decision"], approval["by"]) == ("Reject", [])
    assert "Nobody answered within" in approval["reason"]
    assert got["late"] == 409


def test_an_approval_without_a_reason_does_not_count(found: dict[str, Any]) -> None:
    got = found["timeout"]
    assert (got["silent"]["ask"], got["silent"]["release"]) == ("success", "skipped")
    reasons = [a["reason"] for a in got["then"]["approvals"] if a["decision"] == "Reject"]
    assert any("alice approved without giving a reason" in reason for reason in reasons)


def test_after_nobody_answered_the_next_run_asks_again(found: dict[str, Any]) -> None:
    got = found["timeout"]
    assert got["parked"]["ask"] == "awaiting_input"
    assert got["after"]["run"] == "success"
    assert got["then"]["champion"] == got["then"]["number"]
    assert got["then"]["tags"]["geoml.approved_by"] == "alice"


def test_one_person_twice_is_not_two_people(found: dict[str, Any]) -> None:
    got = found["two"]["same"]
    (approval,) = got["approvals"]
    assert (approval["decision"], approval["by"]) == ("Reject", [])
    assert "alice answered both times; a second person has to agree" in approval["reason"]
    assert (got["champion"], got["states"]["release"]) == (None, "skipped")


def test_two_people_are_two_questions(found: dict[str, Any]) -> None:
    got = found["two"]
    assert (got["parked"]["ask"], got["parked"]["agree"]) == ("success", "awaiting_input")
    (asked,) = got["asked"]
    assert "Do you agree" in asked["subject"]
    assert "alice approved: good" in asked["body"]
    (approval,) = [a for a in got["approvals"] if a["decision"] == "Approve"]
    assert approval["by"] == ["alice", "bob"]
    assert got["champion"] == got["number"]
    assert got["tags"]["geoml.approved_by"] == "alice, bob"


def test_an_answer_to_a_question_that_time_has_passed_by_moves_nothing(found: dict[str, Any]) -> None:
    got = found["stale"]
    assert got["parked"] == ["awaiting_input", "awaiting_input"]
    assert (got["first"]["record"], got["first"]["release"], got["first"]["run"]) == ("success", "failed", "failed")
    assert got["during"] == got["other"]
    # Once the champion is again the one that was compared against, the second answer goes through.
    assert (got["second"]["run"], got["champion"]) == ("success", got["number"])

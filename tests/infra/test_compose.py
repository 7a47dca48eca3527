"""The compose file and its images, checked without Docker: they were never run by us, so this must be sharp."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from geoml_ops.servers import PORTS, commands, environment, new_secrets
from geoml_ops.settings import QUIET, Settings
from geoml_ops.steps.keys import digest_of, read_keys

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILES = sorted(INFRA.glob("images/*/Dockerfile"))

# The part of the Compose Specification that this file uses, with the type of each value.
SPEC: dict[str, type | tuple[type, ...]] = {
    "build": dict, "image": str, "command": list, "environment": dict, "secrets": list, "ports": list, "volumes": list,
    "networks": list, "depends_on": dict, "healthcheck": dict, "restart": str, "cap_drop": list, "security_opt": list,
    "stop_grace_period": str, "logging": dict,
}  # fmt: skip
#: Set by `make up` and read by nobody: Airflow's log server has no such option.
UNKNOWN = {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_HOST", "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"\d+(ms|s|m|h)")


def in_seconds(text: str) -> int:
    assert DURATION.fullmatch(text), text
    return int(text.removesuffix("s"))


def test_the_file_holds_only_what_the_specification_knows() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {
        "name",
        "services",
        "networks",
        "volumes",
        "secrets",
    }
    for name, service in SERVICES.items():
        for key, value in service.items():
            assert key in SPEC, f"{name}.{key}"
            assert isinstance(value, SPEC[key]), f"{name}.{key}"
        assert service["restart"] in {"no", "unless-stopped"}
        for variable, value in service.get("environment", {}).items():
            assert isinstance(value, str), f"{name}.{variable}: YAML would hand on {value!r}"
        for other, rule in service.get("depends_on", {}).items():
            assert other in SERVICES
            assert rule["condition"] in CONDITIONS
            assert rule["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
        for used, declared in (("networks", "networks"), ("secrets", "secrets")):
            assert set(service.get(used, [])) <= set(COMPOSE[declared])
        for volume in service.get("volumes", []):
            source, goal = volume.split(":")[:2]
            assert goal.startswith("/")
            assert (INFRA / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_nothing_is_declared_and_not_used() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used
    assert set(COMPOSE["secrets"]) == {name for service in SERVICES.values() for name in service.get("secrets", [])}


def test_no_circle_of_waiting() -> None:
    def walk(name: str, behind: tuple[str, ...] = ()) -> None:
        assert name not in behind, behind
        for other in SERVICES[name].get("depends_on", {}):
            walk(other, (*behind, name))

    for name in SERVICES:
        walk(name)


def expected(name: str, tmp_path: Path) -> list[str]:
    settings = Settings(workspace=tmp_path)
    words = commands(settings, PORTS)[name]
    answer = []
    for word in words:
        path = Path(word)
        if path.is_absolute() and path.name.startswith("python"):
            answer.append("python")
        elif path.is_absolute() and path.name == "evidently" and not answer:
            answer.append("evidently")
        elif word == "127.0.0.1":
            answer.append("0.0.0.0")
        elif word == str(settings.places().evidently):
            answer.append("/var/lib/geoml/workspace/evidently")
        elif word.endswith("/mlflow/artifacts"):
            answer.append("/var/lib/geoml/mlflow")
        elif word == str(ROOT):
            answer.append("/app")
        else:
            answer.append(word)
    if "--backend-store-uri" in answer:  # the image's entry point reads it from a secret
        at = answer.index("--backend-store-uri")
        answer = answer[:at] + answer[at + 2 :]
    return answer


def test_every_server_of_make_up_is_there_with_the_same_words(tmp_path: Path) -> None:
    servers = commands(Settings(workspace=tmp_path), PORTS)
    assert set(OURS) == set(servers) | {"airflow-db"}
    for name in servers:
        words = list(SERVICES[name]["command"])
        if name == "mlflow":
            at = words.index("--allowed-hosts")
            hosts = words[at + 1].split(",")
            words = words[:at] + words[at + 2 :]
            assert {"mlflow", "mlflow:*", "localhost:*", "127.0.0.1:*"} == set(hosts)
        assert words == expected(name, tmp_path), name
    assert SERVICES["airflow-db"]["command"] == ["python", "-m", "airflow", "db", "migrate"]
    assert SERVICES["airflow-db"]["restart"] == "no"


def test_tools_are_as_quiet_as_on_one_machine() -> None:
    for name, service in OURS.items():
        assert dict(QUIET).items() <= service["environment"].items(), name


def test_every_variable_is_one_that_somebody_reads() -> None:
    ours = {f"GEOML_{field.upper()}" for field in Settings.model_fields}
    others = set(QUIET) | {"AIRFLOW_HOME", "BENTOML_HOME"}
    for name, service in OURS.items():
        mine = {v for v in service["environment"] if not v.startswith("AIRFLOW__")}
        assert mine <= ours | others, name
        Settings(**{k.removeprefix("GEOML_").lower(): v for k, v in service["environment"].items() if k in ours})


def test_every_airflow_option_exists_and_none_of_make_up_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.configuration import conf

    mirrored = {
        name
        for name in environment(Settings(workspace=tmp_path), PORTS, new_secrets(), witness=None)
        if name.startswith("AIRFLOW__")
    }
    sensitive = set(conf.sensitive_config_values)
    known = {section: set(options["options"]) for section, options in conf.configuration_description.items()}
    for name in (n for n in OURS if n.startswith("airflow")):
        here = {v for v in SERVICES[name]["environment"] if v.startswith("AIRFLOW__")}
        for variable in here:
            section, option = variable.removeprefix("AIRFLOW__").lower().split("__")
            if option.endswith("_cmd"):
                option = option.removesuffix("_cmd")
                assert (section, option) in sensitive, f"{variable}: Airflow runs commands for secrets only"
            assert option in known.get(section, set()), variable
        plain = {v.removesuffix("_CMD") for v in here}
        assert mirrored - UNKNOWN <= plain
        assert {v for v in plain if v not in mirrored} == {
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
        }


def test_make_up_sets_no_option_that_nobody_reads() -> None:
    """Remove the option, and start the scheduler with --skip-serve-logs: its log server listens everywhere."""
    source = (ROOT / "geoml_ops" / "servers.py").read_text()
    assert not [name for name in UNKNOWN if name.removeprefix("AIRFLOW__") in source]


def test_make_up_keeps_airflow_inside_its_workspace(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    env = environment(Settings(workspace=tmp_path), PORTS, new_secrets(), witness=None)
    assert Path(env["AIRFLOW_HOME"]).is_relative_to(tmp_path)


def test_no_secret_is_written_down() -> None:
    text = (INFRA / "compose.yaml").read_text() + (INFRA / "compose.env.example").read_text()
    text += "".join(p.read_text() for p in DOCKERFILES)
    assert not re.search(r"(?i)(password|secret|key|token)\w* *[:=] *['\"]?[A-Za-z0-9+_-]{16,}", text)
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET|SQL_ALCHEMY|JWT", variable):
                assert "/run/secrets/" in value or value.endswith("passwords.json"), f"{name}.{variable}"
            for secret in re.findall(r"/run/secrets/(\w+)", value):
                assert secret in service["secrets"], f"{name} reads {secret}"
    for entry in COMPOSE["secrets"].values():
        assert entry["file"].startswith("../workspace/"), "a folder that git ignores and no image copies"


def test_the_script_writes_every_secret_once(tmp_path: Path, monkeypatch: Any) -> None:
    spec = importlib.util.spec_from_file_location("keys", INFRA / "keys.py")
    assert spec is not None
    assert spec.loader is not None
    keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keys)
    monkeypatch.setattr(keys, "FOLDER", tmp_path / "secrets")
    keys.main()
    first = {p.name: p.read_text() for p in (tmp_path / "secrets").iterdir()}
    # Whoever runs the deployment keeps the key; the service is given its digest.
    assert set(first) == {*COMPOSE["secrets"], "service_operator_key"}
    (tmp_path / "keys.yaml").write_text(first["service_keys"])
    (key,) = read_keys(tmp_path / "keys.yaml")
    assert (key.role, key.sha256) == ("operator", digest_of(first["service_operator_key"]))
    keys.main()
    assert {p.name: p.read_text() for p in (tmp_path / "secrets").iterdir()} == first
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert first["airflow_database_password"] in first["airflow_database"]
    assert first["mlflow_database_password"] in first["mlflow_database"]
    assert not any(text != text.strip() for text in first.values()), "an address with a line end is another address"
    assert len(first["airflow_jwt"]) >= 64
    assert set(json.loads(first["airflow_passwords"])) == {"admin"}
    Fernet(first["airflow_fernet_key"])
    (tmp_path / "secrets" / "airflow_database").unlink()
    keys.main()
    assert (tmp_path / "secrets" / "airflow_database").read_text() == first["airflow_database"]


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 4
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{GEOML_PORT_[A-Z]+:-\d+\}:\d+", port), port


def test_what_compose_fills_in_is_in_the_example() -> None:
    example = dict(
        line.split("=", 1)
        for line in (INFRA / "compose.env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    asked = dict(re.findall(r"\$\{(\w+):-([^}]+)\}", (INFRA / "compose.yaml").read_text()))
    assert asked == example


def test_servers_are_watched_and_given_time_to_start() -> None:
    for name, service in SERVICES.items():
        if name == "airflow-db":
            continue
        check = service["healthcheck"]
        assert set(check) == {"test", "interval", "timeout", "retries", "start_period"}
        assert check["test"][0] == "CMD"
        assert in_seconds(check["timeout"]) < in_seconds(check["interval"])
        if "-c" in check["test"]:
            compile(check["test"][-1], name, "exec")
    assert in_seconds(SERVICES["mlflow"]["healthcheck"]["start_period"]) >= 120


def test_our_containers_have_no_rights() -> None:
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service


def test_versions_are_pinned() -> None:
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", SERVICES["postgres"]["image"])
    for name, service in OURS.items():
        assert service["image"] == f"geoml-ops-{name}:${{GEOML_IMAGE_TAG:-0.1.0}}"
        assert service["build"] == {"context": "..", "dockerfile": f"infra/images/{name}/Dockerfile"}
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    everything = "".join(p.read_text() for p in [INFRA / "compose.yaml", *DOCKERFILES])
    assert ":latest" not in everything


def test_the_files_a_process_needs_are_in_its_image() -> None:
    for name in ("airflow-scheduler", "service"):
        copied = [
            words[-1] for keyword, words in instructions(INFRA / "images" / name / "Dockerfile") if keyword == "COPY"
        ]
        for variable in ("GEOML_EXPERIMENT", "GEOML_POLICY"):
            value = SERVICES[name]["environment"][variable]
            assert any(Path(value).is_relative_to(folder) for folder in copied), f"{name} {variable}"
            assert (ROOT / Path(value).relative_to("/app")).is_file()


# --- images ----------------------------------------------------------------------------------

KEYWORDS = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}


def instructions(path: Path) -> list[tuple[str, list[str]]]:
    """Returns the keyword and words of each instruction of a Dockerfile."""
    text = re.sub(r"\\\n", " ", "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")))
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        assert keyword in KEYWORDS, f"{path}: {line}"
        assert rest.strip(), f"{path}: {line}"
        words = json.loads(rest) if rest.strip().startswith("[") else shlex.split(rest)
        found.append((keyword, [word for word in words if not (keyword == "COPY" and word.startswith("--"))]))
    return found


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_is_in_order(path: Path) -> None:
    steps = instructions(path)
    keywords = [keyword for keyword, _ in steps]
    assert keywords[0] in ("ARG", "FROM")
    assert keywords.count("FROM") == 1
    for keyword, words in steps:
        if keyword == "COPY":
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                listed = subprocess.run(["git", "check-ignore", "-q", source], cwd=ROOT, check=False)
                assert listed.returncode == 1, f"{source} is not part of the checkout"
    if path.parent.name == "base":
        assert steps[0] == ("FROM", ["python:3.11.14-slim-bookworm"])
        assert steps[-1] == ("USER", ["10001:10001"])
        runs = " ".join(word for keyword, words in steps if keyword == "RUN" for word in words)
        assert runs.count("--no-deps --require-hashes") == 2
    else:
        assert path.parent.name in SERVICES
        assert steps[0] == ("ARG", ["BASE=geoml-ops-base:0.1.0"])
        assert steps[1] == ("FROM", ["${BASE}"])
        assert "USER" not in keywords, "the base's user stays"


@pytest.mark.parametrize("path", sorted(INFRA.glob("images/*/*.sh")), ids=lambda path: path.parent.name)
def test_a_script_can_be_read_by_its_shell(path: Path) -> None:
    assert path.read_text().startswith("#!/bin/sh\n")
    assert path.stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0


def test_volumes_have_an_owner_in_the_base_image() -> None:
    base = (INFRA / "images" / "base" / "Dockerfile").read_text()
    for name, service in OURS.items():
        for volume in service.get("volumes", []):
            goal = volume.split(":")[1]
            assert f"{goal} " in base or f"{goal}/" in base, f"{name}: {goal} would belong to root"

"""The stack on its own: ports, secrets, and what is left when its owner dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from geoml_ops.core.errors import GeomlError
from geoml_ops.servers import PORTS, commands, environment, new_secrets, password_of
from geoml_ops.settings import CHECKOUT, Settings
from geoml_ops.stack import Stack, running, supervisor

OWNER = """
import sys, time
from geoml_ops.settings import Settings
from geoml_ops.stack import Stack, running
with running(Stack(Settings(workspace=sys.argv[1])), only=("mlflow",)) as stack:
    print(stack.children[0].popen.pid, flush=True)
    time.sleep(300)
"""


def _family(pid: int) -> list[psutil.Process]:
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def _gone(processes: list[psutil.Process], limit_s: float) -> bool:
    _, alive = psutil.wait_procs(processes, limit_s)
    return not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_server_outlives_its_owner_however_it_ended(tmp_path: Path, how: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=CHECKOUT
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    servers = _family(pid)
    assert len(servers) >= 1
    os.kill(owner.pid, how)
    owner.wait(60)
    assert _gone(servers, 30)


def test_a_taken_port_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        home = tmp_path / "stack"
        home.mkdir()
        (home / "ports.json").write_text(f'{{"mlflow": {port}}}')
        stack = Stack(Settings(workspace=tmp_path))
        stack.prepare()
    assert stack.ports["mlflow"] != port
    assert len(set(stack.ports.values())) == len(PORTS)
    assert stack.settings.tracking_uri.endswith(str(stack.ports["mlflow"]))


def test_ports_and_secrets_stay_the_same_at_the_next_start_and_secrets_are_private(tmp_path: Path) -> None:
    first, second = Stack(Settings(workspace=tmp_path)), Stack(Settings(workspace=tmp_path))
    first.prepare()
    second.prepare()
    assert first.ports == second.ports
    assert first.secrets == second.secrets
    assert stat.S_IMODE((first.home / "secrets.json").stat().st_mode) == 0o600


def test_a_server_that_ends_while_starting_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    stack = Stack(Settings(workspace=tmp_path))
    stack.prepare()
    blocked = stack.home / "mlflow"
    blocked.write_text("not a folder")
    with pytest.raises((GeomlError, OSError)):
        stack.up(("mlflow",))
    stack.down()
    assert supervisor(Settings(workspace=tmp_path)) is None


def test_every_server_listens_on_loopback_and_every_tool_is_told_to_be_quiet(tmp_path: Path) -> None:
    settings, ports = Settings(workspace=tmp_path), dict(PORTS)
    for name, command in commands(settings, ports).items():
        if "--host" in command:
            assert command[command.index("--host") + 1] == "127.0.0.1", name
    env = environment(settings, ports, new_secrets(), witness=None)
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["DO_NOT_TRACK"] == "true"
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["BENTOML_DO_NOT_TRACK"] == "True"


@pytest.mark.parametrize(
    ("promotion", "people"),
    [
        ("{by: auto, respondents: [ann]}", []),
        ("{by: approve}", []),
        ("{by: approve, respondents: [ann, admin, bob]}", ["ann", "bob"]),
        ("{by: approve, second_person: true}", ["reviewer"]),
    ],
)
def test_whoever_may_have_to_approve_can_log_in(tmp_path: Path, promotion: str, people: list[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"name: p\npromotion: {promotion}\n")
    settings, keys = Settings(workspace=tmp_path, policy=policy), new_secrets()
    env = environment(settings, dict(PORTS), keys, witness=None)
    users = env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].split(",")
    assert users == ["admin:admin", *(f"{name}:op" for name in people)]
    passwords = Path(env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert passwords.stat().st_mode & 0o077 == 0
    kept = json.loads(passwords.read_text())
    assert kept == {name: password_of(name, keys) for name in ("admin", *people)}
    assert len(set(kept.values())) == len(kept)


def test_mlflow_really_listens_on_loopback_only(tmp_path: Path) -> None:
    with running(Stack(Settings(workspace=tmp_path)), only=("mlflow",)) as stack:
        family = _family(stack.children[0].popen.pid)
        sockets = [c for p in family for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in sockets} == {"127.0.0.1"}
        assert stack.memory_mb() > 50
        began = time.monotonic()
    assert time.monotonic() - began < 40
    assert _gone(family, 5)

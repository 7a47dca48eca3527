from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.platform.network import WITNESS, is_local

# Documentation addresses (RFC 5737, RFC 3849): nobody is there, and nothing is sent anyway.
FAR, FAR6 = "192.0.2.1", "2001:db8::1"

WITNESS_FOLDER = Path(__file__).resolve().parents[2] / "geoml_ops" / "platform" / "witness"


def python(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "address",
    [("127.0.0.1", 80), ("127.9.9.9", 1), ("::1", 80, 0, 0), ("localhost", 80), (b"localhost", 80), ("", 80),
     ("0.0.0.0", 80), (None, 80), "/run/some.sock", (socket.gethostname(), 80)],
)  # fmt: skip
def test_local_addresses(address: object) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    [(FAR, 80), (FAR6, 80, 0, 0), ("fe80::1%eth0", 80), ("localhost.example", 80), ("10.0.0.1", 80),
     ("169.254.169.254", 80), (b"example.org", 443), ("2130706433", 80)],
)  # fmt: skip
def test_far_addresses(address: object) -> None:
    assert not is_local(address)


@given(st.ip_addresses())
def test_an_address_is_local_exactly_if_it_is_loopback_or_unspecified(ip: object) -> None:
    assert is_local((str(ip), 80)) == (ip.is_loopback or ip.is_unspecified)  # type: ignore[attr-defined]


SCRIPT = f"""
import socket
from geoml_ops.platform.network import watch_connections
watch_connections()
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
for attempt in (
    lambda: socket.create_connection(("{FAR}", 9), timeout=0.2),
    lambda: socket.getaddrinfo("example.org", 443),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("{FAR}", 9)),
):
    try:
        attempt()
    except PermissionError:
        print("refused")
    except OSError as error:
        print("reached the network stack:", error)
"""


def test_the_witness_refuses_and_records_what_is_not_loopback(tmp_path: Path) -> None:
    record = tmp_path / "network.jsonl"
    done = python(SCRIPT, **{WITNESS: str(record)})
    assert done.stdout.split() == ["refused"] * 3, done.stderr
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert {row["event"] for row in rows} >= {"socket.getaddrinfo", "socket.sendto"}
    assert all(FAR in row["address"] or "example.org" in row["address"] for row in rows), "loopback is not recorded"
    assert oct(record.stat().st_mode)[-3:] == "600"


def test_without_the_variable_there_is_no_witness() -> None:
    env = {key: value for key, value in os.environ.items() if key != WITNESS}
    script = "import sys; from geoml_ops.platform.network import watch_connections; watch_connections(); " + (
        f"import socket\ntry:\n socket.getaddrinfo('{FAR}', 9)\nexcept PermissionError: sys.exit(3)"
    )
    assert subprocess.run([sys.executable, "-c", script], env=env, timeout=30, check=False).returncode == 0


def test_every_python_process_of_a_stack_carries_the_witness_and_so_do_its_children(tmp_path: Path) -> None:
    record = tmp_path / "network.jsonl"
    child = (
        f"import socket\ntry:\n socket.create_connection(('{FAR}', 9), 0.2)\nexcept PermissionError: print('refused')"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = python(parent, **{WITNESS: str(record), "PYTHONPATH": str(WITNESS_FOLDER)})
    assert done.stdout.strip() == "refused", done.stderr
    assert len(record.read_text().splitlines()) == 1


ALONE = f"""
import socket, sys, threading
from geoml_ops.platform.network import go_alone
if not go_alone():
    print("the kernel refused"); sys.exit(0)
print([name for _, name in socket.if_nameindex()])
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), timeout=2).close()
    print("loopback works")
try:
    socket.create_connection(("{FAR}", 9), timeout=1)
except OSError as error:
    print(error.strerror)
import subprocess
print(subprocess.run(["cat", "/proc/net/dev"], capture_output=True, text=True).stdout.count(":"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's own")
def test_alone_there_is_loopback_and_nothing_else_for_children_too() -> None:
    done = python(ALONE)
    if done.stdout.strip() == "the kernel refused":
        pytest.skip("this kernel does not let the user make a network namespace")
    assert done.returncode == 0, done.stderr
    names, works, far, n_interfaces = done.stdout.strip().splitlines()
    assert (names, works, far) == ("['lo']", "loopback works", "Network is unreachable")
    assert int(n_interfaces) == 1

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoml_ops.platform.files import (
    PART,
    read_json,
    sha256_of,
    sweep_parts,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if PART in p.name]


def killed_in_the_middle(script: str, goal: Path) -> None:
    """Runs a writer that says when it is half-way and then waits for its death."""
    writer = subprocess.Popen([sys.executable, "-c", script, str(goal)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == "half-way"
    os.kill(writer.pid, signal.SIGKILL)
    assert writer.wait(10) == -signal.SIGKILL
    writer.stdout.close()


KILLED_FILE = """
import sys, time
from pathlib import Path
from geoml_ops.platform.files import whole_file
with whole_file(Path(sys.argv[1])) as part:
    part.write_bytes(b"new" * 1000)
    print("half-way", flush=True)
    time.sleep(60)
"""

KILLED_FOLDER = """
import sys, time
from pathlib import Path
from geoml_ops.platform.files import whole_folder
with whole_folder(Path(sys.argv[1])) as part:
    (part / "one").write_text("1")
    print("half-way", flush=True)
    time.sleep(60)
"""


def test_a_file_is_absent_until_its_block_ends(tmp_path: Path) -> None:
    goal = tmp_path / "deep" / "map.tif"
    with whole_file(goal) as part:
        part.write_bytes(b"abc")
        assert not goal.exists()
        assert part.parent == goal.parent, "a rename is atomic only within one folder"
        assert part.suffix == ".tif", "tools choose their format by the suffix"
    assert goal.read_bytes() == b"abc"
    assert leftovers(tmp_path) == []


def test_a_failed_block_leaves_the_older_file_alone(tmp_path: Path) -> None:
    goal = tmp_path / "a.json"
    write_text(goal, "old")
    with pytest.raises(TypeError), whole_file(goal) as part:
        part.write_text("new, and half") + "a number and a text do not add"  # type: ignore[operator]
    assert goal.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error_and_not_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("older", [None, "old"])
def test_kill_in_the_middle_of_a_file_changes_nothing(tmp_path: Path, older: str | None) -> None:
    goal = tmp_path / "a.bin"
    if older is not None:
        goal.write_text(older)
    killed_in_the_middle(KILLED_FILE, goal)
    assert (goal.read_text() if goal.exists() else None) == older
    assert len(leftovers(tmp_path)) == 1
    with whole_file(goal) as part:
        part.write_text("second try")
    assert goal.read_text() == "second try"
    assert sweep_parts(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_kill_in_the_middle_of_a_folder_changes_nothing(tmp_path: Path) -> None:
    goal = tmp_path / "bundle"
    killed_in_the_middle(KILLED_FOLDER, goal)
    assert not goal.exists()
    assert sweep_parts(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_and_a_second_one_is_dropped(tmp_path: Path) -> None:
    goal = tmp_path / "bundle"
    with whole_folder(goal) as part:
        (part / "sub").mkdir()
        (part / "sub" / "one").write_text("first")
        assert not goal.exists()
    with whole_folder(goal) as part:
        (part / "other").write_text("second")
    assert [p.relative_to(goal).as_posix() for p in goal.rglob("*") if p.is_file()] == ["sub/one"]
    assert leftovers(tmp_path) == []


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "bundle") as part:
        [(part / "one").touch(exist_ok=False) for _ in range(2)]
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_share_a_part(tmp_path: Path) -> None:
    goal = tmp_path / "a"
    with whole_file(goal) as first, whole_file(goal) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert goal.read_text() == "first", "the block that ends last wins, whole"
    assert leftovers(tmp_path) == []


def test_sweeping_spares_files_that_are_no_parts(tmp_path: Path) -> None:
    write_text(tmp_path / "counterpart.txt", "kept")
    write_text(tmp_path / "map.partial", "kept")
    (tmp_path / f".a-12345678{PART}").write_text("gone")
    assert sweep_parts(tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["counterpart.txt", "map.partial"]
    assert sweep_parts(tmp_path / "absent") == 0


@given(content=st.binary(max_size=4096))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_digest_is_that_of_the_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_json_is_canonical_and_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": ["ü", None]})
    write_json(tmp_path / "b.json", {"a": ["ü", None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": ["ü", None], "b": 1}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": ["ü", None], "b": 1}

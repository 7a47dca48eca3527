from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.flow import Retrain, Scene, Verdict
from geoml_ops.core.noun import Noun
from tests.every_noun import any_noun, every_noun

RETRAIN = Retrain(decision="decision-" + "0" * 16, version="version-" + "1" * 16, because="because")


@pytest.mark.parametrize("noun", every_noun(), ids=lambda noun: noun.kind)
def test_what_was_put_is_got(tmp_path: Path, noun: Noun) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.put(noun) is noun
    assert shelf.get(type(noun), noun.id) == noun
    assert shelf.any(noun.id) == noun
    assert list(shelf.all(type(noun))) == [noun]
    assert shelf.path_of(noun.id) == tmp_path / noun.kind / f"{noun.id}.json"


def test_putting_again_changes_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(RETRAIN)
    before = shelf.path_of(RETRAIN.id).stat()
    shelf.put(Retrain(decision=RETRAIN.decision, version=RETRAIN.version, because="because"))
    after = shelf.path_of(RETRAIN.id).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(list(shelf.all(Retrain))) == 1


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.path_of(shelf.put(RETRAIN).id)
    path.write_text(path.read_text().replace('"because": "because"', '"because": "be cause"'))
    with pytest.raises(Refused, match="was altered"):
        shelf.get(Retrain, RETRAIN.id)
    with pytest.raises(Refused):
        list(shelf.all(Retrain))


def test_an_unknown_field_in_a_file_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.path_of(shelf.put(RETRAIN).id)
    written = path.read_text()
    for content, says in (
        (json.dumps(json.loads(written) | {"surprise": 1}), "surprise: Extra inputs"),
        (json.dumps(json.loads(written) | {"schema": 9}), "schema 9 of a retrain is unknown here"),
        (written[: len(written) // 2], "is no retrain"),
        ("[]", "is no retrain"),
        ("", "is no retrain"),
    ):
        path.write_text(content)
        with pytest.raises(Refused, match=says):
            shelf.get(Retrain, RETRAIN.id)


def test_the_wrong_kind_and_the_unknown_id_are_not_found(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(RETRAIN)
    with pytest.raises(NotFound, match="is a retrain and no scene"):
        shelf.get(Scene, RETRAIN.id)
    with pytest.raises(NotFound, match="There is no retrain"):
        shelf.get(Retrain, "retrain-" + "f" * 16)
    with pytest.raises(NotFound, match="not the id of a noun"):
        shelf.any("../../etc/passwd")
    assert list(shelf.all(Verdict)) == []


def test_an_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    for bad in ("scene-../../../../x/y", "scene-/etc/passwd/abcd"):
        try:
            path = shelf.path_of(bad)
        except NotFound:
            continue
        assert path.resolve().is_relative_to((tmp_path / "shelf").resolve()), bad


def test_nouns_come_oldest_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    nouns = [shelf.put(RETRAIN.model_copy(update={"because": str(i)})) for i in range(4)]
    for age, noun in enumerate(reversed(nouns)):
        os.utime(shelf.path_of(noun.id), ns=(0, age * 1_000_000_000))
    assert list(shelf.all(Retrain)) == list(reversed(nouns))


def test_a_part_of_a_killed_writer_is_no_noun(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from geoml_ops.adapters import nouns
from geoml_ops.core.flow import Retrain
def dying(part, target):
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = dying
nouns.Shelf(Path(sys.argv[1])).put(Retrain(decision="decision-" + "0" * 16, version="", because="because"))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "retrain").iterdir())) == 1, "the part is there"
    assert list(Shelf(tmp_path).all(Retrain)) == []


@given(because=st.text(max_size=80))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_survive_the_shelf(tmp_path: Path, because: str) -> None:
    try:
        because.encode()
    except UnicodeEncodeError:
        return
    noun = RETRAIN.model_copy(update={"because": because})
    assert Shelf(tmp_path).get(Retrain, Shelf(tmp_path).put(noun).id) == noun


def test_every_kind_has_an_example() -> None:
    assert any_noun(Scene) == every_noun()[0]

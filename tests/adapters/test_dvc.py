"""The store: the same state once, every object verified, killed anywhere and taken up again."""

import multiprocessing
import re
import shutil
import socket
import subprocess

import pytest

from geoml_ops.adapters.dvc import Store
from geoml_ops.core.errors import NotFound, Refused


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", str(tmp_path / "remote"))


def put(store, **files):
    for name, text in files.items():
        (store.data / "scenes").mkdir(parents=True, exist_ok=True)
        (store.data / "scenes" / name).write_text(text)


def saved(store, when=1000, **files):
    with store.lock():
        put(store, **files)
        return store.save("Hold it", when)


def test_the_same_state_is_the_same_commit(store):
    first = saved(store, a="1")
    assert saved(store, when=2000, a="1") == first
    second = saved(store, a="1", b="2")
    assert second != first
    with store.lock():
        (store.data / "scenes" / "b").unlink()
        assert store.save("Hold it", 3000) == first
    log = subprocess.run(["git", "-C", store.root, "log", "--format=%H %D"], capture_output=True, text=True, check=True)
    assert log.stdout.count("\n") == 2
    assert set(re.findall(r"data-([0-9a-f]{12})", log.stdout)) == {first[1][:12], second[1][:12]}


def test_the_same_history_is_the_same_commit_on_another_machine(tmp_path, store):
    other = Store(tmp_path / "elsewhere" / "store", str(tmp_path / "elsewhere" / "remote"))
    assert saved(store, a="1") == saved(other, a="1")


def test_versions_are_read_without_a_checkout_and_never_altered(store):
    first, second = saved(store, a="1"), saved(store, a="one", b="2")
    assert store.at(first[0], "data/scenes/a").read_text() == "1"
    assert store.at(second[0], "scenes/a").read_text() == "one"
    assert sorted(store.manifest(second[0])) == ["scenes/a", "scenes/b"]
    with pytest.raises(NotFound, match="no file 'scenes/b'"):
        store.at(first[0], "scenes/b")
    with pytest.raises(NotFound, match="no version"):
        store.manifest("0" * 40)


def test_an_altered_or_lost_cache_comes_back_from_the_remote(store):
    rev, _ = saved(store, a="1", b="2")
    path = store.at(rev, "scenes/a")
    path.chmod(0o644)
    path.write_text("x")
    assert store.at(rev, "scenes/a").read_text() == "1"
    shutil.rmtree(store.root / ".dvc" / "cache")
    assert store.at(rev, "scenes/b").read_text() == "2"


def test_what_is_lost_everywhere_is_said(store, tmp_path):
    rev, _ = saved(store, a="1")
    shutil.rmtree(store.root / ".dvc" / "cache")
    shutil.rmtree(tmp_path / "remote")
    with pytest.raises(Refused, match="neither the store's cache nor its remote"):
        store.at(rev, "scenes/a")


def test_what_the_remote_lost_or_altered_is_sent_again(store, tmp_path):
    """DVC itself sends nothing where the folder's listing is in the remote already."""
    first = saved(store, a="1", b="2")
    for text in ("1", "2"):
        spoiled = next(p for p in (tmp_path / "remote").rglob("*") if p.is_file() and p.read_text() == text)
        spoiled.unlink()
        if text == "2":
            spoiled.write_text("x")
    assert saved(store, a="1", b="2") == first
    shutil.rmtree(store.root / ".dvc" / "cache")
    assert [store.at(first[0], f"scenes/{name}").read_text() for name in "ab"] == ["1", "2"]


def test_a_state_is_not_tagged_before_it_is_in_the_remote(store, tmp_path):
    saved(store, a="1")
    shutil.rmtree(tmp_path / "remote")
    (tmp_path / "remote").write_text("not a folder")
    with pytest.raises(Exception):  # noqa: B017, PT011 whatever DVC makes of it
        saved(store, a="1", b="2")
    assert len(list((store.root / ".git/refs/tags").iterdir())) == 1


def _save_slowly(store):
    saved(store, **{f"f{i}": str(i) * 1000 for i in range(60)})


def test_killed_anywhere_the_next_save_completes(tmp_path):
    store = Store(tmp_path / "store", str(tmp_path / "remote"))
    for after_s in (0.01, 0.1, 0.2, 0.4, 0.7):
        child = multiprocessing.get_context("fork").Process(target=_save_slowly, args=(store,))
        child.start()
        child.join(after_s)
        child.kill()
        child.join()
    calm = Store(tmp_path / "calm" / "store", str(tmp_path / "calm" / "remote"))
    files = {f"f{i}": str(i) * 1000 for i in range(60)}
    assert saved(store, **files) == saved(calm, **files)


def test_locks_that_a_killed_writer_left_do_not_last(store):
    saved(store, a="1")
    for name in ("index.lock", "refs/heads/master.lock", "refs/tags/data-x.lock"):
        (store.root / ".git" / name).write_text("")
    saved(store, a="1", b="2")


def test_it_is_quiet_in_every_sense(store, capfd, monkeypatch):
    def no_network(*_args, **_kwargs):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    saved(store, a="1")
    assert capfd.readouterr().out == ""
    config = (store.root / ".dvc" / "config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
    tracked = subprocess.run(["git", "-C", store.root, "ls-files"], capture_output=True, text=True, check=True).stdout
    assert "config.local" not in tracked
    status = subprocess.run(["git", "-C", store.root, "status", "--short"], capture_output=True, text=True, check=True)
    assert status.stdout == ""

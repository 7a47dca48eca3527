"""Writes ``serving/page/vendor/`` from ``package-lock.json``; the same lock gives the same bytes.

``python3 infra/vendor/vendor.py`` needs npm and the network; the service needs neither, because what is written
here is committed. No script of a package runs. Each package brings the text of its licence with it, and
``vendor.json`` names every file by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GOAL = HERE.parent.parent / "serving" / "page" / "vendor"
LICENCE = "LICENSE"
#: Of each package, what the page loads: from where in the package, to where beside its licence.
WANTED = {
    "leaflet": {
        "dist/leaflet.js": "leaflet.js",
        "dist/leaflet.css": "leaflet.css",
        "dist/images/layers.png": "images/layers.png",
        "dist/images/layers-2x.png": "images/layers-2x.png",
        "dist/images/marker-icon.png": "images/marker-icon.png",
        LICENCE: LICENCE,
    }
}


def install(folder: Path) -> None:
    """Brings the locked packages to ``folder``, each checked against the digest in the lock.

    Raises:
        subprocess.CalledProcessError: one does not fit the lock or cannot be had; npm has said why on stderr.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(HERE / name, folder / name)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)


def copied(modules: Path, goal: Path) -> list[dict[str, Any]]:
    """Copies what is wanted and returns what the manifest says of each package.

    Args:
        modules: the ``node_modules`` that npm filled.
        goal: an empty folder.
    """
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    entries = []
    for package, files in sorted(WANTED.items()):
        for source, name in files.items():
            (goal / package / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(modules / package / source, goal / package / name)
        said = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))
        names = sorted(f"{package}/{name}" for name in files.values())
        entries.append(
            {
                "package": package,
                "version": said["version"],
                "licence": said["license"],
                "licence_file": f"{package}/{LICENCE}",
                "integrity": locked[f"node_modules/{package}"]["integrity"],
                "files": {name: hashlib.sha256((goal / name).read_bytes()).hexdigest() for name in names},
            }
        )
    return entries


def main() -> None:
    """Builds beside the goal, then takes its place."""
    if shutil.which("npm") is None:
        sys.exit("npm is needed to rebuild what the page is built on. Try: install Node.js 20 or later.")
    with tempfile.TemporaryDirectory() as temporary:
        folder, built = Path(temporary), Path(temporary) / "vendor"
        install(folder)
        manifest = {"packages": copied(folder / "node_modules", built)}
        (built / "vendor.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(GOAL, ignore_errors=True)
        shutil.copytree(built, GOAL)
    sys.stderr.write(f"{sum(len(files) for files in WANTED.values())} files in {GOAL}\n")


if __name__ == "__main__":
    main()

"""Rewrites the lock files from ``pyproject.toml``; the versions locked now are kept where they still fit.

``python infra/lock.py`` resolves once for Python 3.11 to 3.13 on every platform and writes
``requirements.lock`` (the product and its tests) and ``infra/images/base/postgres.lock`` (the two database
drivers that only the images need). ``--upgrade`` lets every version move. Needs the network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"
#: ``pip install --no-build-isolation -e .`` builds with what is installed; Python 3.12 no longer ships setuptools.
INSTALLERS = ("pip", "setuptools")
DRIVERS = ("psycopg2-binary", "asyncpg")
#: Hundreds of megabytes of CUDA that XGBoost loads only to join several GPUs.
LEFT_OUT = ("nvidia-nccl-cu12",)

HEADER = """\
# Written by `make lock` from pyproject.toml; not edited by hand.
# The whole closure for Python 3.11 to 3.13 on every platform, one hash per file that may be installed:
#   pip install --no-deps --require-hashes -r requirements.lock
# --no-deps, because nothing is left to resolve: nothing outside this list can arrive. CUDA wheels are left
# out on purpose (XGBoost asks for NCCL, and uses it for several GPUs only). As constraints, without the
# hashes, which pip accepts for files only and not for a checkout:
#   sed -E '/--hash=/d; s/ [\\]$//' requirements.lock > constraints.txt
#   pip install -c constraints.txt -e ".[test]"
"""
POSTGRES_HEADER = """\
# Written by `make lock`; not edited by hand. What an image needs beside requirements.lock to keep its
# database in PostgreSQL:
#   pip install --no-deps --require-hashes -r infra/images/base/postgres.lock
"""


def wanted() -> list[str]:
    """Returns what is asked for: the project's dependencies, its test extra, and the installers."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"], *INSTALLERS]


def compile_lock(uv: Path, requirements: list[str], goal: Path, header: str, *, upgrade: bool) -> None:
    """Resolves ``requirements`` and writes the pinned, hashed closure to ``goal``.

    Args:
        uv: the resolver's program.
        requirements: one PEP 508 requirement each.
        goal: the lock file; its present versions are preferred unless ``upgrade``.
        header: comment that begins the file.
        upgrade: forget the present versions.

    Raises:
        subprocess.CalledProcessError: no set of versions fits; the resolver has said why on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "requirements.in", Path(folder) / "requirements.lock"
        asked.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        if goal.exists() and not upgrade:
            # An output file that is there already is the resolver's list of preferred versions.
            answer.write_text(goal.read_text(encoding="utf-8"), encoding="utf-8")
        left_out = [word for name in LEFT_OUT for word in ("--no-emit-package", name)]
        subprocess.run(
            [
                *(uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
                *("--no-annotate", "--no-header", *left_out, "--output-file", answer, asked),
            ],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        part = goal.with_name(f".{goal.name}.part")
        part.write_text(header + answer.read_text(encoding="utf-8"), encoding="utf-8")
        part.replace(goal)


def main() -> None:
    """Installs the resolver into a folder of its own and writes both locks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="let every version move")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
        subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", UV], check=True)
        uv = binaries / "uv"
        compile_lock(uv, wanted(), CHECKOUT / "requirements.lock", HEADER, upgrade=options.upgrade)
        drivers = CHECKOUT / "infra" / "images" / "base" / "postgres.lock"
        compile_lock(uv, list(DRIVERS), drivers, POSTGRES_HEADER, upgrade=options.upgrade)


if __name__ == "__main__":
    main()

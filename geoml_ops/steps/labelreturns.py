"""Labels come back: files are kept as they are, reviewed together, and accepted by somebody with a name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geoml_ops.adapters.csvfiles import write_bytes
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.noun import digest
from geoml_ops.domain.labelling import Answer, Reviewed, check_answers, plain, review, some
from geoml_ops.platform.files import read_json, sha256_of, write_json
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.labelfiles import read_answers
from geoml_ops.steps.labeltasks import home_of
from geoml_ops.steps.labelunits import Units, units_of
from geoml_ops.steps.places import Places

RETURNED, WITHDRAWN = "returned", "withdrawn"
SHORTEST = 8
_log = logger("labels")


@dataclass(frozen=True)
class Kept:
    """One returned file: its name, digest, what it was made with and on which day people say, and its answers."""

    name: str
    sha256: str
    tool: str
    labelled_on: str
    answers: tuple[Answer, ...]
    n_empty: int


@dataclass(frozen=True)
class State:
    """Where a label budget stands.

    Attributes:
        units: of the design.
        files: that came back.
        reviewed: what they say together.
        settled: labels by unit that a second look decided on.
    """

    units: Units
    files: tuple[Kept, ...]
    reviewed: Reviewed
    settled: Mapping[str, str]

    @property
    def questions(self) -> tuple[str, ...]:
        """Sentences on what keeps the labels from being accepted; unlabelled units last."""
        found, r = [], self.reviewed
        if not self.files:
            return ("Nothing came back yet.",)
        for unit, by in list(r.conflicts.items())[:20]:
            told = ", ".join(f"{who[:40]} says {label[:60]!r}" for who, label in by.items())
            found.append(f"{unit} needs a second look: {told}.")
        if len(r.conflicts) > 20:
            found.append(f"{len(r.conflicts) - 20} more units need a second look.")
        if r.unclear:
            found.append(f"Of {len(r.unclear)} units nobody can tell what is there ({some(r.unclear)}).")
        if r.missing:
            found.append(f"{len(r.missing)} of {len(self.units.id)} units carry no label ({some(r.missing)}).")
        return tuple(found)


def take_in(
    places: Places, design_id: str, files: Sequence[Path], *, labeller: str = "", labelled_on: str = "", tool: str = ""
) -> State:
    """Keeps returned files, each once, and returns where the design stands; none is kept where one is refused.

    Args:
        places: where things are.
        design_id: that asked.
        files: that people labelled.
        labeller: who labelled, where a row does not say.
        labelled_on: the day, as people say it.
        tool: what the files were made with, where the files do not tell.

    Raises:
        NotFound: no such design.
        BadInput: a file is not readable, or is not about units of this design.
    """
    units, home = units_of(places, design_id), home_of(places, design_id) / RETURNED
    said = plain(labelled_on, "date"), plain(tool, "name of a tool")
    new = []
    for path in files:
        if not path.is_file():
            raise BadInput(f"There is no file {path.name[:60]!r}.")
        sha256 = sha256_of(path)
        read = read_answers(path, units, labeller=labeller, source=sha256)
        new.append(
            (path, Kept(plain(path.name, "name"), sha256, said[1] or read.tool, said[0], read.answers, read.n_empty))
        )
    with only_one(home.parent / ".lock"):
        for path, kept in new:
            write_bytes(home / f"{kept.sha256}{path.suffix.lower()}", path.read_bytes())
            # The answers come last: a file without them was never taken in.
            if not (home / f"{kept.sha256}.answers.json").exists():
                write_json(home / f"{kept.sha256}.answers.json", asdict(kept))
    state = state_of(places, design_id)
    _log.info("returned", design=design_id, files=len(state.files), labels=len(state.reviewed.labels))
    return state


def withdraw(places: Places, design_id: str, sha256: str) -> State:
    """Takes a returned file out of the review again, and returns where the design stands.

    Args:
        places: where things are.
        design_id: that asked.
        sha256: the file's digest, its first digits are enough.

    Raises:
        NotFound: no such file came back.
    """
    home = home_of(places, design_id)
    found = sorted((home / RETURNED).glob(f"{sha256}*.answers.json")) if sha256.isalnum() else []
    if len(sha256) < SHORTEST or len(found) != 1:
        raise NotFound(f"{len(found)} returned files begin with {sha256[:64]!r}.", "give 8 or more digits of one")
    goal = home / WITHDRAWN
    goal.mkdir(parents=True, exist_ok=True)
    found[0].replace(goal / found[0].name)
    return state_of(places, design_id)


def settle(places: Places, design_id: str, labels: Mapping[str, str], by: str) -> State:
    """Records what a second look decided on, and returns where the design stands.

    Raises:
        BadInput: nobody decided, or a unit or label is none of the design's.
    """
    units = units_of(places, design_id)
    who = plain(by, "name")
    if not who:
        raise BadInput("Nobody is named who took the second look.", "add --accept NAME")
    check_answers(
        [Answer(unit, label, who) for unit, label in labels.items()], units.id, units.bundle.classes, "--settle"
    )
    path = home_of(places, design_id) / "settled.json"
    with only_one(path.parent / ".lock"):
        kept = _settled(path)
        write_json(path, {**kept, **{unit: {"label": label, "by": who} for unit, label in labels.items()}})
    return state_of(places, design_id)


def state_of(places: Places, design_id: str) -> State:
    """Returns where a label budget stands.

    Raises:
        NotFound: no such design.
        Refused: a returned file was altered.
    """
    units, home = units_of(places, design_id), home_of(places, design_id)
    files = tuple(_kept(path) for path in sorted((home / RETURNED).glob("*.answers.json")))
    settled = {unit: str(told["label"]) for unit, told in _settled(home / "settled.json").items()}
    answers = [answer for kept in files for answer in kept.answers]
    return State(units, files, review(answers, units.id, settled=settled), settled)


def _settled(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    content: dict[str, dict[str, str]] = read_json(path)
    return content


def _kept(path: Path) -> Kept:
    content: dict[str, Any] = read_json(path)
    files = [p for p in path.parent.glob(f"{path.name.split('.')[0]}.*") if p != path]
    if len(files) != 1 or sha256_of(files[0]) != content["sha256"]:
        raise Refused(
            f"The returned file {content['name'][:60]!r} was altered or is gone.", "restore it, or withdraw it"
        )
    answers = tuple(Answer(**answer) for answer in content.pop("answers"))
    return Kept(**content, answers=answers)


def fingerprint(state: State) -> str:
    """Returns 16 hex digits that stand for all that was returned and settled."""
    files = sorted(kept.sha256 for kept in state.files)
    return digest(json.loads(json.dumps([state.units.design.id, files, dict(state.settled)])))[:16]

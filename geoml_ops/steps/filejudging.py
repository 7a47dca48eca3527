"""Folds, audits and verdicts for samples and answers that come in a file: the same rules as in the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.csvfiles import write_bytes, write_sheet
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Outcome
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import Audit, FoldRules
from geoml_ops.domain.folds import Split, audit, evidence_blocks, materialise, plan_for
from geoml_ops.domain.folds.audit import audit_splits
from geoml_ops.domain.folds.promises import Promises
from geoml_ops.domain.gate import Apart, Paired, Ruling, apart, rule
from geoml_ops.steps.blocks import block_size, with_edge
from geoml_ops.steps.places import Places
from geoml_ops.steps.pointfiles import PointFile, of_table
from geoml_ops.steps.runs import fold_picture

FOLD, DROPPED = "fold", "dropped_in"
MOST_DROPPED = 5_000_000
WIDER, ENOUGH_BLOCKS = 1.5, 20


@dataclass(frozen=True)
class Folded:
    """A file's samples in folds.

    Attributes:
        plan: the audited plan.
        splits: ``(train, test)`` positions per fold.
        fold: ``(n,)`` fold that tests each sample, -1 for none.
    """

    plan: FoldPlan
    splits: list[Split]
    fold: NDArray[np.int64]

    def columns(self, file: PointFile) -> dict[str, Sequence[str]]:
        """Returns the file's columns, ``fold``, and ``dropped_in``: the folds that do not use it, if not too many."""
        own = {name: cells for name, cells in file.columns.items() if name not in (FOLD, DROPPED)}
        said: dict[str, Sequence[str]] = {**own, FOLD: ["" if f < 0 else str(f) for f in self.fold]}
        if sum(len(self.fold) - len(train) - len(test) for train, test in self.splits) <= MOST_DROPPED:
            used = np.zeros((len(self.splits), len(self.fold)), dtype=bool)
            for number, (train, test) in enumerate(self.splits):
                used[number, train] = used[number, test] = True
            said[DROPPED] = [" ".join(map(str, np.flatnonzero(~column))) for column in used.T]
        return said


def fold_file(file: PointFile, rules: FoldRules, *, halo_px: int = 0, repeat: int = 0) -> Folded:
    """Returns the samples of a file in folds.

    Args:
        file: the samples.
        rules: how to fold; ``block_m`` may be ``auto``.
        halo_px: pixels that a feature's window reaches beyond its own.
        repeat: 0 for the plan itself, 1 and on for another grid.

    Raises:
        BadInput: whatever the method cannot split; the sentence says the numbers and the way out.
    """
    if halo_px < 0:
        raise BadInput(f"A window cannot reach {halo_px} pixels.", "give --halo-px as 0 or more")
    size = None
    if rules.block_m == "auto":
        features = file.samples.features
        size = block_size(file.samples, features, rules, halo_px=halo_px, classes=file.classes)
        rules = with_edge(rules, size)
    plan = plan_for(file.name, file.samples, rules, halo_px=halo_px, repeat=repeat, block_size=size)
    splits = materialise(plan, file.samples)
    fold = np.full(len(file.samples), -1, dtype=np.int64)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return Folded(plan, splits, fold)


def audit_file(file: PointFile, promises: Promises, *, column: str = FOLD) -> Audit:
    """Returns what the folds that a file names show, held against what they are said to promise.

    Args:
        file: the samples, with a column of fold names; an empty cell is a sample that no fold uses, or that
            none tests where there is a column ``dropped_in``.
        promises: what has to hold.
        column: the column.

    Raises:
        BadInput: there is no such column, or it names no folds.
    """
    splits = splits_in(file, column)
    if DROPPED in file.columns and not all(file.columns[column]):
        # The file says itself which samples nobody was meant to test.
        promises = replace(promises, all_tested=False)
    return audit_splits(file.samples, splits, promises, classes=file.classes)


def audit_plan(places: Places, plan_id: str) -> Audit:
    """Returns what the folds of a plan of the loop show now, cut again from its table.

    Raises:
        NotFound: there is no such plan, or its table is gone.
    """
    plan = Shelf(places.nouns).get(FoldPlan, plan_id)
    file = of_table(places, plan.table)
    return audit(plan, file.samples, materialise(plan, file.samples))


def splits_in(file: PointFile, column: str = FOLD) -> list[Split]:
    """Returns ``(train, test)`` positions of the folds that a file names, in the order of their names."""
    if column not in file.columns:
        raise BadInput(
            f"{file.name} has no column {column!r}; it has {', '.join(list(file.columns)[:12])}.",
            "name the column of folds: --fold-column NAME",
        )
    cells = np.array(file.columns[column], dtype=object)
    names = sorted(set(cells) - {""}, key=lambda name: (len(name), name))
    if not names:
        raise BadInput(f"Column {column} of {file.name} names no fold.", "give each sample the fold that tests it")
    dropped = [set(cell.split()) for cell in file.columns.get(DROPPED, ("",) * len(cells))]
    usable = np.array([bool(cell) or DROPPED in file.columns for cell in cells])
    found = []
    for name in names:
        test = np.flatnonzero(cells == name)
        left = np.array([name in gone for gone in dropped])
        found.append((np.flatnonzero((cells != name) & usable & ~left), test))
    return found


def judge_file(
    file: PointFile,
    rules: GateRules,
    columns: tuple[str, str],
    *,
    block_m: float,
    promises: Promises | None = None,
    fold_column: str = FOLD,
    learned: PointFile | None = None,
    also: tuple[str, ...] = (),
) -> Ruling:
    """Returns what the gate says about two columns of answers to the samples of a file.

    The answers have to be honest: out of folds, which are then audited from the file, or of models that
    learned elsewhere, whose samples are then held against the file's. Blocks have to be independent: where
    larger ones (20 at least) give a standard error half as large again, nothing is promoted or rejected.

    Args:
        file: the samples, with true classes.
        rules: metric, margins and levels.
        columns: of the challenger's answers and of the other's, class names.
        block_m: edge of the blocks of evidence.
        promises: what the folds promise.
        fold_column: which column names the fold that tested each sample.
        learned: samples that both models learned from; None where answers are out of folds.
        also: classes that may be answered although no sample is labelled so.

    Raises:
        Refused: the folds fail their audit, or the samples lie on ground that was learned from.
        BadInput: a column is missing, or holds something that is no class.
    """
    classes = tuple(sorted({*file.classes, *also}))
    asked = promises or Promises()
    true = _codes([file.classes[code] for code in file.samples.code], classes, file.name, "label")
    challenger, other = (_codes(_cells(file, column), classes, file.name, column) for column in columns)
    fold: NDArray[np.int64] | None = None
    n_train: tuple[int, ...] = ()
    proof: Audit | Apart
    if learned is None:
        splits, fold = splits_in(file, fold_column), np.full(len(file.samples), -1, dtype=np.int64)
        for number, (_, test) in enumerate(splits):
            fold[test] = number
        proof, n_train = audit_splits(file.samples, splits, asked, classes=file.classes), _sizes(splits)
    else:
        proof = apart(file.samples, [learned.samples], buffer_m=asked.buffer_m, halo_px=asked.halo_px)

    def ruled(edge_m: float) -> Ruling:
        middles, block = evidence_blocks(file.samples, edge_m)
        paired = Paired(true, challenger, other, block, middles, classes, fold=fold, n_train=n_train)
        return rule(proof, paired, rules, against=columns[1])

    return _of_independent_blocks(ruled, block_m)


def _sizes(splits: Sequence[Split]) -> tuple[int, ...]:
    return tuple(len(train) for train, _ in splits)


def _codes(cells: Sequence[str], classes: Sequence[str], name: str, column: str) -> NDArray[np.int64]:
    codes = {cls: code for code, cls in enumerate(classes)}
    unknown = sorted({cell for cell in cells if cell not in codes})
    if unknown:
        n_unknown = sum(cell not in codes for cell in cells)
        named = ", ".join(map(repr, unknown[:6]))
        raise BadInput(
            f"{n_unknown} of {len(cells)} answers in column {column} of {name} are {named}; "
            f"the labelled classes are {', '.join(classes)}.",
            "correct the spelling, or add --also-class NAME for a class that no sample has",
        )
    return np.array([codes[cell] for cell in cells], dtype=np.int64)


def _of_independent_blocks(ruled: Callable[[float], Ruling], block_m: float) -> Ruling:
    """Returns the ruling over blocks of one edge, held back where larger blocks show that these resemble each other."""
    found, edge_m = ruled(block_m), 2 * block_m
    while found.difference.n_blocks >= ENOUGH_BLOCKS:
        wider = ruled(edge_m)
        if wider.difference.n_blocks < ENOUGH_BLOCKS:
            break
        times = wider.detectable / max(found.detectable, 1e-12)
        if times > WIDER:
            said = (
                f"Blocks of {block_m:g} m resemble their neighbours: over blocks of {edge_m:g} m the standard error is "
                f"{times:.1f} times as large. Larger blocks of evidence are needed: --block-m {edge_m:g} or more."
            )
            outcome: Outcome = "INSUFFICIENT_EVIDENCE"
            return replace(found, outcome=outcome, objections=(said, *found.objections))
        edge_m *= 2
    return found


def write_folds(folded: Folded, file: PointFile, path: Path) -> None:
    """Writes the file's rows with their folds as a sheet; raises as :func:`write_sheet`."""
    columns = folded.columns(file)
    write_sheet(path, list(columns), zip(*columns.values(), strict=True))


def draw_folds(folded: Folded, file: PointFile, path: Path) -> None:
    """Writes a map of the folds (PNG)."""
    samples = file.samples
    if not samples.projected:
        raise BadInput(
            f"A map of folds needs metres; {file.name} is in {samples.crs}.", "bring the points to a UTM zone"
        )
    write_bytes(path, fold_picture(samples.easting, samples.northing, folded.fold, folded.plan))


def _cells(file: PointFile, column: str) -> tuple[str, ...]:
    if column not in file.columns:
        raise BadInput(f"{file.name} has no column {column!r}; it has {', '.join(list(file.columns)[:12])}.")
    empty = sum(not cell for cell in file.columns[column])
    if empty:
        raise BadInput(f"{empty} of {len(file.samples)} rows of {file.name} have no answer in {column}.", "fill them")
    return file.columns[column]

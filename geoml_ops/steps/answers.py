"""Out-of-fold answers on disk: what each sample was told by a model that had not seen its ground."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.tables import read_table, write_table
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.fitting import Codes, OutOfFold
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import Tabled


@dataclass(frozen=True)
class Answers:
    """Answers in the table's order; all arrays but ``importance`` have one entry per sample.

    Attributes:
        easting: of the pixel centre.
        northing: of the pixel centre.
        code: true class.
        predicted: answered class.
        no_skill: most frequent class of the fold's train side.
        fold: in which the sample was tested; -1 where none tests it, and then there is no answer.
        block: that the sample belongs to.
        probability: float32 ``(n, classes)``.
        importance: ``(features,)``, by permutation; zeros where it was not asked.
    """

    easting: NDArray[np.float64]
    northing: NDArray[np.float64]
    code: Codes
    predicted: Codes
    no_skill: Codes
    fold: Codes
    block: Codes
    probability: NDArray[np.float32]
    importance: NDArray[np.float64]

    @property
    def out_of_fold(self) -> OutOfFold:
        """The answers as :func:`geoml_ops.domain.fitting.out_of_fold` gave them, probabilities rounded to float32."""
        return OutOfFold(self.probability.astype(np.float64), self.no_skill, self.fold, self.importance)


def keep_answers(places: Places, tabled: Tabled, answers: OutOfFold, block: Codes, classes: Sequence[str]) -> FileRef:
    """Writes answers under their content and returns the file."""
    samples = tabled.samples
    columns = {
        **tabled.keys,
        "easting": samples.easting,
        "northing": samples.northing,
        "code": samples.code,
        "predicted": answers.predicted,
        "no_skill": answers.no_skill,
        "fold": answers.fold,
        "block": block,
        **{f"p_{name}": answers.probability[:, code].astype(np.float32) for code, name in enumerate(classes)},
    }
    says = {"classes": json.dumps(list(classes)), "importance": json.dumps(answers.importance.tolist())}
    return write_table(places.tables, columns, says)


def open_answers(places: Places, file: FileRef) -> Answers:
    """Returns what :func:`keep_answers` wrote; raises as :func:`geoml_ops.adapters.tables.read_table`."""
    table = read_table(places.tables, file)
    names = ("easting", "northing", "code", "predicted", "no_skill", "fold", "block")
    return Answers(
        **{name: table.columns[name] for name in names},
        probability=np.column_stack([table.columns[f"p_{name}"] for name in json.loads(table.says["classes"])]),
        importance=np.asarray(json.loads(table.says["importance"]), dtype=np.float64),
    )

"""Columns on disk: Parquet files named by their content, whole or absent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of, whole_file


@dataclass(frozen=True)
class Table:
    """Columns of one length, and what the file says about itself.

    Attributes:
        columns: name to array ``(n,)``; text is ``object``.
        says: metadata of the file.
    """

    columns: dict[str, NDArray[Any]]
    says: dict[str, str]


def write_table(folder: Path, columns: Mapping[str, NDArray[Any]], says: Mapping[str, str]) -> FileRef:
    """Writes columns under ``<folder>/<first 32 hex digits of its SHA-256>.parquet`` and returns the file.

    The same columns and metadata give the same bytes, so writing them again changes nothing.
    """
    arrow = pa.table({name: pa.array(values) for name, values in columns.items()})
    arrow = arrow.replace_schema_metadata({f"geoml.{key}": value for key, value in sorted(says.items())})
    sink = pa.BufferOutputStream()
    pq.write_table(arrow, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest[:32]}.parquet"
    if not is_whole(folder, FileRef(path=path.name, sha256=digest, size=len(content))):
        with whole_file(path) as part:
            part.write_bytes(content)
    return FileRef(path=path.name, sha256=digest, size=len(content))


def is_whole(folder: Path, file: FileRef) -> bool:
    """Says whether the file is there with the content its digest names."""
    path = folder / file.path
    return path.exists() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def read_table(folder: Path, file: FileRef) -> Table:
    """Returns what :func:`write_table` wrote.

    Raises:
        NotFound: the file is gone.
        Refused: the file was altered.
    """
    if not (folder / file.path).exists():
        raise NotFound(f"The table {file.path} is gone from {folder}.", "run the step that made it again")
    if not is_whole(folder, file):
        raise Refused(f"The table {file.path} was altered.", "delete it and run the step that made it again")
    arrow = pq.read_table(folder / file.path)
    says = {key.decode().removeprefix("geoml."): value.decode() for key, value in (arrow.schema.metadata or {}).items()}
    return Table({name: np.asarray(arrow.column(name).to_numpy()) for name in arrow.column_names}, says)

"""The columns of the prediction log: one row per request, and one per tile of it, in one table.

Both are in one table so that one file, which appears at once, holds a request and its tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa

from geoml_ops.adapters.predictions.arrays import array, values

FORMAT = {b"geoml.log": b"1"}
REQUEST, TILE = "request", "tile"
_ROW_GROUP = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """One request, or one tile of it.

    Attributes:
        row: which of the two.
        at: when it was answered.
        request: id of the request.
        kind: the way it came.
        prediction: id of the map; empty for chips, which leave none.
        bundle: id of what answered.
        graph_sha256: digest of its graph.
        model: name in the registry.
        number: there.
        sensor: of the bundle's contract.
        baseline: processing baseline of the scene; empty where it is not known.
        month: in which the scene was acquired, ``2026-07``; empty where it is not known.
        region: coarse cell of ground, ``EPSG:32633/3/58``; empty where it is not known.
        bands: names of the bands.
        classes: names in code order.
        n_px: pixels.
        valid_share: of them, answered (0 to 1).
        latency_s: until the answer stood; None for tiles and where nobody waited.
        again: whether the same map was asked for before; then it has no tiles here.
        sketches: per band, as :meth:`geoml_ops.domain.sketch.Sketch.to_bytes` gives them; empty where none were made.
        means: per band, in the contract's numbers.
        sds: per band.
        medians: per band.
        class_shares: of the answered pixels, in code order; empty without answers.
        confidence: answered pixels in 20 bins of 0.05; empty where it was not counted.
        mean_confidence: of the answered pixels (0 to 1).
        edge_density: share of neighbours that differ (0 to 1).
        outside_share: of the answered pixels beyond the area of applicability (0 to 1).
        mean_set_size: classes in a set on average.
        easting: of a tile's centre, in the map's CRS.
        northing: of a tile's centre.
        edge_m: longer edge of a tile.
    """

    row: Literal["request", "tile"]
    at: datetime
    request: str
    kind: Literal["raster", "chip", "job"]
    prediction: str
    bundle: str
    graph_sha256: str
    model: str
    number: int
    sensor: str
    baseline: str = ""
    month: str = ""
    region: str = ""
    bands: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    n_px: int = 0
    valid_share: float = 0.0
    latency_s: float | None = None
    again: bool = False
    sketches: tuple[bytes, ...] = ()
    means: tuple[float | None, ...] = ()
    sds: tuple[float | None, ...] = ()
    medians: tuple[float | None, ...] = ()
    class_shares: tuple[float, ...] = ()
    confidence: tuple[int, ...] = ()
    mean_confidence: float | None = None
    edge_density: float | None = None
    outside_share: float | None = None
    mean_set_size: float | None = None
    easting: float | None = None
    northing: float | None = None
    edge_m: float | None = None


_KINDS: dict[str, pa.DataType] = {
    "at": pa.timestamp("us", "UTC"),
    "number": pa.int32(),
    "n_px": pa.int64(),
    "again": pa.int32(),
    "sketches": pa.list_(pa.binary()),
    "confidence": pa.list_(pa.int64()),
    **{name: pa.list_(pa.string()) for name in ("bands", "classes")},
    **{name: pa.list_(pa.float64()) for name in ("means", "sds", "medians", "class_shares")},
    **{
        name: pa.float64()
        for name in (
            "valid_share", "latency_s", "mean_confidence", "edge_density", "outside_share", "mean_set_size", "easting",
            "northing", "edge_m",
        )
    },
}  # fmt: skip
NAMES = tuple(column.name for column in fields(Row))
#: ``segment`` is the file that a row came in; it stays with the row when files of a day are joined.
SCHEMA = pa.schema(
    [("segment", pa.string()), *((name, _KINDS.get(name, pa.string())) for name in NAMES)], metadata=FORMAT
)


def table_of(rows: Sequence[Row], segment: str) -> pa.Table:
    """Returns rows as a table of ``SCHEMA``."""
    columns = [array(pa.string(), [segment] * len(rows))]
    for name in NAMES:
        found = [getattr(row, name) for row in rows]
        columns.append(array(SCHEMA.field(name).type, [_microseconds(at) for at in found] if name == "at" else found))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yields the rows in parts of one kind each, requests first: a reader of requests skips all others unread."""
    for kind in (REQUEST, TILE):
        mine = [row for row in rows if row.row == kind]
        for first in range(0, len(mine), _ROW_GROUP):
            yield mine[first : first + _ROW_GROUP]


def dicts(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yields the rows of a batch with the names of its columns."""
    columns = {name: values(batch.column(position)) for position, name in enumerate(batch.schema.names)}
    if "at" in columns:
        columns["at"] = [_EPOCH + timedelta(microseconds=at) for at in columns["at"]]
    if "again" in columns:
        columns["again"] = [bool(again) for again in columns["again"]]
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _microseconds(at: datetime) -> int:
    whole = at.astimezone(UTC) - _EPOCH
    return (whole.days * 86400 + whole.seconds) * 1_000_000 + whole.microseconds

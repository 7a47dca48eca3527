"""Scenes of a stream as rows of numbers, on the scales on which they are watched."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.alarms import History, Key

BANDS, ANSWERS = "bands", "answers"
FAMILIES = (BANDS, ANSWERS)
#: A statistic that fewer of the scenes have is not watched.
_LEAST_KNOWN = 0.95
#: Smallest standard deviation of a share (transformed), of a logarithm, and of a mean as a share of its level.
_FLOOR_SHARE, _FLOOR_LOG, _FLOOR_LEVEL = 0.01, 0.01, 0.002
_LEAST_SD = 1e-3
_YEAR_S = 365.2425 * 86400.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One scene of a stream in numbers.

    Attributes:
        reading: id of the reading.
        scene: what it shows; rows of one scene are left out together.
        key: of the reference.
        acquired: when, aware.
        values: by name, as :class:`~geoml_ops.core.flow.Reading` has them.
        model: id of the bundle that answered; its answers are compared with its own alone.
    """

    reading: str
    scene: str
    key: Key
    acquired: datetime
    values: Mapping[str, float | None]
    model: str = ""


def family_of(name: str) -> str | None:
    """Returns the family that a statistic of a reading belongs to, or None where it is not watched.

    >>> family_of("B02:mean"), family_of("class:forest"), family_of("valid_share")
    ('bands', 'answers', None)
    """
    if name.startswith("class:") or name in ("confidence", "edge_density", "outside_share"):
        return ANSWERS
    return BANDS if name.endswith((":mean", ":sd")) else None


def columns_of(rows: Sequence[Row], family: str) -> tuple[str, ...]:
    """Returns the statistics of a family that nearly all rows have, in order of appearance."""
    named = dict.fromkeys(name for row in rows for name in row.values if family_of(name) == family)
    least = _LEAST_KNOWN * len(rows)
    return tuple(name for name in named if sum(_known(row.values.get(name)) for row in rows) >= least)


def scenes_a_year(times: Sequence[datetime]) -> float:
    """Returns how many scenes a stream brings a year, from the times of its scenes; 1 where that cannot be told.

    A gap of more than a year counts as one: nobody watched then, or the date of a scene is wrong, and a single such
    scene must not make a stream look as if it hardly ever brought one.
    """
    days = sorted({at.astimezone(UTC) for at in times})
    if len(days) < 2:
        return 1.0
    span = sum(min((later - day).total_seconds(), _YEAR_S) for day, later in itertools.pairwise(days))
    return max(1.0, (len(days) - 1) * _YEAR_S / span)


def years_of(rows: Sequence[Row]) -> int:
    """Returns how many years a history tells of: seasons of as many calendar years, and no more than its span holds."""
    if not rows:
        return 0
    times = [row.acquired.astimezone(UTC) for row in rows]
    span = (max(times) - min(times)).total_seconds() / _YEAR_S
    return min(len({at.year for at in times}), max(1, math.ceil(span)))


def history_of(rows: Sequence[Row], columns: Sequence[str]) -> History:
    """Returns rows as a history of these statistics; shares and spreads on their watched scales."""
    times = np.array([row.acquired.astimezone(UTC).replace(tzinfo=None) for row in rows], dtype="datetime64[us]")
    values = np.array([[_transformed(name, row.values.get(name)) for name in columns] for row in rows])
    return History(
        [row.key for row in rows], times, values.reshape(len(rows), len(columns)), [row.scene for row in rows]
    )


def _transformed(name: str, value: float | None) -> float:
    if value is None or not math.isfinite(value):
        return math.nan
    if name.endswith(":sd"):
        return math.log(max(value, _LEAST_SD))
    if family_of(name) == ANSWERS:
        return math.asin(math.sqrt(min(max(value, 0.0), 1.0)))
    return value


def floors_of(columns: Sequence[str], values: Floats) -> tuple[float, ...]:
    """Returns the smallest standard deviation of each statistic that is believed, from its level in a history."""
    level = np.nanmedian(np.abs(values), axis=0)
    return tuple(
        _FLOOR_LOG
        if name.endswith(":sd")
        else _FLOOR_SHARE
        if family_of(name) == ANSWERS
        else _FLOOR_LEVEL * float(middle)
        for name, middle in zip(columns, level, strict=True)
    )


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)

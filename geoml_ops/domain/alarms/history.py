"""The in-control scenes of one stream with what was measured on them, and the rules for standardising it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.alarms.keys import Fallback, Ground, Key, years_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class History:
    """Statistics of scenes or tile-dates of one stream; rows may stand in any order.

    Attributes:
        keys: reference key of each row.
        times: acquisition in UTC, ``datetime64``.
        values: ``(row, statistic)``; what is not finite was not measured.
        scenes: name of the scene of each row; rows of one scene are left out together. Empty: each row is a scene.
    """

    keys: Sequence[Key]
    times: NDArray[np.datetime64]
    values: Floats
    scenes: Sequence[str] = ()

    def __post_init__(self) -> None:
        n, shape = len(self.keys), np.shape(self.values)
        if len(shape) != 2 or shape[0] != n or np.shape(self.times) != (n,) or len(self.scenes) not in (0, n):
            raise BadInput(
                f"{n} keys, {np.size(self.times)} times, {len(self.scenes)} scenes and values of shape {shape} do not "
                "make a history.",
                "give one key, time and row of statistics per scene",
            )
        if n and (np.asarray(self.times).dtype.kind != "M" or bool(np.isnat(self.times).any())):
            raise BadInput("A scene of the history has no acquisition time.", "give datetime64 in UTC, no NaT")
        streams = sorted({key.stream for key in self.keys})
        if len(streams) > 1:
            named = " and ".join("/".join(stream) for stream in streams[:2])
            raise BadInput(f"{named[:60]} are {len(streams)} streams.", "calibrate each sensor and region by itself")

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.keys)

    @cached_property
    def years(self) -> NDArray[np.int64]:
        """Year of each row; a December under a winter key counts for the next."""
        return years_of(np.asarray(self.times), self.keys)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Positions of the rows in time order, which charts need; rows of one time keep theirs."""
        return np.argsort(np.asarray(self.times), kind="stable")

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """Name of the scene of each row."""
        own = self.scenes or [f"{key}@{time}" for key, time in zip(self.keys, self.times, strict=True)]
        return np.array(own, dtype=object)

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """Number of the scene of each row."""
        place = {name: i for i, name in enumerate(dict.fromkeys(self.names.tolist()))}
        return np.array([place[name] for name in self.names.tolist()], dtype=np.intp)


@dataclass(frozen=True)
class StandardRules:
    """How a history is standardised.

    Attributes:
        least: scenes other than the one in question that make a reference; fewer are "no reference yet".
        years_apart: leave the whole year out where the key has at least two and ``least`` scenes remain.
        fallback: what a month may borrow, in this order; nothing unless stated.
        waves: 1 or 2 yearly harmonics for keys with too few scenes; 0 for none.
        robust: median and MAD instead of mean and standard deviation; not with harmonics.
        floors: smallest standard deviation of each statistic, in its unit; empty for none.
        equal: turn Student's t into the normal score of the same probability, so that keys with few scenes have no
            heavier tail.
    """

    least: int = 5
    years_apart: bool = True
    fallback: tuple[Fallback, ...] = ()
    waves: int = 0
    robust: bool = False
    floors: tuple[float, ...] = ()
    equal: bool = True

    def __post_init__(self) -> None:
        if self.least < 2:
            raise BadInput(f"{self.least} scenes have no spread.", "ask for at least 2 per key")
        if self.waves not in (0, 1, 2):
            raise BadInput(f"{self.waves} yearly waves are not offered.", "use 0, 1 or 2")
        if self.robust and self.waves:
            raise BadInput("Harmonics are fitted by least squares, not robustly.", "use waves: 0 or robust: false")
        if any(not (np.isfinite(floor) and floor >= 0) for floor in self.floors):
            raise BadInput("A floor of a standard deviation is negative or no number.", "use 0 or more")


@dataclass(frozen=True, eq=False)
class Scores:
    """Standardised statistics.

    Attributes:
        values: ``(row, statistic)``, about standard normal while nothing drifts; NaN without a reference or without
            a value.
        ground: what each row was compared with.
        n_others: scenes of the reference of each row; 0 without one.
        left_out: ``year`` or ``scene``, or ``nothing`` for rows that are not part of the history.
    """

    values: Floats
    ground: tuple[Ground, ...]
    n_others: NDArray[np.int64]
    left_out: tuple[str, ...]

    @property
    def n_without(self) -> int:
        """Rows without a reference."""
        return sum(ground == "no reference yet" for ground in self.ground)

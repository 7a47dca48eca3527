"""What a scene may be compared with: the same sensor, processing baseline, time of year and region, and nothing else.

A key without history is "no reference yet". That is a fact about the history, not about the scene: it is never drift
and never an alarm. A scene of July may borrow the scenes of its neighbours or of its season only where the policy
says so, and what was borrowed is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput

By = Literal["month", "season"]
Fallback = Literal["neighbours", "season"]
Ground = Literal["own", "neighbours", "season", "harmonics", "no reference yet"]

MONTHS = tuple(f"m{month:02d}" for month in range(1, 13))
#: Meteorological quarters, named by their months, so that they mean the same on both hemispheres.
SEASONS = {"DJF": ("m12", "m01", "m02"), "MAM": ("m03", "m04", "m05"), "JJA": ("m06", "m07", "m08"),
           "SON": ("m09", "m10", "m11")}  # fmt: skip
_SEASON_OF = {month: season for season, months in SEASONS.items() for month in months}
_UNKNOWN = "-"
_NAME = re.compile(r"[^/\s](?:[^/\x00-\x1f\x7f]{0,78}[^/\s])?")


@dataclass(frozen=True, order=True)
class Key:
    """One cell of the reference: scenes of one key are exchangeable while nothing drifts.

    Attributes:
        sensor: for example ``landsat-8``; sensors never share a key.
        baseline: processing baseline; empty where the product has none.
        part: of the year, ``m01`` to ``m12`` or ``DJF``, ``MAM``, ``JJA``, ``SON``.
        region: name of the ground.
    """

    sensor: str
    baseline: str
    part: str
    region: str

    def __post_init__(self) -> None:
        for what, name in (("sensor", self.sensor), ("baseline", self.baseline or "x"), ("region", self.region)):
            if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.isprintable() or name == _UNKNOWN:
                raise BadInput(
                    f"{str(name)[:60]!r} cannot be the {what} of a reference key.",
                    "use 1 to 80 characters without slashes, control characters and outer blanks, and not a lone dash",
                )
        if self.part not in MONTHS and self.part not in SEASONS:
            raise BadInput(f"{str(self.part)[:60]!r} is no part of a year.", f"use m01 to m12 or {', '.join(SEASONS)}")

    def __str__(self) -> str:
        """Returns ``sensor/baseline/part/region``; a missing baseline is a dash."""
        return "/".join((self.sensor, self.baseline or _UNKNOWN, self.part, self.region))

    @classmethod
    def parse(cls, text: str) -> Key:
        """Returns the key of a text form.

        Raises:
            BadInput: it is not ``sensor/baseline/part/region``.
        """
        parts = text.split("/")
        if len(parts) != 4 or not parts[1]:
            raise BadInput(f"{text[:60]!r} is no reference key.", "write sensor/baseline/part/region")
        sensor, baseline, part, region = parts
        return cls(sensor, "" if baseline == _UNKNOWN else baseline, part, region)

    @property
    def group(self) -> tuple[str, str, str]:
        """Everything but the time of year: what one harmonic curve may be fitted to."""
        return self.sensor, self.baseline, self.region

    @property
    def stream(self) -> tuple[str, str]:
        """Sensor and region: what one threshold is pooled over."""
        return self.sensor, self.region

    def neighbours(self) -> tuple[Key, ...]:
        """Returns the key with the ones before and after it in the year; December touches January."""
        ring = MONTHS if self.part in MONTHS else tuple(SEASONS)
        at = ring.index(self.part)
        return tuple(replace(self, part=ring[(at + step) % len(ring)]) for step in (-1, 0, 1))

    def season(self) -> tuple[Key, ...]:
        """Returns the months of the key's season and the season itself; for a season only itself."""
        if self.part in SEASONS:
            return (self,)
        season = _SEASON_OF[self.part]
        return tuple(replace(self, part=part) for part in (*SEASONS[season], season))


def key_of(acquired: datetime, *, sensor: str, baseline: str, region: str, by: By = "month") -> Key:
    """Returns the key of a scene or tile-date; the month is the month in UTC.

    Raises:
        BadInput: the time has no time zone, or a name cannot be part of a key.
    """
    if acquired.tzinfo is None:
        raise BadInput("An acquisition time without time zone has no certain month.", "give the time in UTC")
    month = MONTHS[acquired.astimezone(UTC).month - 1]
    return Key(sensor, baseline, month if by == "month" else _SEASON_OF[month], region)


def years_of(times: NDArray[np.datetime64], keys: Sequence[Key]) -> NDArray[np.int64]:
    """Returns the year of each scene; under DJF a December belongs to the winter that ends in the next year."""
    months = times.astype("datetime64[M]").astype(np.int64)
    late = (months % 12 == 11) & np.array([key.part == "DJF" for key in keys], dtype=bool)
    return np.asarray(months // 12 + 1970 + late, dtype=np.int64)


@dataclass(frozen=True)
class Choice:
    """What a key may be compared with.

    Attributes:
        ground: ``own``, what was borrowed, or ``no reference yet``.
        keys: the keys whose scenes are the reference; empty without one.
        n: scenes they hold.
    """

    ground: Ground
    keys: tuple[Key, ...]
    n: int


def candidates(key: Key, fallback: Sequence[Fallback] = ()) -> list[tuple[Ground, tuple[Key, ...]]]:
    """Returns what a key may be compared with, best first: itself, then what the policy lets it borrow."""
    borrowed = {"neighbours": key.neighbours, "season": key.season}
    unknown = [str(name)[:60] for name in fallback if name not in borrowed]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is nothing to borrow from.", f"use {' or '.join(borrowed)}")
    return [("own", (key,)), *((name, borrowed[name]()) for name in fallback)]


def choose(key: Key, counts: Mapping[Key, int], *, least: int, fallback: Sequence[Fallback] = ()) -> Choice:
    """Returns the best reference of a key that holds ``least`` scenes, or ``no reference yet``.

    Args:
        key: of the scene.
        counts: scenes per key in the history.
        least: fewer scenes are no reference.
        fallback: what the policy lets a key borrow, in this order; nothing unless stated.
    """
    for ground, keys in candidates(key, fallback):
        n = sum(counts.get(k, 0) for k in keys)
        if n >= least:
            return Choice(ground, tuple(k for k in keys if counts.get(k, 0)), n)
    return Choice("no reference yet", (), 0)

"""What each class looks like on a day of the year, and by how much one year differs from the next.

A class passes through stages (bare, green, ripe), each a spectrum that comes and goes smoothly. A year moves the
calendar of all classes by up to eight days, and each class a little by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

YEAR_DAYS = 365.25
MOST_PHASE_DAYS = 8.0


@dataclass(frozen=True)
class Stage:
    """A look that a class takes on for a part of the year.

    Attributes:
        dn: top-of-atmosphere numbers, B01 to B12, at scale 1e-4.
        begins: day of the year at which half of the class looks so.
        ends: day at which half no longer does.
        pace: days that the change takes, as the scale of a logistic.
    """

    dn: tuple[int, ...]
    begins: float
    ends: float
    pace: float


@dataclass(frozen=True)
class Course:
    """A class through the year: its look in winter, stages that replace it, and how much years move it.

    Attributes:
        rest: numbers outside all stages.
        stages: in order; a later one replaces an earlier.
        moved: how much of a year's move in time and strength the class follows (0 to 1).
    """

    rest: tuple[int, ...]
    stages: tuple[Stage, ...] = ()
    moved: float = 1.0


@dataclass(frozen=True)
class Season:
    """How one year departs from the mean one.

    Attributes:
        phase_days: by class, by how many days everything is late.
        strength: by class, the factor on how far its stages depart from its look at rest.
    """

    phase_days: NDArray[np.float64]
    strength: NDArray[np.float64]


_COURSES: Mapping[str, Course] = {
    "residential": Course(
        (1750, 1620, 1480, 1560, 1640, 1800, 1900, 1950, 2050, 560, 14, 2050, 1750),
        (Stage((1705, 1565, 1440, 1490, 1640, 2080, 2250, 2300, 2430, 720, 15, 2100, 1700), 118, 290, 12),),
        0.5,
    ),
    "farm": Course(
        (1640, 1430, 1290, 1420, 1560, 1800, 1950, 2050, 2200, 590, 14, 2600, 1950),
        (
            Stage((1510, 1210, 1130, 850, 1270, 2800, 3450, 3550, 3800, 950, 16, 1950, 1000), 124, 201, 9),
            Stage((1690, 1530, 1530, 1800, 2020, 2380, 2560, 2700, 2880, 820, 16, 3350, 2500), 201, 265, 8),
        ),
    ),
    "meadow": Course(
        (1610, 1370, 1240, 1190, 1490, 2250, 2550, 2700, 2850, 640, 13, 2250, 1450),
        (Stage((1490, 1200, 1160, 900, 1380, 3050, 3650, 3750, 4000, 1020, 16, 2300, 1250), 105, 300, 14),),
    ),
    "forest": Course(
        (1560, 1240, 1010, 820, 990, 1650, 1900, 1950, 2100, 520, 12, 1150, 640),
        (Stage((1460, 1090, 900, 600, 900, 2250, 2800, 2900, 3050, 800, 13, 1300, 590), 117, 296, 9),),
    ),
    "water": Course(
        (1600, 1300, 1010, 760, 720, 640, 610, 540, 500, 220, 9, 140, 80),
        (Stage((1570, 1280, 1040, 760, 735, 630, 600, 530, 490, 225, 10, 135, 75), 135, 275, 20),),
        0.5,
    ),
}
CLASSES = tuple(_COURSES)


def day_of(when: datetime) -> float:
    """Returns the day of the year of 365.25 days, from 0; leap years are stretched onto the same circle.

    Raises:
        ValueError: a time without a zone.
    """
    if when.tzinfo is None:
        raise ValueError("acquisition times carry a time zone")
    there = when.astimezone(UTC)
    begin, end = datetime(there.year, 1, 1, tzinfo=UTC), datetime(there.year + 1, 1, 1, tzinfo=UTC)
    return YEAR_DAYS * ((there - begin) / (end - begin))


def season_of(year: int, seed: int = 0) -> Season:
    """Returns how a year departs from the mean one: a move of all classes (uniform within 8 days) and their own."""
    rng = np.random.default_rng([977, seed, year])
    follows = np.array([_COURSES[name].moved for name in CLASSES])
    together, alone = rng.uniform(-0.75, 0.75), rng.uniform(-0.25, 0.25, len(CLASSES))
    strength = 0.04 * rng.standard_normal() + 0.02 * rng.standard_normal(len(CLASSES))
    return Season(MOST_PHASE_DAYS * follows * (together + alone), 1.0 + follows * np.clip(strength, -0.12, 0.12))


def spectrum(name: str, day: ArrayLike, strength: float = 1.0) -> NDArray[np.float64]:
    """Returns the numbers of a class on days of the year ``(..., band)``, before atmosphere and sun.

    Args:
        name: of the class.
        day: of the year, any number; the year comes round after 365.25.
        strength: factor on the departure from its look at rest.
    """
    course = _COURSES[name]
    rest = np.array(course.rest, dtype=np.float64)
    days = np.mod(np.asarray(day, dtype=np.float64), YEAR_DAYS)[..., None]
    seen = np.broadcast_to(rest, (*days.shape[:-1], rest.size)).copy()
    for stage in course.stages:
        seen += _cover(days, stage) * (np.array(stage.dn, dtype=np.float64) - rest)
    return np.asarray(rest + strength * (seen - rest))


def _cover(days: NDArray[np.float64], stage: Stage) -> NDArray[np.float64]:
    """Share of the class (0 to 1) that looks like a stage; the neighbouring years close the circle."""
    around = days + YEAR_DAYS * np.arange(-2, 3)
    rises = 1.0 / (1.0 + np.exp(-np.clip((around - stage.begins) / stage.pace, -500, 500)))
    falls = 1.0 / (1.0 + np.exp(-np.clip((around - stage.ends) / stage.pace, -500, 500)))
    return np.asarray((rises - falls).sum(axis=-1, keepdims=True))

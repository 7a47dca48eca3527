"""Numbers and times as people read them; what is not known is a dash and never a zero."""

from __future__ import annotations

import math
from datetime import UTC, datetime

DASH = "\N{EN DASH}"


def number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """Returns a number with so many significant digits; a dash for None, NaN and infinity.

    >>> number(1034.2), number(0.01234), number(3.0, sign=True)
    ('1,034', '0.0123', '+3')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size <= 8:
        return f"{value:{'+' if sign else ''}.{digits - 1}e}"
    decimals = max(0, digits - 1 - size)
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float | None, *, sign: bool = False) -> str:
    """Returns a share of 1 as per cent; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:{'+' if sign else ''}.1%}".replace("%", " %")


def counted(n: int, what: str) -> str:
    """Returns how many there are of something, in words that fit the number.

    >>> counted(1, "scene"), counted(1200, "scene")
    ('1 scene', '1,200 scenes')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def day(at: datetime | None) -> str:
    """Returns the day of a time, in UTC; a dash where it is not known."""
    return at.astimezone(UTC).strftime("%Y-%m-%d") if at else DASH


def minute(at: datetime | None) -> str:
    """Returns a time to the minute, in UTC; a dash where it is not known."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if at else DASH

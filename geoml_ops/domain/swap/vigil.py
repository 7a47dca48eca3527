"""The first requests of a new model against those of the one before it: when the one before should answer again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from statistics import median


@dataclass(frozen=True)
class Noted:
    """One request: whether the model did its part, in how many seconds, for how many pixels."""

    ok: bool
    latency_s: float
    pixels: int


@dataclass(frozen=True)
class Limits:
    """What a new model may do worse than the one before it.

    Attributes:
        requests: of its first ones are looked at.
        seconds: after which it is not looked at any more, however few they were.
        errors: fewer failures than this say nothing.
        error_share: of its requests may fail beyond the share that failed before.
        compared: requests of similar size on both sides that a latency is judged from.
        times: as slow as before it may be in the middle.
        slower_s: a middle that is later by less is not felt.
    """

    requests: int = 200
    seconds: float = 300.0
    errors: int = 3
    error_share: float = 0.05
    compared: int = 20
    times: float = 3.0
    slower_s: float = 0.05


def objection(before: Sequence[Noted], after: Sequence[Noted], limits: Limits) -> str:
    """Returns why the model before should answer again; empty where nothing speaks for it.

    Failures are compared as shares. Latencies are compared among requests of about the same number of pixels,
    a factor of two, so that a day of large rasters is not taken for a slow model.
    """
    failed = [sum(not one.ok for one in many) for many in (before, after)]
    shares = [n / len(many) if many else 0.0 for n, many in zip(failed, (before, after), strict=True)]
    if failed[1] >= limits.errors and shares[1] > shares[0] + limits.error_share:
        return (
            f"{failed[1]} of its first {len(after)} requests failed ({shares[1]:.1%}), before it were {failed[0]} of "
            f"{len(before)} ({shares[0]:.1%}); {limits.error_share:.0%} more are allowed."
        )
    pairs = _paired(before, after)
    if len(pairs) < limits.compared:
        return ""
    usual, now = median(usual for usual, _ in pairs), median(now for _, now in pairs)
    times = median(now / max(usual, 1e-6) for usual, now in pairs)
    if times > limits.times and now - usual > limits.slower_s:
        return (
            f"Its first {len(pairs)} comparable requests took {times:.1f} times as long as those before "
            f"({now * 1e3:.0f} ms against {usual * 1e3:.0f} ms in the middle); {limits.times:g} times are allowed."
        )
    return ""


def _paired(before: Sequence[Noted], after: Sequence[Noted]) -> list[tuple[float, float]]:
    """Returns per answered request of the new model what one of its size took before, and what it took."""
    sizes: dict[int, list[float]] = {}
    for one in before:
        if one.ok:
            sizes.setdefault(_size(one), []).append(one.latency_s)
    usual = {size: median(times) for size, times in sizes.items()}
    return [(usual[_size(one)], one.latency_s) for one in after if one.ok and _size(one) in usual]


def _size(one: Noted) -> int:
    return round(log2(max(one.pixels, 1)))

"""How ground bends, in 1/m: along its slope, across it, and in plan. Positive is convex, negative is hollow."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from geoml_ops.domain.covariates.terrain.ground import Ground, Layer

Method = Literal["zevenbergen_thorne", "evans"]


class Derivatives(NamedTuple):
    """Derivatives of elevation with x to the east and y to the north; each ``(y, x)``.

    Attributes:
        p: dz/dx.
        q: dz/dy.
        r: d2z/dx2 in 1/m.
        s: d2z/dxdy in 1/m.
        t: d2z/dy2 in 1/m.
    """

    p: Layer
    q: Layer
    r: Layer
    s: Layer
    t: Layer

    @property
    def along(self) -> Layer:
        """``p2 r + 2 p q s + q2 t``: the second derivative along the gradient, times its square."""
        return self.p**2 * self.r + 2.0 * self.p * self.q * self.s + self.q**2 * self.t

    @property
    def across(self) -> Layer:
        """``q2 r - 2 p q s + p2 t``: the second derivative across the gradient, times its square."""
        return self.q**2 * self.r - 2.0 * self.p * self.q * self.s + self.p**2 * self.t

    @property
    def square(self) -> Layer:
        """``p2 + q2``: the square of the tangent of slope."""
        return self.p**2 + self.q**2


def zevenbergen_thorne(ground: Ground) -> Derivatives:
    """Returns derivatives of the surface through all nine cells.

    Zevenbergen & Thorne 1987, doi:10.1002/esp.3290120107.
    """
    edge = ground.pixel_m
    north, south, east, west = ground.at(-1, 0), ground.at(1, 0), ground.at(0, 1), ground.at(0, -1)
    twice = 2.0 * ground.centre
    return Derivatives(
        (east - west) / (2 * edge),
        (north - south) / (2 * edge),
        (east + west - twice) / edge**2,
        _mixed(ground),
        (north + south - twice) / edge**2,
    )


def evans(ground: Ground) -> Derivatives:
    """Returns derivatives of the quadratic surface with least squares in nine cells (Evans 1980).

    I. S. Evans, An integrated system of terrain analysis and slope mapping, Zeitschrift für Geomorphologie, Suppl. 36.
    """
    edge = ground.pixel_m
    rows = [[ground.at(row, col) for col in (-1, 0, 1)] for row in (-1, 0, 1)]
    north, middle, south = (row[0] + row[1] + row[2] for row in rows)
    west, centre, east = (rows[0][col] + rows[1][col] + rows[2][col] for col in (0, 1, 2))
    return Derivatives(
        (east - west) / (6 * edge),
        (north - south) / (6 * edge),
        (east + west - 2.0 * centre) / (3 * edge**2),
        _mixed(ground),
        (north + south - 2.0 * middle) / (3 * edge**2),
    )


def derivatives(ground: Ground, method: Method) -> Derivatives:
    """Returns the derivatives by name of the method; NaN where one of the nine cells is."""
    found = zevenbergen_thorne(ground) if method == "zevenbergen_thorne" else evans(ground)
    # A product with a gradient of 0 would hide a corner that is missing.
    holes = np.isnan(found.s) | np.isnan(found.r) | np.isnan(found.t) | np.isnan(ground.centre)
    return Derivatives(*(np.where(holes, np.nan, layer) for layer in found))


def profile(of: Derivatives, method: Method) -> Layer:
    """Returns the curvature ``(y, x)`` along the slope: water gains speed where it is positive.

    ``zevenbergen_thorne``: minus the second derivative along the gradient. ``evans``: the curvature of the line that
    a vertical plane along the gradient cuts, ``-(p2 r + 2 p q s + q2 t) / ((p2 + q2) (1 + p2 + q2)^1.5)``.
    """
    bend = _per_square(of, of.along)
    return bend if method == "zevenbergen_thorne" else np.asarray(bend / (1.0 + of.square) ** 1.5)


def tangential(of: Derivatives) -> Layer:
    """Returns the curvature ``(y, x)`` of the vertical cut across the slope: water parts where it is positive.

    ``-(q2 r - 2 p q s + p2 t) / ((p2 + q2) (1 + p2 + q2)^0.5)`` (Mitasova & Hofierka 1993, doi:10.1007/BF00893172).
    """
    return np.asarray(_per_square(of, of.across) / np.sqrt(1.0 + of.square))


def plan(of: Derivatives, method: Method) -> Layer:
    """Returns the curvature ``(y, x)`` in plan: water parts where it is positive.

    ``zevenbergen_thorne``: minus the second derivative across the gradient, ``-(q2 r - 2 p q s + p2 t) / (p2 + q2)``.
    ``evans``: the curvature of the contour line, with ``(p2 + q2)^1.5``: without bound where ground is nearly level,
    and NaN where it is level but not plane.
    """
    if method == "zevenbergen_thorne":
        return _per_square(of, of.across)
    plane = (of.r == 0) & (of.s == 0) & (of.t == 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        contour = -of.across / of.square**1.5
    return np.where(plane, 0.0, np.where(np.isfinite(contour), contour, np.nan))


def _mixed(ground: Ground) -> Layer:
    rising = ground.at(-1, 1) - ground.at(-1, -1)
    return np.asarray((rising - (ground.at(1, 1) - ground.at(1, -1))) / (4 * ground.pixel_m**2))


def _per_square(of: Derivatives, bend: Layer) -> Layer:
    """Returns minus a bend per square of the gradient; on level ground, minus the mean over all directions."""
    # A gradient whose square is no normal number has no direction that could be trusted either.
    level = of.square < np.finfo(np.float64).tiny
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.where(level, (of.r + of.t) / 2, bend / of.square))

"""What a lag can be told, and how a neighbour's weight falls with distance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value
from geoml_ops.domain.covariates.planar import Where

Fall = Literal["triangular", "quadratic", "quartic", "gaussian", "inverse"]


class LagOptions(Value):
    """What a spatial lag can be told.

    Attributes:
        kind: who is a neighbour: who shares an edge or corner (``queen``) or an edge (``rook``), who is within
            ``radius_m`` (``distance``, all alike; ``kernel``, the nearer the more), or the ``k`` nearest (``knn``).
        order: contiguity of this order and all lower ones.
        k: number of nearest neighbours; of pixels whole rings only, 4, 8, 12, 20, 24 …
        radius_m: greatest distance of a neighbour, between pixel centres or centroids.
        fall: of weights in a kernel, over ``z = distance / radius_m``: ``1 - z``, ``1 - z^2``, ``(1 - z^2)^2``, a
            Gaussian whose standard deviation is a third of the radius, or ``1 / distance``.
        field: of a vector delivery, the numbers whose lag is meant.
        where: of a vector delivery, which records there are.
        repair: whether its polygons are made valid.
        reach_m: of a vector delivery, how far from a record its lag is painted; 0 for inside polygons only.
    """

    kind: Literal["queen", "rook", "distance", "kernel", "knn"] = "queen"
    order: int = Field(1, ge=1, le=50)
    k: int = Field(8, ge=1, le=1000)
    radius_m: float | None = Field(None, gt=0)
    fall: Fall = "triangular"
    field: str = ""
    where: Where = Field(default_factory=dict)
    repair: bool = False
    reach_m: float = Field(0.0, ge=0)


def radius_of(options: LagOptions) -> float:
    """Returns the radius of neighbourhoods that have one.

    Raises:
        BadInput: none is given.
    """
    if options.radius_m is None:
        raise BadInput(f"A lag of kind {options.kind} needs a radius.", "give options.radius_m in metres")
    return options.radius_m


def weights_at(distance_m: NDArray[np.float64], options: LagOptions) -> NDArray[np.float64]:
    """Returns the weight of neighbours before rows are made to add up to one.

    Kernels without their constant factors, which rows lose anyway (Silverman 1986, section 3.3).

    Args:
        distance_m: of each neighbour, above 0 and at most the radius.
        options: kind, radius and fall.
    """
    if options.kind != "kernel":
        return np.ones_like(distance_m)
    z = np.minimum(distance_m / radius_of(options), 1.0)
    match options.fall:
        case "triangular":
            return 1.0 - z
        case "quadratic":
            return np.asarray(1.0 - z**2)
        case "quartic":
            return np.asarray((1.0 - z**2) ** 2)
        case "gaussian":
            return np.asarray(np.exp(-0.5 * (3.0 * z) ** 2))
        case "inverse":
            return 1.0 / distance_m

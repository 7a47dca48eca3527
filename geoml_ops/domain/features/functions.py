"""The functions of the feature language, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_HALO_PX = 256
MAX_COUNTED_LEVELS = 16
TEXTURE = "glcm_"


@dataclass(frozen=True)
class Function:
    """What one function is told, and what it says.

    Attributes:
        kind: of one pixel (``elementwise``), a window around it (``focal``), or pairs of pixels in it (``texture``).
        operands: number of expressions it is made of.
        needs: numbers that must be given after them, in order.
        may: numbers that may be given by name, with their defaults; None where the operand's range decides.
        says: what comes out.
        source: where it was published.
    """

    kind: Literal["elementwise", "focal", "texture"]
    operands: int
    needs: tuple[str, ...] = ()
    may: Mapping[str, float | None] = field(default_factory=dict)
    says: str = ""
    source: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of all numbers, in the order in which they are given."""
        return (*self.needs, *self.may)


def _elementwise(says: str, operands: int = 1, needs: tuple[str, ...] = ()) -> Function:
    return Function("elementwise", operands, needs, says=says)


def _focal(says: str) -> Function:
    return Function("focal", 1, ("window",), says=says)


def _texture(says: str, source: str = "Haralick et al. 1973") -> Function:
    may = {"levels": 16.0, "low": None, "high": None, "distance": 1.0}
    return Function("texture", 1, ("window",), may, says, source)


FUNCTIONS: Mapping[str, Function] = {
    "abs": _elementwise("magnitude"),
    "sqrt": _elementwise("square root, nothing below 0"),
    "exp": _elementwise("e to the power"),
    "log": _elementwise("natural logarithm, nothing at 0 and below"),
    "tanh": _elementwise("hyperbolic tangent"),
    "minimum": _elementwise("the smaller of two", operands=2),
    "maximum": _elementwise("the larger of two", operands=2),
    "clip": _elementwise("not below the first number, not above the second", needs=("low", "high")),
    "mean": _focal("mean of the observed pixels"),
    "std": _focal("their standard deviation, divided by n"),
    "min": _focal("the smallest"),
    "max": _focal("the largest"),
    "range": _focal("largest minus smallest"),
    "glcm_contrast": _texture("mean squared difference of levels"),
    "glcm_dissimilarity": _texture("mean difference of levels", "Conners and Harlow 1980"),
    "glcm_homogeneity": _texture("mean of 1 / (1 + squared difference)"),
    "glcm_correlation": _texture("correlation of levels"),
    "glcm_energy": _texture("root of the angular second moment"),
    "glcm_asm": _texture("angular second moment"),
    "glcm_entropy": _texture("entropy of the matrix, in nats"),
}

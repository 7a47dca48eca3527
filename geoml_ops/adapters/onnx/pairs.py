"""Pairs of pixels at one offset in every window of a layer of levels."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from geoml_ops.adapters.onnx import windows
from geoml_ops.adapters.onnx.writer import Writer


@dataclass(frozen=True)
class Pairs:
    """All pairs in one direction.

    Attributes:
        writer: the graph's.
        first: level of one pixel of each pair, float32; 0 where not observed.
        second: level of the other.
        both: float32, 1 where both are observed, else 0.
        box: rows and columns of the first pixels of one window's pairs.
        levels: number of levels.
    """

    writer: Writer
    first: str
    second: str
    both: str
    box: tuple[int, int]
    levels: int

    @property
    def most(self) -> int:
        """Returns the largest number of pairs that a window can have."""
        return self.box[0] * self.box[1]

    @property
    def n(self) -> str:
        """Adds the number of pairs in each window, float64."""
        return self.sum(self.both, 1.0)

    def sum(self, terms: str, greatest: float) -> str:
        """Adds the sum of whole terms, each 0 to ``greatest``, over each window's pairs, float64."""
        total = windows.whole_sum(self.writer, terms, *self.box, greatest)
        return self.writer.op("Cast", total, to=TensorProto.DOUBLE)

    @property
    def apart(self) -> str:
        """Adds by how many levels a pair differs, float32; 0 where there is no pair."""
        difference = self.writer.op("Abs", self.writer.op("Sub", self.first, self.second))
        return self.writer.op("Mul", difference, self.both)


def pairs_of(writer: Writer, level: str, seen: str, offset: tuple[int, int], window_px: int, levels: int) -> Pairs:
    """Adds the pairs of one direction, from levels and the mask of observed pixels, half a window beyond the edge."""
    first, second = _ends(writer, level, offset)
    both = writer.op("Mul", *_ends(writer, writer.op("Cast", seen, to=TensorProto.FLOAT), offset))
    return Pairs(writer, first, second, both, (window_px - offset[0], window_px - abs(offset[1])), levels)


def _ends(writer: Writer, layer: str, offset: tuple[int, int]) -> tuple[str, str]:
    """Adds one pixel of every pair, and the other."""
    down, across = offset
    left, right = max(-across, 0), max(across, 0)
    first = windows.cut(writer, windows.cut(writer, layer, windows.Y, 0, down), windows.X, left, right)
    second = windows.cut(writer, windows.cut(writer, layer, windows.Y, down), windows.X, right, left)
    return first, second

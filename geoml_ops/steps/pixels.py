"""What a map says about one pixel, and how far that may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoml_ops.adapters import cog, raster
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Window
from geoml_ops.domain.tiling import CEILING, members_of


@dataclass(frozen=True)
class Pixel:
    """What a map says about one pixel.

    Attributes:
        row: from the northern edge, from 0.
        col: from the western edge, from 0.
        code: class code; 255 for no answer.
        name: name of the class; None for no answer.
        confidence: 0 to 1; None for no answer, or where the map does not say.
        possible: names of the classes in its set, in code order; None where the map does not say.
        coverage: how often such sets were promised to hold the true class, 0 to 1; None where the map does not say.
        dissimilarity: to what the model learned from, in shares of the threshold, rounded up to hundredths and at
            most 2.5; None where the map does not say.
        density: samples within the threshold, at most 250; None where the map does not say.
        probabilities: 0 to 1 of each class by name, most probable first; None where the map does not say.
    """

    row: int
    col: int
    code: int
    name: str | None
    confidence: float | None
    possible: tuple[str, ...] | None = None
    coverage: float | None = None
    dissimilarity: float | None = None
    density: int | None = None
    probabilities: dict[str, float] | None = None

    @property
    def outside(self) -> bool | None:
        """Whether it lies outside the area of applicability; None where the map does not say."""
        return None if self.dissimilarity is None else self.dissimilarity > 1


def pixel_of(map_path: Path, easting: float, northing: float) -> Pixel:
    """Returns what a map says at a point; maps of fewer bands say less.

    Raises:
        BadInput: the point is outside the map, or the file is no map of this platform.
    """
    facts = raster.describe(map_path, raster.OWN)
    row, col = facts.grid.pixel_at(easting, northing)
    if facts.names[:1] != (cog.CLASS,):
        raise BadInput(f"{map_path.name} is no map.", "give a map that `geoml classify` or the service wrote")
    said = raster.read(map_path, Window(col=col, row=row, width=1, height=1), limits=raster.OWN)[:, 0, 0].tolist()
    band = {name: int(value) for name, value in zip(facts.names, said, strict=True) if value != cog.NODATA}
    try:
        if cog.CONFIDENCE not in facts.names:
            band[cog.CONFIDENCE] = cog.NODATA
        return _read(row, col, band, cog.read_classes(map_path), facts.tags.get("GEOML_COVERAGE"))
    except (KeyError, IndexError, ValueError, TypeError):
        raise BadInput(
            f"{map_path.name} was changed: bands and tags do not fit.", "give the map as it was written"
        ) from None


def _read(row: int, col: int, band: Mapping[str, int], names: tuple[str, ...], coverage: str | None) -> Pixel:
    code = band.get(cog.CLASS, cog.NODATA)
    if code >= len(names):
        return Pixel(row, col, code, None, None)
    far, sure = band.get(cog.DISSIMILARITY), band[cog.CONFIDENCE]
    return Pixel(
        row,
        col,
        code,
        names[code],
        None if sure == cog.NODATA else sure / 100,
        possible=_possible(band, names),
        coverage=None if coverage is None else float(coverage),
        dissimilarity=None if far is None else far / 100,
        density=band.get(cog.DENSITY),
        probabilities=_probabilities(band, names),
    )


def of_trust(pixel: Pixel) -> str:
    """Returns how far an answer may be trusted, in sentences; empty where the map says nothing about it."""
    said = []
    if pixel.possible is not None and pixel.coverage is not None:
        others = [name for name in pixel.possible if name != pixel.name]
        what = f"It may also be {_either(others)}" if others else "Its set holds no other class"
        said.append(f"{what}; such sets were promised to hold the true class {100 * pixel.coverage:g}% of the time.")
    if pixel.dissimilarity is not None:
        more = " or more" if pixel.dissimilarity >= CEILING / 100 else ""
        times = f"{pixel.dissimilarity:.2f}".rstrip("0").rstrip(".") + more
        said.append(
            f"It is unlike anything the model learned from, {times} times the threshold: neither scores nor sets "
            "are known to hold here."
            if pixel.outside
            else f"It is like what the model learned from: {times} times the threshold, {_counted(pixel.density)} near."
        )
    return " ".join(said)


def _probabilities(band: Mapping[str, int], names: tuple[str, ...]) -> dict[str, float] | None:
    said = {name: band.get(f"{cog.PROBABILITY}{code}") for code, name in enumerate(names)}
    known = {name: percent / 100 for name, percent in said.items() if percent is not None}
    return dict(sorted(known.items(), key=lambda entry: -entry[1])) if len(known) == len(names) else None


def _possible(band: Mapping[str, int], names: tuple[str, ...]) -> tuple[str, ...] | None:
    bits = [band[name] for name in band if name.startswith(cog.SET) and name != cog.SET_SIZE]
    if not bits:
        return None
    member = members_of(np.array(bits, dtype=np.uint8), len(names))
    return tuple(name for name, there in zip(names, member, strict=True) if there)


def _either(names: Sequence[str]) -> str:
    return " or ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def _counted(density: int | None) -> str:
    noun = "sample" if density == 1 else "samples"
    more = " or more" if density == CEILING else ""
    return f"{density}{more} {noun}" if density is not None else "samples"

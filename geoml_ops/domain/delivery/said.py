"""``delivery.yaml``: what a delivery says of itself."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from pydantic import Field

from geoml_ops.core.bands import Radiometry, linear
from geoml_ops.core.grid import Value

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class DeclaredNumbers(Value):
    """How digital numbers become reflectance, in Sentinel-2's words: ``(dn + add_offset) / quantification``."""

    quantification: float = Field(gt=0)
    add_offset: float

    @property
    def radiometry(self) -> Radiometry:
        """The same in the house's words."""
        return Radiometry(scale=1 / self.quantification, offset_dn=self.add_offset)


class DeclaredBand(Value):
    """How digital numbers of one band become values, in most other words: ``dn * scale + offset``."""

    scale: float = Field(gt=0)
    offset: float = 0.0

    @property
    def radiometry(self) -> Radiometry:
        """The same in the house's words."""
        return linear(self.scale, self.offset)


class SceneDelivery(Value):
    """``delivery.yaml`` of a scene; what the producer's own metadata say may be left out.

    Attributes:
        kind: ``scene``.
        sensor: whose contract it is delivered under.
        acquired: when, with a time zone.
        processing_baseline: of Sentinel-2.
        radiometry: of every band that has none of its own.
        bands: radiometry by band, where one differs.
        harmonised: whether the offset of baseline 04.00 was taken out of Sentinel-2 numbers already.
        files: which band a file holds, or which bands in the file's order; needed where names do not tell.
    """

    kind: Literal["scene"]
    sensor: str
    acquired: datetime | None = None
    processing_baseline: str | None = Field(None, pattern=r"^\d\d\.\d\d$")
    radiometry: DeclaredNumbers | None = None
    bands: dict[str, DeclaredBand] = Field(default_factory=dict, max_length=100)
    harmonised: bool = False
    files: dict[str, str | tuple[str, ...]] = Field(default_factory=dict, max_length=500)


class NamedCode(Value):
    """What a code of a legend stands for, where more than its name is told."""

    name: str = Field(min_length=1, max_length=120)
    colour: str = Field("", max_length=20)


class LabelsDelivery(Value):
    """``delivery.yaml`` of labels: one file of polygons or points, or one raster of codes.

    Attributes:
        kind: ``labels``.
        file: a GeoPackage, GeoJSON or GeoTIFF.
        class_field: of polygons and points, the field that names their class, or holds its code; a raster has none.
        legend: what codes stand for: code to name, or the name of a file in the delivery that tells.
        nodata: code of a raster that stands for no label, whatever the raster itself says; ``none`` for no code.
        use: ``judging`` keeps them from every training; models are compared on them.
        design: id of the design that asked for them, where one did.
        source: who labelled, and how.
    """

    kind: Literal["labels"]
    file: str
    class_field: str = Field("", max_length=120)
    legend: dict[str, str | NamedCode] | str | None = None
    nodata: int | Literal["none"] | None = None
    use: Literal["learning", "judging"] = "learning"
    design: str = Field("", pattern=r"^(design-[0-9a-f]{16})?$")
    source: str = Field("", max_length=400)


class AncillaryDelivery(Value):
    """``delivery.yaml`` of ground that is neither imagery nor labels: one raster or one file of geometries.

    ``unit`` is that of a raster's numbers, ``m`` for an elevation model.
    """

    kind: Literal["ancillary"]
    file: str
    unit: str = Field("", max_length=40)


def is_name(name: str) -> bool:
    """Says whether a name is plain enough to become part of a path."""
    return bool(_NAME.fullmatch(name)) and ".." not in name

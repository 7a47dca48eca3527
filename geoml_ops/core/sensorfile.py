"""A sensor that somebody describes in a file: the same contract as the built-in ones, from plain words."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from geoml_ops.core.contracts import Band, Contract, CrsClass, Radiometry, Resampling
from geoml_ops.core.grid import Value
from geoml_ops.core.sensors import COMMON_NAMES, CONTRACTS, linear

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_SENSOR = re.compile(r"[a-z][a-z0-9-]{1,59}")
Dtype = Literal["uint8", "uint16", "int16", "float32"]


class SensorBand(Value):
    """One band of a sensor file; what it does not say is the sensor's.

    Attributes:
        common_name: the STAC ``eo:common_name``; left out where it has none.
        aliases: other names that files give it.
        gsd_m: ground sampling distance as delivered, in metres; a whole multiple of ``pixel_m``.
        centre_nm: central wavelength in nanometres.
        resampling: how it is brought to ``pixel_m`` when it is coarser.
        unit: of the values.
        scale: value per DN.
        offset: value of DN 0.
        valid: lowest and highest possible value.
    """

    common_name: str = ""
    aliases: tuple[str, ...] = ()
    gsd_m: float | None = Field(None, gt=0, le=100_000)
    centre_nm: float | None = Field(None, gt=100, lt=1e9)
    resampling: Resampling | None = None
    unit: str | None = Field(None, min_length=1, max_length=40)
    scale: float | None = Field(None, gt=0)
    offset: float | None = None
    valid: tuple[float, float] | None = None


class SensorFile(Value):
    """The content of a sensor file.

    Attributes:
        sensor: its name, as experiments and deliveries write it.
        pixel_m: edge of a pixel of the common grid, in metres.
        dtype: type of the delivered numbers.
        crs_class: which coordinate systems scenes are delivered in.
        nodata: the DN that stands for "not observed"; null for none (NaN always does).
        unit: of the values of bands that name none.
        scale: value per DN of bands that name none.
        offset: value of DN 0 of bands that name none.
        bands: by name, in the order in which arrays hold them.
        also: layers that files may carry and that no model reads.
    """

    sensor: str
    pixel_m: float = Field(gt=0, le=100_000)
    dtype: Dtype
    crs_class: CrsClass = "projected metres"
    nodata: float | None
    unit: str = Field("reflectance", min_length=1, max_length=40)
    scale: float = Field(gt=0)
    offset: float = 0.0
    bands: dict[str, SensorBand] = Field(min_length=1, max_length=32)
    also: tuple[str, ...] = Field((), max_length=100)

    @model_validator(mode="after")
    def _names(self) -> SensorFile:
        if not _SENSOR.fullmatch(self.sensor):
            raise ValueError(f"a sensor is named in small letters, digits and dashes, not {self.sensor[:60]!r}")
        if self.sensor in CONTRACTS:
            raise ValueError(f"{self.sensor} is built in; choose another name")
        words: dict[str, str] = {}
        for name, band in self.bands.items():
            bad = [w for w in (name, *band.aliases) if not _WORD.fullmatch(w)]
            if bad:
                raise ValueError(f"a band is named in letters, digits and underlines, not {bad[0][:60]!r}")
            if band.common_name and band.common_name not in COMMON_NAMES:
                raise ValueError(
                    f"{name} has the common name {band.common_name[:60]!r}; STAC knows {', '.join(COMMON_NAMES)}"
                )
            for word in dict.fromkeys((name, band.common_name, *band.aliases)):
                if word and words.setdefault(word, name) != name:
                    raise ValueError(f"{words[word]} and {name} are both called {word}")
        double = sorted(set(words) & set(self.also))
        if double:
            raise ValueError(f"{double[0]} is a band and cannot be left aside under also")
        return self

    @model_validator(mode="after")
    def _numbers(self) -> SensorFile:
        kind = np.dtype(self.dtype)
        if self.nodata is not None and kind.kind in "iu":
            limits = np.iinfo(kind)
            if not (self.nodata.is_integer() and limits.min <= self.nodata <= limits.max):
                raise ValueError(f"nodata {self.nodata:g} cannot stand among {self.dtype} numbers")
        for name, band in self.bands.items():
            times = (band.gsd_m or self.pixel_m) / self.pixel_m
            if times < 1 - 1e-9 or abs(times - round(times)) > 1e-9:
                raise ValueError(f"{name} has pixels of {band.gsd_m:g} m, no whole multiple of {self.pixel_m:g} m")
            if times > 1.5 and band.resampling in (None, "none"):
                raise ValueError(f"{name} is coarser than {self.pixel_m:g} m; say resampling: nearest or bilinear")
            if times > 1.5 and kind.kind != "u":
                raise ValueError(f"{name} is coarser than {self.pixel_m:g} m; only unsigned integers are resampled")
            if band.valid is not None and not band.valid[0] < band.valid[1]:
                raise ValueError(f"{name} is valid from {band.valid[0]:g} to {band.valid[1]:g}: nothing lies between")
            if (band.unit or self.unit) != "reflectance" and band.valid is None:
                raise ValueError(f"{name} is no reflectance; say which values are valid: [lowest, highest]")
        return self

    @property
    def contract(self) -> Contract:
        """The contract that the file describes."""
        main = linear(self.scale, self.offset, self.nodata)
        return Contract(
            sensor=self.sensor,
            bands=tuple(self._band(name, band, main) for name, band in self.bands.items()),
            radiometry=main,
            pixel_m=self.pixel_m,
            dtype=self.dtype,
            crs_class=self.crs_class,
            also=self.also,
        )

    def _band(self, name: str, band: SensorBand, main: Radiometry) -> Band:
        scale = self.scale if band.scale is None else band.scale
        offset = self.offset if band.offset is None else band.offset
        own = linear(scale, offset, self.nodata)
        return Band(
            name=name,
            common_name=band.common_name,
            aliases=band.aliases,
            gsd_m=band.gsd_m or self.pixel_m,
            centre_nm=band.centre_nm,
            resampling=band.resampling or "none",
            valid=band.valid or (-0.2, 2.0),
            unit=band.unit or self.unit,
            radiometry=None if own == main else own,
        )

"""The band and radiometry contract: what a band is called and what its numbers mean.

A model is bound to one contract. Bands are found by name, never by position; the numbers of a
scene are brought to the contract by :func:`to_contract`, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Value

Resampling = Literal["none", "nearest", "bilinear"]


class Radiometry(Value):
    """How digital numbers become reflectance: ``(dn + offset_dn) * scale``, ``nodata`` meaning nothing.

    Attributes:
        scale: reflectance per DN, > 0 (Sentinel-2: 1 / 10000).
        offset_dn: DN added before scaling (Sentinel-2 baseline 04.00 and later: -1000).
        nodata: the DN that stands for "not observed", before any offset.
    """

    scale: float = Field(gt=0)
    offset_dn: float = 0.0
    nodata: float = 0.0


class Band(Value):
    """One named layer of a sensor.

    Attributes:
        name: the sensor's own name, ``B08``.
        common_name: the STAC ``eo:common_name``, ``nir``.
        gsd_m: ground sampling distance as delivered, in metres.
        centre_nm: central wavelength in nanometres.
        resampling: how the band is brought to the contract's grid when it is delivered coarser.
        valid: lowest and highest reflectance that can be a measurement.
    """

    name: str
    common_name: str
    gsd_m: float = Field(gt=0)
    centre_nm: float = Field(gt=0)
    resampling: Resampling
    valid: tuple[float, float] = (-0.2, 2.0)


class Contract(Value):
    """What a model, a store and a service agree on about one sensor.

    Attributes:
        sensor: name of the sensor and product level, ``sentinel-2-l1c``.
        bands: in the order in which arrays ``(band, y, x)`` hold them.
        radiometry: the one that every scene is brought to.
        pixel_m: edge of a pixel of the common grid, in metres.
        dtype: type of the delivered numbers.
    """

    sensor: str
    bands: tuple[Band, ...]
    radiometry: Radiometry
    pixel_m: float = Field(gt=0)
    dtype: str

    @property
    def names(self) -> tuple[str, ...]:
        """Band names in array order."""
        return tuple(band.name for band in self.bands)

    def band(self, name: str) -> Band:
        """Returns a band by its sensor name or its common name.

        Raises:
            BadInput: no band or several bands have this name.
        """
        found = [b for b in self.bands if name in (b.name, b.common_name)]
        exact = [b for b in found if b.name == name]
        if len(exact or found) != 1:
            raise BadInput(
                f"{self.sensor} has {len(found)} bands called {name!r}.", f"use one of {', '.join(self.names)}"
            )
        return (exact or found)[0]

    def order(self, present: Sequence[str]) -> tuple[int, ...]:
        """Returns, for each band of the contract, its position among ``present``.

        Raises:
            BadInput: a band is missing, unnamed or there twice; bands beyond the contract are ignored.
        """
        missing = [name for name in self.names if name not in present]
        double = sorted({name for name in present if name in self.names and list(present).count(name) > 1})
        if missing or double:
            parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"twice {', '.join(double)}"] * bool(double)
            raise BadInput(
                f"The bands do not fit {self.sensor}: {'; '.join(parts)}; "
                f"found {', '.join(map(repr, present)) or 'none'}.",
                f"name every band, in any order: {', '.join(self.names)}",
            )
        return tuple(list(present).index(name) for name in self.names)

    def subset(self, names: Sequence[str]) -> Contract:
        """Returns the same contract for fewer bands, kept in the contract's order."""
        for name in names:
            self.band(name)
        return self.model_copy(update={"bands": tuple(b for b in self.bands if b.name in names)})


def to_contract(dn: NDArray[np.generic], declared: Radiometry, contract: Contract) -> NDArray[np.float32]:
    """Returns digital numbers in the contract's radiometry, exactly; NaN where there is no measurement.

    The only place where an offset is applied. Nodata is decided on the delivered number, before the
    offset, so a delivered 0 stays "not observed" and a delivered 1000 under an offset of -1000 is a
    measured zero.

    Args:
        dn: delivered numbers ``(band, y, x)``, any numeric type.
        declared: what the scene's own metadata say.
        contract: what the model was made for.

    Raises:
        BadInput: the two scales differ, so that no shift of DN can join them exactly.
    """
    wanted = contract.radiometry
    if not np.isclose(declared.scale, wanted.scale, rtol=1e-9, atol=0.0):
        raise BadInput(
            f"The scene declares a scale of {declared.scale:g} per DN, {contract.sensor} works at {wanted.scale:g}.",
            "deliver the product as its producer distributes it, or choose the contract of the right sensor",
        )
    shift = np.float32(declared.offset_dn - wanted.offset_dn)
    numbers = np.asarray(dn, dtype=np.float32)
    missing = ~np.isfinite(numbers) | (numbers == np.float32(declared.nodata))
    return np.where(missing, np.float32(np.nan), numbers + shift).astype(np.float32, copy=False)


def _sentinel2(rows: Mapping[str, tuple[str, int, float]]) -> tuple[Band, ...]:
    # 60 m bands are repeated, not interpolated: thirds and twelfths do not commute with an offset
    # in floating point, and one scene under two baselines must give one map.
    how: dict[int, Resampling] = {10: "none", 20: "bilinear", 60: "nearest"}
    return tuple(
        Band(name=n, common_name=c, gsd_m=float(g), centre_nm=w, resampling=how[g]) for n, (c, g, w) in rows.items()
    )


SENTINEL_2_L1C = Contract(
    sensor="sentinel-2-l1c",
    bands=_sentinel2(
        {
            "B01": ("coastal", 60, 442.7),
            "B02": ("blue", 10, 492.4),
            "B03": ("green", 10, 559.8),
            "B04": ("red", 10, 664.6),
            "B05": ("rededge071", 20, 704.1),
            "B06": ("rededge075", 20, 740.5),
            "B07": ("rededge078", 20, 782.8),
            "B08": ("nir", 10, 832.8),
            "B8A": ("nir08", 20, 864.7),
            "B09": ("nir09", 60, 945.1),
            "B10": ("cirrus", 60, 1373.5),
            "B11": ("swir16", 20, 1613.7),
            "B12": ("swir22", 20, 2202.4),
        }
    ),
    radiometry=Radiometry(scale=1e-4, offset_dn=0.0, nodata=0.0),
    pixel_m=10.0,
    dtype="uint16",
)

CONTRACTS: Mapping[str, Contract] = {SENTINEL_2_L1C.sensor: SENTINEL_2_L1C}


def contract_for(sensor: str) -> Contract:
    """Returns the contract of a sensor.

    Raises:
        BadInput: no contract is written for it.
    """
    if sensor not in CONTRACTS:
        raise BadInput(f"There is no band contract for {sensor[:60]!r}.", f"use one of {', '.join(CONTRACTS)}")
    return CONTRACTS[sensor]

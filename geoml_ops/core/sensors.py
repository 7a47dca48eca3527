"""Sensors as data: what each product's bands are called and what their numbers mean.

Common names are those of the STAC Electro-Optical extension 2.0. Sources of the numbers: ESA, Sentinel-2 Products
Specification Document 15.0 and Spectral Response Functions 4.0 (centres of Sentinel-2A); USGS, Landsat Collection 2
Level 1 and Level 2 Data Format Control Books (LSDS-1414, 1415, 1618, 1619, 1328, 1329); Chander, Markham and Helder
2009 (Remote Sensing of Environment 113, 893-903) for the rescaling and solar irradiance of TM and ETM+.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from geoml_ops.core.contracts import Band, Contract, CrsClass, Radiometry, Resampling
from geoml_ops.core.errors import BadInput

#: ``eo:common_name`` as STAC EO 2.0 lists them.
COMMON_NAMES = (
    "pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075",
    "rededge078", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12",
)  # fmt: skip

RADIANCE = "W/(m2 sr um)"
#: The sensors whose offset depends on the processing baseline.
SENTINEL_2 = ("sentinel-2-l1c", "sentinel-2-l2a")

_SENTINEL_2_ALSO = (
    "TCI", "SCL", "AOT", "WVP", "CLD", "SNW", "PVI", "QA10", "QA20", "QA60", "MSK_CLDPRB", "MSK_SNWPRB",
    "MSK_CLASSI_OPAQUE", "MSK_CLASSI_CIRRUS", "MSK_CLASSI_SNOW_ICE", "dataMask",
)  # fmt: skip
_LANDSAT_ALSO = ("QA_PIXEL", "QA_RADSAT", "SAA", "SZA", "VAA", "VZA")
_LANDSAT_L2_ALSO = (
    "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL", "SR_CLOUD_QA", "SR_ATMOS_OPACITY", "ST_ATRAN", "ST_CDIST", "ST_DRAD",
    "ST_EMIS", "ST_EMSD", "ST_QA", "ST_TRAD", "ST_URAD",
)  # fmt: skip

# 60 m bands are repeated, not interpolated: thirds and twelfths do not commute with an offset
# in floating point, and one scene under two baselines must give one map.
_REFINED: dict[float, Resampling] = {10.0: "none", 20.0: "bilinear", 60.0: "nearest"}
_ROWS_S2: Mapping[str, tuple[str, float, float]] = {
    "B01": ("coastal", 60.0, 442.7),
    "B02": ("blue", 10.0, 492.4),
    "B03": ("green", 10.0, 559.8),
    "B04": ("red", 10.0, 664.6),
    "B05": ("rededge071", 20.0, 704.1),
    "B06": ("rededge075", 20.0, 740.5),
    "B07": ("rededge078", 20.0, 782.8),
    "B08": ("nir", 10.0, 832.8),
    "B8A": ("nir08", 20.0, 864.7),
    "B09": ("nir09", 60.0, 945.1),
    "B10": ("cirrus", 60.0, 1373.5),
    "B11": ("swir16", 20.0, 1613.7),
    "B12": ("swir22", 20.0, 2202.4),
}


def _sentinel_2(sensor: str, left_out: Sequence[str] = ()) -> Contract:
    bands = tuple(
        # Earth Engine and GDAL write B1 where the product says B01.
        Band(name=n, common_name=c, aliases=("B" + n[2:],) if n.startswith("B0") else (), gsd_m=g, centre_nm=w,
             resampling=_REFINED[g])
        for n, (c, g, w) in _ROWS_S2.items() if n not in left_out
    )  # fmt: skip
    return Contract(
        sensor=sensor,
        bands=bands,
        radiometry=Radiometry(scale=1e-4, offset_dn=0.0, nodata=0.0),
        pixel_m=10.0,
        dtype="uint16",
        also=_SENTINEL_2_ALSO,
    )


def linear(scale: float, offset: float, nodata: float | None = 0.0) -> Radiometry:
    """Returns the radiometry of ``dn * scale + offset``, as most producers write it."""
    return Radiometry(scale=scale, offset_dn=offset / scale, nodata=nodata)


def _landsat(sensor: str, bands: Sequence[Band], radiometry: Radiometry, dtype: str, also: Sequence[str]) -> Contract:
    # Landsat counts northings below zero south of the equator, and Antarctica is polar stereographic.
    crs_class: CrsClass = "utm or polar"
    return Contract(
        sensor=sensor, bands=tuple(bands), radiometry=radiometry, pixel_m=30.0, dtype=dtype, crs_class=crs_class,
        also=tuple(also),
    )  # fmt: skip


_SURFACE, _TOP = linear(2.75e-5, -0.2), linear(2e-5, -0.1)
_KELVIN = linear(0.00341802, 149.0)
_TM = {"1": ("blue", 485.0), "2": ("green", 560.0), "3": ("red", 660.0), "4": ("nir", 830.0), "5": ("swir16", 1650.0),
       "7": ("swir22", 2215.0)}  # fmt: skip
_ETM = {"1": ("blue", 483.0), "2": ("green", 560.0), "3": ("red", 662.0), "4": ("nir", 835.0),
        "5": ("swir16", 1648.0), "7": ("swir22", 2206.0)}  # fmt: skip
_OLI = {"1": ("coastal", 443.0), "2": ("blue", 482.0), "3": ("green", 561.4), "4": ("red", 654.6),
        "5": ("nir08", 864.7), "6": ("swir16", 1608.9), "7": ("swir22", 2200.7)}  # fmt: skip
#: Rescaling to radiance (gain, bias) and solar irradiance of Chander et al. 2009, tables 2 to 4.
_TM_RADIANCE = {"1": (0.765827, -2.28583, 1983.0), "2": (1.448189, -4.28819, 1796.0), "3": (1.043976, -2.21398, 1536.0),
                "4": (0.876024, -2.38602, 1031.0), "5": (0.120354, -0.49035, 220.0),
                "7": (0.065551, -0.21555, 83.44)}  # fmt: skip
_ETM_RADIANCE = {"1": (0.778740, -6.97874, 1997.0), "2": (0.798819, -7.19882, 1812.0),
                 "3": (0.621654, -5.62165, 1533.0),
                 "4": (0.969291, -6.06929, 1039.0), "5": (0.126220, -1.12622, 230.8),
                 "7": (0.043898, -0.39390, 84.90)}  # fmt: skip


def _surface(rows: Mapping[str, tuple[str, float]]) -> list[Band]:
    return [Band(name=f"SR_B{n}", common_name=c, gsd_m=30.0, centre_nm=w) for n, (c, w) in rows.items()]


def _temperature(name: str, common_name: str, centre_nm: float) -> Band:
    return Band(name=name, common_name=common_name, gsd_m=30.0, centre_nm=centre_nm, valid=(150.0, 375.0), unit="K",
                radiometry=_KELVIN)  # fmt: skip


def _at_sensor(rows: Mapping[str, tuple[str, float]], radiance: Mapping[str, tuple[float, float, float]]) -> list[Band]:
    """Reflective bands of TM and ETM+: 8-bit numbers whose scale follows the sun's distance and the gain."""
    made = []
    for n, (common_name, centre_nm) in rows.items():
        gain, bias, sun = radiance[n]
        rule = linear(math.pi * gain / sun, math.pi * bias / sun)
        made.append(Band(name=f"B{n}", common_name=common_name, gsd_m=30.0, centre_nm=centre_nm, radiometry=rule,
                         rescaled=True))  # fmt: skip
    return made


def _radiance(name: str, common_name: str, centre_nm: float, gain: float, bias: float) -> Band:
    return Band(name=name, common_name=common_name, gsd_m=30.0, centre_nm=centre_nm, valid=(0.0, 30.0), unit=RADIANCE,
                radiometry=linear(gain, bias), rescaled=True)  # fmt: skip


SENTINEL_2_L1C = _sentinel_2("sentinel-2-l1c")
SENTINEL_2_L2A = _sentinel_2("sentinel-2-l2a", left_out=("B10",))
LANDSAT_4_5_L1 = _landsat(
    "landsat-4-5-tm-c2-l1",
    [*_at_sensor(_TM, _TM_RADIANCE), _radiance("B6", "lwir", 11_450.0, 0.055376, 1.18243)],
    Radiometry(scale=1e-3), "uint8", _LANDSAT_ALSO,
)  # fmt: skip
LANDSAT_4_5_L2 = _landsat(
    "landsat-4-5-tm-c2-l2", [*_surface(_TM), _temperature("ST_B6", "lwir", 11_450.0)], _SURFACE, "uint16",
    _LANDSAT_L2_ALSO,
)  # fmt: skip
LANDSAT_7_L1 = _landsat(
    "landsat-7-etm-c2-l1",
    # Both gains of the thermal band are delivered, and neither is the one that ``lwir`` means.
    [*_at_sensor(_ETM, _ETM_RADIANCE), _radiance("B6_VCID_1", "", 11_335.0, 0.067087, -0.06709),
     _radiance("B6_VCID_2", "", 11_335.0, 0.037205, 3.16280)],
    Radiometry(scale=1e-3), "uint8", (*_LANDSAT_ALSO, "B8"),
)  # fmt: skip
LANDSAT_7_L2 = _landsat(
    "landsat-7-etm-c2-l2", [*_surface(_ETM), _temperature("ST_B6", "lwir", 11_335.0)], _SURFACE, "uint16",
    _LANDSAT_L2_ALSO,
)  # fmt: skip
LANDSAT_8_9_L1 = _landsat(
    "landsat-8-9-oli-tirs-c2-l1",
    [*(Band(name=f"B{n}", common_name=c, gsd_m=30.0, centre_nm=w) for n, (c, w) in _OLI.items()),
     Band(name="B9", common_name="cirrus", gsd_m=30.0, centre_nm=1373.4),
     _radiance("B10", "lwir11", 10_895.0, 3.342e-4, 0.1), _radiance("B11", "lwir12", 12_005.0, 3.342e-4, 0.1)],
    _TOP, "uint16", (*_LANDSAT_ALSO, "B8"),
)  # fmt: skip
LANDSAT_8_9_L2 = _landsat(
    "landsat-8-9-oli-tirs-c2-l2", [*_surface(_OLI), _temperature("ST_B10", "lwir11", 10_895.0)], _SURFACE, "uint16",
    _LANDSAT_L2_ALSO,
)  # fmt: skip
RGBN = Contract(
    sensor="rgbn-aerial",
    bands=(
        Band(name="R", common_name="red", gsd_m=1.0, centre_nm=660.0, valid=(0.0, 1.0)),
        Band(name="G", common_name="green", gsd_m=1.0, centre_nm=560.0, valid=(0.0, 1.0)),
        Band(name="B", common_name="blue", gsd_m=1.0, centre_nm=460.0, valid=(0.0, 1.0)),
        Band(name="N", common_name="nir", gsd_m=1.0, centre_nm=850.0, valid=(0.0, 1.0)),
    ),
    # Pictures from the air are stretched for the eye: 255 is white, not a reflectance of 1, and 0 is black ground.
    radiometry=Radiometry(scale=1 / 255, nodata=None),
    pixel_m=1.0,
    dtype="uint8",
    crs_class="projected metres",
)

CONTRACTS: Mapping[str, Contract] = {
    contract.sensor: contract
    for contract in (
        SENTINEL_2_L1C,
        SENTINEL_2_L2A,
        LANDSAT_4_5_L1,
        LANDSAT_4_5_L2,
        LANDSAT_7_L1,
        LANDSAT_7_L2,
        LANDSAT_8_9_L1,
        LANDSAT_8_9_L2,
        RGBN,
    )
}


def contract_for(sensor: str) -> Contract:
    """Returns the contract of a sensor that is built in.

    Raises:
        BadInput: no contract is written for it.
    """
    if sensor not in CONTRACTS:
        raise BadInput(f"There is no band contract for {sensor[:60]!r}.", f"use one of {', '.join(CONTRACTS)}")
    return CONTRACTS[sensor]

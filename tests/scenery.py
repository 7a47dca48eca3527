"""Grounds with known spectra seen by any sensor, and the metadata files that producers deliver beside them."""

from __future__ import annotations

import numpy as np

#: Wavelengths, in nm.
NM = np.array([443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1375, 1610, 2190])
#: Reflectances at these wavelengths that are typical of a ground, then its temperature in K.
GROUNDS = {
    "leaves": [0.02, 0.03, 0.07, 0.03, 0.10, 0.32, 0.42, 0.45, 0.46, 0.42, 0.30, 0.20, 0.09, 293],
    "dry grass": [0.06, 0.09, 0.14, 0.19, 0.22, 0.25, 0.28, 0.31, 0.32, 0.33, 0.32, 0.36, 0.24, 306],
    "loam": [0.05, 0.07, 0.10, 0.14, 0.16, 0.18, 0.20, 0.22, 0.23, 0.24, 0.28, 0.32, 0.27, 309],
    "red soil": [0.04, 0.06, 0.10, 0.24, 0.28, 0.30, 0.31, 0.31, 0.31, 0.32, 0.38, 0.42, 0.36, 312],
    "sand": [0.16, 0.22, 0.31, 0.39, 0.42, 0.44, 0.46, 0.48, 0.49, 0.49, 0.52, 0.55, 0.50, 315],
    "clear water": [0.04, 0.04, 0.03, 0.015, 0.01, 0.008, 0.007, 0.006, 0.006, 0.005, 0.003, 0.003, 0.002, 288],
    "muddy water": [0.07, 0.09, 0.14, 0.16, 0.14, 0.09, 0.08, 0.06, 0.06, 0.03, 0.005, 0.006, 0.004, 290],
    "red salt lake": [0.04, 0.05, 0.06, 0.22, 0.14, 0.06, 0.05, 0.04, 0.04, 0.02, 0.003, 0.003, 0.002, 296],
    "snow": [0.93, 0.93, 0.92, 0.90, 0.89, 0.87, 0.86, 0.84, 0.82, 0.75, 0.20, 0.12, 0.08, 268],
    "ice": [0.62, 0.60, 0.52, 0.42, 0.38, 0.33, 0.30, 0.26, 0.23, 0.16, 0.02, 0.02, 0.02, 268],
    "cloud": [0.80, 0.78, 0.76, 0.76, 0.76, 0.76, 0.76, 0.75, 0.75, 0.60, 0.30, 0.55, 0.40, 262],
    "concrete": [0.20, 0.24, 0.28, 0.31, 0.32, 0.33, 0.34, 0.35, 0.35, 0.35, 0.37, 0.38, 0.36, 314],
}
FIELDS = ("leaves", "dry grass", "loam", "clear water", "concrete")


def ground(contract, names, seed=0, edge=72, mixed=0.35, noise=0.004):
    """Delivered numbers ``(band, y, x)`` of patches of these grounds, mixed, sunlit unevenly and with sensor noise."""
    rng = np.random.default_rng(seed)
    spectra = np.array([GROUNDS[name] for name in names])
    patches = rng.integers(0, len(names), (edge // 6, edge // 6)).repeat(6, 0).repeat(6, 1)
    share = np.eye(len(names))[patches] * (1 - mixed) + rng.dirichlet(np.ones(len(names)), patches.shape) * mixed
    light = rng.uniform(0.8, 1.1, patches.shape)
    above = any(band.common_name == "cirrus" for band in contract.bands)
    out = []
    for band in contract.bands:
        at = np.array([np.interp(band.centre_nm, NM, r[:-1]) if band.unit == "reflectance" else r[-1] for r in spectra])
        value = share @ at
        if band.unit == "reflectance":
            value = value * light + rng.normal(0, noise, value.shape)
            if above:  # Rayleigh scattering below, water vapour above.
                value = value * (0.005 if band.common_name == "cirrus" else 0.4 if band.common_name == "nir09" else 0.9)
                value += 0.09 * (490 / band.centre_nm) ** 4 if band.common_name != "cirrus" else 0.001
        elif band.unit != "K":
            value = value / 36  # Radiance of a body at that temperature, roughly.
        rule = contract.radiometry_of(band.name)
        limits = np.iinfo(contract.dtype)
        out.append(np.clip(np.rint(value / rule.scale - rule.offset_dn), 1, limits.max))
    return np.stack(out).astype(contract.dtype)


def rules(contract):
    return {name: contract.radiometry_of(name) for name in contract.names}


def exchanged(dn, contract, one, other):
    order = list(range(len(dn)))
    i, j = contract.names.index(one), contract.names.index(other)
    order[i], order[j] = order[j], order[i]
    return dn[order]


def mtl(level="L2SP", spacecraft="LANDSAT_8", instrument="OLI_TIRS", collection="02", more=""):
    return f"""GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    ORIGIN = "Image courtesy of the U.S. Geological Survey"
    PROCESSING_LEVEL = "{level}"
    COLLECTION_NUMBER = {collection}
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "{spacecraft}"
    SENSOR_ID = "{instrument}"
    DATE_ACQUIRED = 2020-06-01
    SCENE_CENTER_TIME = "10:02:03.1234560Z"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
{chr(10).join(f"    REFLECTANCE_MULT_BAND_{n} = 2.75e-05" for n in range(1, 8))}
{chr(10).join(f"    REFLECTANCE_ADD_BAND_{n} = -0.2" for n in range(1, 8))}
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B10 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B10 = 149.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_1 = 2.0000E-05
    REFLECTANCE_ADD_BAND_1 = -0.100000
    RADIANCE_MULT_BAND_1 = 1.2
    RADIANCE_ADD_BAND_1 = -60.0
    RADIANCE_MULT_BAND_10 = 3.3420E-04
    RADIANCE_ADD_BAND_10 = 0.10000
{more}  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
""".encode()


def boa(offsets=None, level="Level-2A", baseline="05.09", quantification="10000"):
    listed = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{v}</BOA_ADD_OFFSET>' for i, v in (offsets or {}).items())
    return (
        f'<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">'
        f"<PRODUCT_START_TIME>2023-01-15T05:11:21.024Z</PRODUCT_START_TIME><PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
        f'<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>'
        f'<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
        f"<BOA_ADD_OFFSET_VALUES_LIST>{listed}</BOA_ADD_OFFSET_VALUES_LIST></n1:Level-2A_User_Product>"
    ).encode()

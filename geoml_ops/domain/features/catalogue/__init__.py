"""The catalogue of spectral indices: a new one is one line here or in the module of its domain.

The formulae are those of Awesome Spectral Indices as spyndex 0.12 has them, each with its own publication;
``python infra/indices.py`` says what an installed spyndex has beyond them.
"""

from __future__ import annotations

from geoml_ops.domain.features.catalogue.entry import CONSTANTS, LETTERS, RADAR, THERMAL, WAVELENGTH, Index
from geoml_ops.domain.features.catalogue.fire import BURN, CLOUDS
from geoml_ops.domain.features.catalogue.ground import SOIL, URBAN
from geoml_ops.domain.features.catalogue.others import KERNEL, RADAR_INDICES
from geoml_ops.domain.features.catalogue.vegetation_a_to_m import VEGETATION_A_TO_M
from geoml_ops.domain.features.catalogue.vegetation_n_to_z import VEGETATION_N_TO_Z
from geoml_ops.domain.features.catalogue.water import SNOW, WATER

__all__ = ["CONSTANTS", "INDICES", "LEFT_OUT", "LETTERS", "RADAR", "THERMAL", "WAVELENGTH", "Index"]

INDICES: dict[str, Index] = {
    **VEGETATION_A_TO_M,
    **VEGETATION_N_TO_Z,
    **WATER,
    **SNOW,
    **SOIL,
    **URBAN,
    **BURN,
    **CLOUDS,
    **RADAR_INDICES,
    **KERNEL,
}

LEFT_OUT: dict[str, str] = {"NIRvP": "it needs photosynthetically active radiation, which no sensor here delivers"}
"""Indices of spyndex that cannot be written here, and why."""

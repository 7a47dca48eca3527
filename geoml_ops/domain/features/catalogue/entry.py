"""What one index is, and what the letters of formulae stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LETTERS: Mapping[str, tuple[str, ...]] = {
    "A": ("coastal",),
    "B": ("blue",),
    "G": ("green",),
    "G1": ("green05",),
    "Y": ("yellow",),
    "R": ("red",),
    "RE1": ("rededge071",),
    "RE2": ("rededge075",),
    "RE3": ("rededge078",),
    # Landsat 8 and 9 have one near infrared, which STAC calls nir08, Landsat 4 to 7 one that it calls nir.
    "N": ("nir", "nir08"),
    "N2": ("nir08", "nir"),
    "WV": ("nir09",),
    "S1": ("swir16",),
    "S2": ("swir22",),
    "T": ("lwir", "lwir11"),
    "T1": ("lwir11", "lwir"),
    "T2": ("lwir12",),
    "HH": ("HH",),
    "HV": ("HV",),
    "VH": ("VH",),
    "VV": ("VV",),
}
"""Letter to the STAC common names it stands for (radar: band names), the first that the sensor has."""

THERMAL, RADAR = frozenset({"T", "T1", "T2"}), frozenset({"HH", "HV", "VH", "VV"})
WAVELENGTH = "lambda"
"""``lambdaN`` is the central wavelength of ``N`` in nanometres, from the contract."""

CONSTANTS: Mapping[str, float] = {
    "C1": 6.0,
    "C2": 7.5,
    "L": 1.0,
    "alpha": 0.1,
    "beta": 0.05,
    "cexp": 1.16,
    "epsilon": 1.0,
    "eta": 0.5,
    "fdelta": 0.581,
    "g": 2.5,
    "gamma": 1.0,
    "k": 0.0,
    "lmb": 1.0,
    "n": 5.0,
    "nexp": 2.0,
    "omega": 2.0,
    "sla": 1.0,
    "slb": 0.0,
}
"""What constants are unless an index or a feature says otherwise: ``SAVI(L=0.25)``."""


@dataclass(frozen=True)
class Index:
    """A formula that has a name.

    Attributes:
        formula: in the feature language, of letters (:data:`LETTERS`) and constants (:data:`CONSTANTS`).
        source: DOI or address of its publication.
        constants: those that this index has otherwise.
        domain: what it is used for.
    """

    formula: str
    source: str = ""
    constants: Mapping[str, float] = field(default_factory=dict)
    domain: str = ""


def of(domain: str, indices: Mapping[str, Index]) -> dict[str, Index]:
    """Returns indices that know their domain."""
    return {name: replace(index, domain=domain) for name, index in indices.items()}

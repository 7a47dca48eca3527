"""Which file of a delivery holds which band: by its name, or by what ``delivery.yaml`` says; never by its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from geoml_ops.core.bands import CONTRACTS, Contract
from geoml_ops.core.errors import BadInput

_BAND_FILE = re.compile(r"(?!MSK_).*_(B\d{2}|B8A)\.(?:jp2|tif|tiff)", re.IGNORECASE | re.DOTALL)
_RASTER = re.compile(r"(.*)\.(?:jp2|tif|tiff)", re.IGNORECASE | re.DOTALL)
_AT_PIXELS = re.compile(r"(.*)_(10|20|60)m", re.IGNORECASE | re.DOTALL)
#: Names that only one product has: a file that carries one is never taken for another product's band.
_ELSEWHERE = frozenset(word for contract in CONTRACTS.values() for word in (*contract.names, *contract.also))


@dataclass(frozen=True)
class Layer:
    """One band of one file; ``position`` is None where the file should hold no other."""

    file: str
    position: int | None = None


@dataclass
class Layers:
    """What the files of a delivery hold.

    Attributes:
        bands: by the contract's name, every layer that claims to be it.
        open: raster files whose names do not tell; they may name their bands inside.
        unknown: layers that the sensor does not have, ``B99 in x_B99.tif``.
    """

    bands: dict[str, list[Layer]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def add(self, word: str, layer: Layer, contract: Contract) -> None:
        """Adds a layer under the name somebody gave it; quality layers of the sensor are left alone."""
        if word in contract.also:
            return
        try:
            self.bands.setdefault(contract.band(word).name, []).append(layer)
        except BadInput:
            self.unknown.append(f"{word[:60]} in {layer.file.rsplit('/', 1)[-1][:80]}")


def band_of(file_name: str) -> str | None:
    """Returns the Sentinel-2 band that a file's name says it holds, or None."""
    found = _BAND_FILE.fullmatch(file_name)
    return found[1].upper() if found else None


def layers_of(files: Iterable[str], contract: Contract, said: Mapping[str, str | tuple[str, ...]]) -> Layers:
    """Returns which band each raster file holds.

    A name tells where it ends in ``_<band>`` or is the band's name; the longest name of any known product
    wins, so that ``SR_B4`` is never Level 1's ``B4``. Of one band at several pixel sizes (Sentinel-2 Level 2A),
    the copy at the band's own counts.

    Args:
        files: paths inside the delivery.
        contract: of the sensor.
        said: ``files`` of ``delivery.yaml``.

    Raises:
        BadInput: ``delivery.yaml`` names a file that is not there.
    """
    found, names = Layers(), list(files)
    absent = sorted(name for name in said if name not in names)
    if absent:
        raise BadInput(f"delivery.yaml speaks of a file that is not there: {absent[0][:120]!r}.")
    sized: dict[str, dict[float, list[str]]] = {}
    for name in names:
        stem = _RASTER.fullmatch(name.rsplit("/", 1)[-1])
        if name in said:
            words = said[name]
            for position, word in enumerate([words] if isinstance(words, str) else words):
                found.add(word, Layer(name, None if isinstance(words, str) else position), contract)
        elif stem and not _aside(name):
            at = _AT_PIXELS.fullmatch(stem[1])
            told = _word(at[1] if at else stem[1], contract)
            if told is None:
                found.open.append(name)
            elif at and told in contract.names:
                sized.setdefault(told, {}).setdefault(float(at[2]), []).append(name)
            else:
                found.add(told, Layer(name), contract)
    for word, sizes in sized.items():
        own = sizes.get(contract.band(word).gsd_m) or [name for copies in sizes.values() for name in copies]
        found.bands.setdefault(word, []).extend(Layer(name) for name in own)
    return found


def _aside(name: str) -> bool:
    """Says whether a raster is a product's mask, preview or quality file rather than a band."""
    folder, _, base = name.rpartition("/")
    # Landsat 7 delivers where its scan lines have gaps, one mask a band.
    return base.upper().startswith("MSK_") or "_GM_B" in base.upper() or "QI_DATA" in folder.split("/")


def _word(stem: str, contract: Contract) -> str | None:
    """Returns the longest known name that a file's name ends in, as the contract spells it."""
    ours = [word for band in contract.bands for word in band.words] + list(contract.also)
    low = stem.lower()
    fitting = [
        word for word in dict.fromkeys([*ours, *sorted(_ELSEWHERE)])
        if low == word.lower() or low.endswith("_" + word.lower())
    ]  # fmt: skip
    return max(fitting, key=len) if fitting else None

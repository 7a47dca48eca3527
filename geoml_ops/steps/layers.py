"""Which layer of a delivery is which band: file names, ``delivery.yaml`` and what the files say inside."""

from __future__ import annotations

from dataclasses import dataclass

from geoml_ops.adapters import raster
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.core.bands import Band, Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Check
from geoml_ops.domain.delivery import Layer, SceneDelivery, layers_of
from geoml_ops.steps.deliveries import Delivery

#: A wavelength is another band's where it is this much closer to it, and at least this many nm from the band's own.
_CLOSER, _APART_NM, _APART_SHARE = 3.0, 10.0, 0.1


@dataclass(frozen=True)
class Found:
    """By band every layer that claims to be it, and the check that there is nothing else."""

    bands: dict[str, list[Layer]]
    checks: tuple[Check, ...]


def layers_in(delivery: Delivery, said: SceneDelivery, contract: Contract) -> Found:
    """Returns which layers a delivery holds; files whose names do not tell are asked for their bands' names.

    Raises:
        BadInput: ``delivery.yaml`` names a file that is not there.
    """
    layers = layers_of(delivery.files, contract, said.files)
    for name in layers.open:
        short = name.rsplit("/", 1)[-1][:80]
        try:
            words = raster.describe(delivery.folder / name).names
        except BadInput as error:
            layers.unknown.append(f"{short}, which cannot be read ({error.fact[:200].rstrip('.')})")
            continue
        if not any(words):
            layers.unknown.append(f"{short}, without the name of a band")
            continue
        for position, word in enumerate(words):
            if word:
                layers.add(word, Layer(name, position), contract)
            else:
                layers.unknown.append(f"layer {position + 1} without a name in {short}")
    found = "; ".join(layers.unknown[:8]) + (f" and {len(layers.unknown) - 8} more" if len(layers.unknown) > 8 else "")
    check = Check(
        name="layers known",
        passed=not layers.unknown,
        sentence=f"The delivery holds layers that {contract.sensor} does not have: {found}. "
        "Take them out, or say in delivery.yaml under files which band each file holds."
        if layers.unknown
        else f"Every raster of the delivery is a layer of {contract.sensor}.",
    )
    return Found(bands=layers.bands, checks=(check,))


def refuse_other_band(name: str, facts: RasterFacts, position: int, band: Band, contract: Contract) -> None:
    """Refuses a layer that says inside that it is another band than it was delivered as.

    Args:
        name: of the file.
        facts: what it says.
        position: of the layer in it, from 0.
        band: what it was delivered as.
        contract: of the sensor.

    Raises:
        BadInput: its own name or its central wavelength is another band's.
    """
    word = facts.names[position]
    others = [other for other in contract.bands if word in other.words and other.name != band.name]
    if word and word not in band.words and others:
        raise BadInput(
            f"{name} was delivered as {band.name}, but calls itself {word[:60]}.",
            "exchange the files, or correct the description inside",
        )
    nm = facts.wavelengths_nm[position]
    if nm is None or band.centre_nm is None:
        return
    apart = abs(nm - band.centre_nm)
    near = min((b for b in contract.bands if b.centre_nm), key=lambda b: abs(nm - (b.centre_nm or 0.0)))
    nearest = abs(nm - (near.centre_nm or 0.0))
    if apart > _APART_NM and (apart > _APART_SHARE * band.centre_nm or apart > _CLOSER * nearest):
        raise BadInput(
            f"{name} was delivered as {band.name} ({band.centre_nm:g} nm), but is centred at {nm:g} nm"
            + (f", where {near.name} is." if near.name != band.name else "."),
            "exchange the files, or correct the wavelength inside",
        )

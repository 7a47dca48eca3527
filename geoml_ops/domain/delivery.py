"""What a delivery says of itself: ``delivery.yaml``, the producer's metadata, and whether they agree."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from xml.etree import ElementTree

from pydantic import Field

from geoml_ops.core.bands import Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Check
from geoml_ops.core.grid import Value

MOST_XML_BYTES = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_BAND_FILE = re.compile(r"(?!MSK_).*_(B\d{2}|B8A)\.(?:jp2|tif|tiff)", re.IGNORECASE | re.DOTALL)


class DeclaredNumbers(Value):
    """How digital numbers become reflectance, in the producer's words: ``(dn + add_offset) / quantification``."""

    quantification: float = Field(gt=0)
    add_offset: float


class SceneDelivery(Value):
    """``delivery.yaml`` of a scene; what the producer's own metadata say may be left out."""

    kind: Literal["scene"]
    sensor: str
    acquired: datetime | None = None
    processing_baseline: str | None = Field(None, pattern=r"^\d\d\.\d\d$")
    radiometry: DeclaredNumbers | None = None


class LabelsDelivery(Value):
    """``delivery.yaml`` of labels: one file of polygons and the field that names their class."""

    kind: Literal["labels"]
    file: str
    class_field: str = Field(min_length=1, max_length=120)


class AncillaryDelivery(Value):
    """``delivery.yaml`` of ground that is neither imagery nor labels: one raster or one file of geometries.

    ``unit`` is that of a raster's numbers, ``m`` for an elevation model.
    """

    kind: Literal["ancillary"]
    file: str
    unit: str = Field("", max_length=40)


@dataclass(frozen=True)
class Product:
    """What ``MTD_MSIL1C.xml`` says; None where it is silent."""

    baseline: str | None
    acquired: datetime | None
    quantification: float | None
    offsets: tuple[float, ...]


@dataclass(frozen=True)
class Declaration:
    """What is declared about a scene once all sources agree."""

    baseline: str
    acquired: datetime
    radiometry: Radiometry


def is_name(name: str) -> bool:
    """Says whether a name is plain enough to become part of a path."""
    return bool(_NAME.fullmatch(name)) and ".." not in name


def band_of(file_name: str) -> str | None:
    """Returns the band that a file's name says it holds, or None."""
    found = _BAND_FILE.fullmatch(file_name)
    return found[1].upper() if found else None


def read_product(content: bytes) -> Product:
    """Returns what a Sentinel-2 product file says about numbers and time.

    Raises:
        BadInput: not XML, too large, or with a document type (which could name other files).
    """
    if len(content) > MOST_XML_BYTES or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise BadInput("The product metadata are too large or define entities.", "deliver the producer's own file")
    try:
        texts: dict[str, list[str]] = {}
        for element in ElementTree.fromstring(content).iter():
            texts.setdefault(str(element.tag).rsplit("}", 1)[-1], []).append((element.text or "").strip())
        baselines, times = texts.get("PROCESSING_BASELINE", []), texts.get("PRODUCT_START_TIME", [])
        quantities = texts.get("QUANTIFICATION_VALUE", [])
        return Product(
            baseline=baselines[0] if baselines else None,
            acquired=datetime.fromisoformat(times[0]).astimezone(UTC) if times else None,
            quantification=float(quantities[0]) if quantities else None,
            offsets=tuple(float(text) for text in texts.get("RADIO_ADD_OFFSET", [])),
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(f"The product metadata cannot be read: {str(error)[:200]}.") from None


def declare(
    said: SceneDelivery, product: Product | None, in_files: Iterable[Radiometry | None], contract: Contract
) -> tuple[Declaration | None, tuple[Check, ...]]:
    """Returns what is declared, and checks that it is declared, once, and without contradiction.

    Args:
        said: ``delivery.yaml``.
        product: the producer's metadata, if delivered.
        in_files: what each band file declares by itself.
        contract: of the sensor.

    Returns:
        The declaration, None unless all three checks pass; and the checks.
    """
    numbers, baseline, acquired, contradictions = _agreed(said, product)
    for radiometry in dict.fromkeys(r for r in in_files if r is not None):
        theirs = (radiometry.scale, radiometry.offset_dn)
        if numbers and not _same(theirs, (1 / numbers.quantification, numbers.add_offset)):
            contradictions.append(f"a band file declares scale {theirs[0]:g} and offset {theirs[1]:g} DN")
    checks = (
        _declared_check(numbers, baseline, acquired, contract),
        Check(
            name="metadata agree",
            passed=not contradictions,
            sentence=f"The metadata contradict each other: {'; '.join(contradictions)}."
            if contradictions
            else "All metadata of the delivery agree.",
        ),
        _baseline_check(baseline, numbers),
    )
    if numbers is None or baseline is None or acquired is None or not all(check.passed for check in checks):
        return None, checks
    radiometry = Radiometry(
        scale=1 / numbers.quantification, offset_dn=numbers.add_offset, nodata=contract.radiometry.nodata
    )
    return Declaration(baseline=baseline, acquired=acquired.astimezone(UTC), radiometry=radiometry), checks


def _agreed(
    said: SceneDelivery, product: Product | None
) -> tuple[DeclaredNumbers | None, str | None, datetime | None, list[str]]:
    if product is None:
        return said.radiometry, said.processing_baseline, said.acquired, []
    against: list[str] = []
    numbers, baseline, acquired = said.radiometry, said.processing_baseline, said.acquired
    if len(set(product.offsets)) > 1:
        against.append(f"the product lists {len(set(product.offsets))} different offsets")
    if product.quantification is not None:
        # Until baseline 04.00 the product file had no offsets, and they were 0.
        theirs = DeclaredNumbers(
            quantification=product.quantification, add_offset=product.offsets[0] if product.offsets else 0.0
        )
        if numbers not in (None, theirs):
            against.append(f"radiometry {_words(numbers)} in delivery.yaml, {_words(theirs)} in the product")
        numbers = theirs
    if product.baseline is not None:
        if baseline not in (None, product.baseline):
            against.append(f"baseline {baseline} in delivery.yaml, {product.baseline} in the product")
        baseline = product.baseline
    if product.acquired is not None:
        if acquired is not None and abs((_aware(acquired) - product.acquired).total_seconds()) > 60:
            against.append(f"acquired {acquired.isoformat()} in delivery.yaml, {product.acquired.isoformat()} there")
        acquired = product.acquired if acquired is None else acquired
    return numbers, baseline, acquired, against


def _declared_check(
    numbers: DeclaredNumbers | None, baseline: str | None, acquired: datetime | None, contract: Contract
) -> Check:
    parts = {"radiometry": numbers, "processing_baseline": baseline, "acquired": acquired}
    missing = [name for name, value in parts.items() if value is None]
    wanted = 1 / contract.radiometry.scale
    sentence = f"Declared: {_words(numbers)}, baseline {baseline}."
    passed = not missing
    if missing:
        sentence = (
            f"Not declared: {', '.join(missing)}. What the numbers mean is never guessed; "
            "declare it in delivery.yaml or deliver MTD_MSIL1C.xml."
        )
    elif acquired is not None and acquired.tzinfo is None:
        passed, sentence = False, f"The acquisition time {acquired.isoformat()} has no time zone; add Z for UTC."
    elif numbers is not None and not _same((numbers.quantification, 0.0), (wanted, 0.0)):
        passed = False
        sentence = f"The quantification is {numbers.quantification:g}; {contract.sensor} is delivered at {wanted:g}."
    return Check(name="radiometry declared", passed=passed, sentence=sentence)


def _baseline_check(baseline: str | None, numbers: DeclaredNumbers | None) -> Check:
    """Since baseline 04.00 (25 January 2022) every Level-1C band carries an offset; before, none did."""
    name = "offset fits baseline"
    if baseline is None or numbers is None:
        return Check(name=name, passed=True, blocking=False, sentence="There is nothing to compare.")
    shifted = baseline >= "04.00"
    fits = shifted == (numbers.add_offset != 0)
    return Check(
        name=name,
        passed=fits,
        sentence=f"Baseline {baseline} goes with {'an offset' if shifted else 'an offset of 0'}; "
        f"declared {numbers.add_offset:g} DN.",
    )


def _words(numbers: DeclaredNumbers | None) -> str:
    return "none" if numbers is None else f"(DN + {numbers.add_offset:g}) / {numbers.quantification:g}"


def _same(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(a[0] - b[0]) <= 1e-9 * abs(b[0]) and abs(a[1] - b[1]) <= 1e-6


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)

"""What the numbers of a scene mean, once everybody who says so agrees: band by band."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from geoml_ops.core.bands import SAME_OFFSET_DN, SCALE_FACTOR, SENTINEL_2, Band, Contract, Radiometry
from geoml_ops.core.flow import Check
from geoml_ops.domain.delivery.products import Product
from geoml_ops.domain.delivery.said import SceneDelivery

#: The only offset that a baseline of Sentinel-2 has had, since 04.00 (25 January 2022).
BASELINE_OFFSET_DN = -1000.0
#: How far an offset that changes from scene to scene may be from the published one, as a share of all numbers.
_OFFSET_SHARE = 0.05
_SAME_SCALE = 1e-6

Said = dict[str, Radiometry]


@dataclass(frozen=True)
class Declaration:
    """What is declared about a scene once all sources agree.

    Attributes:
        baseline: processing baseline, collection and level, or ``none``.
        acquired: when, in UTC.
        radiometry: of every band that ``own`` does not name.
        own: by band.
    """

    baseline: str
    acquired: datetime
    radiometry: Radiometry
    own: Mapping[str, Radiometry] = field(default_factory=dict)


def declare(
    said: SceneDelivery, product: Product | None, in_files: Mapping[str, Radiometry | None], contract: Contract
) -> tuple[Declaration | None, tuple[Check, ...]]:
    """Returns what is declared, and checks that it is declared, once, and without contradiction.

    Sensors whose numbers do not depend on a processing baseline are declared by their name; what a file or a
    person says beside that has to be the same.

    Args:
        said: ``delivery.yaml``.
        product: the producer's metadata, if delivered.
        in_files: what the file of each band declares by itself.
        contract: of the sensor.

    Returns:
        The declaration, None unless all checks pass; and the checks.
    """
    sources = _sources(said, product, in_files, contract)
    rules, contradictions = _agreed(sources, contract)
    baseline, acquired, against = _about(said, product, contract)
    contradictions += against
    checks = (
        _declared_check(rules, baseline, acquired, contract),
        _fitting_check(rules, contract),
        Check(
            name="metadata agree",
            passed=not contradictions,
            sentence=f"The metadata contradict each other: {'; '.join(contradictions)}."
            if contradictions
            else "All metadata of the delivery agree.",
        ),
        _baseline_check(baseline, rules, contract),
    )
    if baseline is None or acquired is None or not all(check.passed for check in checks):
        return None, checks
    main = contract.radiometry
    for name in contract.names:
        if contract.band(name).radiometry is None:
            main = rules[name]
            break
    own = {name: rule for name, rule in rules.items() if rule != main}
    return Declaration(baseline=baseline, acquired=acquired.astimezone(UTC), radiometry=main, own=own), checks


def _sources(
    said: SceneDelivery, product: Product | None, in_files: Mapping[str, Radiometry | None], contract: Contract
) -> dict[str, Said]:
    """Returns what each source says of each band, the source that counts first; nodata is the contract's."""
    by_product = dict(product.bands) if product else {}
    if said.harmonised:
        # The product file still tells of the offset that was taken out.
        by_product = {name: Radiometry(scale=rule.scale) for name, rule in by_product.items()}
    here = {band.name: said.radiometry.radiometry for band in contract.bands if said.radiometry and not band.radiometry}
    here |= {contract.band(word).name: rule.radiometry for word, rule in said.bands.items()}
    files = {name: rule for name, rule in in_files.items() if rule is not None}
    sources = {product.file if product else "the product": by_product, "delivery.yaml": here, "its file": files}
    if contract.sensor not in SENTINEL_2:
        fixed = {b.name: b.radiometry or contract.radiometry for b in contract.bands if not b.rescaled}
        sources["the sensor"] = {
            name: rule for name, rule in fixed.items() if not any(name in s for s in sources.values())
        }
    return {
        source: {name: _snapped(rules[name], contract.radiometry_of(name)) for name in contract.names if name in rules}
        for source, rules in sources.items()
    }


def _snapped(rule: Radiometry, wanted: Radiometry) -> Radiometry:
    """Returns the contract's own numbers where a source means them but prints fewer digits."""
    scale = wanted.scale if np.isclose(rule.scale, wanted.scale, rtol=_SAME_SCALE, atol=0.0) else rule.scale
    same = scale == wanted.scale and abs(rule.offset_dn - wanted.offset_dn) < SAME_OFFSET_DN
    return Radiometry(scale=scale, offset_dn=wanted.offset_dn if same else rule.offset_dn, nodata=wanted.nodata)


def _agreed(sources: Mapping[str, Said], contract: Contract) -> tuple[Said, list[str]]:
    """Returns the radiometry of each band and what contradicts it, one sentence part for each kind."""
    rules: Said = {}
    against: dict[str, list[str]] = {}
    for name in contract.names:
        told = [(source, rule[name]) for source, rule in sources.items() if name in rule]
        if not told:
            continue
        first, rules[name] = told[0]
        for source, rule in told[1:]:
            if not _same(rule, rules[name]):
                against.setdefault(f"{_words(rule)} in {source}, {_words(rules[name])} in {first}", []).append(name)
    parts = [f"radiometry of {_named(names, contract.names)} {words}" for words, names in against.items()]
    return rules, parts


def _about(
    said: SceneDelivery, product: Product | None, contract: Contract
) -> tuple[str | None, datetime | None, list[str]]:
    """Returns baseline and time, and what contradicts them."""
    by_baseline = contract.sensor in SENTINEL_2
    baseline, acquired, against = said.processing_baseline, said.acquired, []
    if said.harmonised and not by_baseline:
        against.append(f"harmonised is a word for {' and '.join(SENTINEL_2)}, not for {contract.sensor}")
    if product is not None:
        if product.sensor and product.sensor != contract.sensor:
            against.append(f"sensor {contract.sensor} in delivery.yaml, {product.sensor} in {product.file}")
        if product.baseline is not None:
            if baseline not in (None, product.baseline):
                against.append(f"baseline {baseline} in delivery.yaml, {product.baseline} in {product.file}")
            baseline = product.baseline
        if product.acquired is not None:
            if acquired is not None and abs((_aware(acquired) - product.acquired).total_seconds()) > 60:
                against.append(
                    f"acquired {acquired.isoformat()} in delivery.yaml, {product.acquired.isoformat()} there"
                )
            acquired = product.acquired if acquired is None else acquired
    return baseline or (None if by_baseline else "none"), acquired, against


def misfits(rules: Mapping[str, Radiometry], contract: Contract) -> list[str]:
    """Returns which bands declare a scale or an offset that the sensor's numbers never have; empty if all fit.

    Scales and offsets that change from scene to scene only have to be near the published ones. Sentinel-2 has an
    offset of 0 or -1000 DN, the same in all bands.
    """
    wrong: dict[str, list[str]] = {}
    for name, rule in rules.items():
        band, wanted = contract.band(name), contract.radiometry_of(name)
        if not _scale_fits(rule, wanted, band):
            words = f"a scale of {rule.scale:g} per DN where {contract.sensor} has {wanted.scale:g}"
            wrong.setdefault(words, []).append(name)
        elif not _offset_fits(rule, wanted, band, contract):
            words = f"an offset of {rule.offset_dn:g} DN where {contract.sensor} has {wanted.offset_dn:g}"
            wrong.setdefault(words, []).append(name)
    said = [f"{_named(names, rules)} declare{'s' * _one(names, rules)} {words}" for words, names in wrong.items()]
    return said + (_odd_offsets(rules) if contract.sensor in SENTINEL_2 else [])


def _odd_offsets(rules: Mapping[str, Radiometry]) -> list[str]:
    """Returns which bands of Sentinel-2 declare another offset than most: a baseline shifts all or none."""
    offsets = [rule.offset_dn for rule in rules.values()]
    usual = max(sorted(set(offsets)), key=offsets.count, default=0.0)
    odd = [name for name, rule in rules.items() if abs(rule.offset_dn - usual) >= SAME_OFFSET_DN]
    said = ", ".join(f"{name} {rules[name].offset_dn:g}" for name in odd[:6])
    return [f"different offsets: {said} DN, the others {usual:g} DN"] * bool(odd)


def _declared_check(rules: Said, baseline: str | None, acquired: datetime | None, contract: Contract) -> Check:
    undeclared = [name for name in contract.names if name not in rules]
    missing = [f"radiometry of {', '.join(undeclared)}" if len(undeclared) < len(contract.names) else "radiometry"]
    missing = missing * bool(undeclared)
    missing += [n for n, v in {"processing_baseline": baseline, "acquired": acquired}.items() if v is None]
    first = rules.get(contract.names[0])
    passed, sentence = not missing, f"Declared: {_words(first)}, baseline {baseline}."
    if missing:
        sentence = (
            f"Not declared: {', '.join(missing)}. What the numbers mean is never guessed; "
            "declare it in delivery.yaml or deliver the producer's metadata "
            "(MTD_MSIL1C.xml, MTD_MSIL2A.xml, *_MTL.txt)."
        )
    elif acquired is not None and acquired.tzinfo is None:
        passed, sentence = False, f"The acquisition time {acquired.isoformat()} has no time zone; add Z for UTC."
    return Check(name="radiometry declared", passed=passed, sentence=sentence)


def _fitting_check(rules: Said, contract: Contract) -> Check:
    """Scale and offset of each band are those of the sensor, or near them where they change with the scene."""
    wrong = misfits(rules, contract)
    return Check(
        name="scale and offset of the sensor",
        passed=not wrong,
        sentence=f"Wrongly declared: {'; '.join(wrong)}."
        if wrong
        else f"Every band declares the scale and offset of {contract.sensor}.",
    )


def _scale_fits(rule: Radiometry, wanted: Radiometry, band: Band) -> bool:
    if band.rescaled:
        return 1 / SCALE_FACTOR <= rule.scale / wanted.scale <= SCALE_FACTOR
    return abs(rule.scale - wanted.scale) <= _SAME_SCALE * wanted.scale


def _offset_fits(rule: Radiometry, wanted: Radiometry, band: Band, contract: Contract) -> bool:
    apart = abs(rule.offset_dn - wanted.offset_dn)
    if contract.sensor in SENTINEL_2:
        known = (0.0, BASELINE_OFFSET_DN, wanted.offset_dn)
        return any(abs(rule.offset_dn - offset) < SAME_OFFSET_DN for offset in known)
    if not band.rescaled:
        return apart < SAME_OFFSET_DN
    numbers = float(np.iinfo(contract.dtype).max) if np.dtype(contract.dtype).kind in "iu" else np.inf
    return apart <= _OFFSET_SHARE * numbers


def _baseline_check(baseline: str | None, rules: Said, contract: Contract) -> Check:
    """Since baseline 04.00 every band of Sentinel-2 carries an offset unless it was harmonised; before, none did."""
    name = "offset fits baseline"
    if contract.sensor not in SENTINEL_2 or baseline is None or not rules:
        return Check(name=name, passed=True, blocking=False, sentence="There is nothing to compare.")
    offset = next(iter(rules.values())).offset_dn
    shifted = baseline >= "04.00"
    if shifted and offset == 0:
        return Check(
            name=name,
            passed=True,
            sentence=f"Baseline {baseline} goes with an offset; 0 DN is declared, so the offset was taken out before. "
            "The numbers themselves decide.",
        )
    return Check(
        name=name,
        passed=shifted == (offset != 0),
        sentence=f"Baseline {baseline} goes with an offset of {BASELINE_OFFSET_DN if shifted else 0:g} DN; "
        f"declared {offset:g} DN.",
    )


def _named(names: Sequence[str], of: Collection[str]) -> str:
    return "every band" if len(names) == len(of) > 1 else ", ".join(names)


def _one(names: Sequence[str], of: Collection[str]) -> bool:
    return len(names) in (1, len(of))


def _words(rule: Radiometry | None) -> str:
    if rule is None:
        return "none"
    per = 1 / rule.scale
    whole = abs(per - round(per)) < 1e-6 * per
    return f"(DN + {rule.offset_dn:g}) / {per:g}" if whole else f"(DN + {rule.offset_dn:g}) * {rule.scale:g}"


def _same(a: Radiometry, b: Radiometry) -> bool:
    return abs(a.scale - b.scale) <= _SAME_SCALE * b.scale and abs(a.offset_dn - b.offset_dn) < SAME_OFFSET_DN


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)

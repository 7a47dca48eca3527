"""What covariates read: features, bands of covariates above them, and through these the imagery around a pixel."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import CovariateRules
from geoml_ops.domain.covariates.registry import RECIPES
from geoml_ops.domain.features import bands_needed, expanded, halo_of


def features_of(rules: CovariateRules, contract: Contract) -> tuple[str, ...]:
    """Returns what ``of`` names as features of a contract; empty where it names deliveries only."""
    if RECIPES[rules.make].reads not in ("features", "stack"):
        return ()
    return tuple(text for text in rules.of if rules.make != "lag" or _is_feature(text, contract))


def rules_behind(
    covariates: Mapping[str, CovariateRules], names: Collection[str], contract: Contract
) -> dict[str, CovariateRules]:
    """Returns the rules that bands come from, and those of all covariates behind them, in the file's order.

    Args:
        covariates: of the experiment, by name, in its order.
        names: of the bands.
        contract: of the sensor, with the bands of all covariates.
    """
    wanted, found = set(names), set()
    for name, rules in reversed(list(covariates.items())):
        if wanted & _bands(name, rules):
            found.add(name)
            of = features_of(rules, contract)
            wanted |= set(bands_needed(of, contract)) if of else set()
    return {name: rules for name, rules in covariates.items() if name in found}


def reach_of(
    covariates: Mapping[str, CovariateRules], margins: Mapping[str, int], contract: Contract
) -> dict[str, int]:
    """Returns for each band made of imagery how many pixels around its own it looks at, windows in windows added up.

    Args:
        covariates: of the experiment, by name, in its order.
        margins: pixels that each of them needs around the grid.
        contract: of the sensor, with the bands of all covariates.
    """
    reach: dict[str, int] = {}
    for name, rules in covariates.items():
        of = features_of(rules, contract)
        if of:
            below = max((reach.get(band, 0) for band in bands_needed(of, contract)), default=0)
            px = margins[name] + halo_of(of, contract) + below
            reach |= dict.fromkeys(_bands(name, rules), px)
    return reach


def _bands(name: str, rules: CovariateRules) -> set[str]:
    return {f"{name}_{product}" for product in rules.products}


def _is_feature(text: str, contract: Contract) -> bool:
    try:
        return bool(expanded([text], contract))
    except BadInput:
        return False

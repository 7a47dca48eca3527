"""What an experiment may be written with: indices, functions, covariates, families, sensors; told, not computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geoml_ops.core.bands import Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates.registry import RECIPES
from geoml_ops.domain.features import FUNCTIONS, INDICES, Feature, read
from geoml_ops.steps.covariates import contract_with
from geoml_ops.steps.experiments import current_experiment
from geoml_ops.steps.models import FAMILIES
from geoml_ops.steps.places import Places
from geoml_ops.steps.sensors import contract_of, sensors


@dataclass(frozen=True)
class Word:
    """One thing an experiment can name.

    Attributes:
        kind: ``index``, ``function``, ``covariate``, ``family`` or ``sensor``.
        name: as it is written.
        says: what it is, in a few words or as a formula.
        source: where it was published; empty for what has no publication.
    """

    kind: str
    name: str
    says: str
    source: str = ""


def words(places: Places, *, sensor: str = "", find: str = "") -> list[Word]:
    """Returns everything an experiment can name, of a kind or holding some text, by kind and name.

    Args:
        places: where sensor files and the experiment are.
        sensor: whose indices are told; that of the experiment when empty.
        find: what a word's kind, name, formula or source must hold, small or large letters; empty for all.

    Raises:
        BadInput: an unknown sensor, or nothing holds the text.
    """
    contract = contract_of(places, sensor) if sensor else _contract(places)
    every = [*_indices(contract), *_others(places)]
    wanted = find.lower()
    found = [w for w in every if wanted in f"{w.kind} {w.name} {w.says} {w.source}".lower()]
    if not found:
        raise BadInput(
            f"Nothing on {contract.sensor} holds {find[:60]!r}.",
            "search for index, function, covariate, family or sensor",
        )
    return found


def described(places: Places, texts: list[str], *, sensor: str = "") -> tuple[Contract, tuple[Feature, ...]]:
    """Returns the features that lines of text stand for, and the contract they are read with.

    Args:
        places: where sensor files and the experiment are.
        texts: as an experiment writes them.
        sensor: a sensor alone; that of the experiment with its covariates when empty.

    Raises:
        BadInput: a line cannot be read or made.
    """
    contract = contract_of(places, sensor) if sensor else _contract(places)
    return contract, read(texts, contract)


def _contract(places: Places) -> Contract:
    experiment = current_experiment(places)
    return contract_with(places, experiment.sensor, experiment.covariates)


def _indices(contract: Contract) -> Iterator[Word]:
    for name, index in sorted(INDICES.items()):
        try:
            read([name], contract)
        except BadInput:
            continue
        yield Word("index", name, index.formula, index.source)


def _others(places: Places) -> Iterator[Word]:
    for name, function in FUNCTIONS.items():
        yield Word("function", name, function.says)
    for kind, recipe in RECIPES.items():
        for name, product in recipe.products.items():
            yield Word("covariate", f"{kind}: {name}", f"{product.says} ({product.unit})", product.source)
    for name, family in FAMILIES.items():
        yield Word("family", name, family.says)
    for name in sensors(places):
        contract = contract_of(places, name)
        yield Word("sensor", name, f"{len(contract.bands)} bands, pixels of {contract.pixel_m:g} m")

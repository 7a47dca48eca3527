"""From what an experiment says of a family to the recipe of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.fitting.calibrating import calibrated
from geoml_ops.domain.fitting.recipe import Family, Recipe, Setting
from geoml_ops.domain.fitting.weights import class_weight_of

CALIBRATIONS = ("none", "sigmoid", "isotonic")
DEEPEST = 4
"""Ensembles inside ensembles beyond this depth are a mistake, or an attack."""
_APART = 7919
"""Members draw from seeds this far apart, so that no fold's seed is another member's."""


def recipe(
    params: Any,
    families: Mapping[str, Family],
    *,
    name: str,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Recipe:
    """Returns what a family's entry of an experiment asks for.

    Args:
        params: a family's name, or its own parameters, and for every family: ``family`` (the name, if left out),
            ``class_weight`` (``balanced``, or class to weight) and ``calibrate`` (``none``, ``sigmoid``, ``isotonic``).
        families: the registry.
        name: of the entry.
        seed: of everything random.
        classes: names in code order.

    Raises:
        BadInput: the family, an option or a class is unknown.
    """
    if isinstance(params, str):
        params = {"family": params}
    if not isinstance(params, Mapping):
        raise BadInput(f"The parameters of {name[:60]} are {str(params)[:60]!r}.", "write parameter: value pairs")
    own = dict(params)
    family_name = str(own.pop("family", name))
    if family_name not in families:
        raise BadInput(f"There is no family {family_name[:60]!r}.", f"use one of {', '.join(families)}")
    family, method = families[family_name], own.pop("calibrate", None)
    class_weight = class_weight_of(own.pop("class_weight", None), classes)
    method = family.scores if method is None else method
    if method not in CALIBRATIONS:
        raise BadInput(f"calibrate is {str(method)[:60]!r}.", f"use one of {', '.join(CALIBRATIONS)}")
    if family.scores != "none" and method == "none":
        raise BadInput(
            f"The family {family_name[:60]} answers with scores, which are no probabilities.",
            "use calibrate: sigmoid or isotonic",
        )
    plain = Recipe(family_name, family, own, seed, tuple(classes), class_weight, families)
    return plain if method == "none" else calibrated(plain, method)


def member(setting: Setting, params: Any, *, name: str, number: int = 0) -> Recipe:
    """Returns the recipe of one member of an ensemble.

    Args:
        setting: the ensemble's.
        params: the member's, as in :func:`recipe`.
        name: of the member.
        number: of the member, from 0; each has a seed of its own.

    Raises:
        BadInput: as :func:`recipe`, or ensembles are nested too deep.
    """
    if setting.depth >= DEEPEST:
        raise BadInput(f"Ensembles are inside ensembles {setting.depth} deep.", f"nest no more than {DEEPEST} of them")
    seed = setting.seed + _APART * (number + 1)
    found = recipe(params, setting.families, name=name, seed=seed, classes=setting.classes)
    own = replace(found, depth=setting.depth + 1)
    # Impossible parameters are refused now, not after folds were cut.
    own.estimator(setting.n_classes)
    return own

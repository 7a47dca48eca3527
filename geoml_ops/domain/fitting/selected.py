"""A recipe whose features are chosen first, inside the very samples that its model learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from geoml_ops.core.errors import BadInput
from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.fitting.recipe import Family, Index, Params, Recipe, Setting, Splits
from geoml_ops.domain.selecting import OPTIONS, Selector, in_front, options_of


def selected(plain: Recipe, rules: SelectionRules | None) -> Recipe:
    """Returns the recipe with the choice of features as the first step of its head; without rules as it is.

    Raises:
        BadInput: an option that the method does not know, or a value it cannot have.
    """
    if rules is None:
        return plain
    options_of(OPTIONS[rules.method], rules)
    return replace(plain, family=_SELECTED, params={"member": plain, "rules": rules})


def _built(params: Params, setting: Setting) -> Any:
    own = replace(params["member"], seed=setting.seed, classes=setting.classes, depth=setting.depth)
    head = own.estimator(setting.n_classes, setting.inner)
    selector = Selector(params["rules"], splits=setting.splits, build=asked_alone(own), seed=setting.seed)
    return in_front(selector, head)


def asked_alone(plain: Recipe) -> Callable[[int], Any]:
    """Returns what builds a family's model for being asked which features it needs.

    It learns from a part of the samples, so it may meet fewer classes and has no weights; and it learns in folds
    already, so a model that would cut folds of its own is refused once it tries (:class:`BadInput`).
    """
    bare = replace(plain, classes=())

    def refused(rows: Index) -> Splits:
        raise BadInput(
            f"{plain.name[:60]} learns from answers in folds of its own {len(rows)} samples; features are chosen "
            "inside folds already, and there are none inside these.",
            "leave options.model of the selection at forest",
        )

    return lambda n_classes: bare.estimator(n_classes, refused)


_SELECTED = Family(build=_built, says="what selection makes of a family")

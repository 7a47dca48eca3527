"""A recipe whose features are chosen first, inside the very samples that its model learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geoml_ops.core.experiment import SelectionRules
from geoml_ops.domain.fitting.recipe import Family, Params, Recipe, Setting
from geoml_ops.domain.selecting import Selector, in_front


def selected(plain: Recipe, rules: SelectionRules | None) -> Recipe:
    """Returns the recipe with the choice of features as the first step of its head; without rules as it is."""
    if rules is None:
        return plain
    return replace(plain, family=_SELECTED, params={"member": plain, "rules": rules})


def _built(params: Params, setting: Setting) -> Any:
    own = replace(params["member"], seed=setting.seed, classes=setting.classes, depth=setting.depth)
    head = own.estimator(setting.n_classes, setting.inner)
    # The model that is asked learns from a part of these samples, so it may meet fewer classes and has no weights.
    asked = replace(own, classes=())
    selector = Selector(params["rules"], splits=setting.splits, build=asked, seed=setting.seed)
    return in_front(selector, head)


_SELECTED = Family(build=_built, says="what selection makes of a family")

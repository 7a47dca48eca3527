"""One example of each noun, built from the nouns' own declarations, so that a new field needs no edit here."""

from __future__ import annotations

import types
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, JsonValue

from geoml_ops.core.experiment import Range
from geoml_ops.core.flow import NOUNS
from geoml_ops.core.grid import Bounds
from geoml_ops.core.noun import Noun

#: Fields whose form is narrower than their type.
SHAPED: dict[str, Any] = {
    "sha256": "a" * 64,
    "rev": "b" * 40,
    "data": "c" * 32 + ".dir",
    "crs": "EPSG:32633",
    "acquired": datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC),
    "valid_share": 0.75,
    "drifted_share": 0.25,
    "mean_confidence": 0.5,
    "fresh_share": 0.5,
    "outside_share": 0.125,
    "n_folds": 5,
    "tile_px": 128,
}

#: Parent fields that are not called after the kind they name.
NAMED_AFTER_A_ROLE = {
    "subject": "scene",
    "scenes": "scene",
    "labels": "labels",
    "ancillaries": "ancillary",
    "covariates": "covariate",
    "compared_with": "explanation",
    "verdicts": "verdict",
    "optimism_plan": "plan",
    "challenger": "entry",
    "champion": "entry",
    "predictions": "prediction",
    "selected_from": "evaluation",
    "ground": "version",
    "previous": "judgement",
    "readings": "reading",
    "before": "reference",
}


def any_noun(kind: type[Noun]) -> Noun:
    """Returns an example with every field filled, those with defaults too."""
    return kind(**_fields(kind, kind.parent_fields))


def every_noun() -> list[Noun]:
    """Returns one example of each kind, in the order of the flow."""
    return [any_noun(kind) for kind in NOUNS.values()]


def _fields(model: type[BaseModel], parents: tuple[str, ...] = ()) -> dict[str, Any]:
    if model is Bounds:
        return {"left": 0.0, "bottom": 0.0, "right": 10.0, "top": 10.0}
    if model is Range:
        return {"low": 1.0, "high": 2.0}
    hints = get_type_hints(model)
    return {
        name: _parent(name, hints[name])
        if name in parents
        else SHAPED[name]
        if name in SHAPED
        else _example(hints[name], name)
        for name in model.model_fields
        if name != "version_of_schema"
    }


def _parent(name: str, hint: Any) -> Any:
    noun_id = f"{NAMED_AFTER_A_ROLE.get(name, name)}-{'0' * 16}"
    return (noun_id,) if get_origin(hint) is tuple else noun_id


def _example(hint: Any, name: str) -> Any:
    if hint is JsonValue:
        return "some value"
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return parts[0]
    if origin in (Union, types.UnionType):
        return _example(next(part for part in parts if part is not type(None)), name)
    if origin is tuple:
        return tuple(_example(part, name) for part in parts if part is not ...)
    if origin is dict:
        return {_example(parts[0], name): _example(parts[1], name)}
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint(**_fields(hint))
    return {str: f"some {name}", int: 3, float: 1.5, bool: True}[hint]

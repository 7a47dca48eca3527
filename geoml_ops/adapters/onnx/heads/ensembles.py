"""Models made of models: each member becomes nodes as it would alone, then their answers meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoml_ops.adapters.onnx.heads.answers import n_classes_of
from geoml_ops.adapters.onnx.heads.layout import Layout
from geoml_ops.adapters.onnx.heads.precise import doubles, narrow, normalised, wide
from geoml_ops.adapters.onnx.heads.registry import Exporter, add_model
from geoml_ops.adapters.onnx.writer import Writer
from geoml_ops.core.errors import Refused
from geoml_ops.domain.fitting import SAME_SHARE, Fitted


def member(writer: Writer, rows: str, fitted: Fitted, layout: Layout) -> str:
    """Adds a member that may have seen some classes only; returns ``[row, class]`` of all, 0 for those never seen."""
    if fitted.estimator is None:
        # Of a single class: its column, as many rows as there are.
        shape = writer.op("Slice", writer.op("Shape", rows), writer.ints(0), writer.ints(1))
        whole = writer.op("Concat", shape, writer.ints(fitted.n_classes), axis=0)
        return writer.op(
            "Expand", writer.constant(np.eye(fitted.n_classes, dtype=np.float32)[fitted.present[0]]), whole
        )
    found = add_model(writer, rows, fitted.estimator, layout)
    if len(fitted.present) == fitted.n_classes:
        return found
    places = np.eye(fitted.n_classes, dtype=np.float32)[list(fitted.present)]
    return writer.op("MatMul", found, writer.constant(places))


def bagged(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``Bagged``: the mean of its members, each of its own features."""
    parts = []
    for one, columns in zip(model.members_, model.columns_, strict=True):
        own = writer.op("Gather", rows, writer.ints(*columns.tolist()), axis=1)
        parts.append(member(writer, own, one, layout))
    return _mean(writer, parts)


def voted(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``Voted``: the weighted mean of probabilities or of votes."""
    parts = [member(writer, rows, one, layout) for one in model.members_]
    said = [_ballot(writer, part) for part in parts] if model.hard else parts
    weighted = [
        writer.op("Mul", wide(writer, part), doubles(writer, share))
        for part, share in zip(said, model.shares_, strict=True)
    ]
    return narrow(writer, writer.op("Sum", *weighted))


def _ballot(writer: Writer, shares: str) -> str:
    """Adds one vote per row, split between classes that are equally probable."""
    best = writer.op("Sub", writer.op("ReduceMax", shares, axes=[1], keepdims=1), writer.number(SAME_SHARE))
    return normalised(writer, wide(writer, writer.op("LessOrEqual", best, shares)))


def stacked(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``Stacked``: members side by side, the final model, and classes only the members know."""
    said = [member(writer, rows, one, layout) for one in model.members_]
    seen = writer.op("Concat", *said, *([narrow(writer, rows)] if model.passthrough else []), axis=1)
    found = wide(writer, member(writer, seen, model.final_, layout))
    unknown = sorted(set(range(model.final_.n_classes)) - set(model.final_.present))
    if not unknown:
        return narrow(writer, found)
    only = np.zeros(model.final_.n_classes)
    only[unknown] = 1.0
    kept = writer.op("Mul", wide(writer, _mean(writer, said)), doubles(writer, only))
    left = writer.op("Sub", doubles(writer, 1.0), writer.op("ReduceSum", kept, writer.ints(1), keepdims=1))
    return narrow(writer, writer.op("Add", writer.op("Mul", found, left), kept))


def scikit_bagging(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``BaggingClassifier``.

    Raises:
        Refused: a draw missed a class, which scikit-learn tells by the names of classes.
    """
    k, parts = n_classes_of(model), []
    for one, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        if len(one.classes_) != k:
            raise Refused("A draw of a BaggingClassifier missed a class.", "use the family bagging")
        own = writer.op("Gather", rows, writer.ints(*np.asarray(columns).tolist()), axis=1)
        parts.append(add_model(writer, own, one, layout))
    return _mean(writer, parts)


def scikit_voting(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted soft ``VotingClassifier``.

    Raises:
        Refused: it counts votes, and has no probabilities.
    """
    if model.voting != "soft":
        raise Refused("A VotingClassifier that counts votes has no probabilities.", "use the family voting")
    weights = np.ones(len(model.estimators_)) if model.weights is None else np.asarray(model._weights_not_none)
    parts = [wide(writer, add_model(writer, rows, one, layout)) for one in model.estimators_]
    shares = weights / weights.sum()
    weighted = [writer.op("Mul", part, doubles(writer, share)) for part, share in zip(parts, shares, strict=True)]
    return narrow(writer, writer.op("Sum", *weighted))


def scikit_stacking(writer: Writer, rows: str, model: Any, layout: Layout) -> str:
    """Adds a fitted ``StackingClassifier`` whose members answer with probabilities.

    Raises:
        Refused: a member answers with scores or classes.
    """
    if set(model.stack_method_) != {"predict_proba"}:
        raise Refused("A stack of members without probabilities has no export.", "use stack_method predict_proba")
    parts = [add_model(writer, rows, one, layout) for one in model.estimators_]
    if n_classes_of(model) == 2:
        parts = [writer.op("Slice", part, writer.ints(1), writer.ints(2), writer.ints(1)) for part in parts]
    seen = writer.op("Concat", *parts, *([narrow(writer, rows)] if model.passthrough else []), axis=1)
    return add_model(writer, seen, model.final_estimator_, layout)


def _mean(writer: Writer, parts: list[str]) -> str:
    summed = writer.op("Sum", *[wide(writer, part) for part in parts])
    return narrow(writer, writer.op("Div", summed, doubles(writer, float(len(parts)))))


EXPORTERS: Mapping[str, Exporter] = {
    "Bagged": bagged,
    "BaggingClassifier": scikit_bagging,
    "Stacked": stacked,
    "StackingClassifier": scikit_stacking,
    "Voted": voted,
    "VotingClassifier": scikit_voting,
}

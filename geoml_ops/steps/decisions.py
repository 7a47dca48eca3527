"""Weigh the triggers: what is known becomes a decision, and a decision that fires becomes a retrain event.

Apart from ``steps/watch.py`` so that asking for a decision does not load Evidently.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.crs import reproject
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.adapters.registry import Registry
from geoml_ops.core.errors import GeomlError, NotFound
from geoml_ops.core.flow import (
    Bundle,
    Decision,
    Drift,
    Entry,
    Labels,
    Prediction,
    Retrain,
    Scene,
    Version,
)
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import Policy
from geoml_ops.domain.triggers import Ruling, State, weigh
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places


def champion(places: Places) -> Entry | None:
    """Returns the entry that the registry calls champion now, or None before the first."""
    try:
        with Registry(places.tracking_uri) as registry:
            release = registry.release(places.model, "champion")
    except NotFound:
        return None
    return Entry(bundle=release.bundle, model=release.model, number=release.number)


def weighed(places: Places, version_id: str) -> bool:
    """Returns whether a decision about this version is on record."""
    return any(decision.version == version_id for decision in Shelf(places.nouns).all(Decision))


def drifts_of(places: Places, bundle_id: str) -> list[Drift]:
    """Returns what was found for a bundle, in the order in which its newest predictions were logged."""
    place = {line.id: i for i, line in enumerate(PredictionLog(places.predictions).lines())}
    mine = [drift for drift in Shelf(places.nouns).all(Drift) if drift.bundle == bundle_id]
    return sorted(mine, key=lambda drift: max((place.get(p, -1) for p in drift.predictions), default=-1))


def gather(places: Places) -> tuple[str, ...]:
    """Returns ids of the champion's predictions that no comparison covers, in the order they were logged.

    A comparison that was made but never decided on is gathered again, so that a kill between the two
    loses nothing: comparing the same predictions gives the same drift.
    """
    entry, shelf = champion(places), Shelf(places.nouns)
    if entry is None:
        return ()
    drifts = drifts_of(places, entry.bundle)
    decided = {decision.drift for decision in shelf.all(Decision)}
    for drift in drifts:
        if drift.id not in decided:
            return drift.predictions
    covered = {prediction for drift in drifts for prediction in drift.predictions}
    logged = dict.fromkeys(line.id for line in PredictionLog(places.predictions).lines())
    return tuple(i for i in logged if i not in covered and _of(shelf, i, entry.bundle))


def decide(places: Places, drift_id: str, version_id: str) -> tuple[Decision, Retrain | None]:
    """Returns the decision about a drift and a version, and the retrain event when it fires.

    Every call leaves a decision on record, fired or not. The same drift, version, champion and policy give
    the same two nouns. A champion and a version start one training at most; an event whose training
    led to a bundle already is not given out again.

    Args:
        places: where things are.
        drift_id: what was just compared; empty for what stands.
        version_id: the version that arrived; empty for the newest.

    Raises:
        NotFound: an id names nothing.
        Unavailable: the registry does not answer.
    """
    shelf, policy = Shelf(places.nouns), read_policy(places.policy)
    with only_one(places.workspace / "locks" / "decide.lock"):
        entry = champion(places)
        version = _version(shelf, version_id)
        drift, standing = _drifts(places, shelf, drift_id, entry)
        for fired in _fired(shelf, entry, version):
            if fired.drift == (drift.id if drift else "") and fired.policy == policy.id:
                return fired, _unanswered(shelf, shelf.put(_retrain(fired)))
        ruling = weigh(_state(shelf, entry, version, drift, standing), policy)
        ruling = _once(shelf, entry, version, ruling)
        decision = _decision(policy, entry, version, drift, ruling)
        retrain = _retrain(decision) if decision.fired else None
        shelf.put(decision)
        if retrain is not None:
            shelf.put(retrain)
    logger("watch").info("decided", decision=decision.id, action=decision.action, fired=decision.fired)
    return decision, retrain


def _of(shelf: Shelf, prediction_id: str, bundle: str) -> bool:
    try:
        return shelf.get(Prediction, prediction_id).bundle == bundle
    except (GeomlError, ValueError) as error:
        logger("watch").warning("logged prediction cannot be read", prediction=prediction_id[:60], error=str(error))
        return False


def _version(shelf: Shelf, version_id: str) -> Version | None:
    if version_id:
        return shelf.get(Version, version_id)
    return next(reversed(list(shelf.all(Version))), None)


def _drifts(places: Places, shelf: Shelf, drift_id: str, entry: Entry | None) -> tuple[Drift | None, Drift | None]:
    history = drifts_of(places, entry.bundle) if entry else []
    shifts = [d for d in history if d.diagnosis.cause == "covariate shift"]
    standing = shifts[-1] if shifts else None
    if drift_id:
        return shelf.get(Drift, drift_id), standing
    return standing or (history[-1] if history else None), standing


def _state(
    shelf: Shelf, entry: Entry | None, version: Version | None, drift: Drift | None, standing: Drift | None
) -> State:
    known = shelf.get(Version, shelf.get(Bundle, entry.bundle).version) if entry else None
    labels = [shelf.get(Labels, i) for i in version.labels] if version else []
    ground, crs = _ground(shelf, standing)
    return State(
        champion=f"{entry.model} {entry.number}" if entry else "",
        drift=drift,
        standing=standing,
        drifted_ground=ground,
        has_version=version is not None,
        is_champions=bool(known and version and {*version.scenes, *version.labels} <= {*known.scenes, *known.labels}),
        labels=labels,
        known_labels=[shelf.get(Labels, i) for i in known.labels] if known else [],
        label_ground={x.id: _in_crs(x.bounds, x.crs, crs) for x in labels} if crs else {},
        scenes=[shelf.get(Scene, i) for i in version.scenes] if version else [],
        known_scenes=[shelf.get(Scene, i) for i in known.scenes] if known else [],
    )


def _ground(shelf: Shelf, drift: Drift | None) -> tuple[Sequence[Bounds], str]:
    grids = [shelf.get(Prediction, i).grid for i in drift.predictions] if drift else []
    if not grids:
        return (), ""
    crs = grids[0].crs
    return [_in_crs(grid.bounds, grid.crs, crs) for grid in grids], crs


def _in_crs(bounds: Bounds, source: str, target: str) -> Bounds:
    # Edges, not only corners: a straight edge becomes a curve in another projection.
    edge = shapely.segmentize(shapely.box(*bounds.as_tuple()), max(bounds.right - bounds.left, 1e-9) / 16)
    left, bottom, right, top = reproject(np.array([edge], dtype=object), source, target)[0].bounds
    return Bounds(left=left, bottom=bottom, right=right, top=top)


def _fired(shelf: Shelf, entry: Entry | None, version: Version | None) -> list[Decision]:
    key = (entry.id if entry else "", version.id if version else "")
    return [d for d in shelf.all(Decision) if d.fired and (d.champion, d.version) == key]


def _once(shelf: Shelf, entry: Entry | None, version: Version | None, ruling: Ruling) -> Ruling:
    before = _fired(shelf, entry, version)
    if not (ruling.fired and before):
        return ruling
    return Ruling("none", False, f"{_retrain(before[0]).id} asked for a training on this version already.")


def _decision(
    policy: Policy, entry: Entry | None, version: Version | None, drift: Drift | None, ruling: Ruling
) -> Decision:
    return Decision(
        drift=drift.id if drift else "",
        version=version.id if version else "",
        champion=entry.id if entry else "",
        policy=policy.id,
        action=ruling.action,
        fired=ruling.fired,
        because=ruling.because,
    )


def _retrain(decision: Decision) -> Retrain:
    return Retrain(decision=decision.id, version=decision.version, because=decision.because)


def _unanswered(shelf: Shelf, retrain: Retrain) -> Retrain | None:
    return None if any(bundle.version == retrain.version for bundle in shelf.all(Bundle)) else retrain

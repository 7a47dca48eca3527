"""What is to be looked at next: the answers of the champion, one scene in one stream at a time, oldest first."""

from __future__ import annotations

from datetime import date

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.adapters.registry import Registry
from geoml_ops.core.errors import GeomlError, NotFound
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Prediction
from geoml_ops.platform.log import logger
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import When, when_of


def champion(places: Places) -> Entry | None:
    """Returns the entry that the registry calls champion now, or None before the first."""
    try:
        with Registry(places.tracking_uri) as registry:
            release = registry.release(places.model, "champion")
    except NotFound:
        return None
    return Entry(bundle=release.bundle, model=release.model, number=release.number)


def drifts_of(places: Places, bundle_id: str) -> list[Drift]:
    """Returns what was found for a bundle, in the order in which its newest predictions were logged."""
    place = {line.id: i for i, line in enumerate(PredictionLog(places.predictions).lines())}
    mine = [drift for drift in Archive(places.nouns).all(Drift) if drift.bundle == bundle_id]
    return sorted(mine, key=lambda drift: max((place.get(p, -1) for p in drift.predictions), default=-1))


def gather(places: Places) -> tuple[str, ...]:
    """Returns ids of the champion's predictions that make up the next unit of evidence; empty where none is left.

    A unit is one scene in one stream (sensor and region): predictions whose scenes were acquired on one day.
    Predictions whose acquisition is not known go together by the day on which they were logged. Older days come first,
    ids in the order of the log.

    A comparison that was made but never decided on is gathered again, so that a kill between the two
    loses nothing: comparing the same predictions gives the same drift.

    Raises:
        NotFound: the champion's bundle is not on this machine's shelf.
        Unavailable: the registry does not answer.
    """
    entry, shelf = champion(places), Archive(places.nouns)
    if entry is None:
        return ()
    drifts = drifts_of(places, entry.bundle)
    decided = {decision.drift for decision in shelf.all(Decision)}
    # Compared twice, as one that could not be told is, it is decided on once.
    settled = {drift.predictions for drift in drifts if drift.id in decided}
    for drift in drifts:
        if drift.predictions not in settled:
            return drift.predictions
    bundle = shelf.get(Bundle, entry.bundle)
    covered = {prediction for drift in drifts for prediction in drift.predictions}
    units: dict[tuple[date, bool, str], list[str]] = {}
    for line in PredictionLog(places.predictions).lines():
        if line.id in covered:
            continue
        covered.add(line.id)
        when = _when(places, shelf, line.id, bundle)
        if when is not None:
            day = (when.acquired or line.at).date()
            units.setdefault((day, when.acquired is None, when.stream), []).append(line.id)
    return tuple(units[min(units)]) if units else ()


def _when(places: Places, shelf: Shelf, prediction_id: str, bundle: Bundle) -> When | None:
    """Returns stream and acquisition of a prediction; None where it is of another model or cannot be read."""
    try:
        prediction = shelf.get(Prediction, prediction_id)
        return when_of(places, prediction, bundle) if prediction.bundle == bundle.id else None
    except (GeomlError, ValueError) as error:
        logger("watch").warning("logged prediction cannot be read", prediction=prediction_id[:60], error=str(error))
        return None

"""Compare what was predicted with what is normal for it, name what is wrong, decide what follows, and show it.

One comparison is about one scene: the predictions that :func:`~geoml_ops.steps.decisions.gather` hands out together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.registry import REFERENCE, open_bundle
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Bundle, Decision, Drift, Prediction, Retrain
from geoml_ops.core.policy import Policy
from geoml_ops.core.watched import Diagnosis
from geoml_ops.domain.diagnosis import diagnose
from geoml_ops.domain.drift import Measured, measure, usable
from geoml_ops.domain.sketch import Columns
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps import departing, evidence, trail
from geoml_ops.steps.archive import Archive
from geoml_ops.steps.dashboard import summarise
from geoml_ops.steps.decisions import champion, decide, gather, weighed
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import Seen, read

__all__ = ["Turn", "champion", "compare", "decide", "gather", "rounds", "summarise", "weighed"]


@dataclass(frozen=True)
class Turn:
    """One scene looked at: what was found, what was decided, and the training that starts from it."""

    drift: Drift | None
    decision: Decision
    retrain: Retrain | None


def rounds(places: Places, version_id: str = "") -> Iterator[Turn]:
    """Yields one turn per scene that was not looked at yet, oldest first; one without a scene where there is none.

    Killed anywhere and called again it goes on where it was; several processes take turns, scene by scene.

    Args:
        places: where things are.
        version_id: the version that arrived; empty for the newest.

    Raises:
        Refused: a line of the audit trail was altered.
    """
    trail.require_whole(places)
    turn = _next(places, version_id)
    if turn is None:
        yield Turn(None, *decide(places, "", version_id))
    while turn is not None:
        yield turn
        turn = _next(places, version_id)


def _next(places: Places, version_id: str) -> Turn | None:
    with only_one(places.workspace / "locks" / "rounds.lock"):
        pending = gather(places)
        drift = compare(places, pending)
        return Turn(drift, *decide(places, drift.id, version_id)) if drift is not None else None


def compare(places: Places, prediction_ids: Sequence[str]) -> Drift | None:
    """Returns what these predictions of one scene show against what is normal for it; None without predictions.

    Evidently's report of the same tiles is stored before the noun is. A file that is missing or altered
    ends in "cannot tell", never in "none". What was compared once is not compared with what was learned since:
    asked again the same is returned, unless it could not be told.

    Raises:
        BadInput: the predictions come from several bundles.
        NotFound: a prediction is not on the shelf.
    """
    if not prediction_ids:
        return None
    shelf, policy = Archive(places.nouns), read_policy(places.policy)
    predictions = [shelf.get(Prediction, i) for i in dict.fromkeys(prediction_ids)]
    if len({p.bundle for p in predictions}) > 1:
        raise BadInput("The predictions come from several bundles.", "compare those of one bundle at a time")
    with only_one(places.workspace / "locks" / "compare.lock"):
        drift = _compared_before(shelf, predictions) or shelf.put(_compared(places, predictions, policy))
    logger("watch").info("compared", drift=drift.id, cause=drift.diagnosis.cause, tiles=drift.n_current)
    return drift


def _compared_before(shelf: Shelf, predictions: Sequence[Prediction]) -> Drift | None:
    asked = predictions[0].bundle, tuple(p.id for p in predictions)
    known = (d for d in shelf.all(Drift) if d.diagnosis.cause != "cannot tell")
    return next((d for d in known if (d.bundle, d.predictions) == asked), None)


def _compared(places: Places, predictions: Sequence[Prediction], policy: Policy) -> Drift:
    first = predictions[0]
    try:
        opened = open_bundle(places.bundles, first.graph_sha256, first.bundle)
        ground: Columns = json.loads((opened.folder / REFERENCE).read_text(encoding="utf-8"))
        seen = read(places, predictions, opened.bundle, policy.calibration.by)
    except (NotFound, Refused) as error:
        sentence = f"No comparison: {error}"
        diagnosis = Diagnosis(cause="cannot tell", action="look", sentence=sentence)
        return _drift(predictions, policy, Measured(0, 0), diagnosis)
    drift = _found(places, predictions, policy, opened.bundle, ground, seen)
    departing.reported(places, first.model, drift, seen, usable(ground), policy.drift)
    return drift


def _found(
    places: Places, predictions: Sequence[Prediction], policy: Policy, bundle: Bundle, ground: Columns, seen: Seen
) -> Drift:
    reading, learned = Shelf(places.nouns).put(seen.reading), usable(ground)
    measured = measure(ground, seen.everything, bundle.bands, policy.drift)
    stand = evidence.standing(places, bundle, reading, policy.calibration)
    guess = evidence.guessed(places, bundle, reading, policy.audit)
    facts = evidence.gathered(
        places, bundle, seen, learned, measured, stand=stand, guess=guess, policy=policy.calibration
    )
    diagnosis = diagnose(facts, policy.drift)
    worth = departing.is_worth_a_map(diagnosis, stand.charts)
    where = departing.mapped(places, bundle, predictions, seen, stand, learned) if worth else None
    return _drift(predictions, policy, measured, diagnosis).model_copy(
        update={
            "reading": reading.id,
            "reference": stand.reference.id if stand.reference else "",
            "stream": reading.stream,
            "key": reading.key,
            "acquired": reading.acquired,
            "calibrated": any(chart.limit is not None for chart in stand.charts),
            "statistics": evidence.told(measured, bundle, reading, stand),
            "charts": stand.charts,
            "estimates": guess.estimates,
            "prior_shift": dict(guess.prior_shift),
            "where": where,
        }
    )


def _drift(predictions: Sequence[Prediction], policy: Policy, measured: Measured, diagnosis: Diagnosis) -> Drift:
    return Drift(
        bundle=predictions[0].bundle,
        predictions=tuple(p.id for p in predictions),
        unit=f"tile of {predictions[0].tile_px} px",
        n_reference=measured.n_reference,
        n_current=measured.n_current,
        threshold=policy.drift.distance,
        calibrated=False,
        statistics=measured.statistics,
        drifted_share=measured.drifted_share,
        diagnosis=diagnosis,
    )

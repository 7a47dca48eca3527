"""Compare recent predictions with the champion's ground, decide what follows, and show it.

One comparison covers every prediction of the champion that was logged since the comparison before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from geoml_ops.adapters import evidently
from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import SKETCHES, PredictionLog
from geoml_ops.adapters.registry import REFERENCE, open_bundle
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Drift, Prediction
from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import Diagnosis
from geoml_ops.domain.drift import Comparison, compare_tiles, pool, usable
from geoml_ops.domain.sketch import Columns
from geoml_ops.platform.files import sha256_of
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.dashboard import summarise
from geoml_ops.steps.decisions import champion, decide, gather, weighed
from geoml_ops.steps.places import Places

__all__ = ["champion", "compare", "decide", "gather", "summarise", "weighed"]


def compare(places: Places, prediction_ids: Sequence[str]) -> Drift | None:
    """Returns the drift of these predictions against their model's training ground; None without predictions.

    Evidently's report of the same tiles is stored before the noun is. A file that is missing or altered
    ends in "cannot tell", never in "none".

    Raises:
        BadInput: the predictions come from several bundles.
        NotFound: a prediction is not on the shelf.
    """
    if not prediction_ids:
        return None
    shelf, rules = Shelf(places.nouns), read_policy(places.policy).drift
    predictions = [shelf.get(Prediction, i) for i in dict.fromkeys(prediction_ids)]
    if len({p.bundle for p in predictions}) > 1:
        raise BadInput("The predictions come from several bundles.", "compare those of one bundle at a time")
    with only_one(places.workspace / "locks" / "compare.lock"):
        drift, tables = _drift(places, predictions, rules)
        if drift.statistics:
            _store(places, predictions[0].model, drift, tables, rules)
        shelf.put(drift)
    logger("watch").info("compared", drift=drift.id, cause=drift.diagnosis.cause, tiles=drift.n_current)
    return drift


def _drift(
    places: Places, predictions: Sequence[Prediction], rules: DriftRules
) -> tuple[Drift, tuple[Columns, Columns]]:
    first = predictions[0]
    try:
        opened = open_bundle(places.bundles, first.graph_sha256, first.bundle)
        reference: Columns = json.loads((opened.folder / REFERENCE).read_text(encoding="utf-8"))
        current = pool([_sketches(places, prediction) for prediction in predictions])
        found = compare_tiles(reference, current, opened.bundle.bands, rules)
    except (NotFound, Refused) as error:
        reference, current = {}, {}
        diagnosis = Diagnosis(cause="cannot tell", action="look", sentence=f"No comparison: {error}")
        found = Comparison(0, 0, (), 0.0, diagnosis)
    drift = Drift(
        bundle=first.bundle,
        predictions=tuple(p.id for p in predictions),
        unit=f"tile of {rules.tile_px} px",
        n_reference=found.n_reference,
        n_current=found.n_current,
        threshold=rules.distance,
        calibrated=False,
        statistics=found.statistics,
        drifted_share=found.drifted_share,
        diagnosis=found.diagnosis,
    )
    return drift, (reference, current)


def _sketches(places: Places, prediction: Prediction) -> Columns:
    path = PredictionLog(places.predictions).home(prediction.id) / SKETCHES
    if not path.exists():
        raise NotFound(f"The sketches of {prediction.id} are gone.", "ask for the prediction again")
    if sha256_of(path) != prediction.sketches.sha256:
        raise Refused(f"The sketches of {prediction.id} were altered.", "ask for the prediction again")
    content: Columns = json.loads(path.read_text(encoding="utf-8"))
    return content


def _store(places: Places, model: str, drift: Drift, tables: tuple[Columns, Columns], rules: DriftRules) -> None:
    columns = {s.column: f"{s.column}:mean" for s in drift.statistics if f"{s.column}:mean" in tables[0]}
    before, now = ({c: usable(table)[name] for c, name in columns.items()} for table in tables)
    snapshot = evidently.report(before, now, list(columns), distance=rules.distance, drifted_share=rules.drifted_share)
    about = {
        "bundle": drift.bundle,
        "diagnosis": drift.diagnosis.cause,
        "sentence": drift.diagnosis.sentence,
        "unit": drift.unit,
        "thresholds": "fixed, uncalibrated",
    }
    stored = evidently.store(places.evidently, model, drift.id, snapshot, about)
    ours = {s.column: s.distance for s in drift.statistics}
    apart = {c: (d, ours[c]) for c, d in stored.distances.items() if not np.isclose(d, ours[c], rtol=1e-6, atol=1e-9)}
    if apart:
        raise Refused(f"Evidently and the platform measure {drift.id} differently: {apart}.", "report this as a bug")

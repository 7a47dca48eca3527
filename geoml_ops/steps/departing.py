"""What is drawn only where something is wrong, the map of where, and the report that Evidently keeps of all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from geoml_ops.adapters import evidently
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Bundle, Drift, Prediction, Reading
from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import ControlChart, Diagnosis, DriftMap
from geoml_ops.domain.drift import Table, usable
from geoml_ops.steps import hotspots
from geoml_ops.steps.evidence import Standing
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import Seen, sketches, tiles_of
from geoml_ops.steps.records import first_recorded

#: In-control scenes that say how large the hot-spots of calm scenes are.
MOST_QUIET = 40
_CALM = ("none", "season as expected", "no reference", "cannot tell")


def is_worth_a_map(diagnosis: Diagnosis, charts: Sequence[ControlChart]) -> bool:
    """Returns whether something was named, stands or lies beyond its threshold."""
    return diagnosis.cause not in _CALM or any(chart.alarm or chart.state == "beyond" for chart in charts)


def mapped(
    places: Places, bundle: Bundle, predictions: Sequence[Prediction], seen: Seen, stand: Standing, ground: Table
) -> DriftMap | None:
    """Returns where a scene departs from the in-control scenes of its key, or else from the champion's ground.

    Args:
        places: where things are.
        bundle: the champion.
        predictions: the scene's.
        seen: the scene.
        stand: where it stands among in-control scenes.
        ground: well observed tiles of the champion's training ground.
    """
    now, said = hotspots.ground([_part(p, usable(sketches(places, p))) for p in predictions])
    if now is None:
        return None
    known = [table for reading in stand.same_key if (table := usable(tiles_of(places, reading)))]
    quiet: tuple[float, ...] = ()
    if stand.reference is not None and known:
        found = [(r.key, usable(tiles_of(places, r))) for r in _alike(stand, seen.reading)]
        keys, scenes = [key for key, tiles in found if tiles], [tiles for _, tiles in found if tiles]
        quiet = hotspots.quiet_masses(places, stand.reference.id, scenes, bundle.bands, edge_m=now.edge_m, keys=keys)
    normal, _ = hotspots.ground([hotspots.Part(now.crs, now.edge_m, table) for table in known])
    usual = normal.table if normal is not None else ground
    return hotspots.draw(places, seen.reading.id, now, usual, bundle.bands, quiet=quiet, said=said)


def reported(places: Places, model: str, drift: Drift, seen: Seen | None, ground: Table, rules: DriftRules) -> None:
    """Keeps Evidently's report of a drift in its workspace; the same drift again changes nothing.

    Raises:
        Refused: Evidently and the platform measure the same tiles differently.
    """
    columns = {s.column: f"{s.column}:mean" for s in drift.statistics if f"{s.column}:mean" in ground}
    before, now = ({c: table[name] for c, name in columns.items()} for table in (ground, seen.tiles if seen else {}))
    latency_s, px_per_s = speed(places, drift.predictions)
    told = evidently.Told(model, drift, seen.reading if seen else None, latency_s, px_per_s)
    snapshot = evidently.report(
        before, now, list(columns), distance=rules.distance, drifted_share=rules.drifted_share, told=told
    )
    stored = evidently.store(places.evidently, told, snapshot)
    ours = {s.column: s.distance for s in drift.statistics}
    apart = {c: (d, ours[c]) for c, d in stored.distances.items() if not np.isclose(d, ours[c], rtol=1e-6, atol=1e-9)}
    if apart:
        raise Refused(f"Evidently and the platform measure {drift.id} differently: {apart}.", "report this as a bug")


def speed(places: Places, predictions: Sequence[str]) -> tuple[float | None, float | None]:
    """Returns the longest wait for these predictions in seconds, and pixels answered a second.

    None where nobody waited, or the log no longer says.
    """
    log, waits, n_px = PredictionLog(places.predictions), [], 0
    for prediction in predictions:
        at = first_recorded(log, prediction)
        if at is None:
            continue
        found = log.requests(at, at + timedelta(seconds=1), columns=("prediction", "latency_s", "n_px", "again"))
        for row in found:
            if row["prediction"] == prediction and not row["again"] and row["latency_s"]:
                waits.append(float(row["latency_s"]))
                n_px += int(row["n_px"])
    return (max(waits), n_px / sum(waits)) if waits else (None, None)


def _alike(stand: Standing, reading: Reading) -> list[Reading]:
    """In-control scenes of the same ground, the scene's own key first, the newest of the others after."""
    mine = {r.id for r in stand.same_key}
    others = [r for r in stand.alike if r.id not in mine and r.id != reading.id]
    return [*stand.same_key, *others[::-1]][:MOST_QUIET]


def _part(prediction: Prediction, table: Table) -> hotspots.Part:
    return hotspots.Part(prediction.grid.crs, prediction.tile_px * prediction.grid.pixel_m, table)

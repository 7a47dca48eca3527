"""Pages of single comparisons with their maps, written once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from geoml_ops.adapters import pages
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Reading, Reference
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.streams import SceneRow
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.pagebook import PageBook
from geoml_ops.steps.places import Places
from geoml_ops.steps.sametiles import pairs_of
from geoml_ops.steps.seen import Lines, newest, taken

MOST_READINGS = 200
MOST_PICTURE_BYTES = 8 << 20
_WORDS = {
    "raster": "Raster of the drift (Cloud-Optimised GeoTIFF)",
    "squares": "Tiles with their statistics (GeoPackage)",
    "picture": "Picture of the map (PNG)",
}


def write_drifts(places: Places, lines: Lines, book: PageBook) -> None:
    """Writes the page and the JSON of every comparison that has none, or that something followed from since."""
    shelf, about = Shelf(places.nouns), lines.decisions_about()
    numbers = {entry.bundle: entry.number for entry in newest(shelf, Entry, MOST_READINGS)}
    for row in lines.drifts.values():
        name, followed = f"drifts/{row.drift}.html", about.get(row.drift, ())
        made_of = repr((row, followed, numbers.get(row.bundle)))
        if book.is_made(name, made_of):
            continue
        drift = taken(shelf, Drift, row.drift)
        if drift is None:
            continue
        view = _view(places, drift, row, followed, numbers.get(row.bundle))
        write_json(places.dashboard / "drifts" / f"{row.drift}.json", _values(view))
        book.write(name, made_of, partial(pages.drift_page, view))


def _view(places: Places, drift: Drift, row: SceneRow, followed: Sequence[str], number: int | None) -> pages.DriftView:
    shelf = Shelf(places.nouns)
    reading, reference = taken(shelf, Reading, drift.reading), taken(shelf, Reference, drift.reference)
    bundle = taken(shelf, Bundle, drift.bundle)
    decisions = [taken(shelf, Decision, decision) for decision in followed]
    files = _files(places, drift)
    return pages.DriftView(
        drift=drift,
        row=row,
        reading=reading,
        reference=reference,
        bundle=bundle,
        number=number,
        decisions=[decision for decision in decisions if decision is not None],
        normal=_normal(shelf, drift, reference),
        pairs=pairs_of(places, drift, reading, reference, bundle),
        picture=_picture(places, files.get("picture", "")),
        files={_WORDS[field]: f"../{path}" for field, path in files.items()},
    )


def _values(view: pages.DriftView) -> dict[str, object]:
    d = view.drift
    return {
        "id": d.id,
        **d.as_json(),
        "standing": view.row.standing,
        "scenes": list(view.row.scenes),
        "decisions": [{"id": one.id, **one.as_json()} for one in view.decisions],
        "files": list(view.files.values()),
    }


def _files(places: Places, drift: Drift) -> dict[str, str]:
    """Returns where the files of the drift map are inside the dashboard, by field, without lost and altered ones."""
    if drift.where is None:
        return {}
    refs = {field: getattr(drift.where, field) for field in _WORDS}
    return {field: ref.path for field, ref in refs.items() if ref is not None and _is_there(places, ref)}


def _is_there(places: Places, ref: FileRef) -> bool:
    home = places.dashboard.resolve()
    path = (home / ref.path).resolve()
    try:
        if path.is_relative_to(home) and path.stat().st_size == ref.size and sha256_of(path) == ref.sha256:
            return True
    except (OSError, ValueError):
        pass
    logger("watch").warning("file of a drift map is lost or altered", path=ref.path[:120])
    return False


def _picture(places: Places, path: str) -> bytes | None:
    """Returns a picture that is small enough to be put into its page."""
    picture = places.dashboard / path
    return picture.read_bytes() if path and picture.stat().st_size <= MOST_PICTURE_BYTES else None


def _normal(shelf: Shelf, drift: Drift, reference: Reference | None) -> dict[str, float]:
    """Returns means of the reference's scenes of the same key, of all of them where none has that key."""
    if reference is None or drift.diagnosis.picture not in ("profile", "shares"):
        return {}
    readings = [taken(shelf, Reading, i) for i in reference.readings[-MOST_READINGS:]]
    known = [reading for reading in readings if reading is not None]
    chosen = [reading for reading in known if reading.key == drift.key] or known
    sums: dict[str, list[float]] = {}
    for reading in chosen:
        for name, value in reading.statistics.items():
            if value is not None and math.isfinite(value):
                sums.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in sums.items()}

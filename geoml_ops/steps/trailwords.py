"""What pages and metrics say of the audit trail: how long it is, and whether anything in it was altered."""

from __future__ import annotations

from geoml_ops.adapters.pages import TrailWords
from geoml_ops.adapters.trail import Trail
from geoml_ops.steps.places import Places

FOLDER = "trail"


def trail_words(places: Places) -> TrailWords | None:
    """Returns what an inspection of the whole trail found; None where there is no trail yet."""
    folder = places.workspace / FOLDER
    if not folder.exists():
        return None
    found = Trail(folder).verify()
    flaw = f"{found.flaws[0].file} line {found.flaws[0].line}: {found.flaws[0].what}" if found.flaws else ""
    return TrailWords(found.n_records, found.head.sha256 if found.head else "", flaw)

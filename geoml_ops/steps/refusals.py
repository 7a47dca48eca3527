"""The release that this machine refused last, remembered until the alias points at another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoml_ops.adapters.registry import Release
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.steps.places import Places


@dataclass(frozen=True)
class Refusal:
    """A release that may not serve here, and why."""

    release: Release
    reason: str


def last_refusal(places: Places) -> Refusal | None:
    """Returns what was refused last; None where nothing is, or where it cannot be read."""
    try:
        kept = read_json(_memory(places))
        return Refusal(Release(**kept["release"]), str(kept["reason"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None


def keep_refusal(places: Places, refusal: Refusal) -> None:
    """Remembers a refusal, also after a restart."""
    write_json(_memory(places), {"release": vars(refusal.release), "reason": refusal.reason})


def forget_refusal(places: Places) -> None:
    """Forgets it: the alias points at another release, and may come back to this one."""
    _memory(places).unlink(missing_ok=True)


def _memory(places: Places) -> Path:
    return places.workspace / "service" / "refused.json"

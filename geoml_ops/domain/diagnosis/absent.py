"""What is not there: a band without numbers or with one number everywhere, a scene that is mostly nodata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.domain.diagnosis.evidence import Evidence
from geoml_ops.domain.diagnosis.looking import Finding, listed
from geoml_ops.domain.diagnosis.matching import rows
from geoml_ops.domain.drift import Table

#: A band with less than half of what the others show has lost its own.
_LOST = 0.5
#: Valid share has to fall by this much, whatever calm scenes say; and by this much where they are few.
_LEAST_FALL, _LEAST_FALL_FEW, _FEW = 0.25, 0.5, 3
_BEYOND_SD = 3.3
_HARDLY = 0.05


def missing_band(evidence: Evidence) -> Finding | None:
    """Returns the bands that hold no numbers, or one number everywhere though their ground does not."""
    table = evidence.now if rows(evidence.now) else evidence.everything
    if not rows(table) or not evidence.bands:
        return None
    empty = [b for b in evidence.bands if _is_lost(evidence, b) or (_is_empty(table, b) and not _is_unknown(evidence))]
    flat = [b for b in evidence.bands if b not in empty and _is_flat(table, b) and not _is_flat(evidence.ground, b)]
    names = tuple(b for b in evidence.bands if b in empty or b in flat)
    if not names:
        return None
    if len(names) == len(evidence.bands):
        return _all_of_them(evidence, table, flat)
    said = [f"{listed(empty)} {_hold(empty)} no numbers"] if empty else []
    said += [f"{b} holds {_level(table, b):.6g} everywhere" for b in flat[:4]]
    sentence = f"{' and '.join(said)}, the other {len(evidence.bands) - len(names)} bands are there"
    return Finding("missing band", 1.0, sentence, {"bands": float(len(names))}, names, "bands")


def is_rounded_away(evidence: Evidence, absent: Finding) -> bool:
    """Says whether bands hold one number because whole numbers could not hold less: all of them 0 or 1."""
    table = evidence.now if rows(evidence.now) else evidence.everything
    return all(_is_flat(table, band) and abs(_level(table, band)) <= 1.0 for band in absent.bands)


def nodata_surge(evidence: Evidence) -> Finding | None:
    """Returns that far less of the scene was observed than of calm ones; None where that is usual or not known."""
    share, usual = valid_share(evidence), evidence.normal.get("valid_share")
    if share is None or usual is None or not all(np.isfinite(usual)):
        return None
    middle, sd, n = usual
    fall = max(_LEAST_FALL, _BEYOND_SD * sd) if n >= _FEW else _LEAST_FALL_FEW
    if share >= middle - fall and not (share < _HARDLY < middle - fall / 2.0):
        return None
    sentence = f"{share:.0%} of the scene was observed; {n} calm scenes had {middle:.0%} (sd {sd:.0%})"
    numbers = {"valid share": share, "usual valid share": middle}
    return Finding(
        "cloud or nodata surge", min(1.0, (middle - share) / max(middle, 1e-6)), sentence, numbers, (), "map"
    )


def valid_share(evidence: Evidence) -> float | None:
    """Returns the share of the scene (0 to 1) that was observed; None where that is not known."""
    known = evidence.scene.get("valid_share")
    if known is not None and np.isfinite(known):
        return float(known)
    shares = evidence.everything.get("valid_share")
    if shares is None or not np.isfinite(shares).any():
        return None
    weights = np.nan_to_num(evidence.everything.get("n_px", np.ones_like(shares)))
    total = float(weights[np.isfinite(shares)].sum())
    return float(np.nansum(shares * weights)) / total if total > 0 else None


def _is_unknown(evidence: Evidence) -> bool:
    """Whether no band has a number: then it is the scene that is empty, not a band."""
    table = evidence.now if rows(evidence.now) else evidence.everything
    return all(_is_empty(table, band) for band in evidence.bands)


def _is_lost(evidence: Evidence, band: str) -> bool:
    own = evidence.observed.get(band)
    others = [v for b, v in evidence.observed.items() if b != band and np.isfinite(v)]
    return own is not None and bool(others) and own < _LOST * float(np.median(others))


def _is_empty(table: Table, band: str) -> bool:
    column = table.get(f"{band}:mean")
    return column is None or not np.isfinite(column).any()


def _is_flat(table: Table, band: str) -> bool:
    """Whether a band holds one number everywhere."""
    mean, sd = (_finite(table, f"{band}:{part}") for part in ("mean", "sd"))
    if mean.size < 2 or sd.size < 2:
        return False
    least = 1e-9 * max(1.0, float(np.abs(mean).max()))
    return bool(sd.max() <= least and np.ptp(mean) <= least)


def _all_of_them(evidence: Evidence, table: Table, flat: Sequence[str]) -> Finding | None:
    if len(flat) != len(evidence.bands):
        return None
    level = float(np.median([_level(table, b) for b in flat]))
    before = [abs(_level(evidence.ground, b)) for b in flat if not _is_empty(evidence.ground, b)]
    sentence = f"All {len(flat)} bands hold one number everywhere, about {level:.6g}"
    if before and abs(level) <= 1.0 < 0.1 * float(np.median(before)):
        sentence += (
            f"; the ground that the model learned from has about {np.median(before):,.0f}: numbers of another unit "
            "that were rounded to whole ones"
        )
        return Finding("unit or scale", 1.0, sentence, {"level": level}, (), "bands")
    return Finding("missing band", 1.0, sentence, {"level": level}, tuple(flat), "bands")


def _level(table: Table, band: str) -> float:
    found = _finite(table, f"{band}:mean")
    return float(np.median(found)) if found.size else float("nan")


def _finite(table: Table, name: str) -> NDArray[np.float64]:
    column = table.get(name, np.array([]))
    return column[np.isfinite(column)]


def _hold(names: Sequence[str]) -> str:
    return "holds" if len(names) == 1 else "hold"

"""What a person does now: for each cause and action, steps with the exact command or place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from geoml_ops.core.flow import Drift

_BY_ACTION: Mapping[str, Sequence[str]] = {
    "none": ("Nothing. The next scene is compared by itself.",),
    "ignore": ("Nothing. It is on record, and the next scene is compared by itself.",),
    "fix ingest": (
        "Nothing is learned from this scene. Correct the delivery, `delivery.yaml` or the request that asked for it.",
        "Deliver again under the same name into the drop folder, or by hand: `geoml ingest check NAME`, then"
        " `geoml ingest track`.",
        "Find what was made from it: `geoml impact {scene}`; ask for those maps again.",
    ),
    "re-baseline": (
        "The delivery says itself that its numbers are made another way now: a key of its own, not a drift.",
        "Look at its first scenes; each that is as it should be becomes part of the reference of the new key:"
        " `geoml watch accept {drift} --because WHY`.",
    ),
    "collect labels": (
        "Draw places to label, more of them in the regions below: `geoml labels ask {drift}`; then"
        " `geoml labels export DESIGN` for QGIS or the labelling tool.",
        "What comes back: `geoml labels return DESIGN FILE`. A training starts by itself once labels of this ground are"
        " in a version, where the policy says so.",
    ),
    "retrain": (
        "The decision below says whether a training was started. By hand: `geoml train run`, then the gate judges.",
        "Nothing is replaced until the gate, and people where the policy asks them, let it.",
    ),
    "look": (
        "No claim can be made about this scene. The sentence above says what is missing.",
        "Put it back, then look again: `geoml watch run`.",
    ),
}
_BY_CAUSE: Mapping[str, str] = {
    "undeclared offset": "Read the offset in the product's own metadata (Sentinel-2 since processing baseline 04.00:"
    " -1000) and declare it: `radiometry: {add_offset: …}`.",
    "gain": "Read the quantification value in the product's own metadata and declare it: `radiometry:"
    " {quantification: …}`.",
    "unit or scale": "Digital numbers, reflectance from 0 to 1, or per cent? Declare what was delivered: `radiometry:"
    " {quantification: …}`.",
    "band swap": "Put the bands{bands} in the order of the contract: by name in `delivery.yaml`, or by `GET /model`"
    " where a request was sent without names.",
    "missing band": "Ask for the product again: the bands{bands} hold nothing or one number only.",
    "cloud or nodata surge": "Wait for a clear scene, or mask clouds before asking for a map.",
    "resampling or CRS": "Compare the delivered grid with that of earlier scenes: CRS, pixel size, resampling of each"
    " band.",
}


def steps_of(drift: Drift, scene: str = "") -> list[str]:
    """Returns what to do about a drift, as HTML items in order; commands are set apart.

    Args:
        drift: what was found.
        scene: name or id of the scene that ``geoml impact`` is asked about; empty where it is not known.
    """
    d = drift.diagnosis
    bands = f" {', '.join(d.bands)}" if d.bands else ""
    said = [*([_BY_CAUSE[d.cause]] if d.cause in _BY_CAUSE else []), *_BY_ACTION.get(d.action, ())]
    known = {
        "{bands}": bands,
        "{scene}": scene or "SCENE",
        "{drift}": drift.id,
    }
    return [_set(words, known) for words in said]


def _set(words: str, known: Mapping[str, str]) -> str:
    parts = []
    for i, part in enumerate(words.split("`")):
        for name, value in known.items():
            part = part.replace(name, value[:200])  # noqa: PLW2901
        parts.append(f"<code>{escape(part)}</code>" if i % 2 else escape(part))
    return "".join(parts)

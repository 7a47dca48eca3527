"""Trace: from a pixel of a map back to the scenes behind it, and from a scene on to all it touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import (
    NOUNS,
    Ancillary,
    Approval,
    Bundle,
    Covariate,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Labels,
    Prediction,
    Scene,
    Study,
    Verdict,
    Version,
)
from geoml_ops.core.noun import Noun
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps.pixels import Pixel, of_trust, pixel_of
from geoml_ops.steps.places import Places

#: The order of the walk; kinds that are not here are not part of what made a pixel.
_WALK: tuple[type[Noun], ...] = (
    Prediction, Bundle, Entry, Judgement, Approval, Evaluation, Study, FoldPlan, FeatureTable, Covariate, Version,
    Verdict, Labels, Ancillary, Scene,
)  # fmt: skip


@dataclass(frozen=True)
class Link:
    """One step of the walk: a noun, and a sentence about it for a person."""

    noun: Noun
    sentence: str


def trace(places: Places, map_path: Path, easting: float, northing: float) -> list[Link]:
    """Returns the walk from a pixel to everything it came from, nearest first.

    Args:
        places: where the nouns are kept.
        map_path: a map of this platform, wherever it lies.
        easting: of the point, in the map's CRS.
        northing: of the point, in the map's CRS.

    Raises:
        BadInput: the point is outside, or the file carries no lineage.
        NotFound: the map was made elsewhere: its prediction is not kept here.
    """
    tags = raster.describe(map_path, raster.OWN).tags
    if "GEOML_PREDICTION" not in tags:
        raise BadInput(f"{map_path.name} carries no lineage.", "give a map that `geoml classify` or the service wrote")
    shelf = Shelf(places.nouns)
    prediction = shelf.get(Prediction, tags["GEOML_PREDICTION"])
    pixel = pixel_of(map_path, easting, northing)
    found = _upstream(shelf, prediction)
    links = [Link(prediction, _about_pixel(prediction, pixel, easting, northing, sha256_of(map_path)))]
    for kind in _WALK[1:]:
        links += [Link(noun, _SAY[kind](noun)) for noun in found.values() if type(noun) is kind]
    return [Link(link.noun, link.sentence + _ends(link.noun, found)) for link in links]


def impact(places: Places, scene: str) -> tuple[Noun, ...]:
    """Returns everything that was made from a scene, in the order of the flow.

    Args:
        places: where the nouns are kept.
        scene: id or name; every scene of that name counts.

    Raises:
        NotFound: there is no such scene.
    """
    shelf = Shelf(places.nouns)
    touched = {noun.id for noun in shelf.all(Scene) if scene in (noun.id, noun.name)}
    if not touched:
        known = sorted({noun.name for noun in shelf.all(Scene)})
        raise NotFound(f"There is no scene {scene[:80]!r}.", f"use one of {', '.join(known[:20])}" if known else "")
    made: dict[str, Noun] = {}
    everything = [noun for kind in NOUNS.values() for noun in shelf.all(kind)]
    while True:
        # Parents may stand later in the flow than their children (a decision and its champion), so go round again.
        new = [noun for noun in everything if noun.id not in touched and touched.intersection(noun.parents)]
        if not new:
            break
        for noun in new:
            touched.add(noun.id)
            made[noun.id] = noun
    order = list(NOUNS)
    return tuple(sorted(made.values(), key=lambda noun: (order.index(noun.kind), noun.id)))


def _upstream(shelf: Shelf, start: Noun) -> dict[str, Noun]:
    found: dict[str, Noun] = {start.id: start}
    queue = [start]
    while queue:
        noun = queue.pop(0)
        nearest: list[Noun] = [shelf.any(parent) for parent in noun.parents if shelf.path_of(parent).exists()]
        if isinstance(noun, Bundle) and isinstance(start, Prediction):
            nearest += [e for e in shelf.all(Entry) if (e.bundle, e.model, e.number) == _entry_of(start)]
        if isinstance(noun, Entry):
            judgements = [j for j in shelf.all(Judgement) if j.challenger == noun.id]
            nearest += judgements
            nearest += [a for a in shelf.all(Approval) if a.judgement in {j.id for j in judgements}]
        for other in nearest:
            # A judgement's other parent, the champion it was compared with, made no part of this pixel.
            if other.id not in found:
                found[other.id] = other
                queue += [] if isinstance(other, Judgement | Approval) else [other]
    return found


def _entry_of(prediction: Prediction) -> tuple[str, str, int]:
    return prediction.bundle, prediction.model, prediction.number


def _ends(noun: Noun, found: Mapping[str, Noun]) -> str:
    lost = [] if isinstance(noun, Judgement) else [parent for parent in noun.parents if parent not in found]
    return f" The walk ends here: {_listed(lost)} is not kept on this machine." if lost else ""


def _about_pixel(prediction: Prediction, pixel: Pixel, easting: float, northing: float, sha256: str) -> str:
    changed = "" if sha256 == prediction.map.sha256 else " The file was changed after it was made."
    sure = "" if pixel.confidence is None else f" with {pixel.confidence:.0%} confidence"
    says = "has no answer" if pixel.name is None else f"is {pixel.name}{sure}"
    return (
        f"Row {pixel.row}, column {pixel.col} (easting {easting:.1f}, northing {northing:.1f}) {says}; "
        f"{prediction.model} {prediction.number} answered for {prediction.source_name}.{changed} {of_trust(pixel)}"
    ).strip()


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values) or "none"


def _about_evaluation(noun: Any) -> str:
    scores = {name: score for name, score in noun.scores.items() if name in ("overall_accuracy", "macro_f1")}
    told = _listed(f"{n.replace('_', ' ')} {s.value:.2f} ({s.low:.2f} to {s.high:.2f})" for n, s in scores.items())
    return f"{noun.family} was scored for {noun.estimand}: {told}; its MLflow run carries the tag geoml.id = {noun.id}."


def _about_plan(noun: Any) -> str:
    if noun.method == "random":
        return f"{noun.n_folds} folds of random pixels, for the estimand {noun.estimand!r}."
    apart = f"{noun.buffer_m:g} m buffer, evidence from {noun.n_blocks} blocks of {noun.block_m:g} m"
    return f"{noun.n_folds} folds by {noun.method}, {apart}, for the estimand {noun.estimand!r}."


_SAY: dict[type[Noun], Callable[[Any], str]] = {
    Bundle: lambda n: f"The graph {n.file.sha256[:12]} reads {_listed(n.bands)} and knows {_listed(n.classes)}.",
    Entry: lambda n: f"The registry holds it as {n.model} number {n.number}.",
    Judgement: lambda n: (
        f"The gate said {n.outcome} against {n.against}: {n.metric.replace('_', ' ')} "
        f"{n.difference.value:+.3f} ({n.difference.low:+.3f} to {n.difference.high:+.3f})."
    ),
    Approval: lambda n: f"{' and '.join(n.by) or 'Nobody'}: {n.decision}. {n.reason}".strip(),
    Evaluation: _about_evaluation,
    Study: lambda n: (
        f"The parameters were the best of {n.n_trials} trials for {n.family}, searched in the folds of {n.plan}."
    ),
    FoldPlan: _about_plan,
    FeatureTable: lambda n: f"{sum(n.n_samples.values())} samples with {len(n.features)} features.",
    Covariate: lambda n: (
        f"{n.rules.make.replace('_', ' ').capitalize()} of {_listed(n.rules.of)}: the bands "
        f"{_listed(band.name for band in n.bands)} (file {n.file.sha256[:12]})."
    ),
    Version: lambda n: (
        f"Version {n.data[:12]}, commit {n.rev[:12]}: {len(n.scenes)} scenes, {len(n.labels)} label sets"
        + (f", {len(n.ancillaries)} of other ground." if n.ancillaries else ".")
    ),
    Verdict: lambda n: (
        f"Delivery {n.delivery} was {'accepted' if n.accepted else 'refused'} by {len(n.checks)} checks."
    ),
    Ancillary: lambda n: f"{n.name}, a {n.form} of other ground in {n.crs}.",
    Labels: lambda n: f"{' and '.join(f'{sum(c.values()):,} {w}' for w, c in n.counts.items())} of {n.name}.",
    Scene: lambda n: f"Scene {n.name} of {n.sensor}, acquired {n.acquired:%Y-%m-%d %H:%M} UTC, baseline {n.baseline}.",
}

"""Publish: a fitted model becomes a bundle, a registered entry, a judgement, and perhaps the champion."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from geoml_ops.adapters.mlflow import Tracking, write_mlmodel
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.registry import GRAPH, files_of, open_bundle
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Entry, Evaluation, Judgement, kind_of
from geoml_ops.platform.files import write_text
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import logger
from geoml_ops.steps.bundles import CARD, ITEM, card_of, known_bundle, make_bundle
from geoml_ops.steps.looks import look
from geoml_ops.steps.places import Places
from geoml_ops.steps.releasing import CHAMPION, release
from geoml_ops.steps.runs import record_judgement, record_run
from geoml_ops.steps.tabulating import tabulate
from geoml_ops.steps.verdicts import keep_page

__all__ = ["evaluation_for", "export", "judge", "register", "release"]

CHALLENGER = "challenger"
_log = logger("publish")


def evaluation_for(places: Places, cause: str | None = None) -> str:
    """Returns the id of the evaluation to publish.

    Args:
        places: where things are.
        cause: id of an evaluation; None for the one that was chosen last.

    Raises:
        NotFound: there is no such evaluation, or none was ever chosen.
    """
    shelf = Shelf(places.nouns)
    if cause:
        return shelf.get(Evaluation, cause).id
    folders = [folder for folder in places.models.glob(f"{Evaluation.kind}-*") if folder.is_dir()]
    if not folders:
        raise NotFound("No model was chosen yet.", "train a model first")
    return shelf.get(Evaluation, max(folders, key=lambda f: (f.stat().st_mtime_ns, f.name)).name).id


def export(places: Places, evaluation_id: str) -> Bundle:
    """Returns the bundle of an evaluation: graph, names, reference, card and STAC item in one folder.

    Raises:
        NotFound: no model was fitted for the evaluation.
        Refused: the model cannot become a graph, or the graph does not answer as the model does.
    """
    evaluation = Shelf(places.nouns).get(Evaluation, evaluation_id)
    with only_one(places.workspace / "locks" / f"{evaluation.id}.lock"):
        known = known_bundle(places, evaluation.id)
        bundle = known or make_bundle(places, evaluation)
    worst = max(bundle.parity.worst.values())
    _log.info("exported", bundle=bundle.id, made=known is None, bytes=bundle.file.size, worst=worst)
    return bundle


def register(places: Places, bundle_id: str) -> Entry:
    """Returns the registry's entry of a bundle; a new one becomes the challenger.

    The files are kept with the training run; the version is found by the bundle's id, so registering
    again finds it.

    Raises:
        NotFound: there is no such bundle here.
        Refused: a file of it was altered.
        Unavailable: MLflow does not answer.
    """
    shelf, tracking = Shelf(places.nouns), Tracking(places.tracking_uri)
    bundle = shelf.get(Bundle, bundle_id)
    opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    with only_one(places.workspace / "locks" / "registry.lock"):
        number = tracking.number_of(places.model, bundle.id)
        if number is None:
            run_id = record_run(places, evaluation)
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent)
                for name in files_of(bundle):
                    shutil.copyfile(opened.folder / name, folder / name)
                for name in (CARD, ITEM):
                    shutil.copyfile(places.bundles / bundle.file.sha256 / name, folder / name)
                _write_mlmodel(folder, bundle)
                tags = {
                    "geoml.graph_sha256": bundle.file.sha256,
                    "geoml.evaluation": evaluation.id,
                    "geoml.version": bundle.version,
                }
                number = tracking.register(places.model, folder, noun_id=bundle.id, run_id=run_id, tags=tags)
        # An older number registered again does not push a newer challenger or champion aside.
        if number > max(tracking.alias_of(places.model, alias) or 0 for alias in (CHALLENGER, CHAMPION)):
            tracking.set_alias(places.model, CHALLENGER, number)
    entry = shelf.put(Entry(bundle=bundle.id, model=places.model, number=number))
    _log.info("registered", entry=entry.id, model=entry.model, number=entry.number)
    return entry


def judge(places: Places, entry_id: str, version_id: str = "") -> Judgement:
    """Returns what the gate says about an entry, against the champion of this moment or no skill at all.

    Asking again while the champion is the same finds the same judgement and costs nothing; an entry that was
    promoted finds the judgement that promoted it.

    Args:
        places: where things are.
        entry_id: the challenger.
        version_id: a version with labels of ground that neither model has seen: then the finished models are
            compared there. Their recipes in the challenger's folds if empty.

    Raises:
        BadInput: the entry is champion without a judgement, knows other classes than the champion, or there is
            no champion to compare with on new ground.
        NotFound: nouns of the champion are not on this machine.
        Refused: the folds may not feed the gate.
    """
    shelf, tracking = Shelf(places.nouns), Tracking(places.tracking_uri)
    entry = shelf.get(Entry, entry_id)
    bundle = shelf.get(Bundle, entry.bundle)
    champion = _champion(places, tracking)
    if champion == entry:
        known = [j for j in shelf.all(Judgement) if j.challenger == entry.id and j.outcome == "PROMOTE"]
        if not known:
            raise BadInput(f"{entry.model} {entry.number} is the champion already.", "judge another entry")
        return known[-1]
    if version_id and champion is None:
        raise BadInput("There is no champion to compare with on new ground.", f"geoml publish judge {entry.id}")
    table = tabulate(places, version_id, judging=True) if version_id else None
    asked = (entry.id, champion.id if champion else "", table.id if table else "")
    known = [j for j in shelf.all(Judgement) if (j.challenger, j.champion, j.ground) == asked]
    judgement = known[-1] if known else look(places, entry, champion, table)
    _tell(places, tracking, entry, bundle, judgement)
    _log.info("judged", judgement=judgement.id, outcome=judgement.outcome, against=judgement.against)
    return judgement


def _tell(places: Places, tracking: Tracking, entry: Entry, bundle: Bundle, judgement: Judgement) -> None:
    """Writes card and verdict beside the bundle and everything about the judgement into MLflow."""
    write_text(places.bundles / bundle.file.sha256 / CARD, card_of(places, bundle, judgement, entry))
    page = keep_page(places, judgement).read_text(encoding="utf-8")
    tracking.set_tags(entry.model, entry.number, {"geoml.judgement": judgement.id, "geoml.outcome": judgement.outcome})
    tracking.describe(entry.model, entry.number, _words(judgement))
    record_judgement(places, judgement, page)


def _write_mlmodel(folder: Path, bundle: Bundle) -> None:
    one = (-1, 1, -1, -1)
    nearness = {"dissimilarity": ("float32", one), "density": ("float32", one)} if bundle.applicability else {}
    write_mlmodel(
        folder,
        GRAPH,
        noun_id=bundle.id,
        inputs={"dn": ("float32", (-1, len(bundle.bands), -1, -1))},
        outputs={"probability": ("float32", (-1, len(bundle.classes), -1, -1)), "valid": ("uint8", one), **nearness},
    )


def _champion(places: Places, tracking: Tracking) -> Entry | None:
    """Returns the champion as an entry, kept on the shelf; None before the first."""
    number = tracking.alias_of(places.model, CHAMPION)
    if number is None:
        return None
    bundle_id = tracking.tags_of(places.model, number).get("geoml.id", "")
    try:
        known = kind_of(bundle_id) is Bundle
    except NotFound:
        known = False
    if not known:
        raise BadInput(
            f"The champion {places.model} {number} was not published by this platform.", "move the alias by hand"
        )
    return Shelf(places.nouns).put(Entry(bundle=bundle_id, model=places.model, number=number))


def _words(judgement: Judgement) -> str:
    gap = judgement.difference
    said = f"{judgement.metric} {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] against {judgement.against}"
    return "\n\n".join([f"**{judgement.outcome}**: {said}, {gap.n_blocks} blocks.", *judgement.objections])

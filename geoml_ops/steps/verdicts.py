"""The page of a verdict on disk: nouns and pictures gathered, written beside the card and where people look."""

from __future__ import annotations

from pathlib import Path

from geoml_ops.adapters import plots
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError, NotFound
from geoml_ops.core.experiment import GateRules
from geoml_ops.core.flow import Approval, Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Scene, Version
from geoml_ops.domain.card import Case, verdict_page
from geoml_ops.platform.files import write_text
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.places import Places
from geoml_ops.steps.runs import fold_picture

PAGE = "verdict.html"
_FOLDER = "verdicts"


def approvals_of(places: Places, judgement_id: str) -> tuple[Approval, ...]:
    """Returns what people decided about a judgement, oldest file first."""
    return tuple(a for a in Shelf(places.nouns).all(Approval) if a.judgement == judgement_id)


def address_of(judgement_id: str) -> str:
    """Returns where the service shows the page of a judgement, without the service's own address."""
    return f"/dashboard/{_FOLDER}/{judgement_id}.html"


def page_of(places: Places, judgement: Judgement) -> str:
    """Returns the page of a verdict as HTML, complete in itself, with what is known of it now.

    A picture that cannot be drawn here any more (its table is on another machine) is left out, and the
    page says so.

    Raises:
        NotFound: nouns of the challenger are not on this machine.
    """
    case = _case(places, judgement)
    differences = (
        plots.block_differences(judgement.blocks, case.plan.block_m, title="Challenger minus the other, per block")
        if judgement.blocks
        else None
    )
    try:
        answers = open_answers(places, case.evaluation.predictions)
        folds, lost = fold_picture(answers.easting, answers.northing, answers.fold, case.plan), ""
    except GeomlError as error:
        folds, lost = None, f"The map of the folds cannot be drawn: {error.fact}"
    return verdict_page(case, folds=folds, differences=differences, lost=lost)


def keep_page(places: Places, judgement: Judgement) -> Path:
    """Writes the page beside the challenger's card and where the service shows it; returns the former.

    Writing it again brings it up to date, with the decisions of people since.
    """
    shelf, content = Shelf(places.nouns), page_of(places, judgement)
    bundle = shelf.get(Bundle, shelf.get(Entry, judgement.challenger).bundle)
    path = places.bundles / bundle.file.sha256 / PAGE
    write_text(path, content)
    write_text(places.dashboard / _FOLDER / f"{judgement.id}.html", content)
    return path


def _case(places: Places, judgement: Judgement) -> Case:
    shelf = Shelf(places.nouns)
    entry = shelf.get(Entry, judgement.challenger)
    bundle = shelf.get(Bundle, entry.bundle)
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    plan, version = shelf.get(FoldPlan, evaluation.plan), shelf.get(Version, bundle.version)
    return Case(
        judgement=judgement,
        entry=entry,
        bundle=bundle,
        evaluation=evaluation,
        plan=plan,
        champion=shelf.get(Entry, judgement.champion) if judgement.champion else None,
        rules=_rules(places, shelf.get(FeatureTable, plan.table)),
        earlier=_earlier(shelf, judgement),
        approvals=approvals_of(places, judgement.id),
        scenes=tuple(shelf.get(Scene, scene).name for scene in version.scenes),
    )


def _rules(places: Places, table: FeatureTable) -> GateRules | None:
    try:
        return experiment_of(places, table.experiment).gate
    except NotFound:
        return None


def _earlier(shelf: Shelf, judgement: Judgement) -> tuple[Judgement, ...]:
    """Returns the looks before this one at the same ground, oldest first, as far as they are kept here."""
    found: list[Judgement] = []
    before = judgement.previous
    while before and shelf.path_of(before).exists():
        found.append(shelf.get(Judgement, before))
        before = found[-1].previous
    return tuple(reversed(found))

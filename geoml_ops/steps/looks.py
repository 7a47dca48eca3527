"""Looks at held-out ground and what they cost: each judgement follows the one before it; their chain is the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.tables import is_whole
from geoml_ops.core.errors import NotFound
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, Judgement
from geoml_ops.domain.gate import Known, Stake, fresh_share_of, ground_of, spend
from geoml_ops.platform.locks import only_one
from geoml_ops.steps.artefacts import Unseen, compare_artefacts, unseen
from geoml_ops.steps.experiments import experiment_of
from geoml_ops.steps.judging import compare
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table


def look(places: Places, entry: Entry, champion: Entry | None, table: FeatureTable | None = None) -> Judgement:
    """Returns the judgement of an entry, kept, at the price that the ledger asks.

    One look at a time: two that ran together would both spend the same alpha.

    Args:
        places: where things are.
        entry: the challenger.
        champion: what serves; None before the first.
        table: labelled ground to compare the finished models on; None to compare recipes in folds.

    Raises:
        Refused: the folds may not feed the gate.
        BadInput: the two cannot be compared.
    """
    shelf = Shelf(places.nouns)
    bundle = shelf.get(Bundle, entry.bundle)
    other = shelf.get(Bundle, champion.bundle) if champion else None
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    applicable = bundle.applicability
    outside = applicable.ground_outside_share if applicable else None
    known = Known(inside_share=None if outside is None else 1.0 - outside)
    with only_one(places.workspace / "locks" / "ledger.lock"):
        if table is not None and other is not None:
            asked = unseen(places, table, (bundle, other))
            previous, stake = _stake(places, entry.model, table, asked)
            ruling = compare_artefacts(places, asked, table, bundle, other, stake=stake, known=known)
        else:
            asked = None
            previous, stake = _stake(places, entry.model, shelf.get(FeatureTable, evaluation.table))
            against = shelf.get(Evaluation, other.evaluation) if other else None
            ruling = compare(places, evaluation, against, stake=stake, known=known)
        return shelf.put(
            Judgement(
                challenger=entry.id,
                champion=champion.id if champion else "",
                ground=table.id if asked and table else "",
                previous=previous.id if previous else "",
                against=_against(champion, recipes=asked is None),
                **vars(ruling),
            )
        )


def _against(champion: Entry | None, *, recipes: bool) -> str:
    if champion is None:
        return "no-skill baseline"
    how = "refitted in the same folds" if recipes else "as it serves"
    return f"{champion.model} {champion.number}, {how}"


def _stake(
    places: Places, model: str, table: FeatureTable, asked: Unseen | None = None
) -> tuple[Judgement | None, Stake]:
    """Returns the look before this one, None for the first, and what this one may risk."""
    labels = asked.polygons if asked else _labels(places, table)
    chain = list(looks(places, model))
    seen: set[str] = set()
    fresh, lost = 1.0, False
    tables = {_table_of(places, judgement) for judgement in chain}
    for known in sorted(tables):
        try:
            seen |= _labels(places, Shelf(places.nouns).get(FeatureTable, known))
        except NotFound:
            lost = True
    fresh = 0.0 if lost else fresh_share_of(labels, seen)
    rules = experiment_of(places, table.experiment).gate
    previous = chain[0] if chain else None
    return previous, spend(previous.spending if previous else None, ground_of(labels), fresh, rules)


def looks(places: Places, model: str) -> Iterator[Judgement]:
    """Yields the looks at a model's challengers, newest first, along their chain."""
    shelf = Shelf(places.nouns)
    found = {j.id: j for j in shelf.all(Judgement) if shelf.get(Entry, j.challenger).model == model}
    followed = {j.previous for j in found.values()}
    heads = [j for j in found.values() if j.id not in followed]
    # Judgements of before there was a ledger follow nothing; the newest one is then the head.
    current = heads[-1] if heads else None
    while current is not None:
        yield current
        current = found.get(current.previous)


def _table_of(places: Places, judgement: Judgement) -> str:
    """Returns the id of the table whose labels a look saw."""
    if judgement.ground:
        return judgement.ground
    shelf = Shelf(places.nouns)
    bundle = shelf.get(Bundle, shelf.get(Entry, judgement.challenger).bundle)
    return shelf.get(Evaluation, bundle.evaluation).table


def _labels(places: Places, table: FeatureTable) -> frozenset[str]:
    """Returns the names of the label polygons of a table.

    Raises:
        NotFound: the table's file is gone.
    """
    if not is_whole(places.tables, table.file):
        raise NotFound(f"The file of {table.id} is gone or altered.", "tabulate its version again")
    return frozenset(open_table(places, table).polygon.astype(str))

"""The page people watch: what serves, what was found, what was decided; static files and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from geoml_ops.adapters import pages
from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.flow import Bundle, Decision, Judgement, Verdict, Version
from geoml_ops.platform.files import write_json, write_text
from geoml_ops.steps.decisions import champion, drifts_of
from geoml_ops.steps.places import Places


def summarise(places: Places, *, links: Mapping[str, str] | None = None) -> None:
    """Writes the dashboard: ``index.html`` for people and ``state.json``, the same as nouns.

    Args:
        places: where things are.
        links: text → address of pages to link to.
    """
    shelf, entry, policy = Shelf(places.nouns), champion(places), read_policy(places.policy)
    lines = list(PredictionLog(places.predictions).lines())
    overview = pages.Overview(
        model=places.model,
        champion=entry,
        bundle=shelf.get(Bundle, entry.bundle) if entry else None,
        policy=policy,
        n_predictions=len({line.id for line in lines}),
        last_prediction=lines[-1].at if lines else None,
        drifts=tuple(drifts_of(places, entry.bundle)) if entry else (),
        decisions=tuple(shelf.all(Decision)),
        versions=tuple(shelf.all(Version)),
        verdicts=tuple(shelf.all(Verdict)),
        judgements=tuple(shelf.all(Judgement)),
    )
    write_json(places.dashboard / "state.json", pages.state(overview))
    write_text(places.dashboard / "index.html", pages.dashboard(overview, links=links))

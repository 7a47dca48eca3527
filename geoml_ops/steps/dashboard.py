"""The pages people watch: what serves, where each stream stands, what was named and decided; the same as JSON.

Pages are static files. A page of one comparison is written once and again only when something followed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from geoml_ops.adapters import alerting, pages
from geoml_ops.adapters.configs import read_policy
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Verdict, Version
from geoml_ops.core.policy import Policy
from geoml_ops.domain.streams import Standing
from geoml_ops.platform.files import write_json, write_text
from geoml_ops.platform.locks import only_one
from geoml_ops.steps.driftfiles import write_drifts
from geoml_ops.steps.gathering import champion
from geoml_ops.steps.pagebook import PageBook
from geoml_ops.steps.places import Places
from geoml_ops.steps.seen import Lines, lines_of, newest, taken
from geoml_ops.steps.trailwords import trail_words

METRICS = "metrics.prom"
MOST_SHOWN = 200
_FIRST: tuple[Standing, ...] = (
    "fault", "alarm", "cannot tell", "beyond", "uncalibrated", "no reference yet", "in control",
)  # fmt: skip


def summarise(places: Places, *, links: Mapping[str, str] | None = None) -> None:
    """Writes the dashboard: pages for people, ``state.json`` for programs, ``metrics.prom`` for Prometheus.

    Args:
        places: where things are.
        links: text → address of pages to link to.
    """
    with only_one(places.workspace / "locks" / "dashboard.lock"):
        logged = list(PredictionLog(places.predictions).lines())
        lines = lines_of(places, {line.id: line.at for line in logged})
        entry, policy = champion(places), read_policy(places.policy)
        n_logged = len({line.id for line in logged})
        overview = _overview(places, lines, entry, policy, (n_logged, logged[-1].at if logged else None))
        book = PageBook(places.dashboard)
        write_drifts(places, lines, book)
        for view in overview.streams:
            name = f"streams/{pages.slug_of(view.name)}.html"
            told = [view, sorted((links or {}).items())]
            book.write(name, repr(told), partial(pages.stream_page, view, links=_above(links)))
        book.close()
        write_json(places.dashboard / "state.json", pages.state(overview))
        write_text(places.dashboard / "index.html", pages.dashboard(overview, links=links))
        write_text(places.dashboard / METRICS, alerting.metrics_text(_numbers(lines, overview)))


def _overview(
    places: Places, lines: Lines, entry: Entry | None, policy: Policy, logged: tuple[int, datetime | None]
) -> pages.Overview:
    shelf = Shelf(places.nouns)
    bundle = taken(shelf, Bundle, entry.bundle) if entry else None
    judgements = newest(shelf, Judgement, MOST_SHOWN)
    return pages.Overview(
        model=places.model,
        champion=entry,
        challenger=_challenger(shelf, judgements, entry),
        bundle=bundle,
        policy=policy,
        n_predictions=logged[0],
        last_prediction=logged[1],
        n_drifts=len(lines.drifts),
        drifts=_drifts(shelf, lines, entry),
        decisions=newest(shelf, Decision, MOST_SHOWN),
        n_fired=sum(line.fired for line in lines.decisions.values()),
        versions=newest(shelf, Version, MOST_SHOWN),
        verdicts=newest(shelf, Verdict, MOST_SHOWN),
        judgements=judgements,
        streams=_streams(lines, policy, entry),
        trail=trail_words(places),
        verdict_pages=frozenset(path.stem for path in (places.dashboard / "verdicts").glob("*.html")),
    )


def _drifts(shelf: Shelf, lines: Lines, entry: Entry | None) -> tuple[Drift, ...]:
    mine = [row for row in lines.drifts.values() if entry is not None and row.bundle == entry.bundle]
    mine.sort(key=lambda row: (row.logged is not None, row.logged.timestamp() if row.logged else 0.0, row.drift))
    found = (taken(shelf, Drift, row.drift) for row in mine[-MOST_SHOWN:])
    return tuple(drift for drift in found if drift is not None)


def _challenger(shelf: Shelf, judgements: tuple[Judgement, ...], entry: Entry | None) -> Entry | None:
    """Returns the entry that was judged last, where it is not the one that serves."""
    if not judgements:
        return None
    found = taken(shelf, Entry, judgements[-1].challenger)
    return None if found is None or (entry is not None and found.bundle == entry.bundle) else found


def _streams(lines: Lines, policy: Policy, entry: Entry | None) -> tuple[pages.StreamView, ...]:
    references = sorted(lines.references.values(), key=lambda line: (line.bundle, line.number))
    views = [
        pages.StreamView(
            name=name,
            rows=rows,
            references=[line for line in references if line.stream == name],
            alarms_per_year=policy.calibration.alarms_per_year,
            alpha=policy.calibration.alpha,
            champion=entry.bundle if entry else "",
        )
        for name, rows in lines.streams().items()
    ]
    return tuple(sorted(views, key=lambda view: (_FIRST.index(view.now.standing), view.name)))


def _above(links: Mapping[str, str] | None) -> dict[str, str]:
    # Only addresses of other servers: those inside the dashboard are relative to its first page.
    return {words: address for words, address in (links or {}).items() if "://" in address}


def _numbers(lines: Lines, overview: pages.Overview) -> alerting.WatchNumbers:
    trail = overview.trail
    return alerting.WatchNumbers(
        streams={view.name: [row for row in view.rows if row.bundle == view.now.bundle] for view in overview.streams},
        n_decisions=len(lines.decisions),
        n_fired=overview.n_fired,
        n_suppressed=sum(line.suppressed for line in lines.decisions.values()),
        policy=overview.policy.id,
        trail_records=trail.n_records if trail else None,
        trail_sha256=trail.sha256 if trail else "",
        trail_whole=not (trail and trail.flaw),
    )

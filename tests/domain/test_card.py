"""The card: complete, self-contained, and honest about which score counts."""

import re
from html.parser import HTMLParser

import pytest

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Parity
from geoml_ops.core.folding import Audit, FoldRules
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.card import card

FILE = FileRef(path="model.onnx", sha256="ab" * 32, size=1234)
HONEST, EASY = Score(value=0.641, low=0.55, high=0.73, n_blocks=16), Score(value=0.752, low=0.7, high=0.8, n_blocks=16)
TABLE = FeatureTable(
    version="version-0000000000000000", experiment="experiment-0000000000000000", feature_graph="c" * 64,
    features=("NDVI",), n_samples={"built": 120, "<b>water": 40}, file=FILE,
)  # fmt: skip
AUDIT = Audit(
    least_distance_m=212.0, n_shared_polygons=0, n_dropped=30, n_test=(80, 80), classes_missing=(), passed=True
)
PLAN = FoldPlan(
    table=TABLE.id, rules=FoldRules(), estimand="this map", n_folds=5, n_blocks=16, halo_px=0, audit=AUDIT,
)  # fmt: skip
EVALUATION = Evaluation(
    table=TABLE.id, plan=PLAN.id, optimism_plan="plan-0000000000000001", family="random_forest",
    params={"n_estimators": 60}, estimand="this map", classes=("built", "<b>water"),
    scores={"overall_accuracy": HONEST, "no_skill_accuracy": HONEST}, optimism={"overall_accuracy": EASY},
    per_class_f1={"built": 0.51}, per_fold=(0.6, 0.7), confusion=((101, 19), (7, 33)), predictions=FILE,
)  # fmt: skip
BUNDLE = Bundle(
    evaluation=EVALUATION.id, version=TABLE.version, sensor="sentinel-2-l1c", bands=("B04", "B08"),
    radiometry=SENTINEL_2_L1C.radiometry, pixel_m=10.0, features=("NDVI",), classes=EVALUATION.classes,
    colours=("#d7263d", "#2a6fbb"), halo_px=0,
    parity=Parity(rows={"clean": 500}, worst={"clean": 3e-7}, n_label_mismatches=0, tolerance=1e-5, passed=True),
    file=FILE, reference=FILE,
)  # fmt: skip
ENTRY = Entry(bundle=BUNDLE.id, model="landcover", number=3)
JUDGEMENT = Judgement(
    challenger=ENTRY.id, outcome="INSUFFICIENT_EVIDENCE", against="no-skill baseline", metric="overall_accuracy",
    difference=HONEST, margin=0.01, detectable=0.2, objections=("8 blocks are too few & few.",),
)  # fmt: skip


def page(**more: object) -> str:
    return card(BUNDLE, EVALUATION, PLAN, TABLE, SENTINEL_2_L1C.subset(BUNDLE.bands), scenes=("west",), **more)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("more", [{}, {"judgement": JUDGEMENT, "entry": ENTRY}])
def test_the_page_is_well_formed_and_reaches_for_nothing_outside(more):
    html = page(**more)
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    assert not {"script", "link", "img", "a", "iframe"} & {tag for tag, _ in tags.seen}
    assert "http" not in html
    assert "url(" not in html


def test_it_says_which_score_counts_and_shows_both():
    text = re.sub(r"<[^>]+>", " ", page())
    assert "this counts" in text
    assert "optimism" in text
    assert "0.641" in text
    assert "0.752" in text
    assert "[0.550, 0.730]" in text
    assert "212 m" in text


def test_every_id_on_the_way_back_to_the_scenes_is_there():
    html = page(judgement=JUDGEMENT, entry=ENTRY)
    for said in (ENTRY.id, JUDGEMENT.id, BUNDLE.id, EVALUATION.id, PLAN.id, TABLE.id, TABLE.version, "west"):
        assert said in html
    assert BUNDLE.file.sha256 in html


def test_before_the_gate_there_is_no_gate_and_afterwards_its_words():
    assert "The gate" not in page()
    said = page(judgement=JUDGEMENT, entry=ENTRY)
    assert "INSUFFICIENT_EVIDENCE" in said
    assert "too few &amp; few" in said
    assert "landcover 3" in said


def test_names_from_files_cannot_write_html():
    html = page()
    assert "<b>water" not in html
    assert "&lt;b&gt;water" in html


def test_a_class_without_f1_is_not_given_one():
    assert "never seen or answered" in page()


def test_data_are_credited():
    assert "Copernicus Sentinel" in page()
    assert "OpenStreetMap contributors" in page()

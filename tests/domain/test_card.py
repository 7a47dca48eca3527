"""The card: complete, self-contained, and honest about which score counts."""

import re
from typing import get_args

import pytest

from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.evidence import Applicability, Bin, Conformal, Outcome, Score, Speed
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Parity
from geoml_ops.core.folding import Audit, BlockSize, FoldRules
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.card import card
from tests.every_noun import any_noun
from tests.pages import HOSTILE, hostile, read

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
    evaluation=EVALUATION.id, version=TABLE.version, contract=SENTINEL_2_L1C.subset(("B04", "B08")),
    features=("NDVI",), classes=EVALUATION.classes,
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
    return card(BUNDLE, EVALUATION, PLAN, TABLE, scenes=("west",), **more)


@pytest.mark.parametrize("more", [{}, {"judgement": JUDGEMENT, "entry": ENTRY}])
def test_the_page_is_well_formed_and_reaches_for_nothing_outside(more):
    assert "img" not in {tag for tag, _ in read(page(**more)).tags}


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


def text_of(bundle: Bundle = BUNDLE, evaluation: Evaluation = EVALUATION, **more: object) -> str:
    return " ".join(read(card(bundle, evaluation, PLAN, TABLE, **more)).text.split())


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_the_gate_has_words_for_every_outcome(outcome):
    said = text_of(judgement=JUDGEMENT.model_copy(update={"outcome": outcome}))
    assert re.search(rf"The gate {outcome}, [a-z]", said)


def test_the_estimand_is_said_where_the_score_is():
    assert "answers for this map: how right the map of this ground is" in text_of()
    elsewhere = EVALUATION.model_copy(update={"estimand": "a new year"})
    assert "answers for a new year" in text_of(evaluation=elsewhere)


def test_classes_have_their_measures_with_intervals_and_none_is_invented():
    per_class = {"built": {"f1": HONEST, "users_accuracy": HONEST.model_copy(update={"value": 0.5219})}}
    said = text_of(evaluation=EVALUATION.model_copy(update={"per_class": per_class}))
    assert "class F1 user's accuracy built 0.641 [0.550, 0.730] 0.522 [0.550, 0.730]" in said
    water = {**per_class, "<b>water": {"f1": HONEST}}
    assert "undefined" in text_of(evaluation=EVALUATION.model_copy(update={"per_class": water}))
    assert "Class by class" not in text_of()


def test_neighbours_that_repeat_each_other_are_said_so():
    heavy = HONEST.model_copy(update={"design_effect": 12.34, "n_effective": 96.4})
    said = text_of(evaluation=EVALUATION.model_copy(update={"scores": {"overall_accuracy": heavy}}))
    assert "The 160 samples tell as much about overall accuracy as 96 independent ones would" in said
    assert "design effect 12.3" in said
    assert "design effect" not in text_of()


@pytest.mark.parametrize(("n_blocks", "careful"), [(16, True), (19, True), (20, False)])
def test_few_blocks_are_said(n_blocks, careful):
    scores = {"overall_accuracy": HONEST.model_copy(update={"n_blocks": n_blocks})}
    said = text_of(evaluation=EVALUATION.model_copy(update={"scores": scores}))
    assert ("is itself uncertain" in said) is careful


def test_calibration_is_computed_from_its_bins():
    # 30 answers that claim .9 and are right in .6, 10 that claim .3 and are right in .4: |.3| * 3/4 + |.1| * 1/4.
    bins = (
        Bin(low=0.2, high=0.4, n=10, confidence=0.3, accuracy=0.4),
        Bin(low=0.8, high=1.0, n=30, confidence=0.9, accuracy=0.6),
    )
    said = text_of(evaluation=EVALUATION.model_copy(update={"reliability": bins}))
    assert "Expected calibration error 0.250" in said
    assert "surer than it is right, by 0.200" in said
    empty = (Bin(low=0.0, high=1.0, n=0, confidence=0.0, accuracy=0.0),)
    assert "Is it as sure" not in text_of(evaluation=EVALUATION.model_copy(update={"reliability": empty}))


def test_confusion_has_both_accuracies_at_its_edges():
    said = text_of()
    assert "built 101 19 0.84" in said
    assert "user's 0.94 0.63" in said
    never = text_of(evaluation=EVALUATION.model_copy(update={"confusion": ((0, 0), (7, 33))}))
    assert "built 0 0 none" in never


def test_where_it_may_be_asked_and_how_sure_its_sets_are():
    area = Applicability(
        plan=PLAN.id, definition="fence, version 1", threshold=0.4131, mean_distance=2.0,
        weights={"NDVI": 1.0}, n_samples=4812, n_references=2000, mean_density=41.2, outside_share=0.034,
        ground_outside_share=0.217,
    )  # fmt: skip
    sets = Conformal(
        plan=PLAN.id, coverage=0.9, method="cross", quantiles={"built": 0.6125}, mean_set_size=1.74,
        measured=Score(value=0.912, low=0.89, high=0.93, n_blocks=16), low_blocks_share=0.125,
    )  # fmt: skip
    said = text_of(BUNDLE.model_copy(update={"applicability": area, "conformal": sets}))
    for words in (
        "2,000 reference samples",
        "of 4,812",
        "Beyond 0.413",
        "3.4% of the samples",
        "21.7% is outside",
        "version 1",
    ):
        assert words in said
    for words in ("90% of pixels", "91.2% [89.0%, 93.0%] over 16 blocks", "12% of the blocks", "1.74", "built 0.613"):
        assert words in said
    assert "Where it may be asked" not in text_of()
    assert "Sets of classes" not in text_of()


def test_what_has_to_be_known_about_the_folds_is_on_the_card():
    audit = AUDIT.model_copy(update={"remarks": ("Dates are shared.",)})
    size = BlockSize(
        block_m=2000.0, range_m=None, low_m=None, high_m=None, column="", capped=True, remarks=("No range converged.",)
    )
    plan = PLAN.model_copy(update={"audit": audit, "block_size": size})
    said = read(card(BUNDLE, EVALUATION, plan, TABLE)).text
    assert "Dates are shared." in said
    assert "No range converged." in said
    assert "sized by the range" not in said
    known = size.model_copy(update={"range_m": 1840.4, "column": "water"})
    found = read(card(BUNDLE, EVALUATION, plan.model_copy(update={"block_size": known}), TABLE)).text
    assert "sized by the range of water, 1840 m" in found


def test_a_choice_between_recipes_is_told():
    chosen = EVALUATION.model_copy(update={"selected_from": ("evaluation-1", "evaluation-2")})
    assert "the best of 2; the score is that of choosing, from nested folds" in text_of(evaluation=chosen)


def test_every_noun_can_be_shown_and_no_name_writes_on_the_page():
    bundle, evaluation, judgement = (hostile(kind) for kind in (Bundle, Evaluation, Judgement))
    plan, table, entry = any_noun(FoldPlan), hostile(FeatureTable), hostile(Entry)
    html = card(bundle, evaluation, plan, table, scenes=(HOSTILE,), judgement=judgement, entry=entry)
    assert read(html).text.count(HOSTILE) > 15


def test_a_colour_that_is_none_loads_nothing():
    html = card(
        BUNDLE.model_copy(update={"colours": ("red;background:url(//x)", "#2a6fbb")}),
        EVALUATION, PLAN, TABLE,
    )  # fmt: skip
    read(html)
    assert "//x" not in html
    assert "background:#2a6fbb" in html


def test_the_speed_is_told_as_it_was_measured_and_not_where_it_was_not():
    speed = Speed(
        layout="5 trees per node", kpx_per_s=850.4, native_kpx_per_s=724.0, ratio=1.18, n_rows=16384,
        tried={"5 trees per node": 1.18, "all trees per node": None}, batches={"1024": 700.0, "16384": 850.4},
    )  # fmt: skip
    said = read(card(BUNDLE, EVALUATION, PLAN, TABLE, speed=speed)).text
    assert "850 thousand pixels a second with 1 thread, 1.18 times the library that fitted it (724)" in said
    assert "all trees per node: not equal" in said
    assert "calls of 1,024 pixels 700, 16,384 pixels 850" in said
    assert "times the library" not in read(card(BUNDLE, EVALUATION, PLAN, TABLE)).text

from __future__ import annotations

import json
import math
import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from geoml_ops.core.errors import NotFound
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import (
    NOUNS,
    BandSource,
    Bundle,
    Check,
    Decision,
    FoldPlan,
    Prediction,
    Retrain,
    Scene,
    Verdict,
    Version,
    kind_of,
)
from geoml_ops.core.grid import Bounds, Grid
from geoml_ops.core.noun import FileRef, Noun, digest
from tests.every_noun import any_noun

FILE = FileRef(path="scene.tif", sha256="a" * 64, size=3)


def scene(**changes: object) -> Scene:
    content: dict[str, object] = {
        "name": "T33UUU_20170216",
        "sensor": "sentinel-2-l1c",
        "acquired": datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC),
        "baseline": "02.04",
        "declared": {"scale": 1e-4},
        "grid": Grid(crs="EPSG:32633", left=300000.0, top=5800000.0, pixel_m=10.0, width=4, height=3),
        "bands": (BandSource(name="B02", file=FILE, gsd_m=10.0, resampling="none"),),
        "file": FILE,
    }
    return Scene(**(content | changes))


def test_content_names_the_noun() -> None:
    assert scene().id == scene().id
    assert scene().id != scene(baseline="02.05").id
    assert scene().id == f"scene-{digest(scene().as_json())[:16]}"


def test_an_id_follows_the_instant_and_not_its_spelling() -> None:
    east = datetime(2017, 2, 16, 12, 21, 1, tzinfo=timezone(timedelta(hours=2)))
    assert scene(acquired=east).id == scene().id
    with pytest.raises(ValidationError, match="time zone"):
        scene(acquired=datetime(2017, 2, 16, 10, 21, 1))


def test_this_id_is_the_same_on_every_machine_and_in_every_release() -> None:
    retrain = Retrain(decision="decision-" + "0" * 16, version="version-" + "1" * 16, because="because")
    assert retrain.as_json() == {
        "schema": 1,
        "decision": "decision-0000000000000000",
        "version": "version-1111111111111111",
        "because": "because",
    }
    assert retrain.id == "retrain-0e4e599f068b134b"


@pytest.mark.parametrize("kind", NOUNS.values(), ids=NOUNS)
def test_round_trip_through_json_of_every_kind(kind: type[Noun]) -> None:
    noun = any_noun(kind)
    again = kind.from_json(json.loads(json.dumps(noun.as_json())))
    assert again == noun
    assert again.id == noun.id
    assert kind_of(noun.id) is kind


@pytest.mark.parametrize("kind", NOUNS.values(), ids=NOUNS)
def test_strange_content_is_refused_in_every_kind(kind: type[Noun]) -> None:
    content = any_noun(kind).as_json()
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.from_json(content | {"surprise": 1})
    with pytest.raises(ValidationError, match="schema"):
        kind.from_json(content | {"schema": kind.schema_now + 1})
    for name in (n for n in content if kind.model_fields.get(n) and kind.model_fields[n].is_required()):
        with pytest.raises(ValidationError, match=name):
            kind.from_json({key: value for key, value in content.items() if key != name})


@pytest.mark.parametrize("kind", NOUNS.values(), ids=NOUNS)
def test_every_change_of_a_leaf_changes_the_id_or_is_refused(kind: type[Noun]) -> None:
    if kind is Prediction:
        pytest.skip("a prediction is named by what was asked")
    noun = any_noun(kind)
    content = noun.as_json()
    for name, value in content.items():
        if isinstance(value, str) and name != "schema":
            try:
                assert kind.from_json(content | {name: value + "0"}).id != noun.id
            except ValidationError:
                continue


@pytest.mark.parametrize("kind", NOUNS.values(), ids=NOUNS)
def test_nouns_are_frozen_and_name_their_parents(kind: type[Noun]) -> None:
    noun = any_noun(kind)
    with pytest.raises(ValidationError, match="frozen"):
        noun.version_of_schema = 1
    assert set(kind.parent_fields) <= set(kind.model_fields)
    assert kind is Scene or not kind.parent_fields or noun.parents, "any_noun fills every parent"
    assert all(kind_of(parent) in NOUNS.values() for parent in noun.parents)


@pytest.mark.parametrize("kind", NOUNS.values(), ids=NOUNS)
def test_no_noun_has_room_for_a_clock_a_host_or_a_process(kind: type[Noun]) -> None:
    allowed = {"acquired"}
    words = {"created", "updated", "started", "time", "timestamp", "host", "pid", "user", "at", "now", "date"}

    def names(model: type[BaseModel]) -> set[str]:
        return {part for field in model.model_fields for part in field.split("_")} | set(model.model_fields)

    assert not (names(kind) - allowed) & words


def test_parents_are_without_doubles_and_gaps() -> None:
    a, b, v = "scene-" + "a" * 16, "scene-" + "b" * 16, "verdict-" + "c" * 16
    version = Version(rev="0" * 40, data="0" * 32 + ".dir", scenes=(b, a, b), labels=(), verdicts=(v,))
    assert version.parents == (b, a, v)
    assert Decision(policy="policy-1", action="none", fired=False, because="nothing new").parents == ()


def test_reasons_are_the_blocking_failures_only() -> None:
    checks = (
        Check(name="crs", passed=True, sentence="fine"),
        Check(name="overlap", passed=False, blocking=False, sentence="odd"),
        Check(name="bands", passed=False, sentence="B08 is missing"),
    )
    assert Verdict(delivery="d", accepted=False, checks=checks).reasons == ("B08 is missing",)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_do_not_enter(number: float) -> None:
    with pytest.raises(ValidationError):
        Score(value=number, low=0.0, high=1.0, n_blocks=3)
    with pytest.raises(ValueError, match="Out of range float"):
        digest({"a": number})


@pytest.mark.parametrize(
    "bad", ["", "scene", "scene-", "scene-123", "table_" + "0" * 16, "../scene-" + "0" * 16, "Scene-" + "0" * 16]
)
def test_what_is_no_id_is_refused(bad: str) -> None:
    with pytest.raises(NotFound, match="not the id of a noun"):
        kind_of(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=60, deadline=None)
def test_a_digest_survives_json_and_ignores_the_order_of_keys(content: object) -> None:
    assert digest(content) == digest(json.loads(json.dumps(content)))
    if isinstance(content, dict):
        assert digest(content) == digest(dict(reversed(content.items())))


@given(st.text(alphabet=string.printable, min_size=1, max_size=12), st.text(min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_different_content_has_different_names(a: str, b: str) -> None:
    one, two = (Retrain(decision="d", version="v", because=text) for text in (a, b))
    assert (one.id == two.id) == (a == b)


def test_the_question_names_a_prediction() -> None:
    noun = any_noun(Prediction)
    assert isinstance(noun, Prediction)
    other_answer = noun.model_copy(update={"map": FileRef(path="other.tif", sha256="f" * 64, size=9)})
    assert other_answer.id == noun.id
    asked = (noun.bundle, noun.model, noun.number, noun.source.sha256, noun.tile_px)
    assert noun.id == Prediction.id_for(*asked, covariates=noun.covariates, layers=noun.layers)
    assert Prediction.id_for(*asked) != noun.id
    for place, value in enumerate(("bundle-" + "f" * 16, "other", 99, "e" * 64, 64)):
        changed = [*asked[:place], value, *asked[place + 1 :]]
        assert Prediction.id_for(*changed) != noun.id


def test_bounds_cannot_be_turned_over() -> None:
    with pytest.raises(ValidationError):
        Bounds(left=1.0, bottom=0.0, right=0.0, top=1.0)


V1_PLAN = {
    "schema": 1, "table": "table-0123456789abcdef", "method": "block", "estimand": "a new region", "n_folds": 5,
    "n_blocks": 16, "block_m": 2000.0, "buffer_m": 100.0, "halo_px": 0, "seed": 7,
    "audit": {
        "least_distance_m": 120.0, "n_shared_polygons": 0, "n_dropped": 3, "n_test": [10, 11, 12, 13, 14],
        "classes_missing": [], "passed": True,
    },
}  # fmt: skip


def test_a_plan_of_schema_1_keeps_its_name_and_its_meaning() -> None:
    plan = FoldPlan.from_json(V1_PLAN)
    assert plan.id == f"plan-{digest(V1_PLAN)[:16]}"
    assert (plan.method, plan.block_m, plan.buffer_m, plan.seed) == ("block", 2000.0, 100.0, 7)
    assert plan.audit is not None
    assert plan.audit.passed
    assert plan.as_json()["schema"] == 2


#: What each schema brought, by kind: none of it was there before.
BROUGHT: dict[str, dict[int, set[str]]] = {
    "scene": {2: set()},
    "labels": {2: {"n_points", "n_pixels", "fields", "legend", "nodata", "form"}, 3: {"use", "design", "source"}},
    "version": {2: {"ancillaries"}},
    "covariate": {2: {"covariates"}},
    "table": {2: {"ground"}, 3: {"covariates", "drawn_from"}, 4: {"use"}},
    "design": {2: {"drift", "asked"}},
    "evaluation": {
        2: {"per_class", "reliability", "importance", "others", "selected_from"},
        3: {"study", "importance_per_fold"},
    },
    "bundle": {2: {"applicability", "conformal"}, 3: {"contract", "covariates", "values"}, 4: {"overlap_px", "golden"}},
    "prediction": {2: {"outside_share", "mean_set_size"}, 3: {"covariates"}, 4: {"layers"}},
    "judgement": {
        2: {
            "ground", "previous", "mode", "estimand", "p_inferior", "p_superior", "classes", "beside", "guards",
            "spending", "blocks", "reason",
        }
    },
    "drift": {
        2: {"reading", "reference", "stream", "key", "acquired", "charts", "estimates", "prior_shift", "where"}
    },
    "decision": {2: {"rule", "suppressed"}},
}  # fmt: skip
OLD_BUNDLE = {
    "sensor": "sentinel-2-l1c", "bands": ["B08", "B04"], "pixel_m": 10.0,
    "radiometry": {"scale": 1e-4, "offset_dn": 0.0, "nodata": 0.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "schema"),
    [(kind, n) for kind in NOUNS.values() if kind is not FoldPlan for n in range(1, kind.schema_now)],
    ids=lambda value: str(getattr(value, "kind", value)),
)
def test_a_noun_of_an_older_schema_lacks_only_what_has_a_default(kind: type[Noun], schema: int) -> None:
    new = set().union(*(fields for since, fields in BROUGHT[kind.kind].items() if since > schema))
    written = {name: value for name, value in any_noun(kind).as_json().items() if name not in new} | {"schema": schema}
    if kind is Bundle and schema < 3:
        written |= OLD_BUNDLE
    noun = kind.from_json(written)
    if kind is not Prediction:
        assert noun.id == f"{kind.kind}-{digest(written)[:16]}"
    if isinstance(noun, Bundle) and schema < 3:
        assert (noun.sensor, noun.bands, noun.pixel_m) == ("sentinel-2-l1c", ("B04", "B08"), 10.0)
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.from_json(written | {"surprise": 1})


def test_the_bands_of_a_scene_of_before_they_had_a_radiometry_of_their_own_have_that_of_the_scene() -> None:
    written = any_noun(Scene).as_json() | {"schema": 1}
    written["bands"] = [{n: v for n, v in band.items() if n != "declared"} for band in written["bands"]]
    noun = Scene.from_json(written)
    assert isinstance(noun, Scene)
    assert [band.declared for band in noun.bands] == [None] * len(noun.bands)
    assert noun.id == f"scene-{digest(written)[:16]}"

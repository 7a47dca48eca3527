"""Chips against the maps of the same pixels, against the graph itself, and with everything a request can get wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from geoml_ops.adapters.onnx import bundle_graph, feature_graph, head_graph
from geoml_ops.adapters.ort import Answer, Graph
from geoml_ops.adapters.registry import Release
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry, to_contract
from geoml_ops.core.errors import BadInput, Refused, TooLarge
from geoml_ops.domain.features import bands_needed, halo_of
from geoml_ops.domain.tiling import classify_array, least_probability
from geoml_ops.steps import chips
from geoml_ops.steps.answering import Model
from tests.answering import APPLICABILITY, BANDS, CONFORMAL, DECLARED, graph, world, write_bundle

SAID = chips.Said(BANDS, (1e-4,), (0.0,), 0.0)


def model_of(folder: Path, **more: Any) -> Model:
    bundle = write_bundle(folder, **more)
    content = (folder / "model.onnx").read_bytes()
    return Model(bundle, Release("small", 1, bundle.id, bundle.file.sha256), Graph(content).run)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("knowing"), applicability=APPLICABILITY, conformal=CONFORMAL)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose answers look at the pixels around."""
    features = ("mean(B08, window=5)", "B04", "B03", "B02")
    assert bands_needed(features, SENTINEL_2_L1C) == BANDS
    dn = sample(200, 200).astype(np.float32)
    rows = Graph(feature_graph(features, SENTINEL_2_L1C)).features(dn[None])[0].reshape(4, -1).T
    kept = np.isfinite(rows).all(axis=1)
    line = LogisticRegression().fit(rows[kept], (dn[3] > dn[2]).ravel()[kept].astype(int))
    head = head_graph(line, "logistic_regression", 4)
    content = bundle_graph(features, SENTINEL_2_L1C, head, ("bare", "green"), {})
    bundle = write_bundle(tmp_path_factory.mktemp("windowed")).model_copy(
        update={"halo_px": halo_of(features, SENTINEL_2_L1C), "features": features}
    )
    return Model(bundle, Release("windowed", 1, bundle.id, bundle.file.sha256), Graph(content).run)


def sample(height: int = 150, width: int = 170, seed: int = 0) -> NDArray[np.uint16]:
    dn = world(height, width, seed)[0]
    return np.ascontiguousarray(dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]])


def mapped(model: Model, dn: NDArray[Any], declared: Radiometry = DECLARED) -> NDArray[np.uint8]:
    """What a map of the same pixels holds, band by band, made as maps are."""
    bundle = model.bundle
    known = to_contract(dn, declared, model.contract)
    quantiles = [bundle.conformal.quantiles[name] for name in bundle.classes] if bundle.conformal else []
    column = least_probability(np.array(quantiles))[:, None, None]
    layers = classify_array(
        known, model.run, 64, bundle.halo_px,
        threshold=bundle.applicability.threshold if bundle.applicability else None,
        least=(lambda _: column) if bundle.conformal else None,
    )  # fmt: skip
    percent = np.where(layers.known, np.rint(np.nan_to_num(layers.confidence) * 100), 255).astype(np.uint8)
    more = [layers.set_size, layers.dissimilarity, layers.density, *(layers.members if bundle.conformal else ())]
    return np.stack([layers.classes, percent, *(layer for layer in more if layer is not None)])


@pytest.mark.parametrize("shape", [(150, 170), (256, 256), (1, 1), (300, 20)])
@pytest.mark.parametrize("name", ["plain", "knowing", "windowed"])
def test_a_chip_gets_the_answer_of_a_map_of_its_pixels(
    name: str, shape: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    model, dn = request.getfixturevalue(name), sample(*shape)
    asked = chips.classify_chips(model, dn[None], SAID)
    np.testing.assert_array_equal(asked.answer[0], mapped(model, dn))
    assert asked.names[:2] == ("class", "confidence")
    assert asked.names == chips.layer_names(model.bundle)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_every_pixel_is_answered_by_the_graph(plain: Model, n: int, height: int, width: int, seed: int) -> None:
    dn = np.random.default_rng(seed).integers(0, 3000, (n, 4, height, width)).astype(np.uint16)
    asked = chips.classify_chips(plain, dn, SAID, output="probability")
    known = np.where(dn == 0, np.nan, dn).astype(np.float32)
    np.testing.assert_allclose(asked.answer, plain.run(known).probability, atol=1e-6)
    assert asked.names == plain.bundle.classes


def test_an_answer_does_not_depend_on_its_company(ten: Model) -> None:
    said = chips.Said(ten.contract.names, (1e-4,), (0.0,))
    whole = np.random.default_rng(0).integers(1, 4000, (6, 10, 33, 21)).astype(np.uint16)
    together = [chips.ask(ten, dn[None], said, output="probability") for dn in whole]
    assert chips.answer([part for asked in together for part in asked.parts()]) == [None] * 6
    for dn, asked in zip(whole, together, strict=True):
        alone = chips.classify_chips(ten, dn[None], said, output="probability")
        assert alone.answer.tobytes() == asked.answer.tobytes()


def test_bands_are_found_by_name_and_others_are_left_aside(plain: Model) -> None:
    dn = sample()
    turned = chips.Said((*BANDS[::-1], "B11"), (1e-4,), (0.0,))
    asked = chips.classify_chips(plain, np.concatenate([dn[::-1], dn[:1]])[None], turned)
    np.testing.assert_array_equal(asked.answer[0], mapped(plain, dn))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float32", "float64"])
def test_a_declared_offset_and_any_type_give_the_same_answer(plain: Model, dtype: str) -> None:
    dn = sample()
    shifted = np.where(dn == 0, 0, dn + 1000).astype(dtype)
    asked = chips.classify_chips(plain, shifted[None], chips.Said(BANDS, (1e-4,), (-0.1,) * 4, 0.0))
    np.testing.assert_array_equal(asked.answer[0], mapped(plain, dn))


def test_what_is_no_number_was_not_observed(plain: Model) -> None:
    dn = sample(60, 60, 1).astype(np.float64)
    for place, nothing in ((30, np.nan), (31, np.inf), (32, -np.inf), (33, 1e300), (34, 0.0)):
        dn[:, 40, place] = nothing
    answer = chips.classify_chips(plain, dn[None], SAID).answer[0]
    assert (answer[:, 40, 30:35] == 255).all()
    assert (answer[0, 40, 35:] != 255).all()
    nothing_at_all = chips.classify_chips(plain, np.zeros((1, 4, 9, 9), np.uint8), SAID)
    assert (nothing_at_all.answer == 255).all()


def test_overlapping_tiles_are_blended_over_a_whole_chip(plain: Model) -> None:
    bundle = plain.bundle.model_copy(update={"overlap_px": 16})
    blended = Model(bundle, plain.release, plain.run)
    dn = sample(300, 200)
    # A graph that looks at single pixels says the same in every tile, so blending must change nothing.
    np.testing.assert_array_equal(chips.classify_chips(blended, dn[None], SAID).answer[0], mapped(plain, dn))
    nothing = chips.classify_chips(blended, np.zeros((1, 4, 200, 50), np.uint16), SAID, output="probability")
    assert not nothing.answer.any()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (chips.Said(BANDS[:3], (1e-4,), (0.0,)), "3 bands are named, the array has 4"),
        (chips.Said(("B02", "B03", "B04", "B09x"), (1e-4,), (0.0,)), "missing B08; not known B09x"),
        (chips.Said(("B02", "B03", "B04", "B04"), (1e-4,), (0.0,)), "missing B08; twice B04"),
        (chips.Said(BANDS, (), (0.0,)), "does not declare the scale"),
        (chips.Said(BANDS, (1e-4,), ()), "does not declare the offset"),
        (chips.Said(BANDS, (1e-4, 1e-4), (0.0,)), "2 numbers are given as scale of 4 bands"),
        (chips.Said(BANDS, (1.0,), (0.0,)), "a scale of 1 per DN"),
        (chips.Said(BANDS, (0.0,), (0.0,)), "a scale of 0"),
        (chips.Said(BANDS, (float("nan"),), (0.0,)), "a scale of nan"),
        (chips.Said(BANDS, (1e-4,), (float("inf"),)), "an offset of inf"),
        (chips.Said(BANDS, (1e-4,), (-0.5,)), "an offset of -5000 DN"),
        (chips.Said(BANDS, (1e-4,), (0.0, 0.0, 0.0, -0.1)), "different offsets"),
    ],
)
def test_what_does_not_fit_is_a_sentence(plain: Model, said: chips.Said, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        chips.ask(plain, sample()[None], said)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((1, 4, 4097, 1), TooLarge),
        ((1, 4, 1, 5000), TooLarge),
        ((5, 4, 1024, 1024), TooLarge),
        ((1, 300, 4, 4), TooLarge),
        ((1, 4, 0, 4), BadInput),
        ((4, 4, 4), BadInput),
    ],
)
def test_limits_hold_before_anything_is_allocated(plain: Model, shape: tuple[int, ...], kind: type[BadInput]) -> None:
    with pytest.raises(kind):
        chips.ask(plain, np.broadcast_to(np.uint16(1), shape), SAID)


def test_words_are_no_numbers_and_outputs_have_names(plain: Model) -> None:
    with pytest.raises(BadInput, match="cannot hold"):
        chips.ask(plain, np.zeros((1, 4, 2, 2), "U1"), SAID)
    with pytest.raises(BadInput, match="no output"):
        chips.ask(plain, sample()[None], SAID, output="classes")  # type: ignore[arg-type]


def leaves(height: int = 120, width: int = 120) -> NDArray[np.uint16]:
    """Ground on which red and near infrared cannot be mistaken: bright leaves and dry soil."""
    rng = np.random.default_rng(3)
    green = rng.random((height, width)) < 0.7
    blue, grass, red, infrared = (
        np.where(green, a, b) for a, b in ((300, 900), (600, 1200), (350, 1700), (4500, 2300))
    )
    dn = np.stack([blue, grass, red, infrared]) * rng.normal(1, 0.02, (4, height, width))
    return dn.astype(np.uint16)


def test_exchanged_bands_are_refused_and_neighbours_in_the_call_are_answered(ten: Model) -> None:
    names = ten.contract.names
    dn = np.stack([leaves()[min(at, 3)] for at in (0, 1, 2, 3, 3, 3, 3, 3, 0, 0)])
    dn[8:] = 2200
    dn += np.random.default_rng(1).integers(0, 40, dn.shape).astype(np.uint16)
    good = chips.ask(ten, dn[None], chips.Said(names, (1e-4,), (0.0,)))
    wrong = list(names)
    wrong[2], wrong[6] = wrong[6], wrong[2]
    bad = chips.ask(ten, dn[None], chips.Said(tuple(wrong), (1e-4,), (0.0,)))
    errors = chips.answer([good.parts()[0], bad.parts()[0]])
    assert errors[0] is None
    assert isinstance(errors[1], BadInput)
    assert "exchanged" in str(errors[1])
    assert (good.answer[0, 0] != 255).all()


@pytest.fixture(scope="module")
def ten() -> Model:
    from tests.benchmarks.reference import reference

    return reference("light").model()


def test_a_call_that_fails_is_tried_part_by_part(plain: Model) -> None:
    calls: list[int] = []

    def run(dn: NDArray[np.float32]) -> Answer:
        calls.append(len(dn))
        if (dn[:, 0] == 666).any():
            raise Refused("The graph fails while it runs.")
        return plain.run(dn)

    model = Model(plain.bundle, plain.release, run)
    asked = [chips.ask(model, dn[None], SAID) for dn in _three()]
    errors = chips.answer([part for one in asked for part in one.parts()])
    assert [type(error) for error in errors] == [type(None), Refused, type(None)]
    assert calls == [3, 1, 1, 1]
    np.testing.assert_array_equal(asked[2].answer[0], mapped(plain, _three()[2]))


def _three() -> list[NDArray[np.uint16]]:
    found = [sample(20, 20, seed) + np.uint16(1000) for seed in range(3)]
    found[1][0, 3, 3] = 666
    return found


def test_too_little_memory_is_a_sentence(plain: Model) -> None:
    def run(dn: NDArray[np.float32]) -> Answer:
        raise MemoryError

    model = Model(plain.bundle, plain.release, run)
    with pytest.raises(TooLarge, match="memory"):
        chips.classify_chips(model, sample(20, 20)[None], SAID)


def test_what_the_graph_reads_can_be_asked_for(windowed: Model) -> None:
    dn = sample(150, 140)
    asked = chips.ask(windowed, dn[None], SAID)
    seen: list[tuple[int, ...]] = []
    errors = [chips.answer([part], look=lambda _, around: seen.append(around.shape)) for part in asked.parts()]
    assert not any(error for (error,) in errors)
    whole = to_contract(dn, DECLARED, windowed.contract)
    np.testing.assert_array_equal(chips.numbers_of(asked, 0), whole)
    np.testing.assert_array_equal(chips.numbers_of(asked, 0, 3), whole[:, ::3, ::3])
    assert {len(shape) for shape in seen} == {3}
    assert sum((height - 4) * (width - 4) for _, height, width in seen) == 150 * 140


def test_threads_may_answer_the_parts_of_one_request(plain: Model) -> None:
    dn = sample(600, 500)
    asked = chips.ask(plain, dn[None], SAID)
    parts = asked.parts()

    def some(mine: Sequence[chips.Part]) -> None:
        for part in mine:
            assert chips.answer([part]) == [None]

    threads = [threading.Thread(target=some, args=(parts[at::3],)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(asked.answer[0], mapped(plain, dn))


def test_a_graph_of_the_other_opinion_gives_the_other_answer(plain: Model) -> None:
    other = Model(plain.bundle, plain.release, Graph(graph(-0.01)).run)
    first, second = (chips.classify_chips(m, sample()[None], SAID).answer[0, 0] for m in (plain, other))
    known = first != 255
    assert (first[known] != second[known]).mean() > 0.99

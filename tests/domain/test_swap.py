"""What a model has to reproduce before it takes over, how two differ, and when the first returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.core.errors import Refused
from geoml_ops.domain.swap import (
    MAX_BYTES,
    Golden,
    Limits,
    Noted,
    Outcome,
    ask,
    decode,
    disagreement,
    encode,
    golden,
    inputs,
    objection,
    require,
    size_for,
    summed,
)
from geoml_ops.domain.tiling import Run


@dataclass(frozen=True)
class Answer:
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None = None
    density: NDArray[np.float32] | None = None


def soft(n_classes: int, *, far: bool = False, noise: float = 0.0, seed: int = 0) -> Run:
    """A model in numpy: softmax of fixed random weights; NaN in any band is no answer."""

    def run(dn: NDArray[np.float32]) -> Answer:
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=(n_classes, dn.shape[1])) / 2000
        valid = np.isfinite(dn).all(axis=1, keepdims=True)
        score = np.einsum("cb,nbyx->ncyx", weights, np.where(valid, dn, 0).astype(np.float64))
        score += noise * np.random.default_rng(1).normal(size=score.shape)
        parts = np.exp(score - score.max(axis=1, keepdims=True))
        probability = np.where(valid, parts / parts.sum(axis=1, keepdims=True), 0).astype(np.float32)
        distance = np.where(valid, np.abs(np.where(valid, dn, 0)).mean(axis=1, keepdims=True) / 1000, np.nan)
        return Answer(probability, valid, distance.astype(np.float32) if far else None)

    return run


def grounds(n_bands: int, edge: int, *, whole: bool = True) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    made = [rng.uniform(300, 4000, (n_bands, edge, edge)).astype(np.float32) for _ in range(3)]
    return [np.rint(dn) for dn in made] if whole else made


def tiles(run: Run, n_bands: int = 4, n_classes: int = 5, halo_px: int = 0, *, whole: bool = True) -> Golden:
    core, step = size_for(n_bands, n_classes, halo_px, 6)
    edge = -(-(core + 2 * halo_px) // step)
    return golden(run, inputs(grounds(n_bands, edge, whole=whole)), core_px=core, halo_px=halo_px, step=step)


def same(one: Golden, other: Golden) -> bool:
    pairs = [
        (getattr(left, name), getattr(right, name))
        for left, right in zip(one.tiles, other.tiles, strict=True)
        for name in ("dn", "probability", "valid", "steady", "dissimilarity")
    ]
    return all((a is None and b is None) or np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(2, 40), st.integers(0, 120), st.booleans())
def test_whatever_a_bundle_reads_its_golden_tiles_are_small_and_come_back(
    n_bands: int, n_classes: int, halo_px: int, whole: bool
) -> None:
    made = tiles(soft(n_classes, far=True), n_bands, n_classes, halo_px, whole=whole)
    content = encode(made)
    assert len(content) <= MAX_BYTES
    again = decode(content)
    assert same(made, again)
    assert encode(again) == content
    assert (again.core_px, again.halo_px, again.step) == (made.core_px, made.halo_px, made.step)
    whole_dn = again.dn(again.tiles[0])
    assert whole_dn.shape == (n_bands, made.core_px + 2 * halo_px, made.core_px + 2 * halo_px)


def test_the_inputs_hold_what_scenes_are_full_of() -> None:
    kinds = inputs(grounds(4, 32))
    assert list(kinds)[:3] == ["ground 1", "ground 2", "ground 3"]
    stripes, holes = kinds["nodata stripes"], kinds["holes in single bands"]
    lost = np.isnan(stripes)
    assert (lost.all(axis=0) == lost.any(axis=0)).all()
    assert 0.2 < lost.mean() < 0.8
    assert set(np.isnan(holes).sum(axis=0).ravel()) == {0, 1}
    assert np.isnan(holes).any(axis=(1, 2)).all()
    extreme = kinds["saturated, zero and below"]
    assert {0.0, 65535.0} <= set(extreme.ravel())
    assert (extreme < 0).any()
    with pytest.raises(ValueError, match="there is none"):
        inputs([])


def test_who_answers_alike_passes_and_says_how_alike() -> None:
    made = tiles(soft(5, far=True))
    outcome = ask(decode(encode(made)), soft(5, far=True))
    assert (outcome.passed, outcome.n_tiles, outcome.n_same, outcome.worst) == (True, 6, 6, 0.0)
    assert outcome.n_pixels == sum(int(tile.steady.sum()) for tile in made.tiles) > 5000
    require(outcome, "bundle-x")
    for tile in made.tiles:
        codes = np.where(tile.valid, tile.probability.argmax(axis=0), 255).astype(np.uint8)
        assert tile.classes_sha256 == hashlib.sha256(codes.tobytes()).hexdigest()


def broken(kind: str) -> Run:
    def run(dn: NDArray[np.float32]) -> Answer:
        said = soft(5, far=True)(dn)
        probability, valid, far = said.probability.copy(), said.valid.copy(), said.dissimilarity
        if kind == "classes exchanged":
            probability = probability[:, ::-1].copy()
        elif kind == "answers everywhere":
            valid[:] = True
            probability[:, 0] = np.where(said.valid[:, 0], probability[:, 0], 1)
        elif kind == "one pixel":
            probability[0, :, 5, 5] = probability[0, ::-1, 5, 5]
        elif kind == "no numbers":
            probability[0, :, 3] = np.nan
        elif kind == "no dissimilarity":
            far = None
        elif kind == "nearer":
            assert far is not None
            far = far * np.float32(0.9)
        return Answer(probability, valid, far)

    return run


@pytest.mark.parametrize(
    "kind",
    ["classes exchanged", "answers everywhere", "one pixel", "no numbers", "no dissimilarity", "nearer"],
)
def test_who_answers_otherwise_is_refused_with_numbers(kind: str) -> None:
    outcome = ask(tiles(soft(5, far=True)), broken(kind))
    assert not outcome.passed
    with pytest.raises(
        Refused, match=r"bundle-x does not answer here .* of \d+ golden pixels \d+ differ beyond 0\.0001"
    ):
        require(outcome, "bundle-x")


def test_another_device_may_differ_by_its_floating_point_and_by_no_more() -> None:
    made = tiles(soft(5))
    near, off = soft(5, noise=1e-3), soft(5, noise=0.1)
    assert not ask(made, near).passed
    assert ask(made, near, elsewhere=True).passed
    assert not ask(made, off, elsewhere=True).passed


def test_a_pixel_that_hangs_on_the_last_digit_is_not_asked_for() -> None:
    def stepped(shift: float) -> Run:
        def run(dn: NDArray[np.float32]) -> Answer:
            high = dn[:, :1] > np.float32(2000.0) * np.float32(1 + shift)
            probability = np.concatenate([high, ~high], axis=1).astype(np.float32)
            return Answer(probability, np.ones_like(high))

        return run

    ground = np.full((1, 32, 32), 1000.0, np.float32)
    ground[0, 4, 4], ground[0, 6, 6] = 2000.0, 2001.0
    made = golden(stepped(0.0), {"ground": ground}, core_px=32, halo_px=0)
    assert not made.tiles[0].steady[4, 4]
    assert made.tiles[0].steady.sum() == 32 * 32 - 1
    assert ask(made, stepped(-1e-7)).passed
    assert not ask(made, stepped(1e-3)).passed
    blind = Golden((replace(made.tiles[0], steady=np.zeros((32, 32), np.bool_)),), 32, 0, 1)
    assert not ask(blind, stepped(0.0)).passed, "who compares nothing has proven nothing"


def test_bytes_that_are_no_golden_tiles_are_refused_whatever_they_are() -> None:
    content = encode(tiles(soft(3), 2, 3))
    rng = np.random.default_rng(0)
    head = content.index(b"\n")
    refused = 0
    for number in range(1500):
        altered = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            altered[int(rng.integers(0, head + 40 if number % 2 else len(content)))] = int(rng.integers(0, 256))
        if number % 5 == 0:
            altered = altered[: int(rng.integers(0, len(altered)))]
        try:
            decode(bytes(altered))
        except Refused:
            refused += 1
    assert refused > 600
    bad = [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"format": 1}\n',
        b"[" * 60_000 + b"\n",
        content + b"\0",
        b"x" * 70_000,
    ]
    bad += [content.replace(b'"core_px":32', b'"core_px":99'), content.replace(b'"halo_px":0', b'"halo_px":1')]
    bad += [content.replace(b'"<u2"', b'"|O8"', 1), content.replace(b'"step":1', b'"step":2')]
    for said in bad:
        with pytest.raises(Refused, match="not what this platform writes"):
            decode(said)


def test_disagreement_is_counted_by_class_name() -> None:
    one = np.array([[0, 1, 255], [1, 255, 0]], np.uint8)
    other = np.array([[1, 0, 255], [1, 0, 255]], np.uint8)
    said = disagreement(one, other, ("bare", "green"), ("green", "bare"))
    assert said.where.tolist() == [[0, 0, 255], [1, 1, 1]]
    assert (said.n_pixels, said.n_different, said.share) == (5, 3, 0.6)
    assert said.counts.tolist() == [[0, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert summed([said, said], ("a", "b"), ("a", "b")).tolist() == (2 * said.counts).tolist()
    nothing = np.full((2, 2), 255, np.uint8)
    assert disagreement(nothing, nothing, ("a",), ("b",)).share is None


LIMITS = Limits()


def requests(n: int, latency_s: float, *, failed: int = 0, pixels: int = 1024) -> list[Noted]:
    return [*repeat(Noted(False, latency_s, pixels), failed), *repeat(Noted(True, latency_s, pixels), n - failed)]


CASES: list[tuple[str, list[Noted], list[Noted], str]] = [
    ("alike", requests(200, 0.01), requests(200, 0.012), ""),
    ("nothing yet", requests(200, 0.01), [], ""),
    ("two failures", requests(200, 0.01), requests(20, 0.01, failed=2), ""),
    ("failures", requests(200, 0.01), requests(20, 0.01, failed=3), "3 of its first 20 requests failed (15.0%)"),
    ("always failing", [], requests(3, 0.01, failed=3), "3 of its first 3"),
    ("failing before too", requests(200, 0.01, failed=40), requests(20, 0.01, failed=4), ""),
    ("slow", requests(200, 0.05), requests(40, 0.2), "4.0 times as long"),
    ("slow but not felt", requests(200, 0.001), requests(40, 0.02), ""),
    ("too few to tell", requests(200, 0.05), requests(19, 2.0), ""),
    ("larger rasters", requests(200, 0.05), requests(40, 5.0, pixels=10**6), ""),
    ("one slow start", requests(200, 0.05), [*requests(5, 9.0), *requests(40, 0.05)], ""),
]


@pytest.mark.parametrize(("before", "after", "says"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_the_model_before_returns_for_failures_and_for_being_much_faster(
    before: list[Noted], after: list[Noted], says: str
) -> None:
    why = objection(before, after, LIMITS)
    assert says in why
    assert bool(says) == bool(why)


def test_an_outcome_that_compared_nothing_is_no_pass() -> None:
    assert not Outcome(1, 1, 0, 0, 0, 0.0, 0.0, 1e-4).passed

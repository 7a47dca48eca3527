"""Golden tiles: small inputs with the answers that a machine has to reproduce before a bundle may serve on it.

A graph that is byte for byte the right one may still answer otherwise: another runtime, another processor, a GPU.
So every bundle carries inputs, and what the machine that exported it answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import Refused
from geoml_ops.domain.swap.tiles import Dn, Golden, GoldenTile
from geoml_ops.domain.tiling import NODATA_CLASS, Run

TOLERANCE = 1e-4
"""Of a probability, where the runtime is the processor that bundles are exported on: sums in another order."""
ELSEWHERE = 5e-3
"""Of a probability on another device: a GPU multiplies with fewer digits (TF32) and adds in its own order."""
FAR_TOLERANCE = 1e-2
"""Of a dissimilarity, absolute below 1 and relative above: near 0 it is the root of a difference of large numbers."""
_STEADY = 0.1
"""Share of the tolerance within which an answer has to stay when the last digits of the input change."""
_DRAWS, _LAST_DIGITS = 3, 2.0**-20


@dataclass(frozen=True)
class Outcome:
    """What a machine made of golden tiles.

    Attributes:
        n_tiles: how many were asked.
        n_same: of them gave the expected classes, byte for byte.
        n_pixels: that were compared.
        n_beyond: of them differ by more than the tolerance, or by having an answer at all.
        n_classes: of them got another class although the two likeliest were further apart than the tolerance.
        worst: largest difference of a probability.
        worst_far: largest difference of a dissimilarity, relative above 1.
        tolerance: of a probability.
        kind: of the tile with the most that differs.
    """

    n_tiles: int
    n_same: int
    n_pixels: int
    n_beyond: int
    n_classes: int
    worst: float
    worst_far: float
    tolerance: float
    kind: str = ""

    @property
    def passed(self) -> bool:
        """True where pixels were compared and nothing differs that may not."""
        return self.n_pixels > 0 and not (self.n_beyond or self.n_classes)


@dataclass(frozen=True, eq=False)
class _Said:
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]
    dissimilarity: NDArray[np.float32] | None

    @property
    def codes(self) -> NDArray[np.uint8]:
        return np.where(self.valid, self.probability.argmax(axis=0), NODATA_CLASS).astype(np.uint8)


def golden(run: Run, inputs: Mapping[str, Dn], *, core_px: int, halo_px: int, step: int = 1, seed: int = 0) -> Golden:
    """Returns golden tiles: the inputs with what ``run`` answers, and where that hangs on no last digit.

    Args:
        run: the bundle's graph on the machine that exports it.
        inputs: kind to DN ``(band, y, x)`` of edge ``(core + 2 halo) / step``, rounded up.
        core_px: edge of what is compared.
        halo_px: pixels around it.
        step: pixels of the graph's input per pixel of these.
        seed: of the changed last digits.
    """
    rng = np.random.default_rng(seed)
    kept, nothing = [], np.zeros((0, 0), np.float32)
    for kind, dn in inputs.items():
        blank = GoldenTile(kind, dn.astype(np.float32), nothing, nothing > 0, nothing > 0, None, "")
        whole = Golden((blank,), core_px, halo_px, step).dn(blank)
        said = _said(run, whole, halo_px)
        steady = np.ones(said.valid.shape, dtype=np.bool_)
        for _ in range(_DRAWS):
            shaken = whole * (1 + _LAST_DIGITS * rng.uniform(-1, 1, whole.shape)).astype(np.float32)
            steady &= ~_differs(said, _said(run, shaken, halo_px), _STEADY)
        digest = hashlib.sha256(said.codes.tobytes()).hexdigest()
        kept.append(
            GoldenTile(kind, blank.dn, said.probability, said.valid, steady, said.dissimilarity, digest),
        )
    return Golden(tuple(kept), core_px, halo_px, step)


def ask(asked: Golden, run: Run, *, elsewhere: bool = False) -> Outcome:
    """Returns how far a machine's answers to golden tiles differ from the expected ones.

    Args:
        asked: the tiles.
        run: the bundle's graph on the machine that wants to serve it.
        elsewhere: it runs on another device than a processor: then probabilities may differ by 0.005 rather than
            0.0001, as its floating point does, and dissimilarities by as many times more.
    """
    times = ELSEWHERE / TOLERANCE if elsewhere else 1.0
    same = beyond = classes = pixels = 0
    worst, worst_far, most, kind = 0.0, 0.0, 0, ""
    for tile in asked.tiles:
        said, expected = _said(run, asked.dn(tile), asked.halo_px), _expected(tile)
        if said.probability.shape != tile.probability.shape:
            raise Refused(
                f"The graph answers {list(said.probability.shape)} where golden tiles have "
                f"{list(tile.probability.shape)} classes and pixels.",
                "publish the model again",
            )
        wrong = _differs(expected, said, times) & tile.steady
        gap, far = _gaps(expected, said)
        two = np.sort(tile.probability, axis=0)[-2:]
        clear = two[-1] - two[0] > TOLERANCE * times if len(tile.probability) > 1 else np.ones_like(tile.valid)
        other = (said.codes != expected.codes) & tile.steady & tile.valid & clear
        n_wrong = int((wrong | other).sum())
        if n_wrong > most:
            most, kind = n_wrong, tile.kind
        same += hashlib.sha256(said.codes.tobytes()).hexdigest() == tile.classes_sha256
        beyond, classes, pixels = beyond + int(wrong.sum()), classes + int(other.sum()), pixels + int(tile.steady.sum())
        worst = max(worst, float(gap[tile.steady].max(initial=0.0)))
        worst_far = max(worst_far, float(far[tile.steady].max(initial=0.0)))
    return Outcome(len(asked.tiles), same, pixels, beyond, classes, worst, worst_far, TOLERANCE * times, kind)


def require(outcome: Outcome, bundle: str) -> None:
    """Lets a machine serve a bundle whose golden tiles it reproduces.

    Raises:
        Refused: it does not; the sentence has the numbers.
    """
    if outcome.passed:
        return
    raise Refused(
        f"{bundle} does not answer here as where it was made: of {outcome.n_pixels} golden pixels {outcome.n_beyond} "
        f"differ beyond {outcome.tolerance:g} (probability by up to {outcome.worst:.3g}, dissimilarity by up to "
        f"{outcome.worst_far:.3g}) and {outcome.n_classes} got another class, most in {outcome.kind!r}.",
        "compare runtime and device with those that exported it, or publish the model again",
    )


def _expected(tile: GoldenTile) -> _Said:
    return _Said(tile.probability, tile.valid, tile.dissimilarity)


def _said(run: Run, dn: Dn, halo_px: int) -> _Said:
    answer = run(dn[None])
    rows, cols = slice(halo_px, dn.shape[1] - halo_px), slice(halo_px, dn.shape[2] - halo_px)
    far = answer.dissimilarity
    return _Said(
        np.ascontiguousarray(answer.probability[0][:, rows, cols]),
        answer.valid[0, 0][rows, cols].astype(bool),
        None if far is None else np.ascontiguousarray(far[0, 0][rows, cols]),
    )


def _gaps(one: _Said, other: _Said) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns differences per pixel, of probability and dissimilarity; 1 where one is a number and the other is not."""
    gap = np.abs(one.probability.astype(np.float64) - other.probability).max(axis=0)
    gap = np.where(np.isfinite(gap) & (one.valid == other.valid), gap, 1.0)
    if one.dissimilarity is None and other.dissimilarity is None:
        return gap, np.zeros_like(gap)
    if one.dissimilarity is None or other.dissimilarity is None:
        return gap, np.ones_like(gap)
    left, right = one.dissimilarity.astype(np.float64), other.dissimilarity.astype(np.float64)
    far = np.abs(left - right) / np.maximum(1.0, np.abs(left))
    both = np.isnan(left) & np.isnan(right)
    return gap, np.where(both, 0.0, np.where(np.isfinite(far), far, 1.0))


def _differs(one: _Said, other: _Said, times: float) -> NDArray[np.bool_]:
    gap, far = _gaps(one, other)
    return np.asarray((gap > TOLERANCE * times) | (far > FAR_TOLERANCE * times))

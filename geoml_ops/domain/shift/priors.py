"""What the ground's class shares are, behind what was answered: prior shift by black-box shift estimation.

A model that mixes up classes dulls every change of their shares. Where only the shares changed (label shift: what a
class looks like stayed, ``p(x | class)`` fixed), what it mixes up on held-out samples undoes that. It does **not**
hold where what classes look like changed: another sensor, baseline, season or atmosphere, cloud, new ground or new
kinds of a class (covariate shift). Nothing here can tell the two apart, except that ``unexplained`` is far from 0
where no shares at all could have given these answers. Ask what else changed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from geoml_ops.core.errors import BadInput
from geoml_ops.core.evidence import Score
from geoml_ops.domain.scoring import DRAWS, caution, drawn_sums
from geoml_ops.domain.shift.intervals import distance_score, scores_of
from geoml_ops.domain.shift.shares import total_variation

Floats = NDArray[np.float64]
#: Beyond it a point of sampling error in what was answered may be 20 points of the shares.
MOST_CONDITION = 20.0
#: Held-out samples of a class below which its column of the confusion is hearsay.
LEAST_SAMPLES = 10
#: Share of bootstrap samples that may lack a class altogether; each class then lies in about 4 blocks.
MOST_LACKING = 0.05


@dataclass(frozen=True)
class PriorShift:
    """Class shares behind the answers; without ``prior`` and what follows from it where that was refused.

    Attributes:
        source: share of each class among the held-out samples (0 to 1).
        predicted: share of each class among the current answers, as they are (0 to 1).
        condition: condition number (2-norm) of ``P(answer | class)``, >= 1; infinite where two classes are answered
            alike. So many times larger than that of the answers the relative error of the shares may be.
        joint_condition: the same of ``P(answer, class)``, the matrix of the paper; rare classes alone raise it.
        n_blocks: blocks of held-out samples.
        n_scenes: current scenes.
        prior: share of each class on the current ground, with intervals; empty where refused.
        change: that minus ``source``, with intervals.
        weights: that over ``source``: what a sample of each class is to weigh.
        predicted_tv: total variation between current answers and answers on the held-out samples.
        tv: total variation between ``prior`` and ``source``, with an interval. Chance alone keeps it above 0, so
            whether a class moved is what ``change`` says.
        unexplained: total variation between the current answers and the nearest that label shift can give.
        refusal: why there are no shares; empty where there are.
        caution: what to bear in mind; may be empty.
    """

    source: tuple[float, ...]
    predicted: tuple[float, ...]
    condition: float
    joint_condition: float
    n_blocks: int
    n_scenes: int
    prior: tuple[Score, ...] = ()
    change: tuple[Score, ...] = ()
    weights: tuple[float, ...] = ()
    predicted_tv: float | None = None
    tv: Score | None = None
    unexplained: float | None = None
    refusal: str = ""
    caution: str = ""


def prior_shift(
    confusions: NDArray[np.int64] | Floats,
    answers: NDArray[np.int64] | Floats,
    *,
    names: Sequence[str] = (),
    most_condition: float = MOST_CONDITION,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> PriorShift:
    """Returns the class shares that the current ground has if nothing but shares changed, with intervals.

    Lipton, Wang and Smola (2018): ``C w = q`` with ``C = P(answer, class)`` of held-out samples, ``q`` the shares of
    current answers, ``w`` the ratio of class shares. Solved for the shares ``pi = w p`` themselves, least squares
    of ``A pi - q`` with ``A = P(answer | class)``, ``pi >= 0`` and ``sum pi = 1`` exactly: as ``q = q 1'pi`` there,
    that is the direction of the non-negative least squares of ``[A - q 1'; 1'] y = [0; 1]`` (Haskell and Hanson
    1981). Where nothing is negative it is ``A^-1 q``. Intervals: whole blocks of held-out samples and whole scenes
    are drawn with replacement, both together, and percentiles are expanded for the fewer of the two.

    Args:
        confusions: ``(blocks, true, answered)`` counts of honest out-of-fold answers, as
            :func:`~geoml_ops.domain.scoring.block_confusions` gives them.
        answers: ``(scenes, classes)`` answered pixels, as tallies count them; scenes without an answer are left out.
        names: of the classes, for sentences.
        most_condition: condition number of ``P(answer | class)`` beyond which shares are refused.
        confidence: of the two-sided intervals.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        BadInput: arrays of other shapes, negative counts, or nothing counted.
    """
    held, now = _checked(confusions, answers)
    joint, answered = held.sum(axis=0), now.sum(axis=0)
    source, q = joint.sum(axis=1) / joint.sum(), answered / answered.sum()
    condition = _condition(_given_class(joint))
    known = PriorShift(
        source=tuple(source.tolist()),
        predicted=tuple(q.tolist()),
        condition=condition,
        joint_condition=_condition(joint.T / joint.sum()),
        n_blocks=len(held),
        n_scenes=len(now),
    )
    named = [names[code][:60] if code < len(names) else f"class {code}" for code in range(len(source))]
    refusal = _thin(held, now, named) or _singular(condition, most_condition, joint, named)
    if refusal:
        return replace(known, refusal=refusal)
    return _estimated(known, held, now, (confidence, draws, seed))


def solved(given_class: Floats, answered: Floats) -> Floats:
    """Returns the shares ``(classes,)``, >= 0 and of sum 1, that explain answers best.

    Args:
        given_class: ``(answer, class)`` of ``P(answer | class)``; columns add up to 1.
        answered: ``(classes,)`` shares of answers, of sum 1.
    """
    n = len(answered)
    system = np.vstack([given_class - answered[:, np.newaxis], np.ones(n)])
    found = optimize.nnls(system, np.append(np.zeros(n), 1.0))[0]
    return np.asarray(found / found.sum(), dtype=np.float64)


def _estimated(known: PriorShift, held: Floats, now: Floats, how: tuple[float, int, int]) -> PriorShift:
    joint, source, q = held.sum(axis=0), np.array(known.source), np.array(known.predicted)
    given = _given_class(joint)
    prior = solved(given, q)
    sources, priors = _drawn(held, now, how)
    n = min(known.n_blocks, known.n_scenes)
    return replace(
        known,
        prior=scores_of(prior, priors, n, how[0]),
        change=scores_of(prior - source, priors - sources, n, how[0]),
        weights=tuple((prior / source).tolist()),
        predicted_tv=float(total_variation(joint.sum(axis=0), q)),
        tv=distance_score(float(total_variation(source, prior)), total_variation(sources, priors), n, how[0]),
        unexplained=float(total_variation(q, given @ prior)),
        caution=caution(n),
    )


def _drawn(held: Floats, now: Floats, how: tuple[float, int, int]) -> tuple[Floats, Floats]:
    """Returns source and current shares of each bootstrap sample that holds all classes, each ``(draws, classes)``."""
    _, draws, seed = how
    (joint,) = drawn_sums([held], seed, draws)
    # Another stream: blocks and scenes are drawn independently.
    (answered,) = drawn_sums([now], seed + 1, draws)
    whole = (joint.sum(axis=2) > 0).all(axis=1)
    joint, answered = joint[whole], answered[whole]
    shares = answered / answered.sum(axis=1, keepdims=True)
    priors = np.array([solved(one, own) for one, own in zip(_given_class(joint), shares, strict=True)])
    return joint.sum(axis=2) / joint.sum(axis=(1, 2))[:, np.newaxis], priors


def _given_class(joint: Floats) -> Floats:
    """Returns ``P(answer | class)``, ``(…, answer, class)``, of ``(…, true, answered)``; 0 of an absent class."""
    totals = joint.sum(axis=-1, keepdims=True)
    return np.asarray(np.swapaxes(joint / np.where(totals > 0, totals, 1), -1, -2), dtype=np.float64)


def _condition(matrix: Floats) -> float:
    found = float(np.linalg.cond(matrix))
    return found if found < 1 / np.finfo(float).eps else float("inf")


def _thin(held: Floats, now: Floats, names: Sequence[str]) -> str:
    """Returns why counts are too few, or nothing."""
    for n, what in ((len(held), "block of held-out samples"), (len(now), "scene with answers")):
        if n < 2:
            return f"Class shares are not estimated: {n} {what} gives no interval, and a pixel is not a sample."
    per_class = held.sum(axis=(0, 2))
    few = int(np.argmin(per_class))
    if per_class[few] < LEAST_SAMPLES:
        return (
            f"Class shares are not estimated: {per_class[few]:g} held-out samples of {names[few]} do not say how it is "
            f"answered; {LEAST_SAMPLES} are needed."
        )
    blocks = (held.sum(axis=2) > 0).sum(axis=0)
    lacking = (1 - blocks / len(held)) ** len(held)
    rare = int(np.argmax(lacking))
    if lacking[rare] > MOST_LACKING:
        return (
            f"Class shares are not estimated: {names[rare]} was held out in {blocks[rare]} of {len(held)} blocks, so "
            f"{lacking[rare]:.0%} of bootstrap samples would know nothing of it."
        )
    return ""


def _singular(condition: float, most: float, joint: Floats, names: Sequence[str]) -> str:
    """Returns why the confusion cannot be undone, or nothing; names the two classes that are answered most alike."""
    if condition <= most:
        return ""
    given = _given_class(joint)
    apart = np.abs(given[:, :, np.newaxis] - given[:, np.newaxis, :]).sum(axis=0) / 2
    apart[np.diag_indices(len(apart))] = np.inf
    a, b = divmod(int(np.argmin(apart)), len(apart))
    return (
        f"Class shares are not estimated: the model answers classes too much alike to undo it (condition number "
        f"{condition:.3g}, limit {most:g}); {names[a]} and {names[b]} differ in {apart[a, b]:.0%} of their answers."
    )


def _checked(confusions: NDArray[np.int64] | Floats, answers: NDArray[np.int64] | Floats) -> tuple[Floats, Floats]:
    held, now = (np.asarray(counts, dtype=np.float64) for counts in (confusions, answers))
    if held.ndim != 3 or held.shape[1] != held.shape[2] or now.ndim != 2 or now.shape[1] != held.shape[1]:
        raise BadInput(
            f"Confusions of shape {held.shape} and answers of shape {now.shape} do not belong together.",
            "give (blocks, true, answered) and (scenes, classes) of one class list",
        )
    for what, counts in (("confusions", held), ("answers", now)):
        if not (np.isfinite(counts) & (counts >= 0)).all() or not counts.sum() > 0 or counts.shape[1] < 2:
            raise BadInput(f"The {what} of shape {counts.shape} count nothing, or less, or one class.")
    return held[held.sum(axis=(1, 2)) > 0], now[now.sum(axis=1) > 0]

"""How good a scene's answers are likely to be, and which class shares lie behind them, without any labels.

Both rest on what the champion answered out of fold, on ground that it had not seen. That is counted once for each
bundle and kept: by block and confidence, and by block, class and answer. Intervals come from whole blocks; how much
scenes differ from each other is not in them, as there is only one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, NotFound, Refused
from geoml_ops.core.flow import Bundle, Evaluation, FoldPlan
from geoml_ops.core.watched import Estimate
from geoml_ops.domain import shift
from geoml_ops.domain.scoring import block_confusions, drawn_sums
from geoml_ops.domain.shift import unlabelled
from geoml_ops.domain.shift.intervals import Floats, score_of
from geoml_ops.domain.sketch import CONFIDENCE_BINS
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.platform.log import logger
from geoml_ops.steps.answers import Answers, open_answers
from geoml_ops.steps.places import Places

#: Methods by the name that an estimate bears.
METHODS: dict[str, unlabelled.Method] = {"cbpe": "CBPE", "atc": "ATC", "doc": "DoC"}
CONFIDENCE = 0.95
_PREFIX = "class:"
_FORM = 1
_MOST_UNEXPLAINED = 0.05


@dataclass(frozen=True)
class Known:
    """What a bundle's model answered out of fold.

    Attributes:
        held: answers by block and confidence, and right ones.
        confusions: ``(blocks, true, answered)``.
    """

    held: shift.Held
    confusions: Floats


def estimates(places: Places, bundle: Bundle, confidences: Sequence[int]) -> tuple[tuple[Estimate, ...], str]:
    """Returns the accuracy to expect of a scene's answers by each method, and why there is none, or nothing.

    Args:
        places: where things are.
        bundle: what answered.
        confidences: answered pixels in even bins of confidence from 0 to 1; empty where they were not counted.
    """
    now = np.asarray(confidences, dtype=np.float64)
    if not now.size or not np.isfinite(now).all() or (now < 0).any() or not now.sum() > 0:
        return (), "Accuracy is not estimated: no answer's confidence was counted."
    known, problem = held_answers(places, bundle)
    if known is None:
        return (), f"Accuracy is not estimated: {problem}"
    if known.held.n_bins != now.size:
        return (), f"Accuracy is not estimated: {now.size} bins of confidence, {known.held.n_bins} are expected."
    blocks = int((known.held.n.sum(axis=1) > 0).sum())
    drawn = drawn_sums([known.held.n, known.held.right], 0) if blocks > 1 else None
    return tuple(_estimate(known.held, now, name, blocks, drawn) for name in METHODS), ""


def prior_shift(places: Places, bundle: Bundle, shares: Mapping[str, float | None]) -> tuple[dict[str, float], str]:
    """Returns the class shares that label shift alone would need for these answers, and a sentence.

    The sentence says how far to trust them, with the condition number of the confusion, or why there are none. They
    hold only where classes look as they did; see :mod:`geoml_ops.domain.shift.priors`.

    Args:
        places: where things are.
        bundle: what answered.
        shares: of the answers by class name, with or without ``class:`` before it; others are left alone.
    """
    named = {name.removeprefix(_PREFIX): value for name, value in shares.items()}
    now = np.array([named.get(name) if named.get(name) is not None else np.nan for name in bundle.classes], np.float64)
    if not np.isfinite(now).all() or (now < 0).any() or not now.sum() > 0:
        return {}, "Class shares are not estimated: not every class has a share of the answers."
    known, problem = held_answers(places, bundle)
    if known is None:
        return {}, f"Class shares are not estimated: {problem}"
    try:
        # Twice the same scene and few draws: one scene has no interval, and none is asked for here.
        found = shift.prior_shift(known.confusions, np.stack([now, now]), names=bundle.classes, draws=20)
    except BadInput as error:
        return {}, f"Class shares are not estimated: {error}"
    if found.refusal:
        return {}, found.refusal
    prior = {name: score.value for name, score in zip(bundle.classes, found.prior, strict=True)}
    return prior, _trust(found)


def held_answers(places: Places, bundle: Bundle) -> tuple[Known | None, str]:
    """Returns what a bundle's model answered out of fold, or None and why it cannot be had on this machine.

    Counted once, then read from ``watch`` in the workspace; a lost or damaged file is made again.
    """
    path = places.workspace / "watch" / f"held-{bundle.id}.json"
    kept = _kept(path, bundle)
    if kept is not None:
        return kept, ""
    try:
        answers = _answers(places, bundle)
        known = _counted(answers, len(bundle.classes))
    except (NotFound, Refused, BadInput) as error:
        logger("watch").info("no out-of-fold answers", bundle=bundle.id, reason=str(error))
        return None, str(error)
    write_json(path, _as_json(known))
    return known, ""


def _answers(places: Places, bundle: Bundle) -> Answers:
    shelf = Shelf(places.nouns)
    evaluation = shelf.get(Evaluation, bundle.evaluation)
    plan = shelf.get(FoldPlan, evaluation.plan)
    if plan.estimand == "optimism baseline":
        raise Refused(
            f"the champion's folds are {plan.method}: their answers are surer and better than those on other ground.",
            "evaluate it on spatial folds",
        )
    if evaluation.classes != bundle.classes:
        raise BadInput("the champion's evaluation has other classes than its bundle.")
    return open_answers(places, evaluation.predictions)


def _counted(answers: Answers, n_classes: int) -> Known:
    sure = answers.probability.max(axis=1, initial=0.0)
    tested = (answers.fold >= 0) & np.isfinite(sure) & (answers.predicted >= 0)
    if not tested.any():
        raise BadInput("no sample was tested out of fold.")
    code, predicted, block = answers.code[tested], answers.predicted[tested], answers.block[tested]
    held = shift.held_out(np.clip(sure[tested], 0, 1), code == predicted, block, CONFIDENCE_BINS)
    return Known(held, block_confusions(code, predicted, block, n_classes).astype(np.float64))


def _estimate(held: shift.Held, now: Floats, name: str, blocks: int, drawn: list[Floats] | None) -> Estimate:
    estimator = shift.ESTIMATORS[METHODS[name]]
    n, right = held.n.sum(axis=0), held.right.sum(axis=0)
    value, low, high = float(estimator(n, right, now)), None, None
    if drawn is not None:
        score = score_of(value, estimator(drawn[0], drawn[1], now), blocks, CONFIDENCE)
        low, high = min(score.low, value), max(score.high, value)
    expected = float(right.sum() / n.sum())
    return Estimate(method=name, value=value, low=low, high=high, expected=expected, sentence=_rests_on(n, now, blocks))


def _rests_on(n_held: Floats, now: Floats, blocks: int) -> str:
    parts = [f"From {n_held.sum():.0f} held-out answers in {blocks} block{'s' * (blocks != 1)}"]
    parts[0] += "; one block has no interval." if blocks < 2 else "; the interval is of blocks, not of scenes."
    unseen = float(now[n_held == 0].sum() / now.sum())
    if unseen > unlabelled.MOST_UNSEEN:
        parts.append(f"{unseen:.0%} of the answers are of a confidence that no held-out answer had.")
    parts.append("Blind to what the classes themselves mean now.")
    return " ".join(parts)


def _trust(found: shift.PriorShift) -> str:
    condition = f"{found.condition:.3g}" if math.isfinite(found.condition) else "infinite"
    said = (
        f"Undone with the confusion of {found.n_blocks} held-out blocks (condition number {condition}): right if "
        "classes look as they did and only their shares changed."
    )
    unexplained = found.unexplained or 0.0
    if unexplained > _MOST_UNEXPLAINED:
        said += f" No shares explain {unexplained:.0%} of the answers, so more than shares changed."
    return said


def _kept(path: Path, bundle: Bundle) -> Known | None:
    try:
        told: dict[str, Any] = read_json(path)
        if told["form"] != _FORM:
            return None
        held = shift.Held(*(np.array(told[name], dtype=np.float64) for name in ("n", "right")))
        confusions = np.array(told["confusions"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError, BadInput):
        return None
    shape = (len(held.n), len(bundle.classes), len(bundle.classes))
    return Known(held, confusions) if confusions.shape == shape else None


def _as_json(known: Known) -> dict[str, Any]:
    counts = (known.held.n, known.held.right, known.confusions)
    told = {
        name: array.astype(np.int64).tolist() for name, array in zip(("n", "right", "confusions"), counts, strict=True)
    }
    return {"form": _FORM, **told}

"""Probabilities that mean what they say, learned from answers to ground that the model did not see.

The scores that curves learn from come out of spatial folds inside the train side: answers to a sample's own neighbours
are too sure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from geoml_ops.domain.fitting.machines import coupled, pairs_of
from geoml_ops.domain.fitting.models import Codes, Fitted, Weights, fit, of_fold, within
from geoml_ops.domain.fitting.recipe import Family, Params, Recipe, Setting

SUREST = 1e-3
"""Shares below it and above 1 less it are brought to it before a sigmoid: no fold of samples can tell them apart."""
STEEPEST = 16.0
"""A curve is nowhere steeper: at a step the seventh digit of a score would decide about the answer."""
LIKELY = 1e-12
"""No class is impossible: where all curves say 0, nothing is known."""


@dataclass(frozen=True)
class Sigmoid:
    """``1 / (1 + exp(-(slope x + shift)))`` of a score, or of the log-odds of a share.

    Attributes:
        slope: of the line.
        shift: of the line at 0.
        odds: whether the score is a share, and its log-odds are taken first.
    """

    slope: float
    shift: float
    odds: bool

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns probabilities of scores, ``(n,)`` each."""
        return np.asarray(expit(self.slope * (log_odds(scores) if self.odds else scores) + self.shift))


@dataclass(frozen=True)
class Stairs:
    """A rising line through points, level beyond the first and the last.

    Attributes:
        at: scores, rising.
        value: probability at each, never falling.
    """

    at: NDArray[np.float64]
    value: NDArray[np.float64]

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns probabilities of scores, ``(n,)`` each."""
        return np.asarray(np.interp(scores, self.at, self.value))


Curve = Sigmoid | Stairs
SAME_ODDS, SAME_MARGIN = Sigmoid(1.0, 0.0, odds=True), Sigmoid(1.0, 0.0, odds=False)
"""What leaves a share as it is, and what makes a share of a margin where nothing is known."""


class Calibrated:
    """A model, and per class the curve that turns its share into a probability.

    Calibration of one class against the rest, classes brought to sum 1 again (Zadrozny and Elkan 2002).

    Attributes:
        model_: the model, fitted on every sample.
        curves_: one per class; of two classes only the second one's.
        classes_: 0 to n - 1.
    """

    def __init__(self, member: Recipe, method: str, setting: Setting) -> None:
        self.made_of = (member, method, setting)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a fitted model needs to answer; what it was built from is not kept with it."""
        return {name: value for name, value in vars(self).items() if name != "made_of"}

    def fit(self, X: NDArray[Any], y: Codes, sample_weight: Weights | None = None) -> Self:
        """Fits the curves on answers out of the folds inside these samples, and the model on all of them.

        Raises:
            BadInput: there are no folds inside these samples.
        """
        member, method, setting = self.made_of
        said = None
        for number, (train, test) in enumerate(setting.splits(len(y))):
            own = None if sample_weight is None else sample_weight[train]
            inside = within(setting.inner, train)
            model = fit(of_fold(member, number), X[train], y[train], setting.n_classes, weight=own, inner=inside)
            scores = self._scores(model, X[test])
            said = np.full((len(y), scores.shape[1]), np.nan) if said is None else said
            said[test] = scores
        self.model_ = fit(member, X, y, setting.n_classes, weight=sample_weight, inner=setting.inner)
        self.classes_ = np.arange(setting.n_classes)
        self.curves_ = self._curves(np.empty((len(y), 0)) if said is None else said, y, sample_weight, method)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, classes)``."""
        said = self.model_.probability(X)
        if len(self.curves_) == 1:
            second = self.curves_[0](said[:, 1])
            return np.column_stack([1.0 - second, second])
        found = np.column_stack([bend(said[:, code]) for code, bend in enumerate(self.curves_)])
        found = np.maximum(found, LIKELY)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def predict(self, X: NDArray[Any]) -> Codes:
        """Returns the most probable class, ``(n,)``; the first of equal ones."""
        return np.asarray(self.predict_proba(X).argmax(axis=1), dtype=np.int64)

    def _scores(self, model: Fitted, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, class)``, NaN for classes that the model never saw."""
        seen = np.isin(np.arange(model.n_classes), model.present)
        return np.where(seen, model.probability(X), np.nan)

    def _curves(self, said: NDArray[np.float64], y: Codes, weight: Weights | None, method: str) -> list[Curve]:
        k = len(self.classes_)
        told = [(said[:, code], y == code) for code in (range(k) if k > 2 else (1,))]
        return [curve(scores, truth, weight, method=method, odds=True) or SAME_ODDS for scores, truth in told]


class Coupled(Calibrated):
    """A support vector machine, per pair of classes the curve of its margin, and all pairs coupled.

    One class against the rest would fail a class that lies between others: its margins do not rise with it.
    A pair that the folds tell nothing about takes the curve of all pairs together.

    Attributes:
        curves_: one per pair, of the probability of its first class.
    """

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Returns probabilities ``(n, classes)``."""
        margins = self.model_.margins(X)
        share = np.column_stack([bend(margins[:, number]) for number, bend in enumerate(self.curves_)])
        return coupled(share, len(self.classes_))

    def _scores(self, model: Fitted, X: NDArray[Any]) -> NDArray[np.float64]:
        return model.margins(X)

    def _curves(self, said: NDArray[np.float64], y: Codes, weight: Weights | None, method: str) -> list[Curve]:
        pairs = pairs_of(range(len(self.classes_)))
        told = [(np.where(np.isin(y, pair), said[:, n], np.nan), y == pair[0]) for n, pair in enumerate(pairs)]
        every = None if weight is None else np.tile(weight, len(pairs))
        scores, truth = (np.concatenate(part) for part in zip(*told, strict=True))
        common = curve(scores, truth, every, method=method, odds=False) or SAME_MARGIN
        return [curve(*pair, weight, method=method, odds=False) or common for pair in told]


def curve(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], weight: Weights | None, *, method: str, odds: bool
) -> Curve | None:
    """Returns what turns a score into a probability; None where the folds tell nothing about it.

    That is so of a class that lies in one fold only: the models that were asked about it never saw it.

    Args:
        scores: ``(n,)``, NaN where no fold answered, or its model cannot.
        truth: ``(n,)`` True for samples of the class, or of a pair's first class.
        weight: ``(n,)``, or None.
        method: ``sigmoid`` or ``isotonic``.
        odds: whether scores are shares.
    """
    known = np.isfinite(scores)
    scores, truth = scores[known], truth[known]
    own = np.ones(len(truth)) if weight is None else weight[known]
    if truth.all() or not truth.any():
        return None
    if method == "sigmoid":
        return _sigmoid(scores, truth, own, odds)
    return _stairs(scores, truth, own)


def log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns ``log(p / (1 - p))`` of shares, none surer than :data:`SUREST`."""
    kept = np.clip(share, SUREST, 1.0 - SUREST)
    return np.asarray(np.log(kept / (1.0 - kept)))


def _sigmoid(scores: NDArray[np.float64], truth: NDArray[np.bool_], weight: Weights, odds: bool) -> Sigmoid:
    """Returns the most likely rising sigmoid for targets that are a little less than sure (Platt 1999)."""
    line = log_odds(scores) if odds else scores
    n_true, n_false = float(weight[truth].sum()), float(weight[~truth].sum())
    target = np.where(truth, (n_true + 1.0) / (n_true + 2.0), 1.0 / (n_false + 2.0))
    # Of scores far from 0 the search would begin where the curve is flat.
    centre, spread = float(line.mean()), float(line.std()) or 1.0
    z = (line - centre) / spread

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = at[0] * z + at[1]
        gap = weight * (expit(margin) - target)
        return float((weight * (np.logaddexp(0.0, margin) - target * margin)).sum()), np.array([gap @ z, gap.sum()])

    start = np.array([1.0, np.log((n_true + 1.0) / (n_false + 1.0))])
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-8 * len(z)}).x
    if found[0] < 0:
        # Few answers that happen to be wrong are no reason to turn a model upside down: they only say how often.
        often = float((weight * target).sum() / weight.sum())
        return Sigmoid(0.0, float(np.log(often / (1.0 - often))), odds)
    slope = float(found[0]) / spread
    return Sigmoid(slope, float(found[1]) - slope * centre, odds)


def _stairs(scores: NDArray[np.float64], truth: NDArray[np.bool_], weight: Weights) -> Stairs:
    """Returns the best rising curve (isotonic regression, Zadrozny and Elkan 2002), nowhere too steep."""
    found = IsotonicRegression(out_of_bounds="clip", y_min=0.0, y_max=1.0)
    found.fit(scores.astype(np.float64), truth.astype(np.float64), sample_weight=weight)
    at, value = found.X_thresholds_.astype(np.float64), found.y_thresholds_.astype(np.float64)
    return Stairs(at, gentle(at, value))


def gentle(at: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns rising values with no step steeper than :data:`STEEPEST`.

    The mean of the greatest such line below them and the least one above them: steps become ramps around the same
    place, everything else stays. Rising lines stay rising.

    Args:
        at: rising scores.
        value: never falling.
    """
    ramp = STEEPEST * at
    below = ramp + np.minimum.accumulate(value - ramp)
    above = ramp + np.maximum.accumulate((value - ramp)[::-1])[::-1]
    return np.asarray(np.clip((below + above) / 2.0, 0.0, 1.0))


def calibrated(plain: Recipe, method: str) -> Recipe:
    """Returns a recipe whose answers are made probabilities on the folds inside its train side.

    Class weights stay with the model inside: they distort its probabilities, and the calibration undoes that.

    Args:
        plain: of a model that answers with scores or with probabilities.
        method: ``sigmoid`` or ``isotonic``.
    """
    return replace(plain, family=_CALIBRATED, params={"member": plain, "method": method}, class_weight=None)


def _built(params: Params, setting: Setting) -> Calibrated:
    own = replace(params["member"], seed=setting.seed, classes=setting.classes, depth=setting.depth)
    # Impossible parameters of the model are refused now, not after folds were cut.
    own.estimator(setting.n_classes, setting.inner)
    kind = Coupled if own.family.scores != "none" else Calibrated
    return kind(own, params["method"], setting)


_CALIBRATED = Family(build=_built, says="what calibrate: sigmoid or isotonic makes of a family")

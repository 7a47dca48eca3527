"""What a method of folding promises, and the sentences that say which promises were broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geoml_ops.core.flow import FoldPlan
from geoml_ops.core.folding import FoldAudit, Method
from geoml_ops.domain.folds.samples import Index, Samples

SOME_TESTED: tuple[Method, ...] = ("buffered_loo", "nndm")
"""Methods that need not test every sample."""
NAMED = 100


@dataclass(frozen=True)
class Promises:
    """What folds are said to keep.

    Attributes:
        buffer_m: ground left empty between the windows of both sides; 0 where none is promised.
        halo_px: pixels that a feature's window reaches beyond its own.
        apart: whether windows share no pixel, and polygons and near-duplicates are on one side only.
        scenes: whether no scene is on both sides.
        days: whether no acquisition day is on both sides.
        all_tested: whether every sample is tested, not only none twice.
    """

    buffer_m: float = 0.0
    halo_px: int = 0
    apart: bool = True
    scenes: bool = False
    days: bool = False
    all_tested: bool = True


@dataclass(frozen=True)
class Seen:
    """One fold as its indices show it, and what no noun keeps.

    Attributes:
        shows: what is kept.
        n_too_near: test samples with a train sample inside the buffer.
        n_outside: indices that no sample has.
        n_repeated: indices that a side holds again.
        n_both: samples on both sides.
    """

    shows: FoldAudit
    n_too_near: int
    n_outside: int
    n_repeated: int
    n_both: int


def promises_of(plan: FoldPlan) -> Promises:
    """Returns what the method of a plan promises; random folds promise nothing."""
    return Promises(
        buffer_m=plan.buffer_m,
        halo_px=plan.halo_px,
        apart=plan.method != "random",
        scenes=plan.rules.keep_scenes and plan.method != "random",
        days=plan.estimand == "a new year",
        all_tested=plan.method not in SOME_TESTED,
    )


def missing(seen: Sequence[Seen], names: Sequence[str], samples: Samples) -> tuple[str, ...]:
    """Returns ``fold 3: class 2`` for each class that a train side lacks; the first hundred, then how many more."""
    present = np.unique(samples.code)
    found = [
        f"fold {number}: {names[code]}"
        for number, fold in enumerate(seen)
        for code in present
        if not fold.shows.n_train_per_class[code]
    ]
    if len(found) <= NAMED:
        return tuple(found)
    return (*found[: NAMED - 1], f"{len(found) - NAMED + 1} more")


def broken(
    promises: Promises, seen: Sequence[Seen], tested: Index, names: Sequence[str], samples: Samples
) -> tuple[str, ...]:
    """Returns a sentence with its numbers for each promise that the folds break.

    Args:
        promises: what has to hold.
        seen: what each fold shows.
        tested: ``(n,)`` how often each sample is tested.
        names: of the classes, in code order.
        samples: what was split.
    """
    sentences = [*_of_indices(seen), *_of_tests(promises, seen, tested), *_of_classes(seen, names, samples)]
    if promises.apart:
        sentences += _of_ground(promises, seen, samples)
    else:
        sentences.append("These folds keep nothing apart: they measure optimism and can feed no gate.")
    for kept, unit, counts in (
        (promises.scenes, "scene", [fold.shows.n_shared_scenes for fold in seen]),
        (promises.days, "acquisition day", [fold.shows.n_shared_dates for fold in seen]),
    ):
        if kept and any(counts):
            sentences.append(f"Up to {_are(max(counts), unit)} on both sides of a fold, in {_where(counts)}.")
    return tuple(sentences)


def worth_knowing(
    promises: Promises, seen: Sequence[Seen], tested: Index, names: Sequence[str], samples: Samples
) -> tuple[str, ...]:
    """Returns sentences that break no promise and have to be known; arguments as :func:`broken`."""
    sentences = []
    n_tested = int((tested > 0).sum())
    if not promises.all_tested and n_tested < len(tested):
        sentences.append(f"{n_tested} of {len(tested)} samples {_be(n_tested)} tested.")
    for code in np.unique(samples.code):
        of_class = samples.code == code
        lost = sum(f.shows.n_test_per_class[code] for f in seen if not f.shows.n_train_per_class[code])
        if of_class.sum() == 1:
            sentences.append(f"{_said(names[code])} has one sample: it cannot be learned and tested in the same fold.")
        elif len(np.unique(samples.polygon[of_class])) == 1:
            sentences.append(f"All {of_class.sum()} samples of {names[code]} lie in one polygon.")
        if lost:
            sentences.append(
                f"{lost} of {of_class.sum()} samples of {names[code]} {_be(lost)} tested where no sample of it was "
                "learned from."
            )
    return tuple(sentences)


def _of_indices(seen: Sequence[Seen]) -> Iterator[str]:
    outside, repeated, both = ([getattr(fold, name) for fold in seen] for name in ("n_outside", "n_repeated", "n_both"))
    if any(outside):
        yield f"{_are(sum(outside), 'position')} beyond the last sample or below 0, in {_where(outside)}."
    if any(repeated):
        yield f"{_are(sum(repeated), 'position')} repeated within a side, in {_where(repeated)}."
    if any(both):
        yield f"{_are(sum(both), 'sample')} on both sides, in {_where(both)}."


def _of_tests(promises: Promises, seen: Sequence[Seen], tested: Index) -> Iterator[str]:
    if len(seen) < 2:
        yield f"{_are(len(seen), 'fold')} no cross-validation; it takes 2."
    for side in ("train", "test"):
        empty = [not getattr(fold.shows, f"n_{side}") for fold in seen]
        if any(empty):
            yield f"The {side} side is empty in {_where(empty)}."
    never, twice = int((tested == 0).sum()), int((tested > 1).sum())
    if never and promises.all_tested:
        yield f"{never} of {len(tested)} samples {_be(never)} never tested."
    if twice:
        yield f"{twice} of {len(tested)} samples {_be(twice)} tested more than once, up to {int(tested.max())} times."


def _of_classes(seen: Sequence[Seen], names: Sequence[str], samples: Samples) -> Iterator[str]:
    train = np.array([fold.shows.n_train_per_class for fold in seen]).reshape(len(seen), len(names))
    few = ((train > 0).sum(axis=1) < 2) & (train.sum(axis=1) > 0)
    if few.any():
        yield f"A single class is learned from in {_where(few.tolist())}."
    for code in np.unique(samples.code):
        if len(seen) and not train[:, code].any():
            n = int((samples.code == code).sum())
            yield f"None of the {n} samples of {names[code]} is on the train side of any fold: no model can answer it."


def _of_ground(promises: Promises, seen: Sequence[Seen], samples: Samples) -> Iterator[str]:
    shows = [fold.shows for fold in seen]
    near, pixels = [fold.n_too_near for fold in seen], [fold.n_shared_pixels for fold in shows]
    polygons, again = [fold.n_shared_polygons for fold in shows], [fold.n_near_duplicates for fold in shows]
    if promises.buffer_m > 0 and any(near):
        least = min(fold.least_distance_m for fold in shows if fold.n_train and fold.n_test)
        reach = samples.half_px.max() + promises.halo_px
        yield (
            f"{_are(sum(near), 'test sample')} within the buffer of {promises.buffer_m:g} m around windows that reach "
            f"up to {reach} pixels of {samples.pixel_m:g} m, in {_where(near)}; the least distance is {least:.1f} m."
        )
    if any(pixels):
        yield (
            f"{_are(sum(pixels), 'test sample')} in sight of source pixels that a train sample sees too, "
            f"in {_where(pixels)}."
        )
    if any(polygons):
        yield f"Up to {_are(max(polygons), 'polygon')} on both sides of a fold, in {_where(polygons)}."
    if any(again):
        yield (
            f"{_are(sum(again), 'test sample')} closer than a pixel of {samples.pixel_m:g} m to a train sample, "
            f"in {_where(again)}."
        )


def _where(flags: Sequence[int] | Sequence[bool]) -> str:
    """Returns ``2 of 5 folds (0, 3)``."""
    at = [number for number, flag in enumerate(flags) if flag]
    named = ", ".join(map(str, at[:6])) + (", …" if len(at) > 6 else "")
    return f"{len(at)} of {len(flags)} folds ({named})"


def _are(n: int, noun: str) -> str:
    """Returns ``1 sample is`` or ``3 samples are``."""
    return f"{n} {noun}{'' if n == 1 else 's'} {_be(n)}"


def _be(n: int) -> str:
    return "is" if n == 1 else "are"


def _said(name: str) -> str:
    return name[:1].upper() + name[1:]

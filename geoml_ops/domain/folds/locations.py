"""Whole locations, whole days, or both held out: new ground, a new time, new ground at a new time.

Leave-location-out, leave-time-out and leave-location-and-time-out cross-validation (Meyer et al. 2018,
*Improving performance of spatio-temporal machine learning models using forward feature selection and
target-oriented validation*, Environmental Modelling and Software 101).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geoml_ops.core.errors import BadInput
from geoml_ops.domain.folds.blocks import BlockFolds
from geoml_ops.domain.folds.closeness import numbered, tied
from geoml_ops.domain.folds.deals import DealtFolds, balanced, counted, require_enough
from geoml_ops.domain.folds.samples import Index, units_of
from geoml_ops.domain.folds.splitter import Split

Location = Literal["polygon", "block", "scene"]


@dataclass(eq=False, repr=False)
class LocationFolds(DealtFolds):
    """Whole locations are tested together, classes balanced over the folds (leave-location-out).

    Attributes:
        location: what a location is: a polygon (with all whose pixels overlap it), a block, or a scene.
            A polygon that two scenes see ties these into one location.
        block_m: edge of a block.
        moved: whether blocks lie on a grid of random origin and rotation.
    """

    location: Location = "polygon"
    block_m: float = 2000.0
    moved: bool = False

    @property
    def noun(self) -> tuple[str, str]:
        """What locations are called, and what to do where they are too few."""
        if self.location == "scene" or self.keep_scenes:
            noun = "location{s} (scenes that see the same polygon are one)"
            return noun, "use fewer folds, location: polygon without keep_scenes, or scenes of more ground"
        smaller = "smaller blocks, " if self.location == "block" else ""
        return f"location{{s}} ({self.location})", f"use fewer folds, {smaller}or labels of more ground"

    def groups(self) -> Index:
        """Returns the location of each sample, ``(n,)`` from 0.

        Raises:
            BadInput: coordinates are no numbers, or locations are blocks and the CRS has no metres.
        """
        if self.location == "block":
            return BlockFolds(
                self.samples, seed=self.seed, keep_scenes=self.keep_scenes, block_m=self.block_m, moved=self.moved
            ).groups()
        return units_of(self.samples, keep_scenes=self.keep_scenes or self.location == "scene")


@dataclass(eq=False, repr=False)
class TimeFolds(DealtFolds):
    """Whole acquisition days are tested together (leave-time-out).

    A polygon that is tested teaches nothing in that fold, on no other day either, and no more does the
    ground around it: a map of a new year meets ground that nobody labelled. Where every polygon is seen
    on every day that leaves nothing to learn from; :class:`LocationTimeFolds` are the way then.
    """

    @property
    def noun(self) -> tuple[str, str]:
        """What days are called, and what to do where they are too few."""
        return _days(self.keep_scenes)

    def groups(self) -> Index:
        """Returns the day of each sample, ``(n,)`` from 0; days of one scene are one where scenes are kept."""
        return days_of(self)

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold.

        Raises:
            BadInput: fewer days than folds, or a fold leaves nothing to learn from.
        """
        self.require_sound()
        fold, unit, found = self.fold_of(), units_of(self.samples), []
        for number in range(self.n_folds):
            test = np.flatnonzero(fold == number)
            rest = np.flatnonzero((fold != number) & ~np.isin(unit, unit[test]))
            if not len(rest):
                raise BadInput(
                    f"Fold {number} tests {len(test)} of {len(fold)} samples and learns from none: those of other days "
                    "are all of polygons that it tests.",
                    "use location_time folds, which hold out places and days together",
                )
            found.append(self.apart(number, rest, test))
        return found


@dataclass(eq=False, repr=False)
class LocationTimeFolds(LocationFolds):
    """Locations at times: a fold tests the locations of one part on the days of one part.

    Locations and days are dealt to ``n_folds`` parts each. Every pair of parts that holds samples is a
    fold, up to ``n_folds * n_folds``, so every sample is tested once. It learns from other locations on
    other days; samples of the same locations on other days, or of other locations on the same days, are on
    neither side.
    """

    def fold_of(self) -> Index:
        """Returns the fold of each sample, counted over the pairs that hold samples; raises as :meth:`parts`."""
        return self._pairs(*self.parts())

    def parts(self) -> tuple[Index, Index]:
        """Returns the part of each sample's location and of its day, ``(n,)`` each.

        Raises:
            BadInput: fewer locations or days than folds.
        """
        site = LocationFolds(
            self.samples,
            n_folds=self.n_folds,
            seed=self.seed,
            location=self.location,
            block_m=self.block_m,
            moved=self.moved,
        )
        day = days_of(self)
        require_enough(int(day.max()) + 1, self.n_folds, *_days(self.keep_scenes))
        return site.fold_of(), balanced(counted(day, self.samples.code), self.n_folds, self.rng(stream=2))[day]

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions per fold.

        Raises:
            BadInput: fewer locations or days than folds, or a fold leaves nothing to learn from.
        """
        self.require_sound()
        place, day = self.parts()
        fold, found = self._pairs(place, day), []
        for number in range(int(fold.max()) + 1):
            test = np.flatnonzero(fold == number)
            rest = np.flatnonzero((place != place[test[0]]) & (day != day[test[0]]))
            found.append(self.apart(number, rest, test))
        return found

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Returns the number of folds."""
        return int(self.fold_of().max()) + 1

    def _pairs(self, place: Index, day: Index) -> Index:
        return numbered(place, day)


def days_of(folds: DealtFolds) -> Index:
    """Returns the day of each sample, ``(n,)`` from 0; days that share a scene are one where scenes are kept."""
    samples = folds.samples
    return tied(samples.day, samples.scene) if folds.keep_scenes else tied(samples.day)


def _days(keep_scenes: bool) -> tuple[str, str]:
    noun = "group{s} of acquisition days that share no scene" if keep_scenes else "acquisition day{s}"
    return noun, "use fewer folds, or deliver scenes of more days"

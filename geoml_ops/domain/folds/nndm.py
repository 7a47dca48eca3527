"""Leave-one-out folds whose distances from tested to train samples are those from the map's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.errors import BadInput
from geoml_ops.core.folding import Matching
from geoml_ops.domain.folds.buffered import BufferedLeaveOneOut
from geoml_ops.domain.folds.matching import Domain, clustering_p, domain_of, mismatch, require_unbuffered
from geoml_ops.domain.folds.neighbours import first_at_least, lengths
from geoml_ops.domain.folds.reach import far_from_each
from geoml_ops.domain.folds.samples import Floats, Index, Samples, chord, units_of
from geoml_ops.domain.folds.splitter import Split

CELLS = 4_000_000
Flags = NDArray[np.bool_]


@dataclass(eq=False, repr=False)
class NNDMFolds(BufferedLeaveOneOut):
    """One sample is tested at a time; train samples near it are left out until its distance suits the map.

    Nearest-neighbour distance matching (Milà et al. 2022). Samples of the tested sample's unit (polygon,
    overlapping pixels) never train, nor do samples whose windows overlap its own; of the others the nearest
    are left out wherever the tested samples, taken together, stand nearer to their train sides than the
    map's pixels stand to the samples. Leaving out is one-directional: the sample that is left out may
    keep the tested one when it is tested itself. ``n_folds`` plays no part, and there is no buffer.

    Which samples are tested is chosen as for buffered leave-one-out, the same ones with the same seed;
    the distances of those that are tested are matched, whatever their number.

    Attributes:
        phi_m: range of autocorrelation; distances beyond it are not matched. None matches all of them,
            which never flatters.
        min_train: share of all samples that stays on each train side; nothing is left out below it.
    """

    phi_m: float | None = None
    min_train: float = 0.5

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions, one fold per tested sample.

        Raises:
            BadInput: no prediction points, fewer than three units, too many tested, or windows that
                leave a tested sample nothing to learn from.
        """
        return self._found[0]

    @property
    def matching(self) -> Matching:
        """How well the folds match the map; ``distance_random`` is that of plain leave-one-unit-out."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[list[Split], Matching]:
        self.require_sound()
        self._require_sane()
        domain, unit = domain_of(self.samples), units_of(self.samples, keep_scenes=self.keep_scenes)
        if unit.max() < 2:
            raise BadInput(
                f"{len(unit)} samples in {int(unit.max()) + 1} polygons or places cannot be left out one by one.",
                "deliver labels of at least three places",
            )
        rows = np.flatnonzero(self.fold_of() >= 0)
        to_map = np.sort(domain.to_map())
        sides = TrainSides(self.samples, domain, unit, rows, self.halo_px)
        sides.start(self.min_train)
        before = sides.least.copy()
        _match(sides, to_map, np.inf if self.phi_m is None else chord(self.phi_m, projected=domain.plane))
        matching = Matching(
            ks_p=clustering_p(*domain.apart(unit), to_map),
            switched_to_random=False,
            distance=mismatch(domain, sides.least, to_map),
            distance_random=mismatch(domain, before, to_map),
            n_clusters=0,
        )
        return sides.splits(), matching

    def _require_sane(self) -> None:
        require_unbuffered(self.buffer_m, "nndm")
        if not 0 < self.min_train < 1:
            raise BadInput(f"min_train is {self.min_train:g}.", "use a share between 0 and 1; 0.5 is usual")
        if self.phi_m is not None and not self.phi_m > 0:
            raise BadInput(f"phi_m is {self.phi_m:g} m.", "use a range above 0, or None to match all distances")


@dataclass(eq=False)
class TrainSides:
    """The train side of each tested sample: what is not excluded and not nearer than ``least``.

    Of a row's ascending distances only a stretch is held, and read anew where it ends.

    Attributes:
        samples: all of them.
        domain: where they are.
        unit: ``(n,)``.
        rows: ``(t,)`` positions of the tested samples.
        halo_px: pixels that a feature's window reaches beyond its own.
    """

    samples: Samples
    domain: Domain
    unit: Index
    rows: Index
    halo_px: int

    def start(self, min_train: float) -> None:
        """Puts every train sample on its side, and finds how far ``least`` may go.

        Attributes set: ``least`` ``(t,)`` distance to the nearest train sample, and ``limit`` ``(t,)``,
        the distance that must stay: beyond it fewer than ``min_train`` of all samples, or none, are left.

        Raises:
            BadInput: a tested sample has no train side at all.
        """
        self._met = self._overlapping()
        self.limit = np.empty(len(self.rows))
        self._width = int(np.clip(CELLS // len(self.rows), 8, len(self.unit)))
        self._stretch = np.empty((len(self.rows), self._width))
        for part in self._parts(np.arange(len(self.rows))):
            distances = self._distances(part)
            self.limit[part] = [_limit(row, min_train) for row in distances]
            self._stretch[part] = _lowest(distances, self._width)
        self.least = self._stretch[:, 0].copy()
        lost = np.flatnonzero(~np.isfinite(self.least))
        if len(lost):
            raise BadInput(
                f"{len(lost)} of {len(self.rows)} tested samples have no train sample outside polygon and window.",
                "use a smaller patch or features with a smaller halo, or deliver labels of more ground",
            )

    def advance(self, which: Index, value: float) -> Floats:
        """Returns the next ``least`` of rows if everything nearer than ``value`` were left out, ``(which,)``."""
        at = first_at_least(self._stretch[which], value)
        spent = which[(at == self._width) & (self.limit[which] > value)]
        for part in self._parts(spent):
            distances = self._distances(part)
            distances[distances < value] = np.inf
            self._stretch[part] = _lowest(distances, self._width)
        again = np.isin(which, spent)
        at[again] = 0
        found = self._stretch[which, np.minimum(at, self._width - 1)]
        found[at == self._width] = np.inf
        return np.minimum(found, self.limit[which])

    def splits(self) -> list[Split]:
        """Returns ``(train, test)`` positions as ``least`` has them."""
        found: list[Split] = []
        for part in self._parts(np.arange(len(self.rows))):
            distances = self._distances(part)
            kept = (distances >= self.least[part][:, None]) & np.isfinite(distances)
            found += [(np.flatnonzero(row), self.rows[p : p + 1]) for p, row in zip(part, kept, strict=True)]
        return found

    def _distances(self, part: Index) -> Floats:
        """Returns straight distances ``(part, n)`` to all samples, infinite to those that never train."""
        mine = self.rows[part]
        found = lengths(self.domain.at[mine][:, None], self.domain.at[None])
        found[self.unit[mine][:, None] == self.unit[None]] = np.inf
        for row, number in enumerate(part):
            found[row, self._met[number]] = np.inf
        return found

    def _parts(self, which: Index) -> list[Index]:
        step = max(1, CELLS // len(self.unit))
        return [which[start : start + step] for start in range(0, len(which), step)]

    def _overlapping(self) -> list[Index]:
        """Returns positions of samples whose windows overlap that of each tested sample."""
        return [np.flatnonzero(~far) for far in far_from_each(self.samples, self.rows, 0.0, self.halo_px)]


def _limit(row: Floats, min_train: float) -> float:
    """Returns the distance at which leaving out must end in a row of distances (infinite: never trains)."""
    n, valid = len(row), int(np.isfinite(row).sum())
    if not valid:
        return np.inf
    farthest = float(row[np.isfinite(row)].max())
    enough = int((np.arange(n + 1) / n > min_train).argmax())
    rank = max(valid - enough + 1, 0)
    if rank >= valid:
        return farthest
    value = float(np.partition(row, rank)[rank])
    if (row < value).sum() < rank:
        # The group of equal distances begins while enough are left, and goes as a whole.
        value = float(row[row > value].min(initial=np.inf))
    return min(value, farthest)


def _lowest(distances: Floats, count: int) -> Floats:
    return np.sort(np.partition(distances, min(count, distances.shape[1]) - 1, axis=1)[:, :count], axis=1)


def _match(sides: TrainSides, to_map: Floats, phi: float) -> None:
    """Leaves out train samples until the tested ones stand as far off as the map's pixels, or nothing may go.

    Distances are gone through upwards. At distance ``r`` a tested sample whose nearest train sample is
    there loses it if, without this one, the share of tested samples within ``r`` is at least the share of
    pixels within ``r``; else it keeps it for good, and so do all that stand at exactly ``r``. With ``s``
    kept so far, everything below the pixels' ``s / t`` quantile may go at once.

    Args:
        sides: started.
        to_map: ``(m,)`` straight distances of pixels to the nearest sample, ascending.
        phi: straight distance up to which is matched.
    """
    t, m = len(sides.rows), len(to_map)
    open_, kept = np.ones(t, dtype=np.bool_), 0
    while open_.any():
        level = to_map[kept * m // t]
        kept += _sweep(sides, open_, min(level, np.nextafter(phi, np.inf)))
        r = float(sides.least[open_].min(initial=np.inf))
        if r > phi or not open_.any():
            return
        if r >= to_map[kept * m // t]:
            within = int(np.searchsorted(to_map, r, side="right"))
            should = -(-t * within // m)
            kept += _settle(sides, open_, r, needed=should - kept + 1)


def _sweep(sides: TrainSides, open_: Flags, value: float) -> int:
    """Leaves out everything nearer than ``value``, up to the first row that may lose no more; returns rows closed."""
    near = np.flatnonzero(open_ & (sides.least < value))
    ends = sides.limit[near][sides.limit[near] < value]
    r = float(ends.min()) if len(ends) else value
    behind = near[sides.least[near] < r]
    sides.least[behind] = sides.advance(behind, r)
    return _settle(sides, open_, r, needed=0) if len(ends) else 0


def _settle(sides: TrainSides, open_: Flags, r: float, *, needed: int) -> int:
    """Goes through the rows that stand at ``r``, in order: each loses what is there, until one may not.

    That one and all after it are closed. A row may go on while ``needed`` rows, itself included, stand
    at ``r``, and while it may lose anything at all. Returns the number of rows closed.
    """
    tied = np.flatnonzero(open_ & (sides.least == r))
    free = np.flatnonzero(sides.limit[tied] <= r)
    going = min(int(free[0]) if len(free) else len(tied), max(0, len(tied) - max(needed, 1) + 1))
    if going:
        sides.least[tied[:going]] = sides.advance(tied[:going], np.nextafter(r, np.inf))
    open_[tied[going:]] = False
    return len(tied) - going

"""Scenes whose trouble is known: a ground through three years, a fault or a change of random size, and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoml_ops.core.policy import DriftRules
from geoml_ops.core.watched import ControlChart
from geoml_ops.domain import years
from geoml_ops.domain.diagnosis import Evidence
from geoml_ops.domain.drift import measure, table_of, usable
from geoml_ops.domain.sketch import Columns, sketch_tiles

SIDE, TILE = 192, 24
RULES = DriftRules(tile_px=TILE)
YEARS = (2018, 2019, 2020)
NOW = 2021
ALL = tuple(band.name for band in years.ground(SIDE, SIDE, 0).contract.bands)
#: What champions read: all, the usual ten, the visible and infrared of 10 m, with short-wave infrared.
CHOICES = (
    ALL,
    ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    ("B02", "B03", "B04", "B08", "B11", "B12"),
    ("B02", "B03", "B04", "B08"),
)
#: What the classifier of these scenes looks at.
READ = ("B02", "B03", "B04", "B08", "B11", "B12")
#: Bands of which any two can be told apart: neighbours on a red edge or in one window cannot.
APART = ("B02", "B04", "B05", "B08", "B11", "B12")


@lru_cache(maxsize=8)
def land(seed: int) -> years.Ground:
    return years.ground(SIDE, SIDE, seed)


@lru_cache(maxsize=1)
def _centroids() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What a champion that learned from a whole year knows: each class in each half month, as logarithms."""
    days = np.arange(0.0, 365.0, 15.0)
    looks = [np.log(np.maximum(years.spectrum(name, day), 1.0)) for name in years.CLASSES for day in days]
    return np.stack(looks), np.repeat(np.arange(len(years.CLASSES)), days.size)


def answers(numbers: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The class of the nearest look, and whether none is near (1) or one is (0); ``(y, x)``."""
    at = [ALL.index(b) for b in READ]
    known, codes = _centroids()
    seen = np.log(np.maximum(np.nan_to_num(numbers[at], nan=1.0), 1.0)).reshape(len(at), -1)
    looks = known[:, at].astype(np.float32)
    far = (looks**2).sum(axis=1)[:, None] - 2.0 * looks @ seen
    nearest = far.argmin(axis=0)
    off = np.sqrt(np.maximum(far.min(axis=0) + (seen**2).sum(axis=0), 0.0) / len(at)) > 0.2
    shape = numbers.shape[1:]
    return codes[nearest].astype(np.uint8).reshape(shape), off.astype(np.float32).reshape(shape)


def sketched(dn: NDArray[np.uint16], here: years.Ground, bands: Sequence[str]) -> Columns:
    """Tiles of a delivery: nodata is 0 in any band that is read."""
    numbers = dn.astype(np.float32)
    numbers[numbers == 0] = np.nan
    observed = np.isfinite(numbers[[ALL.index(b) for b in bands]]).all(axis=0)
    classes, outside = answers(numbers)
    classes[~observed] = 255
    columns = sketch_tiles(
        numbers[[ALL.index(b) for b in bands]],
        bands,
        here.grid,
        TILE,
        classes=classes,
        confidence=1.0 - outside,
        class_names=years.CLASSES,
    )
    columns["outside_share"] = [None if v is None else 1.0 - v for v in columns["confidence"]]
    return columns


def day(year: int, month: int, of_month: int) -> datetime:
    return datetime(year, month, of_month, 10, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _scene(seed: int, when: datetime, weather: int, cloud: float, bands: tuple[str, ...]) -> Columns:
    if bands != ALL:
        columns = _scene(seed, when, weather, cloud, ALL)
        left_out = tuple(f"{b}:" for b in ALL if b not in bands)
        return {name: column for name, column in columns.items() if not name.startswith(left_out)}
    here = land(seed)
    return sketched(years.observe(here, when, seed=weather, cloud_share=cloud), here, ALL)


@dataclass(frozen=True)
class Draw:
    """One scene, what is wrong with it, and which names are right."""

    truth: str
    right: tuple[str, ...]
    size: str
    evidence: Evidence


def draw(truth: str, number: int, grounds: int = 3, months: Sequence[int] = tuple(range(1, 13))) -> Draw:
    """Returns a scene with this trouble; the same arguments give the same one."""
    rng = np.random.default_rng([41, number, sum(map(ord, truth))])
    seed, weather = int(rng.integers(0, grounds)), 0
    bands = CHOICES[int(rng.integers(0, len(CHOICES)))]
    when = day(NOW, int(rng.choice(months)), int(rng.choice([3, 10, 17, 26])))
    here = land(seed)
    cloud = float(rng.choice([0.0, 0.1] if truth == "moved" else [0.0, 0.1, 0.3]))
    kind = str(rng.choice(["history", "history", "history", "recent", "ground"]))
    if truth in (
        "label shift",
        "covariate shift",
        "calm",
        "no reference",
        "new region",
        "concept change",
        "moved",
        "offset of two bands",
        "gain of one band",
    ):
        kind = "history"
    if truth == "calm without history":
        kind = str(rng.choice(["recent", "ground", "other season"]))
    before = known(seed, when, weather, bands, kind, rng)
    dn, right, size = delivered(truth, here, when, weather, cloud, bands, kind, rng)
    columns = sketched(dn, here, bands)
    evidence = gathered(columns, dn, before, bands, truth, kind)
    if truth == "concept change":
        evidence = replace(evidence, audit=(0.71, 0.8))
    if truth == "new region":
        evidence = elsewhere(evidence, when, weather, bands, seed)
    if truth == "no reference":
        evidence = replace(evidence, same_key=(), recent=(), charts=(), normal={}, has_reference=False, own_key=False)
        evidence = replace(evidence, ground=usable(_scene(seed, _half_a_year(when), weather, 0.0, bands)))
    return Draw(truth, right, size, evidence)


def known(
    seed: int, when: datetime, weather: int, bands: tuple[str, ...], kind: str, rng: np.random.Generator
) -> Evidence:
    """What was seen of the ground before: calm scenes of three years, of the last weeks, or one of training."""
    clouds = [0.0, 0.1, 0.3]
    same = [
        _scene(seed, day(year, when.month, d), weather, clouds[(d + year) % 3], bands)
        for year in YEARS
        for d in (4, 14, 24)
    ]
    weeks = (40, 25, 10) if kind == "recent" else ()
    recent = [_scene(seed, when - timedelta(days=d), weather, clouds[d % 3], bands) for d in weeks]
    trained = day(YEARS[0], int(rng.integers(1, 13)), 9)
    if kind == "ground":
        trained = day(YEARS[-1], when.month, min(max(when.day - 3, 1), 28))
    return Evidence(
        bands=bands,
        now={},
        ground=usable(_scene(seed, trained, weather, 0.0, bands)),
        same_key=tuple(usable(s) for s in same) if kind == "history" else (),
        recent=tuple(usable(s) for s in recent) if kind == "recent" else (),
        own_key=kind == "ground" or trained.month == when.month,
        is_dated=kind != "ground",
        contract=land(seed).contract,
        pixel_m=10.0,
        pixel_m_reference=10.0,
        crs="EPSG:32633",
        crs_reference="EPSG:32633",
    )


def delivered(
    truth: str,
    here: years.Ground,
    when: datetime,
    weather: int,
    cloud: float,
    bands: tuple[str, ...],
    kind: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint16], tuple[str, ...], str]:
    """The numbers of the scene, the names that are right, and the size of what is wrong."""
    changed = look = None
    if truth == "label shift":
        to = str(rng.choice(["residential", "water", "forest"]))
        share = float(rng.uniform(0.2, 0.4))
        changed = years.changed(here, share, to, seed=int(rng.integers(0, 9)))
        size = f"{share:.0%} to {to}"
    if truth == "covariate shift":
        factors = np.exp(rng.uniform(0.15, 0.4, (len(years.CLASSES), len(ALL))) * rng.choice([-1, 1], (5, len(ALL))))
        look = dict(zip(years.CLASSES, factors.tolist(), strict=True))
        size = "every class looks different"
    dn = years.observe(here, when, seed=weather, cloud_share=cloud, truth=changed, look=look)
    if truth in ("label shift", "covariate shift"):
        return dn, (truth,), size
    at = [ALL.index(b) for b in bands]
    rough = kind != "history"
    if truth == "undeclared offset":
        amount = float(rng.uniform(500 if rough else 200, 1500))
        return years.offset(dn, amount), (truth,), f"{amount:+.0f}"
    if truth == "gain":
        factor = float(rng.choice([rng.uniform(0.75, 0.86), rng.uniform(1.16, 1.35)]))
        if rough:
            factor = float(rng.choice([rng.uniform(0.6, 0.7), rng.uniform(1.4, 1.7)]))
        return years.gain(dn, factor), (truth,), f"x{factor:.2f}"
    if truth == "offset of two bands":
        some, amount = rng.choice(at, 2, replace=False), float(rng.uniform(400, 1500))
        out = dn.copy()
        out[some] = years.offset(dn, amount)[some]
        return out, ("undeclared offset",), f"{amount:+.0f} on {' and '.join(ALL[i] for i in some)}"
    if truth == "gain of one band":
        band = int(rng.choice([i for i in at if ALL[i] != "B10"]))
        factor = float(rng.choice([rng.uniform(0.5, 0.7), rng.uniform(1.4, 1.7)]))
        return years.gain(dn, factor, [band]), ("gain",), f"x{factor:.2f} on {ALL[band]}"
    if truth == "band swap":
        groups = [["B02", "B04"], ["B08"], ["B11", "B12"]] if rough else [[b] for b in APART]
        able = [[b for b in group if b in bands] for group in groups]
        pair = [str(rng.choice(able[i])) for i in rng.choice([i for i, g in enumerate(able) if g], 2, replace=False)]
        return years.swap(dn, *(ALL.index(b) for b in pair)), (truth,), " and ".join(pair)
    if truth == "band order":
        out = dn.copy()
        out[at] = dn[at[::-1]]
        return out, ("band swap",), "reversed"
    if truth == "missing band":
        band, fill = int(rng.choice(at)), int(rng.choice([0, 1, 65535]))
        return years.missing(dn, band, fill), (truth,), f"{ALL[band]}={fill}"
    if truth == "unit or scale":
        factor = float(rng.choice([1e-4, 1e-2, 0.1, 10.0, 1 / 256, 0.25, 4.0, 3.636]))
        return years.rescale(dn, factor), (truth,), f"x{factor:g}"
    if truth == "clouded":
        share = float(rng.uniform(0.2, 0.9))
        return years.clouded(dn, share, int(rng.integers(99))), ("cloud or nodata surge",), f"{share:.0%}"
    if truth == "blank":
        share = float(rng.uniform(0.8, 1.0))
        return years.blank(dn, share, int(rng.integers(99))), ("cloud or nodata surge",), f"{share:.0%}"
    if truth == "resampled":
        factor = int(rng.choice([6, 10] if rough else [3, 4, 6, 10]))
        return years.resampled(dn, factor), ("resampling or CRS",), f"{factor} px"
    if truth == "moved":
        pixels = int(rng.choice([-1, 1])) * int(rng.integers(TILE // 4, 3 * TILE // 2))
        return years.moved(dn, pixels), ("resampling or CRS",), f"{pixels} px"
    names = {
        "calm": ("none", "season as expected"),
        # Fixed thresholds may speak where the training ground has the scene's own key.
        "calm without history": ("none", "no reference", "covariate shift" if kind == "ground" else "none"),
        "no reference": ("no reference", "none"),
        "new region": ("new region",),
        "concept change": ("concept change",),
    }
    return dn, names[truth], ""


def gathered(
    columns: Columns, dn: NDArray[np.uint16], before: Evidence, bands: tuple[str, ...], truth: str, kind: str
) -> Evidence:
    """The evidence of a delivery: the tables, what is normal, simple charts."""
    now, everything = usable(columns), table_of(columns)
    ground = {name: column.tolist() for name, column in before.ground.items()}
    found = measure(ground, columns, bands, RULES)
    scene = {name: _mean(now, name) for name in columns if ":" not in name or name.startswith("class:")}
    scene["valid_share"] = float((dn[[ALL.index(b) for b in bands]] > 0).all(axis=0).mean())
    normal = {}
    for name in ("edge_density", "outside_share", *(f"class:{c}" for c in years.CLASSES)):
        calm = [v for table in before.same_key for v in [_mean(table, name)] if v is not None]
        if len(calm) >= 3:
            normal[name] = (float(np.mean(calm)), float(np.std(calm, ddof=1)), len(calm))
    normal["valid_share"] = (0.88, 0.1, 9)
    return replace(
        before,
        now=now,
        everything=everything,
        statistics=found.statistics,
        scene=scene,
        normal=normal,
        observed={b: float((dn[ALL.index(b)] > 0).mean()) for b in bands},
        has_reference=kind == "history",
        charts=charts(now, before, bands, truth) if kind == "history" else (),
    )


def charts(
    now: dict[str, NDArray[np.float64]], before: Evidence, bands: Sequence[str], truth: str
) -> tuple[ControlChart, ...]:
    """A chart of band means: z of the scene in its key; an alarm stands where the ground really changed."""
    z = 0.0
    for band in bands:
        calm = np.array([np.nanmean(t[f"{band}:mean"]) for t in before.same_key if t])
        seen = _mean(now, f"{band}:mean")
        if seen is not None and calm.size > 2:
            z = max(z, abs(seen - calm.mean()) / max(calm.std(ddof=1), 0.01 * calm.mean()))
    alarm = truth in ("label shift", "covariate shift")
    return (
        ControlChart(
            family="bands", state="beyond" if z > 5 else "in control", value=z, worst=bands[0], threshold=5.0,
            path=z, limit=4.0, alarm=alarm, n=9,
        ),
    )  # fmt: skip


def elsewhere(evidence: Evidence, when: datetime, weather: int, bands: tuple[str, ...], seed: int) -> Evidence:
    """The same scene for a champion that learned on other ground, whose classes looked different there."""
    other = land(seed + 10)
    rng = np.random.default_rng(seed)
    look = {c: np.exp(rng.uniform(-0.6, 0.6, len(ALL))).tolist() for c in years.CLASSES}
    dn = years.observe(other, when, seed=weather, look=look)
    columns = sketched(dn, other, bands)
    columns["outside_share"] = [0.02] * len(columns["outside_share"])
    now = dict(evidence.now) | {"outside_share": np.full_like(evidence.now["easting"], 0.4)}
    ground = usable(columns)
    found = measure({n: c.tolist() for n, c in ground.items()}, {n: c.tolist() for n, c in now.items()}, bands, RULES)
    return replace(
        evidence, now=now, ground=ground, same_key=(), recent=(), charts=(), statistics=found.statistics,
        own_key=False, has_reference=False,
    )  # fmt: skip


def _half_a_year(when: datetime) -> datetime:
    return when - timedelta(days=180 + 365)


def _mean(table: dict[str, NDArray[np.float64]], name: str) -> float | None:
    column = table.get(name, np.array([]))
    column = column[np.isfinite(column)]
    return float(column.mean()) if column.size else None


TRUTHS = (
    "calm", "calm without history", "no reference", "new region", "covariate shift", "label shift", "concept change",
    "undeclared offset", "offset of two bands", "gain", "gain of one band", "band swap", "band order", "missing band",
    "unit or scale", "clouded", "blank", "resampled", "moved",
)  # fmt: skip

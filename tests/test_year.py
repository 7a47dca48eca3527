"""Years of scenes of known truth through the whole watch: quiet through the seasons, loud where something is wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.adapters import evidently
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.domain import years
from geoml_ops.domain.alarms import key_of
from geoml_ops.domain.control import Row, calibration, judge
from geoml_ops.domain.streams import FAULTS
from geoml_ops.domain.triggers import shifted
from geoml_ops.platform.files import read_json, write_json
from geoml_ops.settings import CHECKOUT
from tests.year import DN, TRAINED_ON, Deployment, Turn, days, deployed

pytestmark = pytest.mark.slow
FULL = os.environ.get("GEOML_FULL") == "1"
NUMBERS = CHECKOUT / "workspace" / "full" / "year.json"
#: Scenes from a change to the training that it starts, labels delivered on the day they are asked for.
DELAY = 6
#: False alarms a year, both charts of a stream together.
STATED = 0.5
REFERENCE_YEARS, YEAR, WORLDS = (2017, 2018, 2019), 2020, 40
PX, EVERY = (384, 10.0) if FULL else (252, 15.0)
#: A crop that nobody grew here before: yellow in bloom, bright beyond red, moist.
NEW_CROP = {"farm": (1.0, 1.1, 1.45, 1.6, 1.4, 1.3, 1.3, 1.35, 1.3, 1.2, 1.0, 0.62, 0.55)}
DRY = dict.fromkeys(
    ("farm", "meadow", "forest"), (1.0, 1.05, 1.1, 1.35, 1.2, 0.9, 0.85, 0.84, 0.84, 1.0, 1.0, 1.25, 1.35)
)
POLICY = {
    "name": "year",
    "drift": {"least_tiles": 8 if FULL else 4},
    "calibration": {"alarms_per_year": STATED, "least": 5 if FULL else 4},
}


def full(test):
    """Marks what takes minutes."""
    skip = pytest.mark.skipif(not FULL, reason="takes many minutes; make full")
    return pytest.mark.full(skip(test))


def keep(name: str, numbers: object) -> None:
    if FULL:
        NUMBERS.parent.mkdir(parents=True, exist_ok=True)
        write_json(NUMBERS, (read_json(NUMBERS) if NUMBERS.exists() else {}) | {name: numbers})


@dataclass(frozen=True)
class Loud:
    """How often other monitors would have called a scene drift, of so many."""

    scenes: int
    naive: int
    preset: int


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Deployment:
    """A champion, and the reference years behind it."""
    home = tmp_path_factory.mktemp("year") / "settled"
    made = deployed(home, mlflow_server, years.ground(PX, PX, seed=1), model="year", policy=POLICY)
    made.fill([day for year in REFERENCE_YEARS for day in days(year, EVERY)])
    return made


@pytest.fixture
def here(settled: Deployment, tmp_path: Path) -> Deployment:
    return settled.branch(tmp_path / "here")


def alarms(turns: Sequence[Turn]) -> int:
    """How many alarms began."""
    stands = [turn.alarm for turn in turns if turn.drift is not None]
    return sum(now and not before for before, now in zip([False, *stands], stands, strict=False))


def loudness(deployment: Deployment, turns: Sequence[Turn]) -> Loud:
    """Evidently's preset gets pixels, as people give it: of the scenes that were learned from, and of the new one."""
    bands = list(deployment.bundle.bands)
    before = pixels([deployment.seen(day) for day in TRAINED_ON], bands)
    drifts = [turn.drift for turn in turns if turn.drift is not None]
    preset = 0
    for drift in drifts:
        assert drift.acquired is not None
        preset += evidently.naive(
            before, pixels([deployment.seen(drift.acquired)], bands), bands, by_column=False
        ).fired
    return Loud(len(drifts), sum(bool(shifted(drift)) for drift in drifts), preset)


def pixels(scenes: Sequence[DN], bands: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Every 23rd pixel of scenes, by band."""
    names = SENTINEL_2_L1C.names
    return {b: np.concatenate([dn[names.index(b)].ravel()[::23] for dn in scenes]).astype(np.float64) for b in bands}


def test_a_year_of_seasons_trains_nothing_where_others_fire(here: Deployment) -> None:
    turns = here.live(list(days(YEAR, EVERY)), reports=FULL)
    began, loud = alarms(turns), loudness(here, turns)
    causes = {turn.cause: sum(t.cause == turn.cause for t in turns) for turn in turns}
    keep("phenology", {"scenes": loud.scenes, "alarms": began, "stated": STATED, "causes": causes,
                       "retrains": sum(t.retrain is not None for t in turns), "naive": loud.naive,
                       "evidently_preset": loud.preset})  # fmt: skip
    assert not [turn.retrain for turn in turns if turn.retrain or turn.decision.fired]
    assert began <= stats.poisson.ppf(0.99, STATED)
    assert not FAULTS & set(causes)
    assert loud.naive > 0.5 * loud.scenes
    assert loud.preset > 0.5 * loud.scenes


def test_years_that_fill_the_reference_are_no_fault_and_unknown_months_no_drift(settled: Deployment) -> None:
    """Nobody knows yet what November looks like here; that is no drift, and nothing for an ingest to fix."""
    learned = {day.month for day in TRAINED_ON}
    told = [
        (turn.when.date().isoformat(), turn.cause, turn.drift.diagnosis.sentence if turn.drift else "")
        for turn in settled.past
        if turn.when is not None and (turn.cause in FAULTS or (_is_unknown(turn) and turn.when.month not in learned))
        if turn.cause not in ("none", "no reference", "season as expected")
    ]
    assert not [turn for turn in settled.past if turn.retrain is not None]
    assert not told


def _is_unknown(turn: Turn) -> bool:
    return turn.drift is not None and all(chart.state == "no reference yet" for chart in turn.drift.charts)


def test_a_new_crop_is_found_labelled_and_learned_within_six_scenes(here: Deployment) -> None:
    """The crop stands from May on; who is asked for labels delivers them that day."""
    when = list(days(YEAR, EVERY))
    begin = next(i for i, day in enumerate(when) if day.month == 5)
    after = when[begin : begin + DELAY]
    asked = next(
        (n for n, day in enumerate(after, 1) if any(_asks(turn) for turn in here.live([day], look=NEW_CROP))), None
    )
    assert asked is not None, f"no alarm within {DELAY} scenes"
    here.deliver_scene(here.seen(after[asked - 1], look=NEW_CROP), after[asked - 1], "new-crop")
    here.deliver_labels("new-crop-labels", share=0.7, seed=9)
    turn = here.rounds(here.keep().id)[-1]
    keep("new_crop", {"alarm_after_scenes": asked, "stated": DELAY, "because": turn.decision.because})
    assert turn.retrain is not None, turn.decision.because
    day = when[begin + asked]
    before = here.accuracy(here.ask(here.seen(day, look=NEW_CROP), day))
    here.learn(turn.retrain.id)
    now = here.accuracy(here.ask(here.seen(day, look=NEW_CROP), day))
    keep("new_crop_cured", {"accuracy_before": before, "accuracy_after": now})
    assert now > before + 0.03


def _asks(turn: Turn) -> bool:
    assert turn.retrain is None
    return turn.alarm and turn.decision.action == "collect labels"


@pytest.mark.parametrize("baseline", ["02.04", "04.00"])
def test_an_undeclared_offset_in_summer_is_a_fault_of_ingest(here: Deployment, baseline: str) -> None:
    when = list(days(YEAR, EVERY))
    middle = next(i for i, day in enumerate(when) if day.month == 7)
    here.live(when[middle - 2 : middle])
    here.ask(years.offset(here.seen(when[middle]), 1000), when[middle], baseline=baseline)
    (turn,) = here.rounds()
    keep(f"offset_{baseline}", {"cause": turn.cause, "action": turn.decision.action})
    assert (turn.cause, turn.decision.action, turn.retrain) == ("undeclared offset", "fix ingest", None)
    calm = here.live(when[middle + 1 : middle + 3])
    assert not any(turn.retrain or turn.cause == "undeclared offset" for turn in calm)


def test_the_declared_offset_is_none(here: Deployment) -> None:
    day = next(day for day in days(YEAR, EVERY) if day.month == 7)
    here.ask(years.offset(here.seen(day), 1000), day, offset_dn=-1000.0)
    (turn,) = here.rounds()
    assert turn.cause in ("none", "season as expected")
    assert turn.retrain is None


@full
def test_a_forest_that_was_cut_asks_for_labels_and_they_start_a_training(here: Deployment) -> None:
    when = list(days(YEAR, EVERY))
    begin = next(i for i, day in enumerate(when) if day.month == 5)
    truth = years.changed(here.here, 0.12, "farm", seed=2, source="forest")
    asked = None
    for n, day in enumerate(when[begin : begin + DELAY], 1):
        turns = here.live([day], truth=truth)
        if any(_asks(turn) for turn in turns):
            asked, causes = n, [turn.cause for turn in turns]
            break
    keep("forest_cut", {"alarm_after_scenes": asked, "stated": DELAY, "causes": causes if asked else None})
    assert asked is not None
    here.deliver_labels("after-the-cut", share=0.7, seed=9, ground=here.here.after(truth))
    turn = here.rounds(here.keep().id)[-1]
    assert turn.retrain is not None, turn.decision.because


@full
def test_drift_in_one_corner_is_found_there(tmp_path: Path, mlflow_server: str) -> None:
    """Six by six tiles; in one corner the plants dry up, all else is as in the three summers before."""
    ground, summer = years.ground(768, 768, seed=1), {6, 7, 8}
    made = deployed(tmp_path / "wide", mlflow_server, ground, model="wide", policy={"name": "wide"})
    made.fill([day for year in REFERENCE_YEARS for day in days(year, 10.0) if day.month in summer])
    found = {}
    for corner, day in zip(years.CORNERS, [d for d in days(YEAR, 10.0) if d.month in summer][2:6], strict=True):
        inside = years.corner_of(ground.truth.shape, 0.25, corner)
        made.ask(np.where(inside, made.seen(day, look=DRY), made.seen(day)), day)
        (turn,) = made.rounds()
        assert turn.drift is not None
        assert turn.drift.where is not None, (corner, turn.cause)
        found[corner] = made.overlap(turn.drift.where, inside)
    keep("corners", found)
    assert min(found.values()) > 0.8


@full
def test_alarms_of_many_quiet_years_are_as_many_as_stated() -> None:
    """Worlds of their own weather each: three years of reference, then one; the chart of bands has half of the rate."""
    began = np.array([alarms_in_the_fourth_year(seed) for seed in range(100, 100 + WORLDS)])
    stated = STATED / 2
    low, high = stats.poisson.interval(0.99, stated * WORLDS)
    keep("quiet_years", {"worlds": WORLDS, "alarms": int(began.sum()), "stated": stated * WORLDS,
                         "interval": [low, high]})  # fmt: skip
    assert began.sum() <= high


def alarms_in_the_fourth_year(seed: int) -> int:
    ground = years.ground(120, 120, seed=seed)
    rows = [_row(ground, day, seed) for year in (*REFERENCE_YEARS, YEAR) for day in days(year, 10.0)]
    n = sum(row.acquired.year < YEAR for row in rows)
    found = calibration(rows[:n], "bands", CalibrationRules(alarms_per_year=STATED))
    charts = [judge(found, rows[: n + 1 + i]) for i in range(len(rows) - n)]
    stands = [chart.alarm for chart in charts]
    return sum(now and not before for before, now in zip([False, *stands], stands, strict=False))


def _row(ground: years.Ground, day: datetime, seed: int) -> Row:
    values: dict[str, float | None] = {}
    dn = years.observe(ground, day, seed=seed)
    for band in ("B02", "B03", "B04", "B08", "B11", "B12"):
        layer = dn[SENTINEL_2_L1C.names.index(band)].astype(np.float64)
        values |= {f"{band}:mean": float(layer.mean()), f"{band}:sd": float(layer.std())}
    key = key_of(day, sensor="sentinel-2-l1c", baseline="02.04", region="here", by="month")
    return Row(f"reading-{day:%Y%m%d}", f"scene-{day:%Y%m%d}", key, day, values, "one")

"""Which scenes become the reference of a stream, and when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Bundle, Drift, Reading, Reference, Version
from geoml_ops.core.grid import Bounds
from geoml_ops.core.policy import CalibrationRules
from geoml_ops.core.watched import ControlChart, Diagnosis
from geoml_ops.steps import references
from geoml_ops.steps.places import Places
from geoml_ops.steps.readings import overlap
from tests.every_noun import any_noun

STREAM, RULES = "s/r", CalibrationRules(most=6)
START = datetime(2021, 1, 1, tzinfo=UTC)
HERE = Bounds(left=0.0, bottom=0.0, right=10.0, top=10.0)


class Stream:
    """Scenes of one stream that were compared one after the other."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(
            workspace=folder, store=folder / "store", remote="", drop=folder / "drop", tracking_uri="", model="m",
            experiment=folder / "e.yaml", policy=folder / "p.yaml",
        )  # fmt: skip
        self.shelf = Shelf(self.places.nouns)
        self.bundle = self.champion("a")

    def champion(self, name: str, scenes: tuple[str, ...] = ()) -> Bundle:
        rev = name * 40
        version = self.shelf.put(any_noun(Version).model_copy(update={"rev": rev, "scenes": scenes}))
        made = any_noun(Bundle).model_copy(update={"version": version.id})
        return self.shelf.put(made)

    def scene(
        self, day: int, *, cause: str = "none", alarm: bool = False, onset: str = "", bundle: Bundle | None = None
    ) -> Drift:
        at, bundle = START + timedelta(days=day), bundle or self.bundle
        reading = self.shelf.put(
            any_noun(Reading).model_copy(
                update={
                    "bundle": bundle.id, "predictions": (f"prediction-{day:016x}",), "scenes": (f"scene-{day:016x}",),
                    "stream": STREAM, "key": f"s/-/m{at.month:02d}/r", "acquired": at, "bounds": HERE,
                    "crs": "EPSG:32633",
                }
            )
        )  # fmt: skip
        chart = ControlChart(family="bands", state="beyond" if alarm else "in control", alarm=alarm, onset=onset)
        action = "fix ingest" if cause == "undeclared offset" else "none"
        return self.shelf.put(
            any_noun(Drift).model_copy(
                update={
                    "bundle": bundle.id, "predictions": reading.predictions, "reading": reading.id, "stream": STREAM,
                    "key": reading.key, "acquired": at, "charts": (chart,), "reference": "",
                    "diagnosis": Diagnosis(cause=cause, action=action, sentence=""),
                }
            )
        )  # fmt: skip

    def now(self, bundle: Bundle | None = None) -> Reference | None:
        return references.current(self.places, bundle or self.bundle, STREAM, RULES)


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path)


def test_a_scene_is_accepted_when_two_more_were_calm(stream: Stream) -> None:
    assert stream.now() is None
    scenes = [stream.scene(day) for day in (0, 5, 10)]
    first = stream.now()
    assert first is not None
    assert (first.number, first.readings) == (1, (scenes[0].reading,))
    assert stream.now() == first
    scenes.append(stream.scene(15))
    second = stream.now()
    assert (second.number, second.before) == (2, first.id)
    assert second.readings == tuple(s.reading for s in scenes[:2])
    assert len(list(stream.shelf.all(Reference))) == 2


def test_faults_and_what_begins_an_alarm_stay_out(stream: Stream) -> None:
    good = stream.scene(0)
    stream.scene(5, cause="undeclared offset")
    stream.scene(10)
    stream.scene(15)
    loud = stream.scene(20, alarm=True)
    stream.scene(25, alarm=True, onset=loud.reading)
    stream.scene(30, alarm=True, onset=loud.reading)
    assert stream.now().readings == (good.reading,)


def test_a_key_that_has_enough_is_frozen(stream: Stream) -> None:
    scenes = [stream.scene(day) for day in range(12)]
    assert stream.now().readings == tuple(s.reading for s in scenes[:6])
    later = [stream.scene(day) for day in (40, 45, 50)]
    assert stream.now().readings[-1] == later[0].reading


def test_a_late_scene_takes_its_place_in_time(stream: Stream) -> None:
    late = [stream.scene(day) for day in (50, 55, 60)]
    stream.now()
    early = stream.scene(10)
    assert stream.now().readings == (early.reading, late[0].reading)


def test_what_a_person_accepts_is_in_with_the_reason(stream: Stream) -> None:
    odd = stream.scene(0, cause="covariate shift")
    made = references.accept(stream.places, odd.id, "fields were burnt, as every second year")
    assert made.readings == (odd.reading,)
    assert "fields were burnt" in made.because
    assert references.accept(stream.places, odd.id, "again") == made
    with pytest.raises(BadInput, match="for a reason"):
        references.accept(stream.places, odd.id, "  ")
    unknown = stream.shelf.put(odd.model_copy(update={"acquired": None}))
    with pytest.raises(BadInput, match="no known acquisition"):
        references.accept(stream.places, unknown.id, "because")


def test_a_new_champion_leaves_behind_what_stood_before_the_alarm(stream: Stream) -> None:
    before = [stream.scene(day) for day in (0, 5, 10)]
    assert stream.now().readings == (before[0].reading,)
    loud = stream.scene(15, cause="covariate shift", alarm=True)
    loud = stream.scene(20, cause="covariate shift", alarm=True, onset=loud.reading)
    scene = stream.shelf.get(Reading, loud.reading).scenes[0]
    new = stream.champion("b", (scene,))
    made = stream.now(new)
    assert made.readings == (loud.reading,)
    assert "an alarm began" in made.because
    assert made.number == 2


def test_a_new_champion_in_calm_keeps_the_history(stream: Stream) -> None:
    calm = [stream.scene(day) for day in (0, 5, 10)]
    assert stream.now() is not None
    assert stream.now(stream.champion("c")).readings == (calm[0].reading,)


def test_ground_is_compared_with_the_same_ground(stream: Stream) -> None:
    reading = stream.shelf.get(Reading, stream.scene(0).reading)
    half = reading.model_copy(update={"bounds": HERE.model_copy(update={"right": 4.0})})
    most = reading.model_copy(update={"bounds": HERE.model_copy(update={"right": 6.0})})
    other = reading.model_copy(update={"crs": "EPSG:32632"})
    assert references.comparable(reading, [reading, half, most, other], 0.5) == [reading, most]
    assert overlap(HERE, Bounds(left=20, bottom=0, right=30, top=10)) == 0.0


def test_a_champion_that_serves_again_begins_with_what_was_calm_meanwhile(stream: Stream) -> None:
    for day in (0, 5, 10):
        stream.scene(day)
    first, other = stream.now(), stream.champion("d")
    assert stream.now(other).readings == first.readings
    meanwhile = [stream.scene(day, bundle=other) for day in (15, 20, 25)]
    grown = stream.now(other)
    assert meanwhile[0].reading in grown.readings
    again = stream.now()
    assert (again.bundle, again.before, again.number) == (stream.bundle.id, grown.id, grown.number + 1)
    assert set(grown.readings) <= set(again.readings)
    assert stream.now() == again

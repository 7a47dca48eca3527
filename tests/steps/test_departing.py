"""What is told of a scene beside its drift: how fast it was answered."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from geoml_ops.adapters.predictions import PredictionLog, Row
from geoml_ops.platform.files import write_json
from geoml_ops.steps.departing import speed
from tests.versions import places_in

AT = datetime(2021, 5, 1, 10, tzinfo=UTC)


def row(prediction: str, latency_s: float | None, *, n_px: int = 1000, again: bool = False) -> Row:
    return Row(
        row="request", at=AT, request=f"r-{prediction}-{again}", kind="raster", prediction=prediction, bundle="b",
        graph_sha256="a" * 64, model="m", number=1, sensor="s", n_px=n_px, latency_s=latency_s, again=again,
    )  # fmt: skip


def test_the_longest_wait_and_pixels_a_second(tmp_path: Path) -> None:
    places = places_in(tmp_path, "")
    log = PredictionLog(places.predictions)
    names = [f"prediction-{i:016x}" for i in range(4)]
    for name in names[:3]:
        write_json(log.home(name) / "recorded.json", {"at": AT.isoformat()})
    log.record([row(names[0], 2.0), row(names[1], 3.0), row(names[1], 90.0, again=True), row(names[2], None)])
    assert speed(places, names) == pytest.approx((3.0, 400.0))
    assert speed(places, names[2:]) == (None, None)
    assert speed(places, ()) == (None, None)

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from geoml_ops.adapters.predictions import PredictionLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_lines_come_back_in_the_order_of_their_days(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert log.append("prediction-b", NOON + timedelta(days=1))
    assert log.append("prediction-a", NOON)
    assert [(line.id, line.at) for line in log.lines()] == [
        ("prediction-a", NOON),
        ("prediction-b", NOON + timedelta(days=1)),
    ]


def test_the_day_of_a_line_is_utc(tmp_path: Path) -> None:
    PredictionLog(tmp_path).append("p", datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=2))))
    assert [p.name for p in (tmp_path / "log").glob("*.jsonl")] == ["2026-03-01.jsonl"]


def test_a_prediction_is_logged_once(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert log.append("prediction-a", NOON)
    assert not log.append("prediction-a", NOON + timedelta(days=3))
    assert len(list(log.lines())) == 1


def test_a_line_cut_short_costs_only_itself(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append("prediction-a", NOON)
    day = tmp_path / "log" / "2026-03-01.jsonl"
    with day.open("a") as stream:
        stream.write('{"at": "2026-03-01T12:0')
    log.append("prediction-b", NOON)
    assert [line.id for line in log.lines()] == ["prediction-a", "prediction-b"]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: PredictionLog(tmp_path).append(f"prediction-{n % 20}", NOON), range(60)))
    assert sorted(line.id for line in PredictionLog(tmp_path).lines()) == sorted(f"prediction-{n}" for n in range(20))

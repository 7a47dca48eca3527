"""Runs and versions are found by the noun they tell about: killed runs are adopted, nothing is doubled."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import RunStatus

from geoml_ops.adapters.mlflow import ID, Record, Source, Tracking
from geoml_ops.core.errors import NotFound, Refused, Unavailable
from tests.conftest import free_port

pytestmark = pytest.mark.slow

RECORD = Record(
    noun_id="evaluation-0123456789abcdef",
    name="random_forest",
    params={"n_estimators": 60, "family": "random_forest"},
    metrics={"overall_accuracy": 0.64, "overall_accuracy_low": 0.6},
    per_fold={"fold_accuracy": (0.6, 0.7, 0.62)},
    files={"plots/confusion.png": b"\x89PNG", "plan.json": b"{}"},
    tags={"geoml.plan": "plan-0123456789abcdef"},
    source=Source("store", "0123456789abcdef0123456789abcdef.dir", {"path": "data", "rev": "a" * 40}),
)


@pytest.fixture
def client(mlflow_server: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)


def test_a_run_holds_everything_and_is_written_once(mlflow_server: str, client: MlflowClient, tmp_path: Path) -> None:
    tracking = Tracking(mlflow_server)
    assert tracking.run_of("once", RECORD.noun_id) is None
    run_id = tracking.record("once", RECORD)
    assert tracking.record("once", RECORD) == run_id == tracking.run_of("once", RECORD.noun_id)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"n_estimators": "60", "family": "random_forest"}
    assert run.data.metrics["overall_accuracy"] == 0.64
    assert [m.value for m in client.get_metric_history(run_id, "fold_accuracy")] == [0.6, 0.7, 0.62]
    assert run.data.tags["geoml.plan"] == "plan-0123456789abcdef"
    (found,) = run.inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("store", "0123456789abcdef0123456789abcdef.dir")
    assert '"rev": "aaaa' in found.dataset.source
    copy = client.download_artifacts(run_id, "plots/confusion.png", str(tmp_path))
    assert Path(copy).read_bytes() == b"\x89PNG"


def test_a_killed_run_is_adopted_and_finished(mlflow_server: str, client: MlflowClient) -> None:
    record = dataclasses.replace(RECORD, noun_id="evaluation-aaaaaaaaaaaaaaaa")
    experiment = client.create_experiment("killed")
    left = client.create_run(experiment, tags={ID: record.noun_id})
    client.log_metric(left.info.run_id, "overall_accuracy", 0.64, timestamp=left.info.start_time)
    client.log_param(left.info.run_id, "n_estimators", 60)
    assert Tracking(mlflow_server).record("killed", record) == left.info.run_id
    run = client.get_run(left.info.run_id)
    assert RunStatus.from_string(run.info.status) == RunStatus.FINISHED
    assert len(client.get_metric_history(run.info.run_id, "overall_accuracy")) == 1
    assert len(client.search_runs([experiment])) == 1


def test_two_records_are_two_runs(mlflow_server: str) -> None:
    tracking = Tracking(mlflow_server)
    other = dataclasses.replace(RECORD, noun_id="evaluation-bbbbbbbbbbbbbbbb", source=None)
    assert tracking.record("two", RECORD) != tracking.record("two", other)


def test_a_folder_is_registered_once_and_found_by_its_noun(
    mlflow_server: str, client: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    tracking = Tracking(mlflow_server)
    run_id = tracking.record("registry", RECORD)
    noun = "bundle-0123456789abcdef"
    assert tracking.number_of("mapper", noun) is None
    assert tracking.alias_of("mapper", "champion") is None
    number = tracking.register("mapper", tmp_path, noun_id=noun, run_id=run_id, tags={"geoml.graph_sha256": "ab"})
    assert tracking.register("mapper", tmp_path, noun_id=noun, run_id=run_id) == number == 1
    assert tracking.tags_of("mapper", number) == {"geoml.graph_sha256": "ab", ID: noun}
    tracking.set_alias("mapper", "challenger", number)
    assert tracking.alias_of("mapper", "challenger") == number
    assert tracking.alias_of("mapper", "champion") is None
    second = tracking.register("mapper", tmp_path, noun_id="bundle-ffffffffffffffff", run_id=run_id)
    assert (second, tracking.number_of("mapper", noun)) == (2, 1)
    tracking.set_tags("mapper", second, {"geoml.outcome": "HOLD"})
    tracking.describe("mapper", second, "# Card")
    assert client.get_model_version("mapper", "2").description == "# Card"
    tracking.drop_alias("mapper", "challenger")
    tracking.drop_alias("mapper", "challenger")
    assert tracking.alias_of("mapper", "challenger") is None
    with pytest.raises(NotFound):
        tracking.tags_of("mapper", 99)


def test_no_server_and_no_http_are_said_at_once() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        Tracking(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Refused, match="over HTTP only"):
        Tracking("sqlite:///mlflow.db")

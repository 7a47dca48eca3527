"""MLflow over HTTP: one run per noun, and the registry of models.

Runs and versions are found by the tag ``geoml.id`` and made where missing, so a step that was killed
adopts its own half-written run. Only the server opens the database.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from geoml_ops.core.errors import NotFound, Refused, Unavailable

ID = "geoml.id"
Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
# MLflow 3.17 refuses more of them in one request.
_MOST_METRICS, _MOST_PARAMS = 1000, 100
# MLflow writes links to standard output when a run ends; that belongs to nouns.
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"


@dataclass(frozen=True)
class Source:
    """The state of the data that a run learned from, in MLflow's words a dataset input.

    Attributes:
        name: what it is called there.
        digest: at most 36 characters; a DVC ``.dir`` hash fits exactly.
        where: anything that tells where it is, as JSON values.
    """

    name: str
    digest: str
    where: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What a run says about one noun.

    Attributes:
        noun_id: the noun; the run is found by it.
        name: what people see.
        params: what was asked for.
        metrics: what was measured.
        per_fold: metrics with one value per fold, in fold order.
        files: path among the run's artifacts to bytes.
        tags: more about the run.
        source: the data it learned from.
    """

    noun_id: str
    name: str
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_fold: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = None


class Tracking:
    """A client of one tracking server."""

    def __init__(self, uri: str) -> None:
        """Looks whether the server answers; MLflow's own client would retry for minutes.

        Args:
            uri: ``http://…`` of the server; a database or folder is refused.

        Raises:
            Unavailable: the server does not answer.
            Refused: the address is not HTTP.
        """
        if not uri.startswith(("http://", "https://")):
            raise Refused(
                f"The tracking server is {uri[:80]!r}; steps reach MLflow over HTTP only.",
                "start the server and set GEOML_TRACKING_URI to its address",
            )
        self.uri = uri
        try:
            # trust_env: a proxy variable must not send a loopback address away from this machine.
            httpx.get(f"{uri.rstrip('/')}/health", timeout=10.0, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(
                f"MLflow at {uri} does not answer ({type(error).__name__}).", "start it, or wait"
            ) from None
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def run_of(self, experiment: str, noun_id: str) -> str | None:
        """Returns the id of the run that tells about a noun, or None."""
        run = self._find(experiment, noun_id)
        return None if run is None else str(run.info.run_id)

    def finished_run_of(self, experiment: str, noun_id: str) -> str | None:
        """Returns the id of the run that tells everything about a noun, or None."""
        run = self._find(experiment, noun_id)
        return None if run is None or run.info.status != "FINISHED" else str(run.info.run_id)

    def record(self, experiment: str, record: Record) -> str:
        """Returns the id of the finished run that holds a record; made, or completed, where it is not.

        Raises:
            Unavailable: the server failed while being written to.
        """
        with self._asked():
            run = self._find(experiment, record.noun_id) or self._client.create_run(
                self._experiment(experiment), run_name=record.name, tags={**record.tags, ID: record.noun_id}
            )
            run_id = str(run.info.run_id)
            if run.info.status != "FINISHED":
                self._write(run_id, record, int(run.info.start_time))
                self._client.set_terminated(run_id, "FINISHED")
        return run_id

    def _write(self, run_id: str, record: Record, moment: int) -> None:
        # One moment for all: the same values written twice are then one point, not two.
        metrics = [Metric(key, value, moment, 0) for key, value in record.metrics.items()]
        metrics += [
            Metric(key, value, moment, step)
            for key, values in record.per_fold.items()
            for step, value in enumerate(values)
        ]
        params = [Param(key, str(value)) for key, value in record.params.items()]
        tags = [RunTag(key, value) for key, value in record.tags.items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(run_id, params=params[start : start + _MOST_PARAMS])
        self._client.log_batch(run_id, tags=tags)
        if record.source is not None:
            self._client.log_inputs(run_id, datasets=[_input(record.source)])
        for path, content in record.files.items():
            self._put(run_id, path, content)

    def _put(self, run_id: str, path: str, content: bytes) -> None:
        """Uploads one file; the client only takes files from disk."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            file.write_bytes(content)
            parent = str(Path(path).parent)
            self._client.log_artifact(run_id, str(file), None if parent == "." else parent)

    def _find(self, experiment: str, noun_id: str) -> Run | None:
        with self._asked():
            found = self._client.get_experiment_by_name(experiment)
            if found is None:
                return None
            runs = self._client.search_runs(
                [found.experiment_id], f"tags.`{ID}` = '{noun_id}'", order_by=["attributes.start_time ASC"]
            )
        return runs[0] if runs else None

    def _experiment(self, name: str) -> str:
        try:
            return str(self._client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise Refused(f"The MLflow experiment {name!r} was deleted.", "restore it in MLflow, or rename yours")
        return str(found.experiment_id)

    def number_of(self, model: str, noun_id: str) -> int | None:
        """Returns the number under which a noun is registered, the lowest if there are several, or None."""
        with self._asked():
            found = self._client.search_model_versions(f"name = '{model}' and tags.`{ID}` = '{noun_id}'")
        return min((int(version.version) for version in found), default=None)

    def register(
        self, model: str, folder: Path, *, noun_id: str, run_id: str, tags: Mapping[str, str] | None = None
    ) -> int:
        """Returns the number of the version that holds a folder; made where missing.

        Args:
            model: name of the registered model; made where missing.
            folder: its files become the version's artifacts.
            noun_id: what the folder holds; the version is found by it.
            run_id: the training run; the files are kept there, under ``noun_id``.
            tags: more about the version.

        Raises:
            Unavailable: the server failed while being written to.
        """
        known = self.number_of(model, noun_id)
        if known is not None:
            return known
        with self._asked():
            try:
                self._client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            self._client.log_artifacts(run_id, str(folder), noun_id)
            version = self._client.create_model_version(
                model,
                f"{self._client.get_run(run_id).info.artifact_uri}/{noun_id}",
                run_id=run_id,
                tags={**(tags or {}), ID: noun_id},
            )
        return int(version.version)

    def alias_of(self, model: str, alias: str) -> int | None:
        """Returns the number that an alias points at, or None."""
        try:
            with self._asked():
                return int(self._client.get_model_version_by_alias(model, alias).version)
        except NotFound:
            return None

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Points an alias at a number, in one step for whoever reads it."""
        with self._asked():
            self._client.set_registered_model_alias(model, alias, str(number))

    def drop_alias(self, model: str, alias: str) -> None:
        """Removes an alias; nothing happens where there is none."""
        with self._asked():
            self._client.delete_registered_model_alias(model, alias)

    def tags_of(self, model: str, number: int) -> dict[str, str]:
        """Returns the tags of a registered version.

        Raises:
            NotFound: there is no such version.
        """
        with self._asked():
            return dict(self._client.get_model_version(model, str(number)).tags)

    def set_tags(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        """Sets tags of a registered version."""
        with self._asked():
            for key, value in tags.items():
                self._client.set_model_version_tag(model, str(number), key, value)

    def describe(self, model: str, number: int, words: str) -> None:
        """Sets the description of a registered version, Markdown for people."""
        with self._asked():
            self._client.update_model_version(model, str(number), words)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            if error.error_code in _ABSENT:
                raise NotFound(f"MLflow at {self.uri}: {str(error)[:300]}") from None
            if error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"):
                raise Unavailable(f"MLflow at {self.uri} failed: {str(error)[:300]}", "look at its log") from None
            raise


def write_mlmodel(folder: Path, graph: str, *, noun_id: str, inputs: Tensors, outputs: Tensors) -> None:
    """Writes the ``MLmodel`` file that lets MLflow's own tools read a folder as an ONNX model.

    Args:
        folder: where the model's files are.
        graph: name of the ONNX file in it.
        noun_id: what the folder holds.
        inputs: name to (numpy type, shape with -1 for what is open).
        outputs: the same for what comes back.
    """
    signature, name = ModelSignature(_schema(inputs), _schema(outputs)), uuid.uuid5(uuid.NAMESPACE_URL, noun_id).hex
    model = Model(signature=signature, metadata={ID: noun_id}, model_uuid=name)
    # CPU named, or MLflow 3.17 asks for CUDA first. No python_function: nothing here is ever run by name.
    model.add_flavor("onnx", data=graph, providers=["CPUExecutionProvider"], onnx_session_options=None, code=None)
    model.save(str(folder / "MLmodel"))


def _schema(tensors: Tensors) -> Schema:
    return Schema([TensorSpec(np.dtype(kind), shape, name) for name, (kind, shape) in tensors.items()])


def _input(source: Source) -> DatasetInput:
    dataset = Dataset(
        name=source.name,
        digest=source.digest,
        source_type="dvc",
        source=json.dumps(dict(source.where), sort_keys=True),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])

"""Experiments by id: what a table was made for can be read again after the file has changed."""

from __future__ import annotations

from geoml_ops.adapters.configs import read_experiment
from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.core.experiment import Experiment
from geoml_ops.platform.files import write_text
from geoml_ops.steps.places import Places


def current_experiment(places: Places) -> Experiment:
    """Returns the experiment of this deployment as its file says now.

    Raises:
        NotFound: there is no such file.
        BadInput: the file is not a valid experiment.
    """
    return read_experiment(places.experiment)


def keep_experiment(places: Places, experiment: Experiment) -> None:
    """Keeps an experiment under its id, once something was made by it."""
    path = places.experiments / f"{experiment.id}.json"
    if not path.exists():
        # Not sorted: the order of the classes gives their codes.
        write_text(path, experiment.model_dump_json(indent=1))


def experiment_of(places: Places, experiment_id: str) -> Experiment:
    """Returns a kept experiment.

    Raises:
        NotFound: no table was made for it here.
        Refused: the kept file was altered.
    """
    path = places.experiments / f"{experiment_id}.json"
    if not path.exists():
        raise NotFound(f"There is no {experiment_id}.", f"list {places.experiments}")
    experiment = Experiment.model_validate_json(path.read_bytes())
    if experiment.id != experiment_id:
        raise Refused(f"{path} was altered: its content is {experiment.id}.", "restore the file from a backup")
    return experiment

"""Where things are. Entry points make it from settings; steps take it as their first argument."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Folders and addresses of one deployment.

    Attributes:
        workspace: everything made at run time.
        store: the Git and DVC repository that holds the versions of imagery and labels.
        remote: where the store pushes its data, a folder or a URL that DVC understands.
        drop: the folder in which deliveries arrive.
        tracking_uri: MLflow's tracking server.
        model: name of the registered model.
        experiment: the experiment file (YAML).
        policy: the monitoring policy file (YAML).
        sensors: the folder of sensors that are described in files (YAML, one each); None for none.
    """

    workspace: Path
    store: Path
    remote: str
    drop: Path
    tracking_uri: str
    model: str
    experiment: Path
    policy: Path
    sensors: Path | None = None

    @property
    def nouns(self) -> Path:
        """Every noun, one JSON file each, under its kind."""
        return self.workspace / "nouns"

    @property
    def incoming(self) -> Path:
        """Harmonised deliveries between their verdict and their version."""
        return self.workspace / "incoming"

    @property
    def quarantine(self) -> Path:
        """Refused deliveries, with their reasons beside them."""
        return self.workspace / "quarantine"

    @property
    def data_docs(self) -> Path:
        """Validation reports as pages."""
        return self.workspace / "data-docs"

    @property
    def experiments(self) -> Path:
        """Experiments that trainings were asked to do, by id, whatever becomes of the file."""
        return self.workspace / "experiments"

    @property
    def covariates(self) -> Path:
        """Rasters of bands that were made for a scene, named by content."""
        return self.workspace / "covariates"

    @property
    def studies(self) -> Path:
        """Searches for parameters, one folder each; a killed one goes on from there."""
        return self.workspace / "studies"

    @property
    def tables(self) -> Path:
        """Feature tables and out-of-fold predictions (Parquet), named by content."""
        return self.workspace / "tables"

    @property
    def models(self) -> Path:
        """Fitted models in their native form; never served."""
        return self.workspace / "models"

    @property
    def bundles(self) -> Path:
        """Exported bundles, one folder per graph digest."""
        return self.workspace / "bundles"

    @property
    def predictions(self) -> Path:
        """The prediction log, its maps and sketches."""
        return self.workspace / "predictions"

    @property
    def maps(self) -> Path:
        """Maps of stored scenes, by their names, with item and outlines beside them."""
        return self.workspace / "maps"

    @property
    def evidently(self) -> Path:
        """Evidently's workspace."""
        return self.workspace / "evidently"

    @property
    def dashboard(self) -> Path:
        """Static files of the monitoring dashboard."""
        return self.workspace / "dashboard"

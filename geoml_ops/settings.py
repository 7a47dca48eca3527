"""The machine's side of configuration: ``GEOML_*`` variables into one frozen value.

Read by entry points only and handed on as plain arguments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from geoml_ops.steps.places import Places

CHECKOUT = Path(__file__).resolve().parent.parent

#: Every tool here phones home unless told not to; numeric libraries start a thread per core each.
QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "GX_ANALYTICS_ENABLED": "false",
    "OMP_NUM_THREADS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "PROJ_NETWORK": "OFF",
    "MPLBACKEND": "Agg",
}


class Settings(BaseSettings):
    """Where this machine keeps things and what it allows.

    Relative paths are taken from the current folder. Unset places live under ``workspace``.

    Attributes:
        max_sync_pixels: of a raster that ``/classify`` answers at once; larger ones are jobs.
        request_s: how long one request may take.
        memory_mb: what classifying one raster may hold at a time, however large the raster.
        threads: tiles in work at a time; their number changes no byte of a map.
        device: ``auto`` uses an NVIDIA GPU where a session really gets one.
        keys: file of API keys (YAML); without one the service asks for none and is for this machine only.
        webhook_secret: that the registry signs its calls with; None where it does not call.
        slower_times: how many times as long as the one before it a new model may take for requests of the same size.
        allowed_hosts: names of hosts that rasters may be fetched from, with commas between; empty for none.
        keep_tiles_share: of the classified tiles, how many are kept as imagery for people to label.
        keep_log_days: after which days of the prediction log are removed.
        public_url: address under which browsers reach the service; None for ``service_url``.
        airflow_url: of Airflow's pages; only they may show the dashboard inside themselves.
        evidently_url: of Evidently's pages.
        notify_webhook: address that notices are posted to as JSON; None for none.
        notify_smtp: mail server, ``smtp://``, ``smtp+starttls://`` or ``smtps://``, with ``user:password@`` where it
            asks; None for no mail.
        notify_mail_from: sender of mail.
        notify_mail_to: receivers of mail, with commas between.
    """

    model_config = SettingsConfigDict(env_prefix="GEOML_", frozen=True, extra="forbid")

    workspace: Path = CHECKOUT / "workspace"
    data: Path = CHECKOUT / "data"
    store: Path | None = None
    remote: str | None = None
    drop: Path | None = None
    tracking_uri: str = "http://127.0.0.1:5000"
    model: str = "landcover"
    experiment: Path = CHECKOUT / "dags" / "experiments" / "landcover.yaml"
    policy: Path = CHECKOUT / "monitoring" / "policies.yaml"
    sensors: Path = CHECKOUT / "dags" / "sensors"
    service_url: str = "http://127.0.0.1:3000"
    poll_s: float = Field(2.0, gt=0)
    max_upload_mb: float = Field(512.0, gt=0)
    max_pixels: int = Field(121_000_000, gt=0)
    max_sync_pixels: int = Field(16_000_000, gt=0)
    request_s: float = Field(60.0, gt=0)
    memory_mb: float = Field(1024.0, ge=64)
    threads: int = Field(2, ge=1)
    device: Literal["auto", "cpu"] = "auto"
    keys: Path | None = None
    webhook_secret: str | None = None
    slower_times: float = Field(3.0, gt=1)
    allowed_hosts: str = ""
    keep_tiles_share: float = Field(0.0, ge=0, le=1)
    keep_log_days: int = Field(400, ge=1)
    public_url: str | None = None
    airflow_url: str = "http://127.0.0.1:8080"
    evidently_url: str = "http://127.0.0.1:8000"
    notify_webhook: str | None = None
    notify_smtp: str | None = None
    notify_mail_from: str = "geoml@localhost"
    notify_mail_to: str = ""

    def places(self) -> Places:
        """Returns the folders and addresses that steps work with, all paths absolute."""
        workspace = self.workspace.resolve()
        return Places(
            workspace=workspace,
            store=(self.store or workspace / "store").resolve(),
            remote=self.remote or str(workspace / "remote"),
            drop=(self.drop or workspace / "drop").resolve(),
            tracking_uri=self.tracking_uri,
            model=self.model,
            experiment=self.experiment.resolve(),
            policy=self.policy.resolve(),
            sensors=self.sensors.resolve(),
        )

    @property
    def dashboard_url(self) -> str:
        """Address of the monitoring pages for browsers."""
        return f"{_shown(self.public_url or self.service_url)}/dashboard/"

    def links(self) -> dict[str, str]:
        """Returns the addresses of the pages beside the dashboard, by what they are; without names and passwords."""
        return {
            "Map and service": f"{_shown(self.public_url or self.service_url)}/",
            "Airflow": f"{_shown(self.airflow_url)}/dags/watch",
            "MLflow": f"{_shown(self.tracking_uri)}/#/models/{quote(self.model, safe='')}",
            "Evidently": f"{_shown(self.evidently_url)}/",
        }

    def as_environment(self) -> dict[str, str]:
        """Returns the variables that give a child process these same settings."""
        return {f"GEOML_{k.upper()}": str(v) for k, v in self.model_dump().items() if v is not None}


def _shown(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def be_quiet() -> None:
    """Switches telemetry off and thread pools down for this process; values already set stay."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)

"""Alert rules out of the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoml_ops.settings import CHECKOUT
from geoml_ops.terminal import say, settings


def alerts(
    out: Annotated[Path, typer.Option(help="folder of the rules", file_okay=False)] = CHECKOUT
    / "monitoring"
    / "alerts",
) -> None:
    """Write alert rules for Prometheus from the policy, with examples of its and Alertmanager's configuration."""
    from geoml_ops.steps.alerts import write_alerts

    machine = settings()
    for path in write_alerts(machine.policy, out, machine.public_url or machine.service_url):
        say(f"written: {path}")

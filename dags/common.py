"""What every DAG here shares: where things are, and which failures are worth a second try."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from dags.notifying import Failed

if TYPE_CHECKING:
    from geoml_ops.steps.places import Places

#: Bad input does not become good by asking twice; a busy or absent service may.
TASKS: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=2),
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": [Failed()],
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(exception="geoml_ops.core.errors.BadInput", action=RetryAction.FAIL),
            RetryRule(exception="geoml_ops.core.errors.Refused", action=RetryAction.FAIL),
        ]
    ),
}


def places() -> Places:
    """Returns the deployment's folders and addresses; call it inside a task."""
    from geoml_ops.settings import Settings, be_quiet

    be_quiet()
    return Settings().places()


def summarise() -> None:
    """Writes the dashboard, with links to the other servers; call it inside a task."""
    from geoml_ops.settings import Settings
    from geoml_ops.steps import dashboard

    dashboard.summarise(places(), links=Settings().links())


def tidy() -> dict[str, int]:
    """Removes what the prediction log and the engine keep no longer; a task."""
    from geoml_ops.settings import Settings
    from geoml_ops.steps import records

    here = places()
    joined, removed = records.tidy(here, Settings().keep_log_days)
    return {"joined": joined, "removed_days": removed, "journals": records.sweep(here)}

"""Notifiers that DAGs attach to their tasks: what a decision says, and that a task failed for good."""

from __future__ import annotations

import re
from typing import Any

from airflow.sdk import BaseNotifier

_DECISION = re.compile(r"decision-[0-9a-f]{16}")


class Decided(BaseNotifier):
    """Tells people what the decisions say that the task handed on, where that is worth telling."""

    def notify(self, context: Any) -> None:
        """Sends one notice per decision that fired, named a fault or began an alarm."""
        from geoml_ops.steps import notices

        task = context["ti"]
        for decision in sorted(set(_DECISION.findall(repr(task.xcom_pull(task_ids=task.task_id))))):
            notice = notices.about_decision(_places(), decision, _links())
            if notice is not None:
                notices.tell(_places(), notice, _channels())


class Failed(BaseNotifier):
    """Tells people that a task failed and will not be tried again."""

    def notify(self, context: Any) -> None:
        """Sends one notice per task and run."""
        from geoml_ops.steps import notices

        task, why = context["ti"], context.get("exception")
        said = f"{type(why).__name__}: {why}" if why else ""
        links = {words: address for words, address in _links().items() if words == "Airflow"}
        notice = notices.about_failure(task.dag_id, task.task_id, task.run_id, said, links)
        notices.tell(_places(), notice, _channels())


def _places() -> Any:
    from dags.common import places

    return places()


def _links() -> dict[str, str]:
    from geoml_ops.settings import Settings

    machine = Settings()
    return {"dashboard": machine.dashboard_url, **machine.links()}


def _channels() -> Any:
    from geoml_ops.settings import Settings
    from geoml_ops.steps.notices import channels_of

    s = Settings()
    return channels_of(s.notify_webhook, s.notify_smtp, s.notify_mail_from, s.notify_mail_to)

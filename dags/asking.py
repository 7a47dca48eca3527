"""A task that asks a person whether a promoted model may become the champion, under Airflow's Required Actions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import places

if TYPE_CHECKING:
    from geoml_ops.steps.approvals import Answer

# Empty, and not absent: when time is up Airflow 3.3 answers with the default of each field, and an absent one fails.
_REASON = Param(
    "", type="string", title="Reason", description="Why? It is kept with your name.", format="multiline", section=None
)


class Ask(HITLOperator):
    """Parks until a person answers; skips itself where nobody has to be asked.

    The words, who may answer and how long they have come from the judgement and today's policy when the
    task runs. Nobody's answer in time is Reject. On Reject the task ends well: an answer was given.

    Args:
        judgement: id of the task that hands on the judgement.
        first: id of the task that asked the first person, where this one asks a second; empty otherwise.
    """

    def __init__(self, *, judgement: str = "judge", first: str = "", **options: Any) -> None:
        super().__init__(
            subject="May the challenger become the champion?",
            options=["Approve", "Reject"],
            defaults="Reject",
            params={"reason": _REASON},
            # Of the work before the waiting; a value here would be taken for the time to answer.
            execution_timeout=None,
            **options,
        )
        self.judgement, self.first = judgement, first

    def execute(self, context: Any) -> None:
        """Writes the question and waits for its answer."""
        from geoml_ops.settings import Settings
        from geoml_ops.steps.questions import question
        from geoml_ops.steps.verdicts import address_of

        task = context["ti"]
        judgement = task.xcom_pull(task_ids=self.judgement)
        first = answer_of(task, self.first) if self.first else None
        if self.first and first is None:
            raise AirflowSkipException("the first question was not answered")
        page = f"{Settings().service_url.rstrip('/')}{address_of(judgement)}"
        asked = question(places(), judgement, first=first, page=page)
        if asked is None:
            raise AirflowSkipException("nobody has to be asked")
        self.subject, self.body = asked.subject, asked.body
        self.response_timeout = timedelta(hours=asked.hours)
        self.assigned_users = [{"id": name, "name": name} for name in asked.respondents]
        super().execute(context)


def answer_of(task: Any, asked: str) -> Answer | None:
    """Returns what a person answered to a task, or None where nobody was asked."""
    from geoml_ops.steps.approvals import Answer

    said = task.xcom_pull(task_ids=asked)
    if said is None:
        return None
    person = said["responded_by_user"] or {}
    reason = (said["params_input"] or {}).get("reason") or ""
    return Answer(said["chosen_options"][0], str(person.get("id") or ""), str(reason).strip())

"""Who may let a model pass, what counts as a decision, and that release asks for it; on a real registry."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from geoml_ops.adapters.mlflow import Record, Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, Conflict, GeomlError, NotFound, Refused
from geoml_ops.core.flow import (
    Approval,
    Bundle,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Version,
)
from geoml_ops.core.folding import FoldRules
from geoml_ops.core.policy import Promotion
from geoml_ops.steps.approvals import Answer, approve, record, standing, weigh
from geoml_ops.steps.places import Places
from geoml_ops.steps.questions import question
from geoml_ops.steps.releasing import release
from geoml_ops.steps.verdicts import PAGE, keep_page
from tests.every_noun import any_noun
from tests.pages import HOSTILE, read

JUDGEMENT = f"judgement-{'0' * 16}"
NOBODY = Approval(judgement=JUDGEMENT, decision="Reject", by=(), reason="Nobody answered.")


def said(decision: str, *by: str, reason: str = "because") -> Approval:
    return Approval.from_json(
        {"schema": 1, "judgement": JUDGEMENT, "decision": decision, "by": list(by), "reason": reason}
    )


# --- what approvals amount to ----------------------------------------------------------------

ONE, TWO = Promotion(by="approve"), Promotion(by="approve", second_person=True)
people = st.sampled_from([(), ("alice",), ("bob",), ("Alice ",), ("alice", "bob"), ("mallory",)])
approvals = st.lists(
    st.builds(said, st.sampled_from(["Approve", "Reject"]), reason=st.just("x")), max_size=0
) | st.lists(st.tuples(st.sampled_from(["Approve", "Reject"]), people).map(lambda t: said(t[0], *t[1])), max_size=4)


@settings(deadline=None)
@given(approvals, st.booleans(), st.sampled_from([(), ("alice", "bob")]))
def test_the_order_in_which_people_spoke_does_not_matter(
    found: list[Approval], second: bool, respondents: tuple[str, ...]
) -> None:
    policy = Promotion(by="approve", second_person=second, respondents=respondents)
    assert len({standing(order, policy) for order in itertools.permutations(found)}) == 1


@settings(deadline=None)
@given(approvals, st.booleans())
def test_a_person_who_says_no_is_never_outvoted(found: list[Approval], second: bool) -> None:
    policy = Promotion(by="approve", second_person=second)
    after = standing([*found, said("Reject", "carol", reason="no")], policy)
    assert (after.decision, after.final) == ("Reject", True)
    assert "carol" in after.by


@settings(deadline=None)
@given(approvals)
def test_two_people_approve_only_as_two_people(found: list[Approval]) -> None:
    names = {name.strip().casefold() for a in found if a.decision == "Approve" for name in a.by}
    decided = standing(found, TWO).decision == "Approve"
    assert decided == (len(names) >= 2 and not any(a.decision == "Reject" and a.by for a in found))


@pytest.mark.parametrize(
    ("found", "policy", "decision"),
    [
        ([], ONE, ""),
        ([NOBODY], ONE, "Reject"),
        ([said("Approve", "alice")], ONE, "Approve"),
        ([NOBODY, said("Approve", "alice")], ONE, "Approve"),
        ([said("Approve", "alice")], TWO, ""),
        ([said("Approve", "alice"), said("Approve", "ALICE", reason="again")], TWO, ""),
        ([said("Approve", "alice"), said("Approve", "bob")], TWO, "Approve"),
        ([said("Approve", "alice", "bob")], TWO, "Approve"),
        ([said("Approve")], ONE, ""),
        ([said("Approve", "mallory")], Promotion(by="approve", respondents=("alice",)), ""),
    ],
)
def test_what_was_said_amounts_to(found: list[Approval], policy: Promotion, decision: str) -> None:
    assert standing(found, policy).decision == decision
    assert not standing(found, policy).final


YES, NO = Answer("Approve", "alice", "good"), Answer("Reject", "alice", "water is wrong")


@pytest.mark.parametrize(
    ("answers", "policy", "by", "words"),
    [
        ([YES], ONE, ("alice",), "good"),
        ([NO], ONE, ("alice",), "water is wrong"),
        ([Answer("Reject", "alice")], ONE, ("alice",), ""),
        ([Answer("Reject")], ONE, (), "Nobody answered within 72 hours"),
        # Whatever Airflow says, nobody cannot approve.
        ([Answer("Approve")], ONE, (), "Nobody answered within 72 hours"),
        ([Answer("Approve", "alice")], ONE, (), "alice approved without giving a reason"),
        ([YES], Promotion(by="approve", respondents=("bob",)), (), "alice answered, but only bob may"),
        ([NO], Promotion(by="approve", respondents=("bob",)), (), "alice answered, but only bob may"),
        ([YES, Answer("Approve", "bob", "agreed")], TWO, ("alice", "bob"), "alice: good bob: agreed"),
        ([YES, YES], TWO, (), "alice answered both times; a second person has to agree"),
        ([YES, Answer("Approve", "Alice", "me")], TWO, (), "Alice answered both times"),
        ([YES, Answer("Reject", "bob", "no")], TWO, ("bob",), "alice had approved: good no"),
        ([YES, Answer("Reject")], TWO, (), "alice had approved: good Nobody answered"),
        ([Answer("Perhaps", "alice", "hm")], ONE, ("alice",), "hm"),
        ([Answer("Approve", "alice", "x" * 9000)], ONE, ("alice",), "xxx"),
    ],
)
def test_answers_become_one_decision(answers: list[Answer], policy: Promotion, by: tuple[str, ...], words: str) -> None:
    found = weigh(JUDGEMENT, answers, policy)
    approved = all(a.option == "Approve" for a in answers) and bool(by)
    assert (found.decision, found.by) == ("Approve" if approved else "Reject", by)
    assert words in found.reason
    assert len(found.reason) <= 2000


# --- on a registry ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Deployment:
    places: Places
    judgement: Judgement
    entry: Entry

    @property
    def tracking(self) -> Tracking:
        return Tracking(self.places.tracking_uri)

    @property
    def champion(self) -> int | None:
        return self.tracking.alias_of(self.places.model, "champion")

    @property
    def tags(self) -> dict[str, str]:
        return self.tracking.tags_of(self.entry.model, self.entry.number)

    @property
    def approvals(self) -> list[Approval]:
        return list(Shelf(self.places.nouns).all(Approval))

    def policy(self, **promotion: Any) -> None:
        self.places.policy.write_text(json.dumps({"name": "people", "promotion": promotion}))

    def say(self, by: str, *, reject: bool = False, reason: str = "because") -> Approval:
        return approve(self.places, self.judgement.id, by=by, reason=reason, reject=reject)

    def release(self) -> Entry | None:
        return release(self.places, self.judgement.id)


@pytest.fixture
def deployment(tmp_path: Path, mlflow_server: str) -> Deployment:
    """A registered model that the gate promoted, under a policy that asks a person."""
    places = Places(
        workspace=tmp_path / "workspace",
        store=tmp_path / "store",
        remote=str(tmp_path / "remote"),
        drop=tmp_path / "drop",
        tracking_uri=mlflow_server,
        model=f"people-{tmp_path.name}",
        experiment=tmp_path / "experiment.yaml",
        policy=tmp_path / "policy.yaml",
    )
    shelf, tracking = Shelf(places.nouns), Tracking(mlflow_server)
    version = shelf.put(any_noun(Version).model_copy(update={"scenes": (), "labels": (), "verdicts": ()}))
    table = shelf.put(any_noun(FeatureTable).model_copy(update={"version": version.id}))
    plan = shelf.put(any_noun(FoldPlan).model_copy(update={"table": table.id, "rules": FoldRules()}))
    links = {"table": table.id, "plan": plan.id, "family": f"forest of {tmp_path.name}"}
    evaluation = shelf.put(any_noun(Evaluation).model_copy(update=links))
    bundle = shelf.put(any_noun(Bundle).model_copy(update={"evaluation": evaluation.id, "version": version.id}))
    run = tracking.record("people", Record(noun_id=evaluation.id, name="forest"))
    (tmp_path / "empty").mkdir()
    number = tracking.register(places.model, tmp_path / "empty", noun_id=bundle.id, run_id=run)
    entry = shelf.put(Entry(bundle=bundle.id, model=places.model, number=number))
    judgement = any_noun(Judgement).model_copy(
        update={"challenger": entry.id, "champion": "", "previous": "", "outcome": "PROMOTE", "reason": ""}
    )
    made = Deployment(places, shelf.put(judgement), entry)
    made.policy(by="approve")
    return made


def test_without_an_approval_nothing_is_released_and_the_way_out_is_said(deployment: Deployment) -> None:
    command = f"geoml publish approve {deployment.judgement.id} --by NAME --reason TEXT"
    with pytest.raises(Refused, match=rf"asks a person to approve {deployment.judgement.id}.*Try: {command}"):
        deployment.release()
    assert deployment.champion is None


def test_an_approval_releases_and_is_known_to_the_registry_and_on_the_page(deployment: Deployment) -> None:
    approval = deployment.say("alice", reason="forest is right now")
    assert (approval.decision, approval.by, approval.judgement) == ("Approve", ("alice",), deployment.judgement.id)
    assert deployment.release() == deployment.entry
    assert deployment.champion == deployment.entry.number
    assert deployment.tags["geoml.approval"] == approval.id
    assert deployment.tags["geoml.approved_by"] == "alice"
    folder = deployment.places.bundles / Shelf(deployment.places.nouns).get(Bundle, deployment.entry.bundle).file.sha256
    shown = deployment.places.dashboard / "verdicts" / f"{deployment.judgement.id}.html"
    assert (folder / PAGE).read_text() == shown.read_text()
    assert "forest is right now" in read(shown.read_text()).text


def test_under_auto_nobody_has_to_be_asked(deployment: Deployment) -> None:
    deployment.policy(by="auto")
    assert deployment.release() == deployment.entry
    assert "geoml.approval" not in deployment.tags


def test_a_persons_reject_stands_under_every_policy(deployment: Deployment) -> None:
    deployment.say("alice", reject=True, reason="clouds")
    for by in ("approve", "auto"):
        deployment.policy(by=by)
        with pytest.raises(Refused, match="may not be released: alice rejected it: clouds"):
            deployment.release()
    with pytest.raises(Refused, match="was decided already: alice rejected it: clouds"):
        deployment.say("bob")
    assert len(deployment.approvals) == 1
    assert deployment.tags["geoml.approval_decision"] == "Reject"
    assert deployment.champion is None


def test_what_was_released_can_no_longer_be_rejected(deployment: Deployment) -> None:
    deployment.say("alice")
    deployment.release()
    with pytest.raises(Refused, match=r"was released by .* already\. Try: point the alias champion"):
        deployment.say("bob", reject=True)
    assert [a.decision for a in deployment.approvals] == ["Approve"]
    assert deployment.release() == deployment.entry


def test_a_second_person_is_another_person(deployment: Deployment) -> None:
    deployment.policy(by="approve", second_person=True)
    deployment.say("alice")
    deployment.say(" ALICE", reason="me again")
    assert deployment.tags["geoml.approval_decision"] == "open"
    with pytest.raises(Refused, match=r"asks two people to approve .* a second person has to agree"):
        deployment.release()
    deployment.say("bob")
    assert deployment.release() == deployment.entry
    assert set(deployment.tags["geoml.approved_by"].split(", ")) >= {"bob"}


def test_an_approval_is_for_one_judgement(deployment: Deployment) -> None:
    other = Shelf(deployment.places.nouns).put(deployment.judgement.model_copy(update={"against": "another"}))
    approve(deployment.places, other.id, by="alice", reason="that one")
    with pytest.raises(Refused, match="Nobody has decided yet"):
        deployment.release()


def test_an_approved_judgement_goes_stale_when_the_champion_changes(deployment: Deployment) -> None:
    run = deployment.tracking.run_of(
        "people", Shelf(deployment.places.nouns).get(Bundle, deployment.entry.bundle).evaluation
    )
    assert run is not None
    folder = deployment.places.workspace
    other = deployment.tracking.register(deployment.places.model, folder / "nouns" / "entry", noun_id="x", run_id=run)
    deployment.say("alice")
    deployment.tracking.set_alias(deployment.places.model, "champion", other)
    with pytest.raises(Conflict, match=rf"judged against nobody, but the champion is number {other} now"):
        deployment.release()
    assert deployment.champion == other


def test_saying_it_again_after_a_kill_finishes_what_was_begun(deployment: Deployment) -> None:
    killed = Approval(judgement=deployment.judgement.id, decision="Approve", by=("alice",), reason="because")
    Shelf(deployment.places.nouns).put(killed)
    assert "geoml.approval" not in deployment.tags
    assert deployment.say("alice") == killed
    assert deployment.tags["geoml.approval"] == killed.id
    assert deployment.approvals == [killed]


@pytest.mark.parametrize(
    ("by", "reason", "error", "words"),
    [
        ("", "why", BadInput, "these have 0 and 3"),
        (" \n", "why", BadInput, "these have 0 and 3"),
        ("alice", "  ", BadInput, "these have 5 and 0"),
        ("a" * 201, "why", BadInput, "these have 201 and 3"),
        ("alice", "w" * 2001, BadInput, "these have 5 and 2001"),
        ("mallory", "why", Refused, "mallory may not decide .* Try: ask alice, bob"),
    ],
)
def test_a_decision_needs_a_name_that_may_and_a_reason(
    deployment: Deployment, by: str, reason: str, error: type[GeomlError], words: str
) -> None:
    deployment.policy(by="approve", respondents=["alice", "bob"])
    with pytest.raises(error, match=words):
        deployment.say(by, reason=reason)
    assert not deployment.approvals


@pytest.mark.parametrize("outcome", ["HOLD", "REJECT", "INSUFFICIENT_EVIDENCE"])
def test_what_the_gate_did_not_promote_cannot_be_approved(deployment: Deployment, outcome: str) -> None:
    held = Shelf(deployment.places.nouns).put(deployment.judgement.model_copy(update={"outcome": outcome}))
    with pytest.raises(Refused, match=f"The gate said {outcome}"):
        approve(deployment.places, held.id, by="alice", reason="I like it")
    assert question(deployment.places, held.id) is None
    assert release(deployment.places, held.id) is None


def test_a_judgement_that_is_not_there_is_said_so(deployment: Deployment) -> None:
    for ask in (
        lambda: approve(deployment.places, JUDGEMENT, by="alice", reason="why"),
        lambda: question(deployment.places, JUDGEMENT),
        lambda: record(deployment.places, JUDGEMENT, [YES]),
    ):
        with pytest.raises(NotFound, match="There is no judgement"):
            ask()
    with pytest.raises(BadInput, match="Nobody was asked"):
        record(deployment.places, deployment.judgement.id, [])


def test_answers_that_came_by_airflow_are_kept_like_any_other(deployment: Deployment) -> None:
    lapsed = record(deployment.places, deployment.judgement.id, [Answer("Reject")])
    assert (lapsed.decision, lapsed.by) == ("Reject", ())
    assert record(deployment.places, deployment.judgement.id, [Answer("Reject")]) == lapsed
    with pytest.raises(Refused, match="Nobody answered within 72 hours"):
        deployment.release()
    # Nobody's answer closes the question only until somebody decides.
    assert question(deployment.places, deployment.judgement.id) is not None
    record(deployment.places, deployment.judgement.id, [YES])
    assert question(deployment.places, deployment.judgement.id) is None
    assert deployment.release() == deployment.entry


def test_whoever_is_first_a_rejected_model_never_serves(deployment: Deployment) -> None:
    deployment.say("alice")
    seen: list[str] = []

    def attempt(what: Callable[[], object], name: str) -> None:
        try:
            what()
            seen.append(name)
        except Refused:
            seen.append(f"{name} refused")

    threads = [
        threading.Thread(target=attempt, args=(deployment.release, "release")),
        threading.Thread(target=attempt, args=(lambda: deployment.say("bob", reject=True), "reject")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rejected = any(a.decision == "Reject" for a in deployment.approvals)
    assert sorted(seen) in (["reject", "release refused"], ["reject refused", "release"])
    assert (deployment.champion is None) == rejected


# --- the question ----------------------------------------------------------------------------


def test_the_question_tells_the_verdict_and_how_to_answer(deployment: Deployment) -> None:
    asked = question(deployment.places, deployment.judgement.id, page="http://127.0.0.1:3000/x.html")
    assert asked is not None
    assert asked.subject == f"May {deployment.entry.model} {deployment.entry.number} become the champion?"
    for words in ("The gate says PROMOTE", "interval", "blocks", "(http://127.0.0.1:3000/x.html)", "within 72 hours"):
        assert words in asked.body
    assert f"geoml publish approve {deployment.judgement.id}" in asked.body
    assert (asked.respondents, asked.hours) == ((), 72.0)


def test_names_and_objections_cannot_write_markdown(deployment: Deployment) -> None:
    evil = "[click](http://evil) **bold** <b>html</b> `code`\n# heading"
    hostile = deployment.judgement.model_copy(update={"objections": (evil, HOSTILE), "against": evil})
    Shelf(deployment.places.nouns).put(hostile)
    deployment.policy(by="approve", second_person=True)
    asked = question(deployment.places, hostile.id, first=Answer("Approve", evil, evil))
    assert asked is not None
    assert "[click](" not in asked.body
    assert "<b>" not in asked.body
    assert "**bold**" not in asked.body
    assert "\n# " not in asked.body


def test_a_second_question_excludes_the_first_person_and_may_be_needless(deployment: Deployment) -> None:
    deployment.policy(by="approve", second_person=True, respondents=["alice", "bob"])
    asked = question(deployment.places, deployment.judgement.id, first=YES)
    assert asked is not None
    assert asked.respondents == ("bob",)
    assert "alice approved: good" in asked.body
    for first in (NO, Answer("Reject"), Answer("Approve", "alice"), Answer("Approve", "mallory", "why")):
        assert question(deployment.places, deployment.judgement.id, first=first) is None
    deployment.say("bob")
    assert question(deployment.places, deployment.judgement.id, first=YES) is None
    deployment.policy(by="approve")
    assert question(deployment.places, deployment.judgement.id, first=YES) is None


def test_waiting_for_ever_is_waiting_a_year(deployment: Deployment) -> None:
    deployment.policy(by="approve", timeout_hours=1e15)
    asked = question(deployment.places, deployment.judgement.id)
    assert asked is not None
    assert asked.hours < 9000


# --- by hand ---------------------------------------------------------------------------------


def test_the_command_line_says_what_comes_next(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    from geoml_ops.cli import app

    for name in ("workspace", "store", "drop", "tracking_uri", "model", "experiment", "policy"):
        monkeypatch.setenv(f"GEOML_{name.upper()}", str(getattr(deployment.places, name)))
    run = CliRunner()
    words = ["publish", "approve", deployment.judgement.id, "--by", "alice", "--reason", "good"]
    deployment.policy(by="approve", second_person=True)
    first = run.invoke(app, words)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout.splitlines()[0])["by"] == ["alice"]
    assert "a second person has to agree" in first.stderr
    assert f"next: geoml publish approve {deployment.judgement.id}" in first.stderr
    deployment.policy(by="approve")
    second = run.invoke(app, words)
    assert f"next: geoml publish release {deployment.judgement.id}" in second.stderr
    third = run.invoke(app, [*words[:3], "--by", "bob", "--reason", "no", "--reject"])
    assert third.exit_code == 0, third.output
    assert "bob rejected it: no" in third.stderr
    assert "next:" not in third.stderr


# --- the page --------------------------------------------------------------------------------


def test_the_page_says_what_cannot_be_drawn_any_more(deployment: Deployment) -> None:
    page = read(keep_page(deployment.places, deployment.judgement).read_text())
    assert "The map of the folds cannot be drawn" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 1  # the differences are in the judgement itself


def test_the_ledger_on_the_page_is_the_chain_of_looks(deployment: Deployment) -> None:
    shelf, looks = Shelf(deployment.places.nouns), []
    before = f"judgement-{'9' * 16}"  # on another machine
    for number in (1, 2, 3):
        spending = any_noun(Judgement).spending
        assert spending is not None
        look = deployment.judgement.model_copy(
            update={"previous": before, "spending": spending.model_copy(update={"look": number, "level": number / 100})}
        )
        before = shelf.put(look).id
        looks.append(look)
    text = read(keep_page(deployment.places, looks[-1]).read_text()).text
    assert [word in text for word in ("0.0100", "0.0200", "0.0300")] == [True, True, True]

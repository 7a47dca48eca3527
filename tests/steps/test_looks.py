"""Looks at held-out ground: each costs and follows the one before it; finished models meet on unseen ground."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from geoml_ops.adapters.mlflow import Tracking
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.ort import Graph
from geoml_ops.adapters.registry import GRAPH
from geoml_ops.core.bands import SENTINEL_2_L1C, to_contract
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.flow import Bundle, Entry, Evaluation, FeatureTable, FoldPlan, Judgement, Version
from geoml_ops.domain.folds import evidence_blocks
from geoml_ops.domain.scoring import ratio_interval
from geoml_ops.domain.world import World, landscape
from geoml_ops.steps import publish, train
from geoml_ops.steps.artefacts import unseen
from geoml_ops.steps.looks import looks
from geoml_ops.steps.places import Places
from geoml_ops.steps.samples import open_table
from tests.versions import cube, keep_version, places_in

WORLD = landscape(480, 360, seed=5, noise=0.12)
SEEN = cube(WORLD)
ALPHA = 0.05


def thirds(world: World) -> list[tuple[list[object], list[str], str]]:
    edges = np.linspace(world.grid.bounds.left, world.grid.bounds.right, 4)
    found: list[tuple[list[object], list[str], str]] = []
    for left, right in itertools.pairwise(edges):
        kept = [i for i, p in enumerate(world.polygons) if left <= p.centroid.x < right]
        found.append(([world.polygons[i] for i in kept], [world.labels[i] for i in kept], world.grid.crs))
    return found


@dataclasses.dataclass(frozen=True)
class Line:
    """A champion of the western third, a challenger of two thirds, and labels of all three."""

    places: Places
    champion: Entry
    challenger: Entry
    looks: tuple[Judgement, ...]
    everywhere: Version


def published(places: Places, version: Version) -> tuple[Entry, Judgement]:
    table = train.tabulate(places, version.id)
    plans = [plan.id for plan in train.plan(places, table.id)]
    best = train.choose(places, (train.evaluate(places, plans, "random_forest").id,))
    entry = publish.register(places, publish.export(places, best.id).id)
    return entry, publish.judge(places, entry.id)


@pytest.fixture(scope="module")
def line(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Line:
    home = tmp_path_factory.mktemp("looks")
    rules = {"block_m": 600.0, "buffer_m": 60.0, "n_folds": 4, "repeats": 2}
    places = dataclasses.replace(places_in(home, mlflow_server, folds=rules), model=f"looks-{home.name}")
    places.policy.write_text('{"name": "plain"}')
    scene, parts = {"here": (SEEN, WORLD.grid)}, thirds(WORLD)
    versions = [
        keep_version(places, scene, {f"part{i}": part for i, part in enumerate(parts[:n])})  # type: ignore[misc]
        for n in (1, 2, 3)
    ]
    champion, first = published(places, versions[0])
    publish.release(places, first.id)
    challenger, second = published(places, versions[1])
    return Line(places, champion, challenger, (first, second), versions[2])


def test_a_look_costs_half_of_what_is_there_and_new_labels_bring_their_share(line: Line) -> None:
    first, second = (judgement.spending for judgement in line.looks)
    assert first is not None
    assert second is not None
    assert (first.look, first.fresh_share, first.wealth_before) == (1, 1.0, ALPHA)
    assert first.wealth_after == pytest.approx(ALPHA / 2)
    labels = [len(thirds(WORLD)[i][0]) for i in (0, 1)]
    assert second.fresh_share == pytest.approx(labels[1] / sum(labels), abs=0.02)
    assert second.wealth_before == pytest.approx(min(ALPHA / 2 + second.fresh_share * ALPHA, ALPHA))
    assert second.level == pytest.approx(second.wealth_before / (2 + second.wealth_before))


def test_the_chain_of_judgements_is_the_ledger(line: Line) -> None:
    first, second = line.looks
    assert (first.previous, second.previous) == ("", first.id)
    assert first.id in second.parents
    assert [j.id for j in looks(line.places, line.places.model)][-2:] == [second.id, first.id]


def test_asking_again_finds_the_judgement_and_costs_nothing(line: Line) -> None:
    before = {j.id for j in Shelf(line.places.nouns).all(Judgement)}
    assert publish.judge(line.places, line.challenger.id).id in before
    assert {j.id for j in Shelf(line.places.nouns).all(Judgement)} == before


def test_repeated_plans_are_compared_beside_and_do_not_decide(line: Line) -> None:
    shelf = Shelf(line.places.nouns)
    evaluation = shelf.get(Evaluation, shelf.get(Bundle, line.challenger.bundle).evaluation)
    assert [panel.repeat for panel in evaluation.others] == [1]
    plans = [shelf.get(FoldPlan, evaluation.plan), shelf.get(FoldPlan, evaluation.others[0].plan)]
    assert plans[0].rules == plans[1].rules
    assert len(line.looks[1].beside) == 2
    assert any("2 rounds" in beside.sentence for beside in line.looks[1].beside)


def test_the_run_of_a_judgement_holds_every_number_and_the_page(line: Line) -> None:
    tracking, second = Tracking(line.places.tracking_uri), line.looks[1]
    run = tracking.finished_run_of("world", second.id)
    assert run is not None
    client = tracking._client
    metrics = client.get_run(run).data.metrics
    assert metrics["difference"] == second.difference.value
    assert metrics["look"] == 2
    assert {f.path for f in client.list_artifacts(run)} >= {"verdict.html", "judgement.json"}


def test_finished_models_meet_on_ground_that_neither_has_seen(line: Line) -> None:
    places, shelf = line.places, Shelf(line.places.nouns)
    judgement = publish.judge(places, line.challenger.id, line.everywhere.id)
    assert judgement.mode == "artefacts"
    table = shelf.get(FeatureTable, judgement.ground)
    assert table.version == line.everywhere.id
    models = tuple(shelf.get(Bundle, e.bundle) for e in (line.challenger, line.champion))
    asked = unseen(places, table, models)
    learned = [open_table(places, shelf.get(FeatureTable, shelf.get(Evaluation, m.evaluation).table)) for m in models]
    assert not asked.polygons & {name for one in learned for name in one.polygon.astype(str)}
    edge = WORLD.grid.bounds.left + 2 / 3 * (WORLD.grid.bounds.right - WORLD.grid.bounds.left)
    samples = asked.tabled.samples
    assert (samples.anchor_easting[asked.kept] > edge - 300).all()
    assert asked.n_left_out > 0

    keys, right = {k: v[asked.kept] for k, v in asked.tabled.keys.items()}, []
    for model in models:
        contract = SENTINEL_2_L1C.subset(model.bands)
        dn = to_contract(SEEN[list(contract.order(SENTINEL_2_L1C.names))], SENTINEL_2_L1C.radiometry, contract)
        graph = Graph((places.bundles / model.file.sha256 / GRAPH).read_bytes())
        codes = graph.run(dn[None]).probability[0].argmax(axis=0)
        right.append(codes[keys["row"], keys["col"]] == samples.code[asked.kept])
    _, block = evidence_blocks(samples, 600.0)
    number = np.unique(block[asked.kept], return_inverse=True)[1]
    gains = np.bincount(number, weights=right[0].astype(float) - right[1])
    ours, _ = ratio_interval(gains, np.bincount(number).astype(float))
    assert judgement.difference.value == pytest.approx(ours.value, abs=1e-12)
    # Unequal blocks weigh as fewer: the gate's interval is a little wider than the plain one.
    assert ours.low - 0.005 < judgement.difference.low <= ours.low
    assert ours.high <= judgement.difference.high < ours.high + 0.005
    assert judgement.spending is not None
    assert judgement.spending.look in (1, 3)


def test_ground_that_was_learned_from_judges_nobody(line: Line) -> None:
    shelf = Shelf(line.places.nouns)
    table = shelf.get(FeatureTable, shelf.get(Evaluation, shelf.get(Bundle, line.challenger.bundle).evaluation).table)
    with pytest.raises(BadInput, match=r"All \d+ samples .* lie in polygons that a model learned from"):
        publish.judge(line.places, line.challenger.id, table.version)


def test_an_unknown_version_is_named(line: Line) -> None:
    with pytest.raises(NotFound):
        publish.judge(line.places, line.challenger.id, "version-0000000000000000")

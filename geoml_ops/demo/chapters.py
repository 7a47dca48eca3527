"""Turns what a turn left behind, facts and nouns, into the story that the report tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from geoml_ops.adapters import plots, raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.flow import (
    Bundle,
    Decision,
    Drift,
    Entry,
    Evaluation,
    FeatureTable,
    FoldPlan,
    Judgement,
    Labels,
    Prediction,
    Retrain,
    Scene,
    Verdict,
    Version,
)
from geoml_ops.core.noun import Noun
from geoml_ops.demo import story as told
from geoml_ops.demo import world
from geoml_ops.demo.progress import Facts
from geoml_ops.platform.files import sha256_of, write_text
from geoml_ops.steps import trace
from geoml_ops.steps.answers import open_answers
from geoml_ops.steps.places import Places
from geoml_ops.steps.runs import fold_picture
from geoml_ops.steps.verdicts import page_of

N = TypeVar("N", bound=Noun)
TRUE_COLOUR = ("B04", "B03", "B02")


@dataclass(frozen=True)
class Teller:
    """Reads nouns and maps of a finished, or half-finished, turn."""

    places: Places
    folder: Path
    facts: Mapping[str, Facts]

    def noun(self, kind: type[N], noun_id: str | None) -> N | None:
        """Returns a noun of the turn, or None where the turn did not come that far."""
        return Shelf(self.places.nouns).get(kind, noun_id) if noun_id else None

    def verdicts(self, *names: str) -> tuple[Verdict, ...]:
        """Returns the verdicts on the deliveries with these names."""
        return tuple(v for v in Shelf(self.places.nouns).all(Verdict) if v.delivery in names)

    # --- chapters ----------------------------------------------------------------------------

    def ground(self) -> told.Ground:
        """What arrived first."""
        version = self.noun(Version, self.facts.get("first_model", {}).get("version"))
        if version is None:
            return told.Ground()
        scene = self.noun(Scene, version.scenes[0])
        assert scene is not None
        whole = raster.read(self.places.store / scene.file.path)
        names = [band.name for band in scene.bands]
        rgb = whole[[names.index(name) for name in TRUE_COLOUR]]
        shown = told.Picture(
            plots.picture(rgb, scene.grid),
            f"True-colour picture of scene {scene.name}: fields, forest, lakes, villages and some cloud",
            "Bands B04, B03, B02. Contains modified Copernicus Sentinel data 2017.",
        )
        verdicts = tuple(v for v in (self.noun(Verdict, i) for i in version.verdicts) if v is not None)
        labels = tuple(x for x in (self.noun(Labels, i) for i in version.labels) if x is not None)
        return told.Ground(scene, labels, verdicts, version, (shown,))

    def training(self, facts: Facts) -> told.Training:
        """What a training learned."""
        chosen = self.noun(Evaluation, facts.get("evaluation"))
        if chosen is None:
            return told.Training()
        plan = self.noun(FoldPlan, chosen.plan)
        table = self.noun(FeatureTable, chosen.table)
        assert plan is not None
        assert table is not None
        same = [e for e in Shelf(self.places.nouns).all(Evaluation) if e.plan == chosen.plan]
        evaluations = tuple(sorted(same, key=lambda e: e.family))
        answers = open_answers(self.places, chosen.predictions)
        folds = told.Picture(
            fold_picture(answers.easting, answers.northing, answers.fold, plan),
            f"Samples on the ground, coloured by the fold in which they are tested: {plan.n_blocks} blocks",
            f"Blocks of {plan.block_m:,.0f} m, polygons kept whole, {plan.buffer_m:g} m around a test left empty.",
        )
        optimism = self.noun(FoldPlan, chosen.optimism_plan)
        others = tuple(p for panel in chosen.others if (p := self.noun(FoldPlan, panel.plan)) is not None)
        return told.Training(table, plan, optimism, others, evaluations, chosen, (folds,))

    def publication(self, facts: Facts) -> told.Publication:
        """What became of the chosen model."""
        judgement = self.noun(Judgement, facts.get("judgement"))
        if judgement is None:
            return told.Publication()
        entry = self.noun(Entry, judgement.challenger)
        bundle = self.noun(Bundle, entry.bundle if entry else None)
        page = self.folder / f"verdict-{judgement.id[-16:]}.html"
        write_text(page, page_of(self.places, judgement))
        return told.Publication(
            bundle,
            entry,
            judgement,
            serves=bool(facts.get("entry")),
            verdict=page.name,
            pictures=self._differences(judgement, facts),
        )

    def _differences(self, judgement: Judgement, facts: Facts) -> tuple[told.Picture, ...]:
        evaluation = self.noun(Evaluation, facts.get("evaluation"))
        plan = self.noun(FoldPlan, evaluation.plan) if evaluation else None
        if plan is None or not judgement.blocks:
            return ()
        drawn = plots.block_differences(judgement.blocks, plan.block_m)
        text = f"Map of {len(judgement.blocks)} blocks, coloured by how much more often the challenger is right there"
        return (told.Picture(drawn, text, "Challenger minus the other, block by block: the evidence of the gate."),)

    def mapped(self, prediction_id: str | None) -> told.Mapped:
        """The map of a request, with its confidence."""
        prediction = self.noun(Prediction, prediction_id)
        bundle = self.noun(Bundle, prediction.bundle) if prediction else None
        if prediction is None or bundle is None:
            return told.Mapped()
        classes, confidence = raster.read(self.map_of(prediction), bands=[0, 1])
        sure = np.where(confidence == 255, np.nan, confidence / 100.0)
        pictures = (
            told.Picture(
                plots.class_map(classes, bundle.colours, bundle.classes, prediction.grid),
                "Map of land cover classes of the whole scene",
                f"Drawn by the service, model {prediction.number}, over HTTP, as a Cloud-Optimised GeoTIFF.",
            ),
            told.Picture(
                plots.confidence_map(sure, prediction.grid),
                "Map of the probability of the class shown",
                "How well these numbers can be believed is the reliability diagram of the verdict's page.",
            ),
        )
        return told.Mapped(prediction, pictures)

    def map_of(self, prediction: Prediction) -> Path:
        """Returns where the map of a prediction lies."""
        return self.places.predictions / prediction.id / "map.tif"

    def situations(self) -> tuple[told.Situation, ...]:
        """What monitoring met, in the order in which it was met."""
        found = []
        quiet = self.facts.get("quiet_ground")
        if quiet:
            text = "The western half, the ground of the training labels, is requested from the service."
            found.append(self._situation("(a) Ground like the training ground", text, quiet))
        shifted = self.facts.get("shifted_numbers")
        if shifted:
            found += self._shifted(shifted)
        new = self.facts.get("new_ground")
        if new:
            text = (
                "The eastern half is requested. The champion never saw a label of it. Nothing is trained yet: "
                "without labels there is nothing to learn."
            )
            found.append(self._situation("(c) Ground the champion never saw", text, new))
        return tuple(found)

    def _shifted(self, facts: Facts) -> list[told.Situation]:
        names = tuple(facts["verdicts"])
        refused = tuple(v for v in self.verdicts(*names) if not v.accepted)
        accepted = tuple(v for v in self.verdicts(*names) if v.accepted)
        undeclared = self._situation(
            "(b) The same scene, +1000 DN in every band, undeclared",
            "As Sentinel-2 baseline 04.00 delivered it from 2022 on, while the metadata still say 02.04. The delivery "
            "is stopped at ingest; the same numbers sent straight to the service are named by monitoring. "
            "Nothing is retrained: a broken ingest is fixed, not learned.",
            facts["undeclared"],
            refused,
            ((f"{facts['changed_share']:.0%}", "of the map's pixels would have changed class"),),
        )
        same = "identical" if facts["identical"] else "NOT identical"
        declared = self._situation(
            "(b) The same numbers, declared as baseline 04.00",
            "With the offset declared the delivery is accepted, and the map is the same, pixel by pixel.",
            facts["declared"],
            accepted,
            ((same, "the map, compared with the one of the unshifted scene"),),
        )
        return [undeclared, declared]

    def _situation(
        self,
        name: str,
        text: str,
        facts: Facts,
        verdicts: tuple[Verdict, ...] = (),
        numbers: tuple[tuple[str, str], ...] = (),
    ) -> told.Situation:
        drift, decision = self.noun(Drift, facts.get("drift")), self.noun(Decision, facts.get("decision"))
        return told.Situation(name, text, drift, decision, verdicts, numbers, self._drift_map(drift))

    def _drift_map(self, drift: Drift | None) -> tuple[told.Picture, ...]:
        """The picture of where a drift is; nothing where none was drawn, or it is gone or altered."""
        where = drift.where if drift else None
        if where is None or where.picture is None:
            return ()
        path = self.places.dashboard / where.picture.path
        if not path.is_file() or sha256_of(path) != where.picture.sha256:
            return ()
        text = f"Map of where the scene departs: {where.statistic}"
        return (told.Picture(path.read_bytes(), text, f"Tile by tile: {where.statistic}."),)

    def second(self) -> told.SecondTurn:
        """The turn that monitoring started."""
        facts = self.facts.get("second_model")
        if not facts:
            return told.SecondTurn()
        return told.SecondTurn(
            decision=self.noun(Decision, facts.get("decision")),
            retrain=self.noun(Retrain, facts.get("retrain")),
            version=self.noun(Version, facts.get("version")),
            training=self.training(facts),
            publication=self.publication(facts),
            mapped=self.mapped(facts.get("prediction")),
        )

    def lineage(self) -> told.Lineage | None:
        """One pixel in the middle of the last map, walked back."""
        facts = self.facts.get("second_model") or {}
        prediction = self.noun(Prediction, facts.get("prediction"))
        if prediction is None:
            return None
        bounds = prediction.grid.bounds
        easting, northing = (bounds.left + bounds.right) / 2 + 5.0, (bounds.bottom + bounds.top) / 2 + 5.0
        links = trace.trace(self.places, self.map_of(prediction), easting, northing)
        pairs = tuple((link.noun, link.sentence) for link in links)
        return told.Lineage(easting, northing, links[0].sentence.rstrip("."), pairs)


def tell_story(places: Places, folder: Path, facts: Mapping[str, Facts], cost: told.Cost) -> told.Story:
    """Returns the story of a turn as far as it came."""
    teller = Teller(places, folder, facts)
    whole = facts.get("new_ground", {}).get("predictions", {}).get("whole")
    return told.Story(
        finished="second_model" in facts,
        ground=teller.ground(),
        training=teller.training(facts.get("first_model", {})),
        publication=teller.publication(facts.get("first_model", {})),
        mapped=teller.mapped(whole),
        situations=teller.situations(),
        second=teller.second(),
        generated=world.tell(facts["world"], folder) if "world" in facts else None,
        lineage=teller.lineage(),
        cost=cost,
    )


def sizes(places: Places) -> tuple[tuple[str, str], ...]:
    """Returns what takes room in the workspace, ready to read."""
    parts = {
        "versions of imagery and labels (store)": places.store,
        "their remote": Path(places.remote),
        "bundles": places.bundles,
        "maps and sketches": places.predictions,
        "nouns": places.nouns,
    }
    return tuple((f"{_bytes(folder) / 1e6:.1f} MB", name) for name, folder in parts.items() if folder.exists())


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

"""One turn of the loop through Airflow's own scheduler, then a second one that monitoring starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geoml_ops import client
from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.sample import fetch
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.flow import Bundle, Decision, Drift, Entry, Judgement, Retrain, Scene, Verdict, Version
from geoml_ops.core.grid import Window
from geoml_ops.demo.chain import Chain, service_has
from geoml_ops.demo.progress import Facts, tell
from geoml_ops.stack import Stack
from geoml_ops.steps import deliver
from geoml_ops.steps.places import Places


@dataclass
class Turn:
    """The chapters of a turn; each finds its own work when it is run again."""

    stack: Stack
    chain: Chain
    folder: Path
    requests: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> Places:
        """Folders and addresses of this stack."""
        return self.stack.settings.places()

    @property
    def shelf(self) -> Shelf:
        """The nouns of this workspace."""
        return Shelf(self.places.nouns)

    # --- what arrives ------------------------------------------------------------------------

    def deliver(self, *names: str) -> None:
        """Puts deliveries into the drop folder, each whole or not at all."""
        stage = deliver.make_deliveries(fetch(self.stack.settings.data), self.folder / "deliveries")
        for name in names:
            deliver.hand_in(stage[name], self.places.drop)

    def request(self, name: str, path: Path) -> str:
        """Sends a raster to the service, keeps its map in the demo's folder and returns the prediction's id."""
        answer = client.classify(self.stack.settings.service_url, path, self.folder / f"map-{name}.tif")
        return answer["prediction"]

    def cut(self, name: str, window: Window | None, *, shift_dn: int = 0, declared_dn: float = 0.0) -> Path:
        """Cuts a request out of a stored scene; ``shift_dn`` is added to every measured number.

        Args:
            name: of the file in the demo's folder.
            window: what to cut; None for the whole scene.
            shift_dn: what is added without being declared.
            declared_dn: the offset that the scene declares; the accepted scene with this offset is cut.
        """
        target = self.folder / "requests" / f"{name}.tif"
        if target.exists():
            return target
        scene = self.scene(declared_dn)
        stored = self.places.store / scene.file.path
        dn = raster.read(stored, window)
        if shift_dn:
            dn = deliver.shift(dn.astype(np.uint16), shift_dn)
        raster.write_scene(
            target,
            dn,
            scene.grid.inside(window or scene.grid.whole),
            SENTINEL_2_L1C,
            Radiometry(scale=1e-4, offset_dn=declared_dn, nodata=0.0),
            tags={} if shift_dn else {"GEOML_SCENES": scene.id},
        )
        return target

    def scene(self, declared_dn: float = 0.0) -> Scene:
        """The accepted scene that declares this offset."""
        accepted = {v.subject for v in self.shelf.all(Verdict) if v.accepted}
        return next(s for s in self.shelf.all(Scene) if s.id in accepted and s.declared.offset_dn == declared_dn)

    def halves(self) -> tuple[Window, Window]:
        """The western and the eastern half of the scene."""
        width, height = self.scene().grid.width, self.scene().grid.height
        half = width // 2
        return (
            Window(col=0, row=0, width=half, height=height),
            Window(col=half, row=0, width=width - half, height=height),
        )

    # --- the chapters ------------------------------------------------------------------------

    def first_model(self) -> Facts:
        """The scene and the western labels arrive; everything up to the first champion follows by itself."""
        self.deliver(deliver.SCENE, deliver.LABELS_WEST)
        self._turn_over()
        return self._outcome(must_follow=True)

    def same_again(self) -> Facts:
        """The drop folder is swept again: nothing is new, nothing is made."""
        before = sorted(p.name for p in self.places.nouns.rglob("*.json"))
        self.chain.start("ingest")
        made = sorted({p.name for p in self.places.nouns.rglob("*.json")} - set(before))
        if made:
            raise GeomlError(f"A second sweep of the same deliveries made {len(made)} nouns: {', '.join(made[:5])}.")
        return {"nouns": len(before)}

    def quiet_ground(self) -> Facts:
        """Requests of ground like the training ground: nothing may happen."""
        west, _ = self.halves()
        return self._asked([("west", self.cut("west", west))])

    def shifted_numbers(self) -> Facts:
        """The same scene with +1000 DN: undeclared it is stopped and named, declared it gives the same map."""
        west, _ = self.halves()
        self.deliver(deliver.SHIFTED)
        self.chain.start("ingest")
        undeclared = self._asked([("undeclared", self.cut("undeclared", west, shift_dn=deliver.SHIFT_DN))])
        self.deliver(deliver.SHIFTED_DECLARED)
        self.chain.start("ingest")
        path = self.cut("declared", west, declared_dn=-float(deliver.SHIFT_DN))
        declared = self._asked([("declared", path)])
        maps = [raster.read(self.folder / f"map-{name}.tif") for name in ("west", "declared", "undeclared")]
        if not np.array_equal(maps[0], maps[1]):
            raise GeomlError(f"The declared offset changed {(maps[0] != maps[1]).mean():.1%} of the map.")
        return {
            "undeclared": undeclared,
            "accepted": self._outcome(must_follow=False),
            "declared": declared,
            "verdicts": self._verdicts(deliver.SHIFTED, deliver.SHIFTED_DECLARED),
            "identical": bool(np.array_equal(maps[0], maps[1])),
            "changed_share": float((maps[0][0] != maps[2][0]).mean()),
        }

    def new_ground(self) -> Facts:
        """Requests of ground the champion never saw: named, and labels asked for."""
        _, east = self.halves()
        facts = self._asked([("east", self.cut("east", east))])
        facts["predictions"]["whole"] = self.request("whole", self.cut("whole", None))
        return facts

    def second_model(self) -> Facts:
        """The eastern labels arrive; monitoring starts the second training, the gate decides."""
        self.deliver(deliver.LABELS_EAST)
        self._turn_over()
        facts = self._outcome(must_follow=True)
        facts["prediction"] = self.request("after", self.cut("whole", None))
        return facts

    # --- what came of it ---------------------------------------------------------------------

    def _turn_over(self) -> None:
        """Ingests and waits for all that follows; a training that a kill broke off is asked for once more."""
        self.chain.start("ingest")
        version = list(self.shelf.all(Version))[-1]
        if self._judged(version)[2] is None:
            tell("      no training came to its end; monitoring weighs the version again")
            self.chain.start("patrol")

    def _judged(self, version: Version) -> tuple[Bundle | None, Entry | None, Judgement | None]:
        bundle = next((b for b in self.shelf.all(Bundle) if b.version == version.id), None)
        entry = next((e for e in self.shelf.all(Entry) if bundle and e.bundle == bundle.id), None)
        judgement = next((j for j in self.shelf.all(Judgement) if entry and j.challenger == entry.id), None)
        return bundle, entry, judgement

    def _outcome(self, *, must_follow: bool) -> Facts:
        """What the newest version led to, read from the nouns: a killed turn's work counts as this one's."""
        version = list(self.shelf.all(Version))[-1]
        decision = [d for d in self.shelf.all(Decision) if d.version == version.id][-1]
        facts: Facts = {"version": version.id, "decision": decision.id, "because": decision.because}
        facts["retrain"] = next((r.id for r in self.shelf.all(Retrain) if r.version == version.id), "")
        bundle, entry, judgement = self._judged(version)
        if bundle and entry and judgement:
            facts |= {"evaluation": bundle.evaluation, "judgement": judgement.id, "outcome": judgement.outcome}
            tell(f"      gate: {judgement.outcome}, {judgement.difference.value:+.3f} against {judgement.against}")
            if judgement.outcome == "PROMOTE":
                service_has(self.stack.settings.service_url, entry.number)
                facts |= {"entry": entry.id, "bundle": bundle.id}
                tell(f"      the service answers with model {entry.number}")
        elif must_follow:
            raise GeomlError(
                f"No training followed: {decision.because}", f"read the verdicts under {self.places.data_docs}"
            )
        return facts

    def _asked(self, requests: Sequence[tuple[str, Path]]) -> Facts:
        predictions = {name: self.request(name, path) for name, path in requests}
        ran = self.chain.start("patrol")
        decision = self.shelf.get(Decision, ran["patrol"]["decide"]["decision"])
        drift = self.shelf.get(Drift, decision.drift) if decision.drift else None
        tell(f"      {drift.diagnosis.cause if drift else 'nothing compared'} → {decision.action}")
        return {
            "predictions": predictions,
            "decision": decision.id,
            "drift": drift.id if drift else "",
            "cause": drift.diagnosis.cause if drift else "",
            "action": decision.action,
            "fired": decision.fired,
        }

    def _verdicts(self, *deliveries: str) -> dict[str, str]:
        return {v.delivery: v.id for v in self.shelf.all(Verdict) if v.delivery in deliveries}

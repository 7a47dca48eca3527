"""Classify: which model answers, and a raster through it into a map with its evidence.

The service, its jobs and the batch verb call these functions and nothing beside them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geoml_ops.adapters import raster
from geoml_ops.adapters.cog import MapJournal, write_attributes
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.predictions import MAP, PICTURE, SKETCHES, TALLIES, PredictionLog
from geoml_ops.core.errors import BadInput, Cancelled, Conflict, NotFound, Refused, StorageFull
from geoml_ops.core.flow import Prediction
from geoml_ops.core.noun import FileRef, digest
from geoml_ops.platform.files import sha256_of, write_json, write_text
from geoml_ops.platform.log import logger
from geoml_ops.platform.space import is_full
from geoml_ops.steps.answering import Model, champion, entry_of, last_champion, load
from geoml_ops.steps.findings import SKETCH_PX, Findings, column_names
from geoml_ops.steps.looking import Early, looked_at
from geoml_ops.steps.mapping import TILE_PX, Budget, Mapper, Progress, plan_pass, run_pass, shown
from geoml_ops.steps.places import Places
from geoml_ops.steps.radiometry import refuse_exchanged, refuse_misdeclared
from geoml_ops.steps.requests import (
    Request,
    chosen,
    described,
    every_class_fits,
    layers_known,
    meaning,
    said_name,
    tags,
)
from geoml_ops.steps.sources import Source
from geoml_ops.steps.thinning import PICTURE_PX, Picture

__all__ = [
    "BATCH_LIMITS",
    "PICTURE_PX",
    "SKETCH_PX",
    "TILE_PX",
    "Model",
    "champion",
    "chosen",
    "classify",
    "entry_of",
    "every_class_fits",
    "last_champion",
    "layers_known",
    "load",
]

#: Only parts of it are held, so a raster of one's own may be as large as a continent.
BATCH_LIMITS = raster.Limits(
    file_bytes=10**12, side_px=4_000_000, pixels=10**11, blocks=1 << 26, ratio=1 << 20, jpeg=True
)
ENGINE = 2
"""Counts up when the same request would get other bytes; a journal of another number is begun afresh."""
_POLL_S = 0.2
_log = logger("classify")


@dataclass(frozen=True)
class _How:
    """How a request is worked on; none of it changes a byte of the answer."""

    budget: Budget
    progress: Progress | None
    cancelled: Callable[[], bool] | None

    def go_on(self) -> None:
        """Raises Cancelled where nobody wants the answer any more."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("The map was cancelled.", "ask again; it goes on from there")


def classify(  # noqa: PLR0913 - the one door to the engine; everything but the raster and the model may be left out
    places: Places,
    source: Path,
    model: Model,
    *,
    name: str = "",
    limits: raster.Limits = raster.LIMITS,
    layers: tuple[str, ...] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    memory_mb: float = Budget.memory_mb,
    threads: int = Budget.threads,
) -> Prediction:
    """Returns the prediction for a raster: its map, sketches and picture are on disk, it is logged.

    The id follows from the model, the bytes of the raster and the layers; asking again finds the first answer, and
    after a kill it goes on where that one stopped, to the same bytes.

    Args:
        places: where predictions are kept.
        source: a GeoTIFF with named bands and declared radiometry; nothing beside it is read.
        model: what answers.
        name: what people call the raster.
        limits: what the raster may be.
        layers: bands of the map, by name; ``sets`` and ``applicability`` stand for several, none for all.
        progress: called with the pixels that are done, and all of them.
        cancelled: asked between blocks whether nobody wants the map any more.
        memory_mb: what may be in memory at a time, beside interpreter, libraries and graph.
        threads: blocks in work at a time.

    Raises:
        BadInput: bands, radiometry, grid, layers or content do not fit the model; nothing is kept.
        Cancelled: ``cancelled`` said so.
        TooLarge: beyond ``limits``.
        StorageFull: no space left; asked again it goes on from there.
    """
    request = described(places, source, model, name, limits, layers)
    how = _How(Budget(memory_mb, threads), progress, cancelled)
    log, shelf = PredictionLog(places.predictions), Shelf(places.nouns)
    prediction = _earlier(shelf, log, request.id)
    if prediction is None:
        journal = _held(places, request, how)
        with journal:
            # Whoever held the journal before may have finished the map.
            prediction = _earlier(shelf, log, request.id) or _answered(places, journal, request, how)
            journal.discard()
    if log.append(request.id, datetime.now(UTC)):
        _log.info("classified", prediction=request.id, bundle=model.bundle.id, valid_share=prediction.valid_share)
    return prediction


def _held(places: Places, request: Request, how: _How) -> MapJournal:
    """Returns the journal of a request; waits for whoever works on the same one."""
    folder = places.workspace / "service" / "journals" / request.id
    key = digest([ENGINE, request.id, request.model.bundle.file.sha256, TILE_PX])
    while True:
        how.go_on()
        try:
            return MapJournal(folder, key, request.layout)
        except Conflict:
            time.sleep(_POLL_S)


def _answered(places: Places, journal: MapJournal, request: Request, how: _How) -> Prediction:
    try:
        return _made(places, journal, request, how)
    except (BadInput, Refused):
        # What is refused leaves nothing behind, and a journal that was changed is begun afresh.
        journal.discard()
        raise
    except OSError as error:
        if is_full(error, places.predictions):
            raise StorageFull("No space left while the map was written.", "free some space, then ask again") from error
        raise


def _made(places: Places, journal: MapJournal, request: Request, how: _How) -> Prediction:
    bundle, home = request.model.bundle, PredictionLog(places.predictions).home(request.id)
    picture = Picture(request.source.grid.shape, bundle.contract)
    # What the first answer said about its origin stays, so that a repaired file has the same bytes.
    shelf = Shelf(places.nouns)
    earlier = _kept(shelf, request.id)
    scenes = earlier.scenes if earlier else request.scenes
    with ThreadPoolExecutor(1, thread_name_prefix="telling") as aside:
        findings = _passed(journal, request, picture, how, aside)
        told = aside.submit(_told, home, picture, findings)
        sha256 = journal.finish(home / MAP, tags(request, scenes) | meaning(bundle))
        told.result()
    write_attributes(
        home / MAP,
        names=bundle.classes,
        colours=bundle.colours,
        counts=findings.class_counts,
        pixel_m=request.source.grid.pixel_m,
        values=bundle.values or None,
    )
    said = earlier.source_name if earlier else request.name or said_name(shelf, scenes)
    return shelf.put(_prediction(request, findings, (_file(home / MAP, sha256), _file(home / SKETCHES)), scenes, said))


def _passed(journal: MapJournal, request: Request, picture: Picture, how: _How, aside: Executor) -> Findings:
    """Commits all blocks of a map; returns what was found in them. The picture is drawn aside once all were read."""
    source, bundle, layout = request.source, request.model.bundle, journal.layout
    plan = plan_pass(source, bundle, layout, how.budget, picture.nbytes)
    mapper = Mapper(
        source,
        bundle,
        request.model.run,
        layout,
        picture=picture,
        later=aside.submit,
        remembered_bytes=plan.remembered_bytes,
    )
    findings = Findings(bundle)
    for notes in journal.notes():
        findings.add(notes)
    shown(mapper, picture, layout.blocks[: journal.n_done], plan)
    early = Early(source.grid.shape, layout.block_px, plan.early_bytes)
    with _looking(source, early, how) as cancelled:
        run_pass(journal, mapper, plan, findings, progress=how.progress, cancelled=cancelled, early=early)
    if not findings.n_known:
        raise BadInput(
            f"None of the {findings.n_px} pixels was observed in all of {', '.join(bundle.contract.names)}; no map.",
            f"check the raster's nodata value ({_said(source.declared.absent)}) and that the area was imaged",
        )
    return findings


def _told(home: Path, picture: Picture, findings: Findings) -> None:
    """Writes what lies beside a map."""
    picture.write(home / PICTURE)
    write_json(home / SKETCHES, findings.columns(column_names(findings.bundle)))
    write_text(home / TALLIES, json.dumps(findings.tallies, separators=(",", ":")))


@contextmanager
def _looking(source: Source, early: Early, how: _How) -> Iterator[Callable[[], bool]]:
    """Looks at a raster beside the pass; yields what asks whether to stop, and raises once the raster is refused."""
    with ThreadPoolExecutor(1, thread_name_prefix="looking") as aside:
        seen = aside.submit(_look, source, early)

        def cancelled() -> bool:
            if seen.done():
                seen.result()
            return how.cancelled is not None and how.cancelled()

        yield cancelled
        seen.result()


def _look(source: Source, early: Early) -> None:
    seen = looked_at(source, early)
    refuse_misdeclared(seen, source.carried, source.declared, source.own)
    refuse_exchanged(seen, source.carried)


def _prediction(
    request: Request, findings: Findings, files: tuple[FileRef, FileRef], scenes: tuple[str, ...], said_name: str
) -> Prediction:
    model, path = request.model, request.path
    return Prediction(
        bundle=model.bundle.id,
        graph_sha256=model.bundle.file.sha256,
        model=model.release.model,
        number=model.release.number,
        source=FileRef(path=path.name, sha256=request.sha256, size=path.stat().st_size),
        source_name=said_name,
        scenes=scenes,
        covariates=tuple(covariate.id for covariate in request.beside.covariates),
        declared=request.source.declared,
        grid=request.source.grid,
        map=files[0],
        sketches=files[1],
        valid_share=findings.valid_share,
        class_shares=findings.class_shares,
        mean_confidence=findings.mean_confidence,
        outside_share=findings.outside_share,
        mean_set_size=findings.mean_set_size,
        tile_px=SKETCH_PX,
        layers=request.layers,
    )


def _said(absent: Sequence[float]) -> str:
    return " and ".join(f"{number:g}" for number in absent) or "none"


def _kept(shelf: Shelf, prediction_id: str) -> Prediction | None:
    try:
        return shelf.get(Prediction, prediction_id)
    except NotFound:
        return None


def _earlier(shelf: Shelf, log: PredictionLog, prediction_id: str) -> Prediction | None:
    """Returns a prediction whose files are all there, as they were made."""
    found, home = _kept(shelf, prediction_id), log.home(prediction_id)
    if found is None or not (home / PICTURE).exists():
        return None
    wanted = ((home / MAP, found.map.sha256), (home / SKETCHES, found.sketches.sha256))
    return found if all(path.exists() and sha256_of(path) == sha256 for path, sha256 in wanted) else None


def _file(path: Path, sha256: str = "") -> FileRef:
    sha256 = sha256 or sha256_of(path)
    return FileRef(path=f"{path.parent.name}/{path.name}", sha256=sha256, size=path.stat().st_size)

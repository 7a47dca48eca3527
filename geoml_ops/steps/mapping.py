"""A raster of any size through a model, block by block: reading, answering and packing at once, kept in one order.

One thread reads ahead, several answer and pack, and this one commits blocks in the order of the map. What is in
memory at a time follows from a budget, never from the raster; what is written follows from neither budget, threads
nor chance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import cog, raster
from geoml_ops.adapters.cog import Encoded, MapJournal, MapLayout
from geoml_ops.core.errors import Cancelled
from geoml_ops.core.flow import Bundle
from geoml_ops.core.grid import Grid, Window
from geoml_ops.domain.tiling import (
    Answer,
    Block,
    Box,
    Lattice,
    Layers,
    Least,
    Pixels,
    Run,
    Spread,
    answer_of,
    classify_block,
    least_over,
)
from geoml_ops.steps.crew import Crew
from geoml_ops.steps.findings import Findings, Tiles, notes_of
from geoml_ops.steps.looking import Early
from geoml_ops.steps.remembering import Remembered
from geoml_ops.steps.sources import Source
from geoml_ops.steps.swaths import Course, Swath, course, reading
from geoml_ops.steps.thinning import Picture

Progress = Callable[[int, int], None]
# Dissimilarity to 2,000 samples costs memory per pixel: tiles of 256 px take twice as much of it and a third more time.
TILE_PX = 128
GRAPH_NUMBERS = 96
"""Float32 numbers per pixel of a tile that a graph is taken to hold while it runs, beside its input."""
_READING_SHARE, _REMEMBERED_SHARE, _EARLY_SHARE = 0.5, 0.25, 0.5
_EARLY_BLOCKS = 256
"""Of a raster of more, those that are looked at are too few to be worth keeping until their turn."""


@dataclass(frozen=True)
class Budget:
    """What a pass may hold at a time; neither number changes a byte of a map.

    Attributes:
        memory_mb: of pixels, answers and what is read ahead; interpreter, libraries and graph come on top.
        threads: blocks in work at a time, at most.
    """

    memory_mb: float = 1024.0
    threads: int = 2


@dataclass(frozen=True)
class Pass:
    """How a raster will go through a model.

    Attributes:
        way: how it is read.
        threads: blocks that are answered at a time.
        waiting: blocks in work or waiting for their turn, at most.
        remembered_bytes: of answers of overlapping tiles.
        early_bytes: of blocks that may be read before their turn.
    """

    way: Course
    threads: int
    waiting: int
    remembered_bytes: int
    early_bytes: int = 0


def lattice_of(bundle: Bundle) -> Lattice:
    """Returns how rasters are cut for a model; a part of what its maps are, whatever machine makes them."""
    tile_px = TILE_PX
    while bundle.overlap_px > tile_px:
        tile_px *= 2
    return Lattice(tile_px, bundle.halo_px, bundle.overlap_px)


def plan_pass(source: Source, bundle: Bundle, layout: MapLayout, budget: Budget, held_bytes: int = 0) -> Pass:
    """Returns how a raster goes through a model within a budget; one block at a time is the least.

    Args:
        source: the raster.
        bundle: the model.
        layout: of the map.
        budget: what may be held.
        held_bytes: of it, by others.
    """
    lattice, edge, n_bands = lattice_of(bundle), layout.block_px, len(bundle.contract.bands)
    chunking = raster.chunking(source.parts[0].path, source.limits)
    if len(source.parts) > 1 and chunking.pixel_bytes < 4:
        chunking = replace(chunking, dtype="float32")  # covariates are
    height, width = (min(edge + 2 * lattice.around_px, side) for side in source.grid.shape)
    total = max(int(budget.memory_mb * 2**20) - held_bytes, 0)
    nested = chunking.divides(edge) and lattice.around_px == 0 and len(source.parts) == 1
    way = course(
        (height, width),
        source.grid.width,
        n_bands,
        chunking,
        nested=nested,
        budget_bytes=int(_READING_SHARE * total),
        threads=max(1, budget.threads // 2),
    )
    # The numbers, a copy while bands are joined or edges filled, what was read, and what the map says; then one tile.
    block = height * width * n_bands * (4 + 4 + chunking.pixel_bytes) + edge * edge * (16 + 2 * len(layout.bands))
    tile = lattice.tile_px + 2 * (lattice.reach_px + lattice.halo_px)
    block += tile * tile * 4 * (n_bands + GRAPH_NUMBERS)
    remembered = int(_REMEMBERED_SHARE * total) if lattice.overlap_px else 0
    room = (total - way.nbytes - way.cache_bytes - remembered) // max(block, 1)
    threads = max(1, min(budget.threads, room))
    waiting = max(1, min(2 * threads, room))
    left = total - way.nbytes - way.cache_bytes - remembered - waiting * block
    keeps = nested and len(layout.blocks) <= _EARLY_BLOCKS
    return Pass(way, threads, waiting, remembered, max(0, int(_EARLY_SHARE * left)) if keeps else 0)


class Mapper:
    """What happens to a block: numbers in, a packed block and its notes out. Shared by all threads.

    Attributes:
        source: the raster.
        bundle: the model.
        layout: of the map.
        lattice: how the raster is cut.
    """

    def __init__(
        self,
        source: Source,
        bundle: Bundle,
        run: Run,
        layout: MapLayout,
        *,
        picture: Picture | None = None,
        later: Callable[[Callable[[], object]], object] | None = None,
        remembered_bytes: int = 0,
    ) -> None:
        self.source, self.bundle, self.layout, self.lattice = source, bundle, layout, lattice_of(bundle)
        self._run, self._picture, self._later, self._tiles = run, picture, later, Tiles.of(source.grid)
        self._threshold = bundle.applicability.threshold if bundle.applicability else None
        self._least: Least | None = (
            least_over(bundle.conformal, bundle.classes, source.grid) if bundle.conformal else None
        )
        self._memory = Remembered(remembered_bytes)

    def needed(self, window: Window) -> Box:
        """Returns what a block needs of the raster."""
        return self.source.inside(self.lattice.needed(window, self.source.grid.shape))

    def answered(self, window: Window, swath: Swath) -> tuple[Pixels, Layers | None]:
        """Returns the numbers of a block and what the model says of them; None where nothing was observed."""
        block = self._read(window, swath)
        return block.core, self._answered(block, map)

    def packed(
        self, journal: MapJournal, index: int, window: Window, swath: Swath, crew: Crew
    ) -> tuple[Encoded, bytes]:
        """Returns a block as its journal keeps it, and its notes."""
        block = self._read(window, swath)
        if self._picture is not None and self._picture.take(window, block.core) and self._later is not None:
            self._later(self._picture.draw)
        layers = self._answered(block, crew.spread)
        notes = notes_of(window, block.core, layers, self._tiles, self.source.grid, self.bundle)
        return journal.encode(index, self._bands(window, layers), notes), notes

    def _read(self, window: Window, swath: Swath) -> Block:
        box = self.lattice.needed(window, self.source.grid.shape)
        return Block(window, self.source.grid.shape, self.source.dn(swath, box), box)

    def _answered(self, block: Block, spread: Spread) -> Layers | None:
        def ask(cell: Box) -> Answer | None:
            return self._memory.get(cell, lambda: answer_of(cell, block, self.lattice, self._run))

        return classify_block(
            block,
            self.lattice,
            self._run,
            threshold=self._threshold,
            least=self._least,
            every_class=any(name.startswith(cog.PROBABILITY) for name in self.layout.bands),
            ask=ask,
            spread=spread,
        )

    def _bands(self, window: Window, layers: Layers | None) -> NDArray[np.uint8]:
        names = self.layout.bands
        out = np.full((len(names), window.height, window.width), cog.NODATA, dtype=np.uint8)
        if layers is not None:
            bands = cog.bands_of(layers)
            for into, name in zip(out, names, strict=True):
                into[...] = bands[name]
        return out


def run_pass(
    journal: MapJournal,
    mapper: Mapper,
    plan: Pass,
    findings: Findings,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    early: Early | None = None,
) -> None:
    """Answers and commits all blocks that a journal lacks.

    Args:
        journal: to which blocks are committed.
        mapper: what happens to each of them.
        plan: how it goes.
        findings: of the blocks before; those of each new one are added.
        progress: called with the pixels that are done, and all of them.
        cancelled: asked between blocks whether nobody wants the map any more.
        early: blocks that were read before their turn.

    Raises:
        BadInput: the raster cannot be read.
        Cancelled: ``cancelled`` said so; the journal keeps what is done.
        StorageFull: no space left.
    """
    todo = mapper.layout.blocks[journal.n_done :]
    waiting: deque[Future[tuple[Encoded, bytes]]] = deque()
    boxes = (mapper.needed(window) for window in todo)
    with (
        reading(mapper.source.parts, mapper.source.limits, boxes, plan.way, early) as swaths,
        ThreadPoolExecutor(plan.threads, thread_name_prefix="answering") as pool,
    ):
        crew = Crew(pool, plan.threads)
        try:
            for index, window in enumerate(todo, start=journal.n_done):
                if len(waiting) >= plan.waiting:
                    _keep(journal, waiting.popleft(), findings, mapper.source.grid, progress)
                _go_on(cancelled)
                swath = swaths.holding(mapper.needed(window))
                waiting.append(pool.submit(mapper.packed, journal, index, window, swath, crew))
            while waiting:
                _keep(journal, waiting.popleft(), findings, mapper.source.grid, progress)
                _go_on(cancelled)
        finally:
            for future in waiting:
                future.cancel()


def _keep(
    journal: MapJournal,
    future: Future[tuple[Encoded, bytes]],
    findings: Findings,
    grid: Grid,
    progress: Progress | None,
) -> None:
    block, notes = future.result()
    journal.commit(block)
    findings.add(notes)
    if progress is not None:
        progress(findings.n_px, grid.width * grid.height)


def _go_on(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled("The map was cancelled.", "ask again; it goes on from there")


def shown(mapper: Mapper, picture: Picture, windows: Sequence[Window], plan: Pass) -> None:
    """Fills a picture with what committed blocks show: a journal does not keep pixels.

    Args:
        mapper: of the pass that goes on.
        picture: to be filled.
        windows: the blocks.
        plan: how the pass goes.
    """
    boxes = (Box.of(window) for window in windows)
    with reading(mapper.source.parts, mapper.source.limits, boxes, plan.way) as swaths:
        for window in windows:
            picture.take(window, mapper.source.dn(swaths.holding(Box.of(window)), Box.of(window)))

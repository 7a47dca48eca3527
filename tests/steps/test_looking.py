"""What is read of a raster before its turn: the same pixels, kept within the room there is, handed over once."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.adapters import raster
from geoml_ops.core.bands import SENTINEL_2_L1C, Radiometry, to_contract
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Box
from geoml_ops.steps.beside import Part
from geoml_ops.steps.looking import Early
from geoml_ops.steps.sources import Source
from geoml_ops.steps.swaths import Swath

SHAPE, EDGE, N_BANDS = (70, 50), 16, 3
STORED = np.random.default_rng(0).integers(1, 60_000, (N_BANDS, *SHAPE)).astype(np.uint16)
PIXEL_BYTES = 2 * N_BANDS
BLOCKS = [
    Box(top, left, min(top + EDGE, SHAPE[0]), min(left + EDGE, SHAPE[1]))
    for top in range(0, SHAPE[0], EDGE)
    for left in range(0, SHAPE[1], EDGE)
]
BOXES = st.tuples(st.integers(0, 69), st.integers(0, 49), st.integers(1, 40), st.integers(1, 40)).map(
    lambda at: Box(at[0], at[1], min(at[0] + at[2], SHAPE[0]), min(at[1] + at[3], SHAPE[1]))
)


class Disk:
    """Pixels on disk, and what was read of them."""

    def __init__(self) -> None:
        self.read_px = 0

    def read(self, box: Box) -> np.ndarray:
        self.read_px += box.shape[0] * box.shape[1]
        return STORED[:, box.top : box.low, box.left : box.right].copy()


def pixels(box: Box) -> np.ndarray:
    return STORED[:, box.top : box.low, box.left : box.right]


@given(st.lists(BOXES, max_size=12), st.integers(0, 40), st.integers(0, 2**16), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_parts_and_blocks_are_those_of_the_raster(boxes: list[Box], first: int, room: int, seed: int) -> None:
    early, disk, order = Early(SHAPE, EDGE, room), Disk(), random.Random(seed)
    todo = list(BLOCKS)
    for box in boxes:
        np.testing.assert_array_equal(early.part(box, disk.read, PIXEL_BYTES), pixels(box))
        assert early.nbytes <= room
        for _ in range(order.randrange(0, 4)):
            block = todo.pop(0) if todo else BLOCKS[-1]
            found = early.take(block)
            assert found is None or np.array_equal(found, pixels(block))
    for block in todo:
        found = early.take(block)
        assert found is None or np.array_equal(found, pixels(block))
    assert early.nbytes == 0


def test_with_room_every_block_is_read_once_and_handed_over_once() -> None:
    early, disk = Early(SHAPE, EDGE, 10**6), Disk()
    boxes = (Box(10, 10, 40, 30), Box(20, 20, 33, 33), Box(60, 40, 70, 50))
    for box in boxes:
        early.part(box, disk.read, PIXEL_BYTES)
    touched = [block for block in BLOCKS if any(block.common(box) for box in boxes)]
    assert disk.read_px == sum(block.shape[0] * block.shape[1] for block in touched)
    assert [block for block in BLOCKS if early.take(block) is not None] == touched
    assert not [block for block in BLOCKS if early.take(block) is not None]


def test_what_the_map_has_passed_is_not_kept() -> None:
    early, disk = Early(SHAPE, EDGE, 10**6), Disk()
    early.part(Box(0, 0, 40, 50), disk.read, PIXEL_BYTES)
    assert early.take(BLOCKS[5]) is not None
    before = early.nbytes
    disk.read_px = 0
    early.part(Box(0, 0, 3, 3), disk.read, PIXEL_BYTES)
    assert (disk.read_px, early.nbytes) == (9, before)
    assert early.take(BLOCKS[2]) is None


def test_two_threads_see_the_same_pixels_and_nothing_is_left() -> None:
    rng = random.Random(0)
    for _ in range(30):
        early, disk = Early(SHAPE, EDGE, rng.choice([600, 5000, 10**6])), Disk()
        wrong: list[Box] = []

        def look(early: Early = early, disk: Disk = disk, wrong: list[Box] = wrong) -> None:
            for block in reversed(BLOCKS):
                if not np.array_equal(early.part(block, disk.read, PIXEL_BYTES), pixels(block)):
                    wrong.append(block)

        thread = threading.Thread(target=look)
        thread.start()
        for block in BLOCKS:
            found = early.take(block)
            assert found is None or np.array_equal(found, pixels(block))
        thread.join()
        assert not wrong
        assert early.nbytes == 0


# --- numbers that are whole ------------------------------------------------------------------

CONTRACT = SENTINEL_2_L1C.subset(("B02", "B03", "B04"))


def source(rule: Radiometry, own: dict[str, Radiometry] | None = None) -> Source:
    grid = Grid(crs="EPSG:32633", left=0.0, top=100.0, pixel_m=10.0, width=7, height=5)
    part = Part(Path("none.tif"), (0, 1, 2), (0, 1, 2))
    return Source(grid, (part,), raster.LIMITS, CONTRACT, rule, own or {})


@given(
    seed=st.integers(0, 2**32 - 1),
    ends=st.sampled_from([(0, 3), (1, 3), (900, 1100), (1000, 1001), (1, 65_535), (64_000, 65_535), (5, 5)]),
    offset=st.sampled_from([0.0, -1000.0, -5.0, 1000.0, -0.5, 1e-5]),
    absent=st.sampled_from([None, 0.0, 1.0, 1000.0, 65_535.0, -1.0, 0.5, 70_000.0]),
    apart=st.booleans(),
    dtype=st.sampled_from(["uint16", "int16", "float32", "uint8"]),
)
@settings(max_examples=150, deadline=None)
def test_whole_numbers_are_told_only_where_the_contract_says_the_same(
    seed: int, ends: tuple[int, int], offset: float, absent: float | None, apart: bool, dtype: str
) -> None:
    stored = np.random.default_rng(seed).integers(*ends, (3, 5, 7), endpoint=True).astype(np.uint16).astype(dtype)
    rule = Radiometry(scale=1e-4, offset_dn=offset, nodata=absent)
    own = {"B03": Radiometry(scale=1e-4, offset_dn=0.0, nodata=absent)} if apart else {}
    read = source(rule, own)
    box = Box(0, 0, 5, 7)
    found = read.dn(Swath(box, (stored,)), box)
    assert found.dtype in (np.float32, np.uint16)
    np.testing.assert_array_equal(found.astype(np.float32), to_contract(stored, rule, CONTRACT, own))
    wider = read.dn(Swath(box, (stored,)), box.wider(2))
    assert wider.dtype == np.float32, "beyond the raster nothing was observed"
    assert np.isnan(wider[:, :2]).all()
    np.testing.assert_array_equal(wider[:, 2:-2, 2:-2], found.astype(np.float32))
    part = read.dn(Swath(box, (stored,)), Box(1, 2, 4, 6))
    np.testing.assert_array_equal(part.astype(np.float32), found[:, 1:4, 2:6].astype(np.float32))


@pytest.mark.parametrize(("offset", "told"), [(0.0, True), (-1000.0, True), (-1200.0, False)])
def test_numbers_of_both_baselines_are_told_without_comparing(offset: float, told: bool) -> None:
    stored = np.full((3, 5, 7), 1100, np.uint16)
    box = Box(0, 0, 5, 7)
    read = source(Radiometry(scale=1e-4, offset_dn=offset))
    assert (read.dn(Swath(box, (stored,)), box).dtype == np.uint16) == told
    stored[1, 2, 3] = 0
    assert read.dn(Swath(box, (stored,)), box).dtype == np.float32

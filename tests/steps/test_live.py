"""A live tile is the middle of a raster, as its model read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters import raster
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.core.grid import Window
from geoml_ops.steps.answering import Model
from geoml_ops.steps.live import LIVE_PX, live_tile
from tests.answering import BANDS, DECLARED, world, write_bundle


@pytest.mark.parametrize(("height", "width"), [(300, 400), (129, 128), (60, 500), (1, 1)])
@pytest.mark.parametrize("halo_px", [0, 3])
def test_the_middle_of_a_raster_with_what_is_around_it(tmp_path: Path, height: int, width: int, halo_px: int) -> None:
    dn, _, grid = world(height, width)
    raster.write_scene(tmp_path / "scene.tif", dn, grid, SENTINEL_2_L1C, DECLARED)
    bundle = write_bundle(tmp_path / "bundle").model_copy(update={"halo_px": halo_px})
    found = live_tile(tmp_path / "scene.tif", Model(bundle, None, None), raster.LIMITS)  # type: ignore[arg-type]
    assert found is not None
    tile, where = found
    rows, cols = min(LIVE_PX, height), min(LIVE_PX, width)
    top, left = (height - rows) // 2, (width - cols) // 2
    assert where == grid.inside(Window(col=left, row=top, width=cols, height=rows))
    whole = dn[[SENTINEL_2_L1C.names.index(name) for name in BANDS]].astype(np.float32)
    whole[:, (dn == 0).any(axis=0)] = np.nan
    around = np.pad(whole, ((0, 0), (halo_px, halo_px), (halo_px, halo_px)), constant_values=np.nan)
    np.testing.assert_array_equal(tile, around[:, top : top + rows + 2 * halo_px, left : left + cols + 2 * halo_px])

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters import cog
from geoml_ops.core.errors import BadInput
from geoml_ops.core.grid import Grid
from geoml_ops.domain.tiling import Layers
from geoml_ops.domain.tiling.layers import packed
from geoml_ops.steps.pixels import Pixel, of_trust, pixel_of

GRID = Grid(crs="EPSG:32633", left=300_000.0, top=5_800_000.0, pixel_m=10.0, width=4, height=1)
NAMES = tuple(f"class {i}" for i in range(9))
COLOURS = ("#102030",) * 9
#: West to east: inside and certain; outside with three classes; far outside; no answer.
CLASSES = np.array([[0, 8, 1, 255]], np.uint8)
CONFIDENCE = np.array([[0.97, 0.5, 0.6, np.nan]], np.float32)


def row(*values: int) -> Any:
    return np.array([values], np.uint8)


def written(path: Path, layers: Layers, **tags: str) -> Path:
    cog.write_map(path, layers, GRID, names=NAMES, colours=COLOURS, tags=tags)
    return path


def all_of_it() -> Layers:
    member = np.zeros((9, 1, 4), bool)
    member[0, 0, 0] = member[1, 0, 1] = member[7, 0, 1] = member[8, 0, 1] = member[1, 0, 2] = True
    bits = np.where(CLASSES == 255, 255, packed(member)).astype(np.uint8)
    return Layers(CLASSES, CONFIDENCE, row(1, 3, 1, 255), bits, row(40, 101, 250, 255), row(1, 0, 0, 255))


def at(path: Path, col: int) -> Pixel:
    return pixel_of(path, GRID.left + 10 * col + 5, GRID.top - 5)


def test_a_pixel_says_all_that_its_map_knows(tmp_path: Path) -> None:
    path = written(tmp_path / "map.tif", all_of_it(), GEOML_COVERAGE="0.9", GEOML_THRESHOLD="0.3")
    inside, outside, beyond, nothing = (at(path, col) for col in range(4))
    assert inside == Pixel(0, 0, 0, "class 0", 0.97, ("class 0",), 0.9, 0.4, 1)
    assert (outside.possible, outside.dissimilarity) == (("class 1", "class 7", "class 8"), 1.01)
    assert [pixel.outside for pixel in (inside, outside, beyond, nothing)] == [False, True, True, None]
    assert nothing == Pixel(0, 3, 255, None, None)


def test_how_far_an_answer_may_be_trusted_is_said_in_sentences(tmp_path: Path) -> None:
    path = written(tmp_path / "map.tif", all_of_it(), GEOML_COVERAGE="0.975")
    inside, outside, beyond, nothing = (of_trust(at(path, col)) for col in range(4))
    assert inside == (
        "Its set holds no other class; such sets were promised to hold the true class 97.5% of the time. "
        "It is like what the model learned from: 0.4 times the threshold, 1 sample near."
    )
    assert outside.startswith("It may also be class 1 or class 7; such sets")
    assert "unlike anything the model learned from, 1.01 times the threshold: neither scores nor sets" in outside
    assert "2.5 times or more" not in outside
    assert "2.5 or more times the threshold" in beyond
    assert nothing == ""


def test_a_map_of_two_bands_says_what_it_always_said(tmp_path: Path) -> None:
    pixel = at(written(tmp_path / "map.tif", Layers(CLASSES, CONFIDENCE)), 1)
    assert pixel == Pixel(0, 1, 8, "class 8", 0.5)
    assert (pixel.outside, of_trust(pixel)) == (None, "")


def test_a_map_that_knows_a_part_says_that_part(tmp_path: Path) -> None:
    everything = all_of_it()
    sets = Layers(CLASSES, CONFIDENCE, everything.set_size, everything.members)
    far = Layers(CLASSES, CONFIDENCE, dissimilarity=everything.dissimilarity, density=everything.density)
    pixel = at(written(tmp_path / "sets.tif", sets, GEOML_COVERAGE="0.9"), 1)
    assert (pixel.possible, pixel.dissimilarity, pixel.density) == (("class 1", "class 7", "class 8"), None, None)
    assert "threshold" not in of_trust(pixel)
    pixel = at(written(tmp_path / "far.tif", far), 1)
    assert (pixel.possible, pixel.coverage, pixel.outside) == (None, None, True)
    assert "set" not in of_trust(pixel).split("neither")[0]


def test_what_is_no_map_or_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.tif"
    profile = {"width": 4, "height": 1, "dtype": "uint8", "crs": "EPSG:32633",
               "transform": rasterio.Affine(*GRID.transform)}  # fmt: skip
    with rasterio.open(path, "w", driver="GTiff", count=1, **profile) as target:
        target.write(CLASSES, 1)
    with pytest.raises(BadInput, match=r"other\.tif is no map"):
        at(path, 0)
    changes: list[dict[str, Any]] = [
        {"GEOML_COVERAGE": "often"},
        {"GEOML_CLASSES": "{"},
        {"GEOML_CLASSES": "7"},
        {"confidence": 255},
        {"set_2": None},
    ]
    for number, change in enumerate(changes):
        names = [*cog.bands_of(all_of_it())]
        values = {**cog.bands_of(all_of_it())}
        kept = [name for name in names if name not in change or change[name] is not None]
        path = tmp_path / f"changed-{number}.tif"
        with rasterio.open(path, "w", driver="GTiff", count=len(kept), **profile) as target:
            for band, name in enumerate(kept, start=1):
                target.write(row(*[change[name]] * 4) if name in change else values[name], band)
            target.descriptions = kept
            tags = {"GEOML_CLASSES": '["' + '","'.join(NAMES) + '"]', "GEOML_COVERAGE": "0.9"}
            target.update_tags(**{**tags, **{key: v for key, v in change.items() if key.startswith("GEOML")}})
        with pytest.raises(BadInput, match="was changed"):
            at(path, 1)

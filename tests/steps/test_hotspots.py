"""Where a scene departs from the usual, through the files that people and GIS programs open."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.stats import binom

from geoml_ops.adapters.plots import drift_map
from geoml_ops.core.grid import Grid
from geoml_ops.core.watched import DriftMap
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import hotspots
from geoml_ops.steps.hotspots import Part, draw, ground, quiet_masses
from geoml_ops.steps.places import Places

FULL = os.environ.get("GEOML_FULL") == "1"
KEPT = Path(__file__).parents[2] / "workspace" / "full"
BANDS, EDGE, CRS = ("B02", "B03", "B04", "B08"), 1280.0, "EPSG:32633"
LEFT, TOP = 389940.0, 5830040.0
Table = dict[str, NDArray[np.float64]]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return places_in(tmp_path)


def places_in(home: Path) -> Places:
    return Places(
        workspace=home / "ws",
        store=home,
        remote="",
        drop=home,
        tracking_uri="",
        model="m",
        experiment=home,
        policy=home,
    )


def smooth(rng: np.random.Generator, side: int, by: float) -> NDArray[np.float64]:
    field = ndimage.gaussian_filter(rng.normal(size=(side + 40, side + 40)), by)[20 : 20 + side, 20 : 20 + side]
    return np.asarray(field / field.std())


def corner(side: int, edge: int) -> NDArray[np.bool_]:
    truth = np.zeros((side, side), dtype=np.bool_)
    truth[:edge, side - edge :] = True
    return truth


def scene(seed: int, side: int = 20, shift: float = 0.0, world: int = 999) -> Table:
    """Tiles of one ground, seen with noise of its own; the north-east drifts in one band down and in two up."""
    rng, land = np.random.default_rng(seed), np.random.default_rng(world)
    rows, cols = np.divmod(np.arange(side * side), side)
    table = {
        "easting": LEFT + EDGE * (cols + 0.5),
        "northing": TOP - EDGE * (rows + 0.5),
        "n_px": np.full(rows.size, 16384.0),
        "valid_share": np.ones(rows.size),
    }
    for band, share in zip(BANDS, (0.0, 0.3, 0.5, -1.0), strict=True):
        drift = 60 * shift * share * corner(side, side // 4)
        table[f"{band}:mean"] = (1000 + 300 * smooth(land, side, 2) + 60 * smooth(rng, side, 1) + drift).ravel()
    return table


def below(tables: list[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def kept(table: Table, chosen: NDArray[Any]) -> Table:
    return {name: column[chosen] for name, column in table.items()}


def spot(places: Places, drawn: DriftMap, number: int = 1) -> NDArray[np.bool_]:
    """Which pixels of the raster are in a hot-spot."""
    with rasterio.open(places.dashboard / drawn.raster.path) as source:
        return np.asarray(source.read(source.descriptions.index("spot") + 1) == number)


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((found & truth).sum() / (found | truth).sum())


def keep(name: str, numbers: object) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n")


def test_a_corner_that_drifts_is_found_in_the_files_and_named(places: Places) -> None:
    past = [scene(seed) for seed in range(20)]
    quiet = quiet_masses(places, "reference-one", past, BANDS, edge_m=EDGE)
    drawn = draw(places, "reading-1", Part(CRS, EDGE, scene(100, shift=5)), below(past), BANDS, quiet=quiet)
    assert drawn is not None
    assert iou(spot(places, drawn), corner(20, 5)) > 0.8
    first = drawn.spots[0]
    assert (first.alarm, first.direction) == (True, "low")
    assert first.bounds.as_tuple() == (LEFT + 15 * EDGE, TOP - 5 * EDGE, LEFT + 20 * EDGE, TOP)
    assert not any(other.alarm for other in drawn.spots[1:])
    assert "Hot-spot in the north-east of the area: 25 tiles" in drawn.sentence
    assert "B08 is" in drawn.sentence
    assert "below the usual" in drawn.sentence
    assert "more than in scenes in control" in drawn.sentence
    assert drawn.statistic == (
        "largest departure over 4 bands from the same places in scenes in control, in their own standard deviations"
    )


def test_the_files_say_the_same_and_lie_where_they_were_promised(places: Places) -> None:
    drawn = draw(places, "reading-2", Part(CRS, EDGE, scene(100, shift=5)), scene(0), BANDS)
    assert drawn is not None
    refs = (drawn.raster, drawn.squares, drawn.picture)
    assert [ref.path for ref in refs if ref] == ["maps/reading-2.tif", "maps/reading-2.gpkg", "maps/reading-2.png"]
    for ref in refs:
        assert ref is not None
        path = places.dashboard / ref.path
        assert (sha256_of(path), path.stat().st_size) == (ref.sha256, ref.size)
    with rasterio.open(places.dashboard / drawn.raster.path) as source:
        assert source.crs.to_epsg() == 32633
        assert source.descriptions == ("value", "statistic", "p", "rate", "class", "spot", *BANDS)
        assert source.transform.to_gdal() == (LEFT, EDGE, 0.0, TOP, 0.0, -EDGE)
        value, signed = source.read(1), source.read([7, 8, 9, 10])
    np.testing.assert_allclose(value, np.abs(signed).max(axis=0))
    squares = geopandas.read_file(places.dashboard / drawn.squares.path, layer="tiles")
    assert len(squares) == 400
    assert {"value", "rate", "class", "spot", "n_normal", "z_B08"} <= set(squares.columns)
    assert squares["spot"].sum() == spot(places, drawn).sum() + sum(
        n * spot(places, drawn, n).sum() for n in range(2, len(drawn.spots) + 1)
    )
    with Image.open(places.dashboard / drawn.picture.path) as picture:  # type: ignore[union-attr]
        assert min(picture.size) > 500


def test_drawn_again_nothing_changes(places: Places, tmp_path: Path) -> None:
    asked = ("same", Part(CRS, EDGE, scene(3, shift=4)), below([scene(s) for s in range(4)]), BANDS)
    first = draw(places, *asked)
    again = draw(places, *asked)
    elsewhere = draw(places_in(tmp_path / "other"), *asked)
    assert first == again == elsewhere
    assert sorted(p.name for p in (places.dashboard / "maps").iterdir()) == ["same.gpkg", "same.png", "same.tif"]


def test_without_enough_scenes_in_control_nothing_is_an_alarm_and_it_says_so(places: Places) -> None:
    past = [scene(seed) for seed in range(18)]
    quiet = quiet_masses(places, "reference-two", past, BANDS, edge_m=EDGE)
    drawn = draw(places, "few", Part(CRS, EDGE, scene(100, shift=8)), below(past), BANDS, quiet=quiet)
    assert drawn is not None
    assert drawn.spots
    assert not any(found.alarm for found in drawn.spots)
    assert "Uncalibrated: 18 scenes in control" in drawn.sentence


def test_masses_of_histories_do_not_judge_a_place_without_one(places: Places) -> None:
    drawn = draw(places, "first", Part(CRS, EDGE, scene(100, shift=8)), scene(0), BANDS, quiet=[0.1] * 40)
    assert drawn is not None
    assert drawn.spots
    assert not any(found.alarm for found in drawn.spots)
    assert "Uncalibrated: too few scenes in control show these places." in drawn.sentence


def test_calm_scenes_are_told_to_be_calm_but_for_their_share(places: Places) -> None:
    past = [scene(seed) for seed in range(20)]
    quiet = quiet_masses(places, "reference-three", past, BANDS, edge_m=EDGE)
    alarms = 0
    for seed in range(200, 208):
        drawn = draw(places, "calm", Part(CRS, EDGE, scene(seed)), below(past), BANDS, quiet=quiet)
        assert drawn is not None
        alarm = any(found.alarm for found in drawn.spots)
        assert alarm == ("more than in scenes in control" in drawn.sentence)
        assert alarm or "Scenes in control show as much" in drawn.sentence or not drawn.spots
        alarms += alarm
    assert alarms <= binom.ppf(0.999, 8, 0.05)


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        (np.arange(1), "one tile"),
        (np.array([0, 399]), "two tiles far apart"),
        (np.arange(0, 400, 21), "tiles that only touch at corners"),
        (np.arange(20), "one row"),
        (np.arange(0, 400, 20), "one column"),
        (np.random.default_rng(0).permutation(400)[:170], "half of them gone"),
    ],
)
def test_any_part_of_the_ground_is_drawn(places: Places, chosen: NDArray[Any], why: str) -> None:
    drawn = draw(places, "part", Part(CRS, EDGE, kept(scene(1, shift=5), chosen)), scene(0), BANDS)
    assert drawn is not None, why
    assert drawn.sentence
    assert len(geopandas.read_file(places.dashboard / drawn.squares.path)) == len(chosen)


def test_tiles_at_the_margin_are_smaller_and_belong_to_the_lattice(places: Places) -> None:
    table = scene(1, shift=5)
    last = table["easting"] > LEFT + 19 * EDGE
    table["easting"][last] = LEFT + 19 * EDGE + 100.0
    table["n_px"][last] = 2560.0
    drawn = draw(places, "margin", Part(CRS, EDGE, table), scene(0), BANDS)
    assert drawn is not None
    with rasterio.open(places.dashboard / drawn.raster.path) as source:
        assert source.shape == (20, 20)
        assert source.transform.to_gdal()[0] == LEFT


def test_parts_in_another_crs_are_left_out_with_a_sentence(places: Places) -> None:
    one, other = scene(1, shift=5), kept(scene(2), np.arange(30))
    chosen, said = ground([Part("EPSG:32634", EDGE, other), Part(CRS, EDGE, kept(one, np.arange(200))),
                           Part(CRS, EDGE, kept(one, np.arange(200, 400))), Part(CRS, 640.0, other)])  # fmt: skip
    assert chosen is not None
    assert (chosen.crs, len(chosen.table["easting"])) == (CRS, 400)
    assert said == (
        "Not on this map, as it has one CRS and one tile: 30 tiles of 640 m in EPSG:32633; "
        "30 tiles of 1280 m in EPSG:32634."
    )
    drawn = draw(places, "mixed", chosen, scene(0), BANDS, said=said)
    assert drawn is not None
    assert drawn.sentence.endswith(said)
    assert ground([]) == (None, "No prediction has observed tiles.")
    assert ground([Part(CRS, EDGE, {})])[0] is None
    assert ground([chosen])[1] == ""


def test_where_there_is_nothing_to_draw_there_is_no_map_and_no_exception(places: Places) -> None:
    table = scene(1)
    far = {name: column.copy() for name, column in table.items()}
    far["easting"][0] = 9e9
    for now, normal, bands in (
        ({}, table, BANDS),
        (table, {}, BANDS),
        (table, table, ()),
        (table, table, ("B99",)),
        (table | {"northing": np.full(400, np.nan)}, table, BANDS),
        (far, table, BANDS),
        (table | {f"{b}:mean": np.full(400, np.nan) for b in BANDS}, table, BANDS),
    ):
        assert draw(places, "nothing", Part(CRS, EDGE, now), normal, bands) is None
    assert not (places.dashboard / "maps").exists()


def test_degrees_are_drawn_without_kilometres(places: Places) -> None:
    table = scene(1, shift=5)
    table["easting"] = 13 + (table["easting"] - LEFT) / 1e5
    table["northing"] = 52 + (table["northing"] - TOP) / 1e5
    drawn = draw(places, "degrees", Part("EPSG:4326", EDGE / 1e5, table), table, BANDS)
    assert drawn is not None
    assert drawn.crs == "EPSG:4326"


def test_names_of_bands_from_anywhere_do_no_harm(places: Places) -> None:
    strange = ("class", "$B", "b" * 300, "Nahinfrarot '\"; DROP")
    table = {name: column for name, column in scene(1, shift=5).items() if ":" not in name}
    normal = {name: column for name, column in scene(0).items() if ":" not in name}
    for band, own in zip(strange, BANDS, strict=True):
        table[f"{band}:mean"], normal[f"{band}:mean"] = scene(1, shift=5)[f"{own}:mean"], scene(0)[f"{own}:mean"]
    drawn = draw(places, "strange", Part(CRS, EDGE, table), normal, strange)
    assert drawn is not None
    assert len(drawn.sentence) < 700


def test_masses_of_scenes_in_control_are_kept_and_made_again(places: Places) -> None:
    past = [scene(seed) for seed in range(4)]
    first = quiet_masses(places, "reference-four", past, BANDS, edge_m=EDGE)
    (path,) = (places.workspace / "watch").glob("quiet-*.json")
    assert len(first) == 4
    whole = json.loads(path.read_text())
    for content in ("", "{}", "[]", '{"masses": ["x"]}', json.dumps(whole | {"asked": "x"})):
        path.write_text(content)
        assert quiet_masses(places, "reference-four", past, BANDS, edge_m=EDGE) == first
    path.write_text(json.dumps(whole | {"masses": [9.0, 9.0]}))
    assert quiet_masses(places, "reference-four", past, BANDS, edge_m=EDGE) == (9.0, 9.0)
    assert quiet_masses(places, "reference-five", past, BANDS, edge_m=EDGE) == first
    # Three others make a history of a place; a scene of another key is none of them.
    assert quiet_masses(places, "three", past[:3], BANDS, edge_m=EDGE) == ()
    keys = ["m01"] * 4 + ["m07"]
    summer = {name: column + 500 * (":" in name) for name, column in scene(9).items()}
    assert quiet_masses(places, "keys", [*past, summer], BANDS, edge_m=EDGE, keys=keys) == first
    assert quiet_masses(places, "none", [], BANDS, edge_m=EDGE) == ()
    assert quiet_masses(places, "holes", [*past, {}], BANDS, edge_m=EDGE) == first


def test_a_field_of_thousands_of_regions_stays_a_small_noun(places: Places) -> None:
    side = 90
    table, normal = scene(1, side), scene(0, side)
    wave = np.kron(np.random.default_rng(0).random((side // 6, side // 6)) < 0.18, np.ones((6, 6))).ravel()
    table["B08:mean"] = normal["B08:mean"] + 900 * wave
    drawn = draw(places, "many", Part(CRS, EDGE, table), normal, BANDS)
    assert drawn is not None
    assert len(drawn.spots) == hotspots.MOST_SPOTS
    assert len(drawn.model_dump_json()) < 8_000


def _keep_drawing(home: str) -> None:
    places, asked = places_in(Path(home)), (Part(CRS, EDGE, scene(3, shift=4)), scene(0), BANDS)
    while True:
        draw(places, "killed", *asked)


def test_killed_while_drawing_every_file_is_whole_or_absent(tmp_path: Path) -> None:
    wanted = draw(places_in(tmp_path / "truth"), "killed", Part(CRS, EDGE, scene(3, shift=4)), scene(0), BANDS)
    assert wanted is not None
    digests = {Path(ref.path).name: ref.sha256 for ref in (wanted.raster, wanted.squares, wanted.picture) if ref}
    child = multiprocessing.get_context("fork").Process(target=_keep_drawing, args=(str(tmp_path / "killed"),))
    child.start()
    maps = places_in(tmp_path / "killed").dashboard / "maps"
    while not list(maps.glob("killed.png")):
        time.sleep(0.02)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    found = [path for path in maps.iterdir() if not path.name.startswith(".")]
    assert {path.name: sha256_of(path) for path in found} == digests


def test_a_picture_of_nothing_but_holes_and_of_many_spots_is_drawn() -> None:
    grid = Grid(crs=CRS, left=LEFT, top=TOP, pixel_m=EDGE, width=30, height=20)
    empty = drift_map(np.full((20, 30), np.nan), np.zeros((20, 30), int), [], grid, title="Nothing $ here")
    numbers = np.arange(600).reshape(20, 30)
    many = drift_map(np.ones((20, 30)), numbers, [n % 2 == 0 for n in range(600)], grid)
    assert empty.startswith(b"\x89PNG")
    assert many != empty


@pytest.mark.full
@pytest.mark.skipif(not FULL, reason="takes minutes; GEOML_FULL=1")
def test_corners_are_found_and_calm_scenes_raise_their_share_of_alarms(places: Places) -> None:
    """A hundred worlds, each with its own ground and its own twenty scenes in control."""
    worlds = 100
    ious: dict[float, list[float]] = {3.0: [], 4.0: [], 5.0: [], 6.0: []}
    found, calm = dict.fromkeys(ious, 0), 0
    for world in range(worlds):
        past = [scene(1000 * world + s, world=world) for s in range(20)]
        quiet = quiet_masses(places, f"reference-{world}", past, BANDS, edge_m=EDGE)
        normal = below(past)
        still = draw(
            places, "calm", Part(CRS, EDGE, scene(1000 * world + 500, world=world)), normal, BANDS, quiet=quiet
        )
        calm += any(one.alarm for one in still.spots) if still else 0
        for shift, each in ious.items():
            now = scene(1000 * world + 501, shift=shift, world=world)
            drawn = draw(places, "drifted", Part(CRS, EDGE, now), normal, BANDS, quiet=quiet)
            assert drawn is not None
            found[shift] += bool(drawn.spots) and drawn.spots[0].alarm
            each.append(iou(spot(places, drawn), corner(20, 5)))
    keep(
        "hot-spots of scenes",
        {
            "worlds": worlds,
            "tiles": 400,
            "scenes in control": 20,
            "calm scenes with an alarm": calm / worlds,
            "by shift in sd of the farthest band": {
                f"{shift:g}": {
                    "iou median": round(float(np.median(each)), 3),
                    "iou 10 %": round(float(np.quantile(each, 0.1)), 3),
                    "share over 0.8": float(np.mean(np.array(each) > 0.8)),
                    "share with an alarm": found[shift] / worlds,
                }
                for shift, each in ious.items()
            },
        },
    )
    assert calm <= binom.ppf(0.999, worlds, 0.05)
    assert np.median(ious[5.0]) > 0.8
    assert found[5.0] > 0.95 * worlds

"""Anybody's file of points: folded, audited and judged from the command line as a person would."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from typer.testing import CliRunner, Result

from geoml_ops.cli import app
from geoml_ops.core.errors import GeomlError
from geoml_ops.core.grid import Grid

RUNNER = CliRunner()
CRS = "EPSG:32633"
CLASSES = np.array(["crop", "forest", "water"])


def points(seed: int = 0, n_parcels: int = 80, per_parcel: int = 5) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    parcel = np.repeat(np.arange(n_parcels), per_parcel)
    middle = rng.uniform(0, 20_000, (n_parcels, 2)) + np.array([400_000, 5_780_000])
    place = middle[parcel] + rng.uniform(-60, 60, (len(parcel), 2))
    truth = rng.integers(0, 3, n_parcels)[parcel]
    wrong = rng.random((2, len(parcel))) < np.array([[0.1], [0.35]])
    new, old = (np.where(w, rng.integers(0, 3, len(parcel)), truth) for w in wrong)
    return {
        "id": list(range(len(parcel))),
        "easting": place[:, 0].round(1).tolist(),
        "northing": place[:, 1].round(1).tolist(),
        "label": CLASSES[truth].tolist(),
        "parcel": [f"p{i}" for i in parcel],
        "day": [f"2020-0{1 + i % 6}-01" for i in parcel],
        "new": CLASSES[new].tolist(),
        "old": CLASSES[old].tolist(),
    }


def sheet(path: Path, columns: dict[str, list[Any]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def ask(*words: object) -> Result:
    return RUNNER.invoke(app, [str(word) for word in words])


def refused(*words: object) -> str:
    answer = ask(*words)
    assert isinstance(answer.exception, GeomlError), answer.output
    return str(answer.exception)


@pytest.fixture
def folded(tmp_path: Path) -> Path:
    source, out = sheet(tmp_path / "points.csv", points()), tmp_path / "folds.csv"
    answer = ask("folds", source, "--crs", CRS, "--polygon", "parcel", "--block-m", 2000, "--out", out)
    assert answer.exit_code == 0, answer.output
    return out


def test_points_come_back_with_the_fold_that_tests_them(folded: Path) -> None:
    found = rows(folded)
    assert len(found) == 400
    of_parcel: dict[str, set[str]] = {}
    for row in found:
        of_parcel.setdefault(row["parcel"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in of_parcel.values())
    assert {row["fold"] for row in found} == {"0", "1", "2", "3", "4"}
    assert found[0]["label"] == points()["label"][0]


def test_a_plan_is_json_on_stdout_and_words_are_not(tmp_path: Path) -> None:
    source = sheet(tmp_path / "points.csv", points())
    answer = ask("folds", source, "--crs", CRS, "--polygon", "parcel", "--block-m", 2000)
    plan = json.loads(answer.stdout)
    assert plan["kind"] == "plan"
    assert plan["audit"]["passed"]
    assert "audit passed" in answer.stderr


@pytest.mark.parametrize("method", ["buffered", "location", "time", "kmeans", "environment", "random"])
def test_every_method_that_needs_no_map_folds_a_sheet(tmp_path: Path, method: str) -> None:
    source = sheet(tmp_path / "points.csv", points())
    answer = ask(
        "folds", source, "--crs", CRS, "--polygon", "parcel", "--date", "day", "--method", method, "--block-m", 2000,
        "--feature", "easting", "--feature", "northing", "--out", tmp_path / "out.csv",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["audit"]["passed"] == (method != "random")


def test_matching_methods_ask_what_will_be_mapped(tmp_path: Path) -> None:
    source = sheet(tmp_path / "points.csv", points())
    common = ("folds", source, "--crs", CRS, "--polygon", "parcel", "--method", "knndm", "--block-m", 2000)
    assert "map" in refused(*common).lower()
    rng = np.random.default_rng(1)
    spread = {"easting": rng.uniform(400_000, 420_000, 500), "northing": rng.uniform(5_780_000, 5_800_000, 500)}
    mapped = sheet(tmp_path / "mapped.csv", {k: v.round(1).tolist() for k, v in spread.items()})
    answer = ask(*common, "--mapped", mapped)
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["estimand"] == "this map"


def test_a_raster_says_what_will_be_mapped_and_where_points_may_lie(tmp_path: Path) -> None:
    grid = Grid(crs=CRS, left=400_000, top=5_800_000, pixel_m=100, width=200, height=200)
    band = np.ones(grid.shape, dtype=np.uint16)
    band[:, :20] = 0
    facts = {"driver": "GTiff", "width": 200, "height": 200, "count": 1, "dtype": "uint16", "nodata": 0, "crs": CRS}
    with rasterio.open(tmp_path / "area.tif", "w", **facts, transform=rasterio.Affine(*grid.transform)) as target:
        target.write(band, 1)
    columns = points()
    source = sheet(tmp_path / "points.csv", columns)
    common = ("--crs", CRS, "--polygon", "parcel", "--method", "knndm", "--block-m", 2000)
    answer = ask("folds", source, *common, "--area", tmp_path / "area.tif")
    inside = [400_000 <= e <= 420_000 and 5_780_000 <= n <= 5_800_000
              for e, n in zip(columns["easting"], columns["northing"], strict=True)]  # fmt: skip
    if not all(inside):
        assert "lie outside area.tif" in str(answer.exception)
        kept = {k: [v for v, i in zip(vs, inside, strict=True) if i] for k, vs in columns.items()}
        answer = ask("folds", sheet(tmp_path / "inside.csv", kept), *common, "--area", tmp_path / "area.tif")
    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_vector_files_bring_their_own_crs(tmp_path: Path, suffix: str) -> None:
    columns = points()
    geometry = shapely.points(columns.pop("easting"), columns.pop("northing"))
    frame = gpd.GeoDataFrame(columns, geometry=geometry, crs=CRS)
    path = tmp_path / f"points{suffix}"
    (frame if suffix == ".gpkg" else frame.to_crs(4326)).to_file(path)
    method = "block" if suffix == ".gpkg" else "kmeans"
    answer = ask("folds", path, "--polygon", "parcel", "--method", method, "--block-m", 2000)
    assert answer.exit_code == 0, answer.output


def test_an_audit_says_no_with_exit_code_one(folded: Path) -> None:
    good = ask("audit", folded, "--crs", CRS, "--polygon", "parcel", "--buffer-m", 100)
    assert good.exit_code == 0, good.output
    found = rows(folded)
    found[0]["fold"] = str((int(found[0]["fold"]) + 1) % 5)
    sheet(folded, {name: [row[name] for row in found] for name in found[0]})
    bad = ask("audit", folded, "--crs", CRS, "--polygon", "parcel")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["n_shared_polygons"] >= 1
    assert "polygon" in bad.stderr


def test_a_duplicate_one_metre_away_is_found(folded: Path) -> None:
    found = rows(folded)
    twin = dict(found[0], id="twin", parcel="other", fold=str((int(found[0]["fold"]) + 1) % 5))
    twin["easting"] = str(float(twin["easting"]) + 1)
    sheet(folded, {name: [row[name] for row in (*found, twin)] for name in found[0]})
    bad = ask("audit", folded, "--crs", CRS, "--polygon", "parcel")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["n_near_duplicates"] >= 1


def test_two_columns_of_answers_are_judged_on_audited_folds(folded: Path) -> None:
    words = ("gate", folded, "--crs", CRS, "--polygon", "parcel", "--answers", "new", "--against", "old")
    answer = ask(*words, "--block-m", 2000)
    assert answer.exit_code == 0, answer.output
    ruling = json.loads(answer.stdout)
    assert (ruling["outcome"], ruling["mode"]) == ("PROMOTE", "recipes")
    columns = points()
    right = [np.mean([a == b for a, b in zip(columns[c], columns["label"], strict=True)]) for c in ("new", "old")]
    assert ruling["difference"]["value"] == pytest.approx(right[0] - right[1])
    worse = json.loads(ask("gate", folded, "--crs", CRS, "--polygon", "parcel", "--answers", "old", "--against", "new",
                           "--block-m", 2000).stdout)  # fmt: skip
    assert worse["outcome"] == "REJECT"


def test_answers_without_folds_need_the_ground_that_was_learned(tmp_path: Path, folded: Path) -> None:
    plain = sheet(tmp_path / "answers.csv", points())
    words = ("gate", plain, "--crs", CRS, "--polygon", "parcel", "--answers", "new", "--against", "old")
    assert "column 'fold'" in refused(*words, "--block-m", 2000)
    far = points(seed=3)
    far["northing"] = [n + 60_000 for n in far["northing"]]
    answer = ask(*words, "--block-m", 2000, "--learned", sheet(tmp_path / "learned.csv", far))
    assert json.loads(answer.stdout)["mode"] == "artefacts"
    assert "what a model learned from" in refused(*words, "--block-m", 2000, "--learned", plain)


def test_failing_folds_judge_nobody(folded: Path) -> None:
    found = rows(folded)
    rng = np.random.default_rng(0)
    for row in found:
        row["fold"] = str(rng.integers(0, 5))
    sheet(folded, {name: [row[name] for row in found] for name in found[0]})
    assert "audit of these folds failed" in refused(
        "gate", folded, "--crs", CRS, "--polygon", "parcel", "--answers", "new", "--against", "old"
    )


def changed(name: str, value: Any) -> Callable[[dict[str, list[Any]]], dict[str, list[Any]]]:
    def change(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {**columns, name: [value, *columns[name][1:]]}

    return change


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        (changed("easting", "NaN"), (), r"1 of 400 samples"),
        (changed("northing", "inf"), (), r"1 of 400 samples"),
        (changed("easting", "west"), (), r"line 2: easting is 'west'"),
        (changed("label", ""), (), r"1 of 400 rows of points.csv have no label"),
        (changed("day", "yesterday"), ("--date", "day"), r"is not dates"),
        (lambda c: {k: v for k, v in c.items() if k != "label"}, (), r"no column 'label'"),
        (lambda c: {k: v[:0] for k, v in c.items()}, (), r"holds no points|is empty"),
        (lambda c: {**c, "label": ["water"] * 400}, (), r"400 samples of 1 class"),
        (lambda c: {**c, "easting": [400_000.0] * 400, "northing": [5_780_000.0] * 400}, (), r"cannot make 5 folds"),
        (lambda c: {**c, "easting": [13.0 + i / 1e4 for i in range(400)], "northing": [52.0] * 400}, (), r"degrees"),
        (lambda c: c, ("--block-m", 50_000), r"cannot make 5 folds"),
        (lambda c: c, ("--block-m", -3), r"block_m"),
        (lambda c: c, ("--method", "clever"), r"method"),
        (lambda c: c, ("--set", "shape"), r"'shape' is not KEY=VALUE"),
        (lambda c: c, ("--set", "colour=red"), r"colour"),
        (lambda c: c, ("--n-folds", 1), r"n_folds"),
    ],
)  # fmt: skip
def test_rubbish_is_refused_with_its_numbers(
    tmp_path: Path, change: Callable[[dict[str, list[Any]]], dict[str, list[Any]]], words: tuple[object, ...],
    sentence: str,
) -> None:  # fmt: skip
    source = sheet(tmp_path / "points.csv", change(points()))
    block = () if "--block-m" in words else ("--block-m", 2000)
    message = refused("folds", source, "--crs", CRS, "--polygon", "parcel", *block, *words)

    assert re.search(sentence, message), message


@pytest.mark.parametrize(
    ("crs", "sentence"),
    [
        ("", "does not say its CRS"),
        ("EPSG:999999", "There is no CRS"),
        ("EPSG:2263", "neither in metres nor in degrees"),
        ("EPSG:4326", "degrees"),
    ],
)
def test_a_sheet_has_to_say_where_its_numbers_are(tmp_path: Path, crs: str, sentence: str) -> None:
    source = sheet(tmp_path / "points.csv", points())
    assert sentence in refused("folds", source, "--crs", crs, "--block-m", 2000)


def test_longitude_and_latitude_are_folded_by_distance(tmp_path: Path) -> None:
    columns = points()
    frame = gpd.GeoDataFrame(geometry=shapely.points(columns.pop("easting"), columns.pop("northing")), crs=CRS)
    places = frame.to_crs(4326).geometry
    source = sheet(tmp_path / "points.csv", {**columns, "lon": places.x.tolist(), "lat": places.y.tolist()})
    common = ("folds", source, "--crs", "EPSG:4326", "--polygon", "parcel", "--block-m", 2000)
    assert "projected" in refused(*common)
    answer = ask(*common, "--method", "buffered", "--buffer-m", 500)
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["audit"]["least_distance_m"] > 500


def test_auto_measures_the_block_without_any_model(tmp_path: Path) -> None:
    source, drawn = sheet(tmp_path / "points.csv", points(n_parcels=150)), tmp_path / "folds.png"
    answer = ask("folds", source, "--crs", CRS, "--polygon", "parcel", "--map", drawn)
    assert answer.exit_code == 0, answer.output
    size = json.loads(answer.stdout)["block_size"]
    assert [trial["times"] for trial in size["sensitivity"]] == [1, 2, 5]
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["buffered_loo", "nndm"])
def test_folds_of_single_samples_pass_their_audit_from_the_file_they_were_written_to(
    tmp_path: Path, method: str
) -> None:
    source, out = sheet(tmp_path / "points.csv", points()), tmp_path / "folds.csv"
    words = ("--crs", CRS, "--polygon", "parcel")
    mapped = ("--mapped", source) if method == "nndm" else ()
    made = ask(
        "folds", source, *words, "--block-m", 2000, "--method", method, "--set", "tested=50", *mapped, "--out", out
    )
    assert made.exit_code == 0, made.output
    again = ask("audit", out, *words, "--buffer-m", 100 if method == "buffered_loo" else 0)
    assert again.exit_code == 0, again.output
    assert "50 of 400 samples are tested" in again.stderr


def test_decimal_commas_and_geometries_survive_being_written(tmp_path: Path) -> None:
    columns, out = points(), tmp_path / "folds.csv"
    commas = tmp_path / "commas.csv"
    rows_ = zip(*columns.values(), strict=True)
    commas.write_text(
        "\n".join([";".join(columns), *(";".join(str(v).replace(".", ",") for v in row) for row in rows_)]) + "\n"
    )
    geometry = shapely.points(columns["easting"], columns["northing"])
    plain = {k: v for k, v in columns.items() if k not in ("easting", "northing")}
    gpd.GeoDataFrame(plain, geometry=geometry, crs=CRS).to_file(tmp_path / "points.gpkg")
    for source in (commas, tmp_path / "points.gpkg"):
        crs = ("--crs", CRS) if source is commas else ()
        assert ask("folds", source, *crs, "--polygon", "parcel", "--block-m", 2000, "--out", out).exit_code == 0
        again = ask("audit", out, "--crs", CRS, "--polygon", "parcel")
        assert again.exit_code == 0, again.output


def test_blocks_smaller_than_what_they_should_part_promote_nobody(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    side = np.arange(0, 12_000, 100.0)
    east, north = (a.ravel() for a in np.meshgrid(side, side))
    luck = rng.random((6, 6))[(east // 2000).astype(int), (north // 2000).astype(int)] < 0.6
    new, old = np.where(luck, "a", "b"), np.where(luck, "b", "a")
    columns = {"easting": (east + 400_000).tolist(), "northing": (north + 5_780_000).tolist()}
    source = sheet(tmp_path / "answers.csv", {**columns, "label": ["a"] * 7200 + ["b"] * 7200,
                                              "new": new.tolist(), "old": old.tolist()})  # fmt: skip
    far = sheet(tmp_path / "far.csv", {k: [v + 100_000 for v in vs] for k, vs in columns.items()})
    words = ("gate", source, "--crs", CRS, "--answers", "new", "--against", "old", "--learned", far)
    answer = ask(*words, "--block-m", 100)
    assert json.loads(answer.stdout)["outcome"] == "INSUFFICIENT_EVIDENCE"
    assert "resemble their neighbours" in answer.stderr


def test_a_misspelt_answer_is_named_and_a_class_without_labels_may_be_allowed(folded: Path) -> None:
    found = rows(folded)
    found[0]["new"] = "Forest"
    sheet(folded, {name: [row[name] for row in found] for name in found[0]})
    words = ("gate", folded, "--crs", CRS, "--polygon", "parcel", "--answers", "new", "--against", "old")
    assert "1 of 400 answers in column new of folds.csv are 'Forest'" in refused(*words)
    assert ask(*words, "--also-class", "Forest").exit_code == 0


def test_one_block_says_its_difference_and_nothing_more(folded: Path) -> None:
    words = ("gate", folded, "--crs", CRS, "--polygon", "parcel", "--answers", "new", "--against", "old")
    found = json.loads(ask(*words, "--block-m", 1e7).stdout)
    columns = points()
    right = [np.mean([a == b for a, b in zip(columns[c], columns["label"], strict=True)]) for c in ("new", "old")]
    assert found["outcome"] == "INSUFFICIENT_EVIDENCE"
    assert found["difference"]["value"] == pytest.approx(right[0] - right[1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--halo-px", -2), "cannot reach -2 pixels"),
        (("--method", "knndm"), "add --area RASTER or --mapped POINTS"),
        (("--method", "time"), "add --date COLUMN"),
        (("--method", "environment"), "add --feature COLUMN"),
        (("--x", "nowhere"), "no column 'nowhere'"),
    ],
)
def test_what_is_missing_is_named_as_the_command_line_names_it(
    tmp_path: Path, words: tuple[object, ...], sentence: str
) -> None:
    source = sheet(tmp_path / "points.csv", points())
    assert sentence in refused("folds", source, "--crs", CRS, "--block-m", 2000, *words)


def test_the_file_that_is_read_is_never_written_over(tmp_path: Path) -> None:
    source = sheet(tmp_path / "points.csv", points())
    before = source.read_bytes()
    assert "is the file that is read" in refused("folds", source, "--crs", CRS, "--block-m", 2000, "--out", source)
    assert source.read_bytes() == before

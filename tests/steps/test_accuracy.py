"""A map is drawn from, labelled with the truth, and judged; everything else is refused or called by another name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import Result
from typer.testing import CliRunner

from geoml_ops.adapters.cog import write_map
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.errors import BadInput, GeomlError, NotFound, Refused
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Accuracy, Bundle, Design, Evaluation, Prediction
from geoml_ops.core.noun import FileRef
from geoml_ops.domain.tiling import Layers
from geoml_ops.domain.world import CLASSES, landscape
from geoml_ops.platform.files import sha256_of
from geoml_ops.settings import Settings
from geoml_ops.steps import accuracy as step
from geoml_ops.steps import surveying
from geoml_ops.steps.places import Places
from geoml_ops.verbs.accuracy import app
from tests.every_noun import any_noun

WORLD = landscape(300, 240, seed=3)
GRID, TRUTH = WORLD.grid, WORLD.truth
COLOURS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff")


def shown() -> np.ndarray:
    """A map that is wrong in patches, and did not see one corner."""
    rng = np.random.default_rng(1)
    patches = (rng.random((30, 38)) < 0.2).repeat(8, 0).repeat(8, 1)[:240, :300]
    codes = np.where(patches, (TRUTH + 1) % len(CLASSES), TRUTH).astype(np.uint8)
    codes[:20, :30] = 255
    return codes


SHOWN = shown()


def write_raster(path: Path, codes: np.ndarray, **profile: Any) -> Path:
    whole = {
        "driver": "GTiff", "count": 1, "height": codes.shape[0], "width": codes.shape[1], "dtype": codes.dtype.name,
        "crs": GRID.crs, "transform": rasterio.Affine(*GRID.transform), **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **whole) as target:
        for band in range(whole["count"]):
            target.write(codes, band + 1)
    return path


def write_ours(path: Path, tags: dict[str, str] | None = None) -> Path:
    layers = Layers(SHOWN, np.where(SHOWN == 255, np.nan, 0.9).astype(np.float32), density=np.minimum(SHOWN, 250))
    write_map(path, layers, GRID, names=CLASSES, colours=COLOURS, tags=tags or {})
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("GEOML_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)
    return Settings().places()


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return write_ours(tmp_path / "map.tif")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def label(source: Path, out: Path, change: Callable[[list[dict[str, str]]], object] | None = None, **how: Any) -> Path:
    """Fills in what is really there, and then whatever a test changes."""
    rows = rows_of(source)
    for row in rows:
        row["reference"] = CLASSES[TRUTH[int(row["row"]), int(row["col"])]]
    if change is not None:
        change(rows)
    with out.open("w", newline="", encoding=how.pop("encoding", "utf-8")) as stream:
        writer = csv.DictWriter(stream, rows[0], **how)
        writer.writeheader()
        writer.writerows(rows)
    return out


def drawn(places: Places, path: Path, n: int = 300, seed: int = 0) -> tuple[Design, Path]:
    mapped = surveying.survey(path)
    design = step.draw(places, mapped, surveying.plan(places, mapped, n=n).n, seed=seed, planned_se=None)
    return design, step.points_of(places, design)


def told(*arguments: str | Path) -> tuple[Any, str]:
    """What a command prints: JSON, and words."""
    done = call(*arguments)
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout), done.stderr


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


# --- the whole way ---------------------------------------------------------------------------


def test_from_a_map_to_its_accuracy_on_the_command_line(places: Places, ours: Path, tmp_path: Path) -> None:
    plan, words = told("plan", ours, "--se", "0.02", "--users", "0.85", "--users", "water=0.7")
    assert plan["n"].keys() == plan["pixels"].keys() == set(CLASSES)
    assert plan["expected_overall_se"] == pytest.approx(0.02, rel=0.02)
    assert "SE user's" in words
    (tmp_path / "plan.json").write_text(json.dumps(plan))

    noun, words = told("draw", ours, "--plan", "plan.json", "--out", "points.csv", "--seed", "5")
    design = Shelf(places.nouns).get(Design, noun["id"])
    assert (design.n, design.planned_se, design.seed) == (plan["n"], 0.02, 5)
    assert f"geoml accuracy estimate {design.id} points.csv" in words
    rows = rows_of(tmp_path / "points.csv")
    assert list(rows[0]) == list(step.COLUMNS)
    assert [row["id"] for row in rows] == [str(i + 1) for i in range(len(rows))]
    assert not any(row["reference"] for row in rows)
    for row in rows:
        place = int(row["row"]), int(row["col"])
        assert CLASSES[SHOWN[place]] == row["stratum"]
        assert GRID.pixel_at(float(row["easting"]), float(row["northing"])) == place
        size = (CLASSES.index(row["stratum"]) == SHOWN).sum()
        assert float(row["inclusion_probability"]) == pytest.approx(design.n[row["stratum"]] / size)
    strata = {name: 0.01 * (code == SHOWN).sum() for code, name in enumerate(CLASSES)}
    assert design.strata == pytest.approx(strata)
    strata_in_order = [row["stratum"] for row in rows]
    assert strata_in_order != sorted(strata_in_order), "whoever labels half of them labels half of every class"

    label(tmp_path / "points.csv", tmp_path / "labelled.csv")
    noun, words = told("estimate", design.id, "labelled.csv")
    found = Shelf(places.nouns).get(Accuracy, noun["id"])
    assert (found.design, found.estimand, found.n, found.n_missing) == (
        design.id, "a probability sample", len(rows), 0,
    )  # fmt: skip
    assert found.parents == (design.id,)
    seen = SHOWN != 255
    assert abs(found.overall - (SHOWN == TRUTH)[seen].mean()) < 2 * found.overall_half
    for code, name in enumerate(CLASSES):
        c = found.classes[name]
        assert c.mapped == pytest.approx(strata[name])
        assert abs(c.area - 0.01 * (TRUTH[seen] == code).sum()) < 2 * c.area_half
    assert sum(c.area for c in found.classes.values()) == pytest.approx(sum(strata.values()))
    assert found.quantity + found.allocation == pytest.approx(1 - found.overall)
    assert sum(p for row in found.proportions.values() for p in row.values()) == pytest.approx(1)
    assert "map accuracy 0." in words
    assert "±" in words


def test_drawing_again_gives_the_same_design_and_another_seed_is_told(places: Places, ours: Path) -> None:
    first, words = told("draw", ours, "--n", "300", "-o", "a.csv")
    assert "other designs" not in words
    again, words = told("draw", ours, "--n", "300", "-o", "b.csv")
    assert again == first
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    told("draw", ours, "--n", "300", "-o", "a.csv")
    Path("a.csv").write_text("labels of a week\n")
    with pytest.raises(BadInput, match=r"a\.csv exists and holds something else"):
        told("draw", ours, "--n", "300", "-o", "a.csv")
    assert Path("a.csv").read_text() == "labels of a week\n"
    other, words = told("draw", ours, "--n", "300", "--seed", "1")
    assert other["id"] != first["id"]
    assert f"1 other designs of this map are recorded ({first['id']})" in words
    label(Path("points.csv"), Path("labelled.csv"))
    assert "1 other designs" in told("estimate", other["id"], "labelled.csv")[1]


def test_any_raster_of_whole_numbers_is_a_map(places: Places, tmp_path: Path) -> None:
    codes = SHOWN.astype(np.int16) - 2
    path = write_raster(tmp_path / "codes.tif", codes, nodata=253)
    plan, _ = told("plan", path, "--n", "300")
    assert set(plan["pixels"]) == {"-2", "-1", "0", "1", "2"}
    design, _ = told("draw", path, "--n", "300", "--ignore", "-2", "--name", "0=farm", "--name", "2= =wet ")
    assert set(design["strata"]) == {"-1", "farm", "1", "=wet"}
    assert "'=wet" in Path("points.csv").read_text()
    label(Path("points.csv"), Path("labelled.csv"), lambda rows: [r.update(reference=r["stratum"]) for r in rows])
    found, words = told("estimate", design["id"], "labelled.csv")
    assert found["overall"] == 1
    assert f"All {design['n']['farm']} units of farm are right" in words


def test_a_map_of_ours_knows_its_prediction_only_if_it_is_that_very_file(places: Places, tmp_path: Path) -> None:
    noun = any_noun(Prediction)
    path = write_ours(tmp_path / "map.tif", tags={"GEOML_PREDICTION": noun.id})
    assert drawn(places, path)[0].prediction == ""
    file = FileRef(path="x/map.tif", sha256=sha256_of(path), size=path.stat().st_size)
    Shelf(places.nouns).put(noun.model_copy(update={"map": file}))
    design, _ = drawn(places, path, seed=1)
    assert design.prediction == noun.id
    assert design.parents == (noun.id,)
    copy = write_ours(tmp_path / "copy.tif", tags={"GEOML_PREDICTION": noun.id, "EDITED": "yes"})
    assert drawn(places, copy)[0].prediction == ""


def test_a_map_of_ours_is_expected_to_be_as_right_as_its_model(places: Places, tmp_path: Path) -> None:
    shelf, score = Shelf(places.nouns), Score(value=0.6, low=0.5, high=0.7, n_blocks=30)
    per_class = {
        "water": {"users_accuracy": score},
        "farm": {"users_accuracy": score.model_copy(update={"value": 1.0})},
    }
    evaluation = shelf.put(any_noun(Evaluation).model_copy(update={"per_class": per_class}))
    bundle = shelf.put(any_noun(Bundle).model_copy(update={"evaluation": evaluation.id}))
    prediction = any_noun(Prediction).model_copy(update={"bundle": bundle.id})
    path = write_ours(tmp_path / "map.tif", tags={"GEOML_PREDICTION": prediction.id})
    file = FileRef(path="x/map.tif", sha256=sha256_of(path), size=path.stat().st_size)
    shelf.put(prediction.model_copy(update={"map": file}))
    mapped = surveying.survey(path)
    found = surveying.plan(places, mapped, n=500, users={"forest": 0.5})
    for name, users in {"water": 0.6, "farm": 0.95, "forest": 0.5, "meadow": 0.8}.items():
        n, size = found.n[name], mapped.pixels[name]
        assert found.users_se[name] == pytest.approx((users * (1 - users) * (1 - n / size) / n) ** 0.5)


def test_a_class_that_is_left_out_of_the_map_may_still_be_on_the_ground(places: Places, ours: Path) -> None:
    design, words = told("draw", ours, "--n", "100", "--ignore", "4")
    assert "makes 200, more than the 100 asked for" in words
    assert set(design["strata"]) == set(CLASSES[:4])
    label(Path("points.csv"), Path("labelled.csv"), lambda rows: rows[0].update(reference=CLASSES[4]))
    found, _ = told("estimate", design["id"], "labelled.csv")
    assert found["classes"][CLASSES[4]]["mapped"] == 0
    assert found["classes"][CLASSES[4]]["area"] > 0


# --- maps that cannot be sampled -------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "profile", "match"),
    [
        (SHOWN, {"count": 2}, "has 2 bands"),
        (SHOWN.astype(np.float32), {}, "holds float32, not class codes"),
        (SHOWN, {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, 13, 0, -1e-4, 52)}, "not a projected one"),
        (SHOWN, {"crs": "EPSG:3857", "transform": rasterio.Affine(10, 0, 1.5e6, 0, -10, 6.8e6)}, "are no areas"),
        (SHOWN, {"transform": rasterio.Affine(10, 0, 9e6, 0, -10, 5.8e6)}, "are no areas"),
        (SHOWN, {"crs": None}, "not a projected one"),
        (SHOWN, {"transform": rasterio.Affine(10, 0, 4e5, 0, -20, 5.8e6)}, "not square"),
        (np.full((20, 30), 7, np.uint8), {"nodata": 7}, "shows no class"),
        (np.arange(6000, dtype=np.uint16).reshape(60, 100), {}, "no map of classes"),
    ],
)
def test_what_is_no_map_of_areas_is_refused(
    places: Places, tmp_path: Path, codes: np.ndarray, profile: dict[str, Any], match: str
) -> None:
    path = write_raster(tmp_path / "map.tif", codes, **profile)
    with pytest.raises(BadInput, match=match):
        told("draw", path, "--n", "100")
    assert not places.nouns.exists()


def test_files_that_are_no_maps_are_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    write_raster(tmp_path / "named.tif", SHOWN)
    with rasterio.open(tmp_path / "named.tif", "r+") as target:
        target.update_tags(GEOML_CLASSES='["farm", "water"]')
    with rasterio.open(write_raster(tmp_path / "broken.tif", SHOWN), "r+") as target:
        target.update_tags(GEOML_CLASSES="{")
    for name, match in (
        ("none.tif", "no readable file"),
        ("text.tif", "neither GeoTIFF"),
        ("named.tif", r"codes \[2, 3, 4, 255\] that have no class name"),
        ("broken.tif", "not readable"),
    ):
        with pytest.raises(BadInput, match=match):
            told("plan", tmp_path / name, "--n", "100")


def test_a_map_that_changes_while_it_is_drawn_from_is_refused(places: Places, ours: Path) -> None:
    mapped = surveying.survey(ours)
    write_raster(ours, np.full_like(SHOWN, 3))
    with pytest.raises(Refused, match="changed"):
        step.draw(places, mapped, surveying.plan(places, mapped, n=100).n, seed=0, planned_se=None)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((), "give one of the three"),
        (("--se", "0.02", "--n", "100"), "give one of the three"),
        (("--n", "100", "--seed", "-1"), "-1 is no seed"),
        (("--n", "100", "--name", "1"), "names no code"),
        (("--n", "100", "--name", "1=water"), "share a name"),
        (("--plan", "none.json"), "is no plan"),
        (("--plan", "list.json"), "names no number of units"),
        (("--plan", "other.json"), "planned for another map"),
        (("--plan", "part.json"), "give one for each class"),
        (("--plan", "greedy.json"), "units cannot be drawn"),
        (("--plan", "single.json"), "would get 1 of its"),
        (("--n", "100", "-o", "none.json/points.csv"), "cannot be written"),
    ],
)
def test_designs_that_cannot_be_are_refused(
    places: Places, ours: Path, tmp_path: Path, arguments: tuple[str, ...], match: str
) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text(json.dumps({"n": dict.fromkeys(CLASSES, 10), "map_sha256": "0" * 64}))
    (tmp_path / "part.json").write_text(json.dumps({"n": {"water": 10}}))
    (tmp_path / "single.json").write_text(json.dumps({"n": dict.fromkeys(CLASSES, 1)}))
    (tmp_path / "greedy.json").write_text(json.dumps({"n": dict.fromkeys(CLASSES, 10**6)}))
    if "none.json/points.csv" in arguments:
        (tmp_path / "none.json").write_text("")
    with pytest.raises(BadInput, match=match):
        told("draw", ours, *arguments)


# --- labels that are not the design's --------------------------------------------------------


def first(name: str, value: str) -> Callable[[list[dict[str, str]]], object]:
    return lambda rows: rows[0].update({name: value})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (first("reference", ""), "1 of 300 units carry no reference label"),
        (first("reference", "Wtaer"), "1 labels are no class of this map"),
        (first("id", "999"), "1 of 300 points are no units of this design"),
        (first("id", "2"), "listed more than once"),
        (first("easting", "13.4"), "1 units are not where they were drawn"),
        (first("easting", "east"), "line 2: easting is 'east'"),
        (first("stratum", "moon"), "of another stratum"),
        (first("inclusion_probability", "1"), "another inclusion probability"),
        (lambda rows: [row.pop("northing") for row in rows], "no column 'northing'"),
        (lambda rows: [row.pop("reference") for row in rows], "no column 'reference'"),
        (lambda rows: rows.pop(), "1 of 300 units carry no reference label"),
        (lambda rows: rows.append({**rows[0], "id": "301"}), "1 of 301 points are no units"),
        (lambda rows: [row.update(reference="") for row in rows], "300 of 300 units carry no"),
    ],
)
def test_points_that_are_not_the_designs_are_refused(
    places: Places, ours: Path, tmp_path: Path, change: Callable[[list[dict[str, str]]], object], match: str
) -> None:
    design, points = drawn(places, ours)
    label(points, tmp_path / "labelled.csv", change)
    with pytest.raises(BadInput, match=match):
        told("estimate", design.id, "labelled.csv")
    assert not list(Shelf(places.nouns).all(Accuracy))


def test_a_sheet_that_a_spreadsheet_wrote_is_taken(places: Places, ours: Path, tmp_path: Path) -> None:
    design, points = drawn(places, ours)
    plain = step.estimate(places, design.id, label(points, tmp_path / "plain.csv"))

    def german(rows: list[dict[str, str]]) -> None:
        rows.sort(key=lambda row: row["reference"])
        for row in rows:
            del row["stratum"], row["inclusion_probability"]
            row.update(id=f"{row['id']}.0", easting=row["easting"].replace(".", ","), note="seen on the ground")

    label(points, tmp_path / "german.csv", german, delimiter=";", encoding="utf-8-sig", lineterminator="\r\n")
    found = step.estimate(places, design.id, tmp_path / "german.csv")
    assert found.model_copy(update={"labels": plain.labels}) == plain
    assert step.estimate(places, design.id, tmp_path / "german.csv").id == found.id


def test_missing_labels_are_left_out_only_on_request_and_told(places: Places, ours: Path, tmp_path: Path) -> None:
    design, points = drawn(places, ours)
    label(points, tmp_path / "part.csv", lambda rows: [row.update(reference="") for row in rows[:30]])
    found, words = told("estimate", design.id, "part.csv", "--allow-missing")
    assert (found["n"], found["n_missing"]) == (270, 30)
    assert "30 of 300 units carry no reference label" in found["cautions"][0]
    assert "note: 30 of 300 units" in words
    name = min(design.n, key=design.n.__getitem__)
    label(points, tmp_path / "none.csv", lambda rows: [r.update(reference="") for r in rows if r["stratum"] == name])
    with pytest.raises(BadInput, match=f"The stratum '{name}' has .* no sampled unit"):
        told("estimate", design.id, "none.csv", "--allow-missing")


def test_a_class_that_the_map_lacks_is_taken_only_by_name(places: Places, ours: Path, tmp_path: Path) -> None:
    design, points = drawn(places, ours)
    label(points, tmp_path / "labelled.csv", lambda rows: [row.update(reference="glacier") for row in rows[:4]])
    with pytest.raises(BadInput, match=r"'glacier' \(4\)"):
        told("estimate", design.id, "labelled.csv")
    found, words = told("estimate", design.id, "labelled.csv", "--also", "glacier")
    glacier = found["classes"]["glacier"]
    assert (glacier["users"], glacier["producers"], glacier["mapped"]) == (None, 0, 0)
    assert glacier["area"] > 0
    assert "glacier was found on the ground 4 times but the map shows none" in words


@pytest.mark.parametrize("name", ["design-0000000000000000", "nothing", "../../x", "accuracy-0000000000000000", ""])
def test_without_a_recorded_design_there_is_no_map_accuracy(
    places: Places, ours: Path, tmp_path: Path, name: str
) -> None:
    _, points = drawn(places, ours)
    label(points, tmp_path / "labelled.csv")
    with pytest.raises(NotFound, match="No design"):
        told("estimate", name, "labelled.csv")


def test_the_labels_of_one_design_are_not_those_of_another(places: Places, ours: Path, tmp_path: Path) -> None:
    _, points = drawn(places, ours)
    other, _ = drawn(places, ours, seed=1)
    label(points, tmp_path / "labelled.csv")
    with pytest.raises(BadInput, match="are not where they were drawn"):
        told("estimate", other.id, "labelled.csv")


def test_a_design_whose_points_were_altered_or_lost_is_refused(places: Places, ours: Path, tmp_path: Path) -> None:
    design, points = drawn(places, ours)
    label(points, tmp_path / "labelled.csv")
    points.write_text(points.read_text().replace("0.0", "0.1"))
    with pytest.raises(Refused, match="altered"):
        told("estimate", design.id, "labelled.csv")
    points.unlink()
    with pytest.raises(NotFound, match="gone"):
        told("estimate", design.id, "labelled.csv")


# --- numbers from elsewhere ------------------------------------------------------------------

OLOFSSON = """map,deforestation,gain,forest,non-forest,area
deforestation,66,0,5,4,18000
gain,0,55,8,12,13500
forest,1,0,153,11,288000
non-forest,2,1,9,313,580500
"""


def test_an_error_matrix_from_elsewhere_is_agreement(places: Places, tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text(OLOFSSON)
    found, words = told("matrix", "counts.csv")
    assert round(found["overall_half"], 6) == 0.018483
    assert round(found["classes"]["gain"]["area_half"], 1) == 3755.8
    assert found["classes"]["gain"]["mapped"] == 13500
    assert found["estimand"] == "agreement with these points"
    assert "map accuracy only if" in found["cautions"][0]
    assert "21,157.8 ± 6,157.5" in words
    assert "0.7487 ± 0.2133" in words
    (tmp_path / "german.csv").write_bytes(
        b"\xef\xbb\xbf" + OLOFSSON.replace(",", ";").replace("00\n", "00,0\n").encode()
    )
    assert told("matrix", "german.csv")[0] == found
    assert not places.nouns.exists()


def test_units_bring_the_finite_population(places: Places, tmp_path: Path) -> None:
    (tmp_path / "weights.csv").write_text("stratum,a,b,weight\na,9,1,0.5\nb,2,8,0.5\n")
    (tmp_path / "units.csv").write_text("stratum,a,b,units\na,9,1,20\nb,2,8,20\n")
    free, finite = told("matrix", "weights.csv")[0], told("matrix", "units.csv")[0]
    assert finite["overall_half"] == pytest.approx(free["overall_half"] * 0.5**0.5)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "is empty"),
        ("map,a,area\n", "has no row"),
        ("a,b,area\n1,2,3\n", "which column names the map classes"),
        ("map,stratum,a,area\na,a,1,1\n", "has map and stratum"),
        ("map,a\na,1\n", "nothing about the size of strata"),
        ("map,a,area,weight\na,1,1,1\n", "has both area and weight"),
        ("map,area\na,1\n", "no column of a reference class"),
        ("map,a,b,area\na,1,-2,1\nb,1,2,1\n", "Counts of units are negative"),
        ("map,a,b,area\na,1,nan,1\nb,1,2,1\n", "line 2: b is 'nan'"),
        ("map,a,b,area\na,1,2,-1\nb,1,2,1\n", "Areas of strata are negative"),
        ("map,a,b,area\na,1,2,\nb,1,2,1\n", "line 2: area is empty"),
        ("map,a,b,area\na,1,2,1\na,1,2,1\n", "'a' is listed twice"),
        ("map,a,b,area\na,1,2,1\n,1,2,1\n", "row without a name"),
        ("map,a,total,area\na,1,2,1\n", "lists 'total' among the classes"),
        ("map,a,b,area\na,1,2,1\nSum,1,2,1\n", "lists 'Sum' among the classes"),
        ("map,a,b,area\na,1,2,1\nb,0,0,1\n", "no sampled unit"),
        ("map,a,b,area\na,1,2\n", "line 2 has 3 cells"),
        ("map," + ",".join(f"c{i}" for i in range(1500)) + ",area\na," + "1," * 1500 + "1\n", "more than 1000"),
    ],
)
def test_a_matrix_that_is_none_is_refused(places: Places, tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "counts.csv").write_text(content)
    with pytest.raises(BadInput, match=match):
        told("matrix", "counts.csv")


MAPPED = "AAAAAAABBB ABBBBBBBBB BBCCCCCCBB DDDDDDDDDD".replace(" ", "")
TRUE = "AAAAACBABC ABBBBBAABB CCCCCDDBBA DDDDDDDCCB".replace(" ", "")
POINTS = "stratum,map,reference\n" + "".join(
    f"s{i // 10},{m},{r}\n" for i, (m, r) in enumerate(zip(MAPPED, TRUE, strict=True))
)


def test_points_by_strata_that_are_not_the_maps_classes(places: Places, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS)
    (tmp_path / "areas.csv").write_text("stratum,units\ns0,40000\ns1,30000\ns2,20000\ns3,10000\n")
    found, words = told("points", "points.csv", "--strata", "areas.csv")
    assert (round(found["overall"], 2), round(found["overall_half"] / 1.959964, 5)) == (0.63, 0.08464)
    assert found["classes"]["B"]["mapped"] is None
    assert "unknown" in words
    assert found["estimand"] == "agreement with these points"


def test_points_that_nobody_drew_have_neither_intervals_nor_areas(places: Places, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS)
    found, words = told("points", "points.csv")
    assert found["overall"] == pytest.approx(np.mean([m == r for m, r in zip(MAPPED, TRUE, strict=True)]))
    assert found["overall_half"] is None
    assert {c["area"] for c in found["classes"].values()} == {None}
    assert {c["users_half"] for c in found["classes"].values()} == {None}
    assert "not how accurate the map is" in words


@pytest.mark.parametrize(
    ("points", "areas", "match"),
    [
        ("map,reference\n", None, "holds no point"),
        ("map\na\n", None, "no column 'reference'"),
        ("map,reference\na,\n", None, "1 points of points.csv have no reference class, the first in line 2"),
        ("map,reference\na,a\n", "stratum,area\ns,1\n", "no column 'stratum'"),
        ("stratum,map,reference\nz,a,a\n", "stratum,area\ns,1\n", "of no stratum of areas.csv: 'z' in line 2"),
        ("stratum,map,reference\ns,a,a\n", "stratum,area\ns,1\nt,1\n", "no sampled unit"),
        ("stratum,map,reference\ns,a,a\n", "stratum,area\ns,1\ns,1\n", "listed twice"),
        ("stratum,map,reference\ns,a,a\n", "stratum,area\n", "has no row"),
        ("stratum,map,reference\ns,a,a\ns,a,a\n", "stratum,units\ns,1\n", "'s' has 1 units; 2 were sampled"),
    ],
)
def test_points_that_are_none_are_refused(
    places: Places, tmp_path: Path, points: str, areas: str | None, match: str
) -> None:
    (tmp_path / "points.csv").write_text(points)
    more = ()
    if areas is not None:
        (tmp_path / "areas.csv").write_text(areas)
        more = ("--strata", "areas.csv")
    with pytest.raises(BadInput, match=match):
        told("points", "points.csv", *more)


def test_names_from_files_reach_the_terminal_as_letters_only(places: Places, tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text(OLOFSSON.replace("gain", "\x1b[31mgain"))
    _, words = told("matrix", "counts.csv")
    assert "\x1b" not in words


@pytest.mark.parametrize(
    "arguments", [("plan", "none.tif", "--n", "9"), ("matrix", "none.csv"), ("estimate", "x", "none.csv")]
)
def test_what_goes_wrong_is_a_sentence(places: Places, arguments: tuple[str, ...]) -> None:
    assert isinstance(call(*arguments).exception, GeomlError)


def test_a_continent_is_drawn_from_strip_by_strip(places: Places, tmp_path: Path) -> None:
    """Twelve million pixels, of which never more than a strip are in memory; a rare class is found wherever it is."""
    codes = np.ones((3000, 4000), dtype=np.uint8)
    rare = np.random.default_rng(0).choice(codes.size, 200, replace=False)
    codes.ravel()[rare] = 9
    path = write_raster(tmp_path / "large.tif", codes, compress="deflate", tiled=True)
    design, points = drawn(places, path, n=400)
    assert design.strata == {"1": pytest.approx((codes.size - 200) / 100), "9": pytest.approx(2.0)}
    found = [int(r["row"]) * 4000 + int(r["col"]) for r in rows_of(points) if r["stratum"] == "9"]
    assert len(found) == len(set(found)) == 50
    assert set(found) <= set(rare.tolist())

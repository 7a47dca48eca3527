"""Deliveries from the drop to a version; every bad one ends in a sentence, and nothing is lost."""

import dataclasses
import json
import multiprocessing
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml

from geoml_ops.adapters import raster
from geoml_ops.adapters.dvc import Store
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.bands import SENTINEL_2_L1C, to_contract
from geoml_ops.core.errors import BadInput, NotFound, Refused, StorageFull
from geoml_ops.core.flow import Labels, Scene, Verdict, Version
from geoml_ops.domain.world import landscape
from geoml_ops.platform.files import sha256_of
from geoml_ops.steps import deliver, ingest
from geoml_ops.steps.places import Places

ROOT = Path(__file__).resolve().parents[2]
WORLD = landscape(120, 96, seed=1)


def places_in(home: Path) -> Places:
    workspace = home / "workspace"
    return Places(
        workspace=workspace,
        store=workspace / "store",
        remote=str(workspace / "remote"),
        drop=home / "drop",
        tracking_uri="",
        model="landcover",
        experiment=ROOT / "dags/experiments/landcover.yaml",
        policy=ROOT / "monitoring/policies.yaml",
    )


@pytest.fixture
def places(tmp_path):
    return places_in(tmp_path)


def scene(places, name="one", **changes):
    """Delivers the generated scene; keyword arguments change its declaration, None removes a key."""
    folder = deliver.write_delivery(WORLD, places.drop / name)
    declaration = yaml.safe_load((folder / "delivery.yaml").read_text()) | changes
    kept = {key: value for key, value in declaration.items() if value is not None}
    (folder / "delivery.yaml").write_text(yaml.safe_dump(kept))
    return folder


def labels(places, name="west", shapes=None, names=None, crs="EPSG:32633"):
    shapes = WORLD.polygons if shapes is None else shapes
    names = WORLD.labels if names is None else names
    return deliver.deliver_labels(places.drop / name, shapes, names, crs)


def band(folder, name):
    return next(folder.glob(f"*_{name}.tif"))


def quarantined(places, name):
    return next(places.quarantine.glob(f"{name}-*"))


# --- the good way ----------------------------------------------------------------------------


def test_a_turn_from_the_drop_to_a_version(places):
    scene(places)
    labels(places)
    assert ingest.collect(places) == ("one", "west")
    verdicts = [ingest.check(places, name) for name in ("one", "west")]
    assert all(v.accepted for v in verdicts), [v.reasons for v in verdicts]
    version = ingest.track(places, [v.id for v in verdicts])
    shelf = Shelf(places.nouns)
    assert {type(shelf.any(parent)) for parent in version.parents} == {Scene, Labels, Verdict}
    found, marked = shelf.get(Scene, version.scenes[0]), shelf.get(Labels, version.labels[0])
    store = Store(places.store, places.remote)
    for noun in (found, marked):
        assert sha256_of(store.at(version.rev, noun.file.path)) == noun.file.sha256
    assert sum(marked.n_polygons.values()) == len(WORLD.labels)
    assert not list(places.incoming.iterdir())
    item = json.loads(store.at(version.rev, "data/scenes/one/item.json").read_text())
    assert item["assets"]["data"]["file:checksum"].endswith(found.file.sha256)

    # The same again creates nothing.
    before = sorted(p.name for p in places.nouns.rglob("*.json"))
    assert ingest.collect(places) == ()
    assert [ingest.check(places, name).id for name in ("one", "west")] == [v.id for v in verdicts]
    assert ingest.track(places) == ingest.track(places, [verdicts[0].id]) == version
    assert sorted(p.name for p in places.nouns.rglob("*.json")) == before


def test_delivered_numbers_are_never_rewritten(places):
    scene(places)
    verdict = ingest.check(places, "one")
    noun = Shelf(places.nouns).get(Scene, verdict.subject)
    dn = raster.read(places.incoming / noun.id / "scene.tif")
    np.testing.assert_array_equal(dn[1], WORLD.bands["B02"])
    np.testing.assert_array_equal(dn[0, ::6, ::6], WORLD.bands["B01"])
    how = {source.name: (source.gsd_m, source.resampling) for source in noun.bands}
    assert (how["B02"], how["B05"], how["B01"]) == ((10.0, "none"), (20.0, "bilinear"), (60.0, "nearest"))


def test_two_machines_give_the_same_nouns(tmp_path):
    versions = []
    for home in ("a", "b"):
        places = places_in(tmp_path / home)
        scene(places)
        labels(places)
        for name in ingest.collect(places):
            ingest.check(places, name)
        versions.append(ingest.track(places))
    assert versions[0] == versions[1]


def test_a_shift_that_is_declared_gives_the_same_numbers_to_models(places):
    shifted = scene(
        places, "new", processing_baseline="04.00", radiometry={"quantification": 10000, "add_offset": -1000}
    )
    scene(places, "old")
    for name in SENTINEL_2_L1C.names:
        path = band(shifted, name)
        grid = raster.describe(path).grid
        raster.write_band(path, deliver.shift(raster.read(path)[0]), grid)
    seen = []
    for name in ("old", "new"):
        verdict = ingest.check(places, name)
        assert verdict.accepted, verdict.reasons
        noun = Shelf(places.nouns).get(Scene, verdict.subject)
        dn = raster.read(places.incoming / noun.id / "scene.tif")
        seen.append(to_contract(dn, noun.declared, SENTINEL_2_L1C))
    np.testing.assert_array_equal(*seen)


def test_a_version_grows_and_a_changed_delivery_replaces_its_name(places):
    scene(places)
    ingest.check(places, "one")
    first = ingest.track(places)
    folder = places.drop / "one"
    (folder / "readme.txt").write_text("reprocessed")
    path = band(folder, "B08")
    raster.write_band(path, raster.read(path)[0] + np.uint16(3), raster.describe(path).grid)
    scene(places, "two")
    assert ingest.collect(places) == ("one", "two")
    for name in ("one", "two"):
        assert ingest.check(places, name).accepted
    second = ingest.track(places)
    assert len(second.scenes) == 2
    assert first.scenes[0] not in second.scenes
    store = Store(places.store, places.remote)
    assert sorted(store.manifest(first.rev)) == [f"scenes/one/{n}" for n in ("item.json", "scene.json", "scene.tif")]
    assert len(store.manifest(second.rev)) == 6


def test_labels_in_another_crs_are_accepted_where_they_touch(places):
    from geoml_ops.adapters.crs import reproject

    scene(places)
    ingest.check(places, "one")
    moved = reproject(np.array(WORLD.polygons), "EPSG:32633", "EPSG:4326")
    labels(places, shapes=moved, crs="EPSG:4326")
    verdict = ingest.check(places, "west")
    assert verdict.accepted, verdict.reasons
    assert Shelf(places.nouns).get(Labels, verdict.subject).crs == "EPSG:4326"


def test_labels_wait_for_a_scene_and_come_after_it(places):
    labels(places, "a-labels")
    assert ingest.collect(places) == ()
    scene(places, "z-scene")
    assert ingest.collect(places) == ("z-scene", "a-labels")
    # Judged in any order, labels see the scene that lies beside them.
    assert ingest.check(places, "a-labels").accepted


def test_a_delivery_is_not_collected_before_it_is_complete(places):
    folder = scene(places)
    (folder / "delivery.yaml").rename(folder / ".delivery.yaml.part")
    (places.drop / ".copying").mkdir()
    assert ingest.collect(places) == ()
    with pytest.raises(NotFound, match="no complete delivery"):
        ingest.check(places, "one")


# --- bad input -------------------------------------------------------------------------------


def truncate(folder):
    path = band(folder, "B04")
    path.write_bytes(path.read_bytes()[:-700])


def drop_band(folder):
    band(folder, "B11").unlink()


def double_band(folder):
    shutil.copy(band(folder, "B11"), folder / "again_B11.tif")


def all_nodata(folder):
    for path in folder.glob("*_B*.tif"):
        raster.write_band(path, np.zeros_like(raster.read(path)[0]), raster.describe(path).grid)


def wrong_crs(folder):
    for path in folder.glob("*_B*.tif"):
        rewrite(path, crs="EPSG:4326")


def other_zone(folder):
    rewrite(band(folder, "B05"), crs="EPSG:32632")


def not_utm(folder):
    for path in folder.glob("*_B*.tif"):
        rewrite(path, crs="EPSG:3857")


def as_float(folder):
    rewrite(band(folder, "B03"), dtype="float32")


def constant(folder):
    path = band(folder, "B12")
    raster.write_band(path, np.full_like(raster.read(path)[0], 7), raster.describe(path).grid)


def twin(folder):
    shutil.copy(band(folder, "B06"), band(folder, "B07"))


def shifted(folder):
    for path in folder.glob("*_B*.tif"):
        raster.write_band(path, deliver.shift(raster.read(path)[0]), raster.describe(path).grid)


def out_of_range(folder):
    path = band(folder, "B03")
    raster.write_band(path, raster.read(path)[0] * np.uint16(20), raster.describe(path).grid)


def contradict(folder):
    (folder / "MTD_MSIL1C.xml").write_text(
        "<p><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>"
        "<RADIO_ADD_OFFSET>-1000</RADIO_ADD_OFFSET></p>"
    )


def link(folder):
    path = band(folder, "B02")
    path.rename(folder.parent.parent / "outside.tif")
    path.symlink_to(folder.parent.parent / "outside.tif")


def not_yaml(folder):
    (folder / "delivery.yaml").write_text("kind: [scene")


def bomb(folder):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (folder / "delivery.yaml").write_text("\n".join(["kind: scene", *lines]))


def rewrite(path, **changes):
    import rasterio

    with rasterio.open(path) as source:
        dn, profile = source.read(), source.profile
    with rasterio.open(path, "w", **(profile | {"predictor": 1} | changes)) as target:
        target.write(dn.astype(changes.get("dtype", "uint16")))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate, r"chunks of one_B04.tif lie outside its \d+ bytes"),
        (drop_band, r"missing B11"),
        (double_band, r"B11 was delivered 2 times"),
        (all_nodata, r"not observed \(share of nodata: B01 1"),
        (wrong_crs, r"not a projected one in metres: EPSG:4326"),
        (other_zone, r"B05.tif is in EPSG:32632, the scene's grid in EPSG:32633"),
        (not_utm, r"not a UTM zone .*EPSG:3857"),
        (as_float, r"B03.tif holds float32 numbers"),
        (constant, r"without any variation .*B12"),
        (twin, r"delivered under two names: B07 B06"),
        (shifted, r"offset is present but not declared"),
        (out_of_range, r"possible reflectances .*B03"),
        (contradict, r"contradict each other: .*baseline 02.04 in delivery.yaml, 04.00 in the product"),
        (link, r"link or a device"),
        (not_yaml, r"delivery.yaml is not YAML"),
        (bomb, r"aliases"),
    ],
)
def test_a_bad_scene_is_refused_with_a_sentence_and_kept(places, spoil, words):
    folder = scene(places)
    spoil(folder)
    delivered = sorted(p.name for p in folder.iterdir())
    verdict = ingest.check(places, "one")
    assert not verdict.accepted
    assert re.search(words, " ".join(verdict.reasons)), verdict.reasons
    assert ingest.collect(places) == ()
    home = quarantined(places, "one")
    assert sorted(p.name for p in (home / "delivery").iterdir()) == delivered
    assert re.search(words, (home / "reasons.txt").read_text())
    assert not list(places.incoming.iterdir())
    assert ingest.track(places, [verdict.id]) is None
    # The judge of a delivery that was moved away meanwhile finds its own verdict.
    assert ingest.check(places, "one") == verdict


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"radiometry": None}, "Not declared: radiometry"),
        (
            {"radiometry": {"quantification": 10000, "add_offset": -1000}},
            "Baseline 02.04 goes with an offset of 0 DN; declared -1000",
        ),
        ({"processing_baseline": 2.04}, "processing_baseline: Input should be a valid string"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"sensor": "landsat-9"}, "no band contract for 'landsat-9'"),
        ({"kind": "picture"}, "of kind 'picture'"),
        ({"processing_baseline": "04.00", "radiometry": {"quantification": 10000, "add_offset": -1000}}, "but absent"),
    ],
)
def test_a_bad_declaration_is_refused_with_a_sentence(places, changes, words):
    scene(places, **changes)
    verdict = ingest.check(places, "one")
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons)


OUTSIDE = [shapely.box(5e5 + i, 5.7e6, 5e5 + i + 50, 5.7e6 + 50) for i in range(4)]
BOW = shapely.Polygon([(400_100, 5_799_900), (400_200, 5_799_800), (400_200, 5_799_900), (400_100, 5_799_800)])


@pytest.mark.parametrize(
    ("shapes", "names", "words"),
    [
        (OUTSIDE, ["farm", "water", "farm", "farm"], "lie outside the scenes"),
        (None, ["dragon", *WORLD.labels[1:]], "Unknown class names: dragon"),
        ([*WORLD.polygons, BOW], [*WORLD.labels, "farm"], "Self-intersection"),
        ([], [], "There are no polygons"),
    ],
)
def test_bad_labels_are_refused_with_a_sentence(places, shapes, names, words):
    scene(places)
    labels(places, shapes=shapes, names=names)
    verdict = ingest.check(places, "west")
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons)
    assert (quarantined(places, "west") / "delivery" / "landuse.gpkg").exists()


def test_one_class_only_is_noted_and_accepted(places):
    scene(places)
    labels(places, names=["forest"] * len(WORLD.labels))
    verdict = ingest.check(places, "west")
    assert verdict.accepted
    assert "one class only (forest)" in " ".join(c.sentence for c in verdict.checks if not c.passed)


@pytest.mark.parametrize("file", ["../../secret.gpkg", "/etc/passwd", "absent.gpkg", "http://127.0.0.1:1/x.gpkg"])
def test_labels_are_read_from_inside_the_delivery_only(places, file):
    scene(places)
    folder = labels(places)
    declaration = {"kind": "labels", "file": file, "class_field": "fclass"}
    (folder / "delivery.yaml").write_text(yaml.safe_dump(declaration))
    assert "holds no file" in " ".join(ingest.check(places, "west").reasons)


@pytest.mark.parametrize("name", ["a b", "-rf", "näme", "a;touch x", "a\nb", "x" * 150])
def test_a_name_that_could_become_a_command_is_refused(places, name):
    scene(places, "plain").rename(places.drop / name)
    assert ingest.collect(places) == (name,)
    verdict = ingest.check(places, name)
    assert "holds more than letters" in " ".join(verdict.reasons)
    assert not (places.drop / name).exists()
    assert len(list(places.quarantine.glob("*/delivery/delivery.yaml"))) == 1


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../quarantine", "a\0b"])
def test_a_path_is_no_name(places, name):
    with pytest.raises(BadInput, match="does not name a delivery"):
        ingest.check(places, name)


def test_the_same_bad_delivery_twice_is_kept_once(places):
    for _ in range(2):
        drop_band(scene(places))
        verdict = ingest.check(places, "one")
    assert len(list(places.quarantine.iterdir())) == 1
    assert [v.id for v in Shelf(places.nouns).all(Verdict)] == [verdict.id]


def test_refused_scenes_do_not_stop_the_loop(places):
    drop_band(scene(places, "bad"))
    scene(places, "good")
    verdicts = [ingest.check(places, name) for name in ingest.collect(places)]
    version = ingest.track(places, [v.id for v in verdicts])
    assert [Shelf(places.nouns).get(Scene, s).name for s in version.scenes] == ["good"]


def test_pages_need_no_network_and_delivered_names_are_no_markup(places):
    scene(places)
    evil = '<script src="http://x.example/a.js"></script>'
    labels(places, names=[evil, *WORLD.labels[1:]])
    ingest.check(places, "west")
    pages = {p.relative_to(places.data_docs).as_posix(): p.read_text() for p in places.data_docs.rglob("*.html")}
    assert set(pages) == {"index.html", "one/index.html", "west/index.html"}
    for page in pages.values():
        assert not re.search(r"<(script|img|iframe|link|object)", page)
        assert all(not url.startswith(("http", "//")) for url in re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "&lt;script" in pages["west/index.html"]
    assert not re.search(r"https?://", pages["one/index.html"] + pages["index.html"].replace("http://x.example", ""))


# --- failure ---------------------------------------------------------------------------------


def test_a_full_disk_is_no_verdict_and_the_same_call_succeeds_later(places, monkeypatch):
    scene(places)
    full = OSError(28, "No space left on device")

    def no_space(*_args, **_kwargs):
        raise full

    with monkeypatch.context() as patch:
        patch.setattr("geoml_ops.steps.ingest.whole_folder", no_space)
        with pytest.raises(StorageFull, match="No space left") as said:
            ingest.check(places, "one")
        assert said.value.retryable
    assert not list(Shelf(places.nouns).all(Verdict))
    assert not list(places.incoming.iterdir())
    assert (places.drop / "one" / "delivery.yaml").exists()
    assert ingest.check(places, "one").accepted


def test_files_that_changed_after_their_verdict_are_not_tracked(places):
    scene(places)
    verdict = ingest.check(places, "one")
    path = places.incoming / verdict.subject / "scene.tif"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="gone or altered"):
        ingest.track(places)


def test_a_store_that_holds_what_nobody_accepted_is_left_alone(places):
    scene(places)
    ingest.check(places, "one")
    ingest.track(places)
    foreign = places.store / "data" / "scenes" / "foreign"
    foreign.mkdir()
    (foreign / "scene.tif").write_bytes(b"precious")
    with pytest.raises(Refused, match="scenes/foreign, which nobody accepted"):
        ingest.track(places)
    assert (foreign / "scene.tif").read_bytes() == b"precious"


def turn(home: Path) -> None:
    places = places_in(home)
    for name in ingest.collect(places):
        ingest.check(places, name)
    ingest.track(places)


def killed(home: Path, after_s: float) -> bool:
    """Runs a turn in a process of its own and kills it; says whether it was still at work."""
    child = multiprocessing.get_context("fork").Process(target=turn, args=(home,))
    child.start()
    child.join(after_s)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


def test_killed_anywhere_and_run_again_gives_the_same_version(tmp_path):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    for home in (calm, rough):
        scene(places_in(home))
        labels(places_in(home))
    began = time.monotonic()
    turn(calm)
    took = time.monotonic() - began
    # Each run finds what the one before left, so the deaths move on from check to track.
    deaths = [killed(rough, share * took) for share in (0.05, 0.2, 0.35, 0.3, 0.25, 0.2)]
    assert any(deaths)
    turn(rough)
    ids = [sorted(p.name for p in places_in(home).nouns.rglob("*.json")) for home in (calm, rough)]
    assert ids[0] == ids[1]
    places = places_in(rough)
    version = next(Shelf(places.nouns).all(Version))
    assert len(Store(places.store, places.remote).manifest(version.rev)) == 5


def test_an_experiment_that_cannot_be_read_is_no_fault_of_a_delivery_of_labels(places, tmp_path):
    scene(places)
    labels(places)
    broken = tmp_path / "experiment.yaml"
    broken.write_text("{name: nonsense, bands: 3}")
    here = dataclasses.replace(places, experiment=broken)
    assert ingest.check(here, "one").accepted
    with pytest.raises(BadInput, match="not a valid experiment"):
        ingest.check(here, "west")
    assert (places.drop / "west" / "delivery.yaml").exists()
    assert not list(places.quarantine.glob("west-*"))
    assert ingest.check(places, "west").accepted

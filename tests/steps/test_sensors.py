"""Scenes of every sensor from the drop to their bands, and what is refused on the way with the name of the band."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.bands import CONTRACTS, Radiometry, contract_for, to_contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Scene
from geoml_ops.core.grid import Grid
from geoml_ops.domain.checks import measure, offset_check, spectral_check
from geoml_ops.settings import Settings
from geoml_ops.steps import ingest
from geoml_ops.steps.radiometry import declared_in, refuse_exchanged
from geoml_ops.steps.sensors import contract_of, read_sensor, sensors
from tests.scenery import FIELDS, boa, exchanged, ground, mtl
from tests.steps.test_ingest import places_in

ROOT = Path(__file__).resolve().parents[2]
L2A, OLI, RGBN = (contract_for(n) for n in ("sentinel-2-l2a", "landsat-8-9-oli-tirs-c2-l2", "rgbn-aerial"))
DRONE = read_sensor(ROOT / "dags/sensors/rgbn-drone.yaml")


@pytest.fixture
def places(tmp_path):
    return replace(places_in(tmp_path), sensors=ROOT / "dags/sensors")


def grid_of(contract, edge, crs="EPSG:32633", top=5_800_020.0):
    return Grid(crs=crs, left=399_960.0, top=top, pixel_m=contract.pixel_m, width=edge, height=edge)


def drop(places, contract, dn, *, named="{}", crs="EPSG:32633", top=5_800_020.0, name="one", beside=None, **declared):
    """Delivers one file a band, each at its own pixel size; ``named`` makes a file name of a band's name."""
    folder = places.drop / name
    folder.mkdir(parents=True)
    grid = grid_of(contract, dn.shape[1], crs, top)
    for band, layer in zip(contract.bands, dn, strict=True):
        times = round(band.gsd_m / contract.pixel_m)
        own = Grid(
            **{**grid.model_dump(), "pixel_m": band.gsd_m, "width": grid.width // times, "height": grid.height // times}
        )
        path = folder / f"{named.format(band.name)}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        raster.write_band(path, np.ascontiguousarray(layer[::times, ::times]), own)
    for path, content in (beside or {}).items():
        (folder / path).write_bytes(content)
    declaration = {"kind": "scene", "sensor": contract.sensor, "acquired": "2023-01-15T05:11:21Z", **declared}
    kept = {key: value for key, value in declaration.items() if value is not None}
    (folder / "delivery.yaml").write_text(yaml.safe_dump(kept))
    return folder


def scene_of(places, verdict):
    assert verdict.accepted, verdict.reasons
    scene = Shelf(places.nouns).get(Scene, verdict.subject)
    return scene, places.incoming / scene.id / "scene.tif"


# --- the good way ----------------------------------------------------------------------------


def test_a_landsat_scene_keeps_its_kelvins_beside_its_reflectances(places):
    dn = ground(OLI, FIELDS)
    dn[:, :6, :6] = 0
    files = {"LC08_MTL.txt": mtl(), "LC08_ANG.txt": b"angles"}
    folder = drop(places, OLI, dn, named="LC08_L2SP_T1_{}", beside=files, acquired=None, top=-3_400_020.0)
    raster.write_band(folder / "LC08_L2SP_T1_QA_PIXEL.TIF", dn[0], grid_of(OLI, 72, top=-3_400_020.0))
    scene, path = scene_of(places, ingest.check(places, "one"))
    assert (scene.baseline, scene.declared, scene.own) == (
        "C02-L2SP", OLI.radiometry, {"ST_B10": OLI.radiometry_of("ST_B10")},
    )  # fmt: skip
    facts = raster.describe(path)
    assert (facts.names, facts.units) == (OLI.names, ("reflectance",) * 7 + ("K",))
    kept = to_contract(raster.read(path), scene.declared, OLI, scene.own)
    np.testing.assert_array_equal(kept[:, 6:], dn[:, 6:].astype(np.float32))
    assert np.isnan(kept[:, :6, :6]).all()
    # What the stored file says of itself suffices to read it again, band by band.
    main, own = declared_in(facts, OLI)
    np.testing.assert_array_equal(to_contract(raster.read(path), main, OLI, own), kept)
    item = json.loads(path.with_name("item.json").read_text())
    warm = next(b for b in item["assets"]["data"]["bands"] if b["name"] == "ST_B10")
    assert (warm["unit"], warm["raster:scale"], warm["eo:common_name"]) == ("K", 0.00341802, "lwir11")
    assert warm["raster:offset"] == pytest.approx(149.0)
    assert item["properties"]["constellation"] == "landsat"


def test_a_sentinel_product_of_level_2a_as_it_is_packed(places):
    dn = ground(L2A, FIELDS) + np.uint16(1000)
    files = {"MTD_MSIL2A.xml": boa(dict.fromkeys(range(13), -1000))}
    folder = drop(places, L2A, dn, named="T33UUU_{}", beside=files, acquired=None)
    for band in L2A.bands:
        size = round(band.gsd_m)
        home = folder / f"R{size}m"
        home.mkdir(exist_ok=True)
        (folder / f"T33UUU_{band.name}.tif").rename(home / f"T33UUU_{band.name}_{size}m.tif")
    shutil.copy(folder / "R20m/T33UUU_B05_20m.tif", folder / "R20m/T33UUU_B04_20m.tif")
    shutil.copy(folder / "R20m/T33UUU_B05_20m.tif", folder / "R20m/T33UUU_SCL_20m.tif")
    scene, path = scene_of(places, ingest.check(places, "one"))
    assert (scene.baseline, scene.declared.offset_dn, scene.own) == ("05.09", -1000.0, {})
    kept = to_contract(raster.read(path), scene.declared, L2A, scene.own)
    np.testing.assert_array_equal(kept[3], dn[3].astype(np.float32) - 1000)


def test_a_delivery_with_a_nodata_of_its_own_is_the_scene_that_the_producer_means(places):
    dn = ground(L2A, FIELDS)
    dn[:, :12, :24] = 0
    scenes = []
    for name, number in (("product", None), ("agency", 65535)):
        said = {"processing_baseline": "04.00", "radiometry": {"quantification": 10000, "add_offset": 0}}
        folder = drop(places, L2A, dn, name=name, harmonised=True, **said)
        for path in folder.glob("*.tif") if number else ():
            with rasterio.open(path, "r+") as target:
                layer = target.read(1)
                target.nodata = number
                target.write(np.where(layer == 0, number, layer).astype(layer.dtype), 1)
        scene, path = scene_of(places, ingest.check(places, name))
        assert scene.declared.absent == (0.0,)
        scenes.append(raster.read(path))
    np.testing.assert_array_equal(*scenes)
    assert (scenes[0][:, :12, :24] == 0).all()


def test_what_was_harmonised_is_not_corrected_twice(places):
    dn = ground(L2A, FIELDS)
    drop(
        places,
        L2A,
        dn,
        name="plain",
        processing_baseline="05.09",
        radiometry={"quantification": 10000, "add_offset": 0},
    )
    files = {"MTD_MSIL2A.xml": boa(dict.fromkeys(range(13), -1000))}
    drop(places, L2A, dn, name="sworn", beside=files, acquired=None, harmonised=True)
    for name in ("plain", "sworn"):
        scene, path = scene_of(places, ingest.check(places, name))
        kept = to_contract(raster.read(path), scene.declared, L2A)
        np.testing.assert_array_equal(kept[3], dn[3].astype(np.float32))
    # The same word over numbers that still carry the offset is no word.
    drop(places, L2A, dn + np.uint16(1000), name="wrong", beside=files, acquired=None, harmonised=True)
    assert "An offset is present but not declared" in " ".join(ingest.check(places, "wrong").reasons)


def test_one_picture_with_four_bands_by_name_or_by_word(places):
    dn = ground(RGBN, FIELDS)
    order = [3, 1, 0, 2]
    for name, words in (("inside", ("nir", "green", "R", "blue")), ("said", None)):
        folder = places.drop / name
        folder.mkdir(parents=True)
        picture = RGBN.model_copy(update={"bands": tuple(RGBN.bands[i] for i in order)})
        raster.write_scene(folder / "photo.tif", dn[order], grid_of(RGBN, 72, "EPSG:26912"), picture, RGBN.radiometry)
        with rasterio.open(folder / "photo.tif", "r+") as target:
            target.descriptions = words or (None,) * 4
        declaration = {"kind": "scene", "sensor": RGBN.sensor, "acquired": "2020-06-01T00:00:00Z"}
        if words is None:
            declaration["files"] = {"photo.tif": ["N", "G", "R", "B"]}
        (folder / "delivery.yaml").write_text(yaml.safe_dump(declaration))
        scene, path = scene_of(places, ingest.check(places, name))
        np.testing.assert_array_equal(raster.read(path), dn)
        assert (scene.declared.nodata, raster.describe(path).nodata) == (None, None)


def test_a_picture_may_name_a_nodata_number_where_its_sensor_has_none(places):
    dn = ground(RGBN, FIELDS)
    dn[:, :10] = 255
    folder = drop(places, RGBN, dn, named="photo_{}")
    for name in "RGBN":
        tag(folder, f"_{name}", nodata=255)
    scene, path = scene_of(places, ingest.check(places, "one"))
    assert (scene.declared.nodata, raster.describe(path).nodata) == (255.0, 255.0)
    assert np.isnan(to_contract(raster.read(path), scene.declared, RGBN)[:, :10]).all()
    folder = drop(places, RGBN, dn, named="photo_{}", name="two")
    tag(folder, "_G", nodata=255)
    assert "different numbers as nodata: R None, G 255.0" in " ".join(ingest.check(places, "two").reasons)


def test_a_sensor_from_a_file_is_a_sensor(places):
    dn = ground(DRONE, FIELDS, edge=60)
    drop(places, DRONE, dn, named="flight_{}", crs="EPSG:25833")
    scene, path = scene_of(places, ingest.check(places, "one"))
    assert scene.own == {"thermal": Radiometry(scale=0.01)}
    assert raster.describe(path).units == ("reflectance",) * 4 + ("K",)
    assert [s.resampling for s in scene.bands] == ["none"] * 4 + ["nearest"]
    assert contract_of(places, "rgbn-drone") == DRONE
    assert sensors(places) == (*CONTRACTS, "rgbn-drone")
    assert Settings().places().sensors == ROOT / "dags/sensors"


# --- bad input -------------------------------------------------------------------------------


def swap(folder, one, other):
    paths = [next(folder.rglob(f"*{name}.tif")) for name in (one, other)]
    paths[0].rename(folder / "aside")
    paths[1].rename(paths[0])
    (folder / "aside").rename(paths[1])


def tag(folder, name, **changes):
    with rasterio.open(next(folder.rglob(f"*{name}.tif")), "r+") as target:
        if "wavelength" in changes:
            target.update_tags(1, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=changes["wavelength"])
        else:
            for key, value in changes.items():
                setattr(target, key, (value,) if key != "nodata" else value)


def extra(folder, name):
    shutil.copy(next(folder.glob("*B4.tif")), folder / name)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: swap(f, "SR_B4", "SR_B5"), "bright in SR_B4 and dark in SR_B3 and SR_B5"),
        (lambda f: swap(f, "SR_B4", "ST_B10"), "half of ST_B10 is colder than"),
        (lambda f: next(f.glob("*SR_B6.tif")).unlink(), "missing SR_B6"),
        (lambda f: next(f.glob("*ST_B10.tif")).unlink(), "missing ST_B10"),
        (lambda f: extra(f, "again_SR_B4.tif"), "SR_B4 was delivered 2 times"),
        (lambda f: extra(f, "LC08_B99.tif"), "layers that landsat-8-9-oli-tirs-c2-l2 does not have: LC08_B99.tif"),
        (lambda f: extra(f, "LC08_B4.tif"), "does not have: B4 in LC08_B4.tif"),
        (lambda f: tag(f, "SR_B4", descriptions="SR_B5"), "was delivered as SR_B4, but calls itself SR_B5"),
        (lambda f: tag(f, "SR_B4", descriptions="nir08"), "was delivered as SR_B4, but calls itself nir08"),
        (
            lambda f: tag(f, "SR_B4", wavelength="0.8647"),
            r"was delivered as SR_B4 (654.6 nm), but is centred at 864.7 nm, where SR_B5 is",
        ),
        (lambda f: tag(f, "SR_B2", scales=1e-4, offsets=0.0), "SR_B2 declares a scale of 0.0001 per DN where"),
        (lambda f: tag(f, "SR_B2", scales=2.75e-5, offsets=-0.1), "SR_B2 declares an offset of -3636.36 DN where"),
        (lambda f: tag(f, "ST_B10", scales=2.75e-5, offsets=-0.2), "ST_B10 declares a scale of 2.75e-05 per DN where"),
        (
            lambda f: (f / "x_MTL.txt").write_bytes(mtl(level="L1TP")),
            "sensor landsat-8-9-oli-tirs-c2-l2 in delivery.yaml, landsat-8-9-oli-tirs-c2-l1",
        ),
        (lambda f: (f / "x_MTL.txt").write_bytes(b"GROUP = X"), "product metadata cannot be read"),
        (lambda f: (f / "x_MTL.txt").write_bytes(b"x" * (2 << 20)), "The product metadata have 2097152 bytes"),
    ],
)
def test_a_bad_landsat_scene_is_refused_with_the_name_of_the_band(places, spoil, words):
    folder = drop(places, OLI, ground(OLI, FIELDS), named="LC08_{}", top=-3_400_020.0)
    spoil(folder)
    verdict = ingest.check(places, "one")
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons), verdict.reasons
    assert not list(places.incoming.iterdir())


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"sensor": "../../etc/passwd"}, "no band contract for '../../etc/passwd'"),
        ({"sensor": "rgbn-none"}, "or describe it in rgbn-none.yaml in the sensors' folder"),
        ({"bands": {"B99": {"scale": 1.0}}}, "0 bands called 'B99'"),
        ({"bands": {"SR_B4": {"scale": 0.0}}}, "bands.SR_B4.scale: Input should be greater than 0"),
        ({"bands": {"red": {"scale": 1e-4}}}, "SR_B4 declares a scale of 0.0001 per DN where"),
        ({"files": {"nowhere.tif": "red"}}, "a file that is not there: 'nowhere.tif'"),
        ({"files": {"LC08_SR_B4.tif": "SR_B5"}}, "missing SR_B4"),
        ({"files": {"LC08_SR_B4.tif": ["SR_B4", "SR_B5"]}}, "LC08_SR_B4.tif holds 1 bands; SR_B5 should be band 2"),
        ({"harmonised": True}, "harmonised is a word for sentinel-2-l1c and sentinel-2-l2a"),
        ({"acquired": None}, "Not declared: acquired"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused_with_a_sentence(places, declared, words):
    drop(places, OLI, ground(OLI, FIELDS), named="LC08_{}", top=-3_400_020.0, **declared)
    verdict = ingest.check(places, "one")
    assert not verdict.accepted
    assert words in " ".join(verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    ("contract", "crs", "words"),
    [
        (OLI, "EPSG:3857", "The CRS is not a UTM zone (EPSG:326xx or 327xx) or polar stereographic"),
        (DRONE, "EPSG:3857", "The CRS is not one whose metres are metres on the ground"),
        (L2A, "EPSG:3031", "The CRS is not a UTM zone"),
    ],
)
def test_coordinate_systems_are_those_of_the_sensor(places, contract, crs, words):
    dn = ground(contract, FIELDS, edge=60)
    more = {"processing_baseline": "03.01", "radiometry": {"quantification": 10000, "add_offset": 0}}
    drop(places, contract, dn, named="x_{}", crs=crs, **(more if contract is L2A else {}))
    assert words in " ".join(ingest.check(places, "one").reasons)


@pytest.mark.parametrize("name", ["rgbn-drone", "rgbn-none"])
def test_without_a_folder_there_are_only_the_built_in_sensors(tmp_path, name):
    places = places_in(tmp_path)
    assert sensors(places) == tuple(CONTRACTS)
    assert contract_of(places, L2A.sensor) is L2A
    with pytest.raises(BadInput, match="There is no band contract"):
        contract_of(places, name)


GOOD = (ROOT / "dags/sensors/rgbn-drone.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a valid sensorfile"),
        ("- 1\n- 2\n", "not a valid sensorfile"),
        ("sensor: [", "is not YAML"),
        ("a: &a [1]\nb: *a\n", "uses YAML aliases"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        (GOOD.replace("pixel_m: 0.1", "pixel_m: ten"), "pixel_m: Input should be a valid number"),
        (GOOD.replace("nodata: 0", "no_data: 0"), "nodata: Field required; no_data: Extra inputs"),
        (GOOD.replace("sensor: rgbn-drone", "sensor: other"), "describes 'other'"),
        (GOOD.replace("common_name: nir", "common_name: infra"), "STAC knows"),
        (GOOD.replace("blue: {", "blue: 3 #{"), "bands.blue"),
        (GOOD.replace("scale: 0.0001 ", "scale: .nan "), "scale"),
        (GOOD.replace("valid: [230, 360]", "valid: [360, 230]"), "nothing lies between"),
        (GOOD.replace("gsd_m: 0.5", "gsd_m: 0.25"), "no whole multiple of 0.1 m"),
        ("#" * 300_000, "300000 bytes"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_a_sensor_file_with_nonsense_is_refused_with_a_sentence(places, tmp_path, text, words):
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors/rgbn-drone.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput) as said:
        contract_of(replace(places, sensors=tmp_path / "sensors"), "rgbn-drone")
    assert words in str(said.value)


def test_a_file_called_like_a_built_in_sensor_is_not_passed_over_in_silence(places, tmp_path):
    (tmp_path / "rgbn-aerial.yaml").write_text(GOOD.replace("sensor: rgbn-drone", "sensor: rgbn-aerial"))
    with pytest.raises(BadInput, match=r"rgbn-aerial is built in, and rgbn-aerial\.yaml describes it too"):
        contract_of(replace(places, sensors=tmp_path), "rgbn-aerial")


def test_a_raster_that_cannot_be_read_is_refused_with_the_reason(places):
    folder = drop(places, DRONE, ground(DRONE, FIELDS, edge=60), named="x_{}", top=-3_400_020.0)
    (folder / "flight.tif").write_bytes(b"no raster")
    reasons = " ".join(ingest.check(places, "one").reasons)
    assert "flight.tif, which cannot be read (flight.tif is neither GeoTIFF nor JP2" in reasons


# --- the real scene ---------------------------------------------------------------------------

SAMPLE = ROOT / "data" / "sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample was not fetched")
def test_the_real_scene_is_right_whole_and_in_parts_and_wrong_where_parts_of_the_spectrum_change_places():
    contract = contract_for("sentinel-2-l1c")
    paths = [next(SAMPLE.rglob(f"T33UUU_*_{name}.jp2")) for name in contract.names]
    grid = raster.describe(paths[1]).grid
    dn = np.stack([raster.to_grid(p, grid, b.resampling) for p, b in zip(paths, contract.bands, strict=True)])
    each = dict.fromkeys(contract.names, contract.radiometry)
    assert spectral_check(dn, contract, each).passed
    for top in range(0, dn.shape[1] - 95, 192):
        for left in range(0, dn.shape[2] - 95, 192):
            part = dn[:, top : top + 96, left : left + 96]
            assert spectral_check(part, contract, each).passed
            assert offset_check(measure(part, contract, contract.radiometry), contract, each).passed
    for one in ("B02", "B03", "B04", "B10"):
        for other in ("B06", "B07", "B08", "B8A"):
            check = spectral_check(exchanged(dn, contract, one, other), contract, each)
            assert (check.passed, check.blocking) == (False, True), (one, other)
            assert one in check.sentence or other in check.sentence
    for one in ("B04", "B08"):
        check = spectral_check(exchanged(dn, contract, one, "B11"), contract, each)
        assert (check.passed, check.blocking) == (False, False)


# --- rasters that are handed in to a model ---------------------------------------------------


def handed_in(path, contract, dn, own=None, **changes):
    raster.write_scene(path, dn, grid_of(contract, dn.shape[1]), contract, contract.radiometry, own=own)
    with rasterio.open(path, "r+") as target:
        for key, value in changes.items():
            setattr(target, key, value)
    return raster.describe(path)


OWN = {"ST_B10": OLI.radiometry_of("ST_B10")}
SCALES, OFFSETS = [2.75e-5] * 7 + [0.00341802], [-0.2] * 7 + [149.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"scales": [1.0] * 8, "offsets": [0.0] * 8, "units": [""] * 8},
            r"GDAL scale of its bands is 1.*SR_B1: 2.75e-05 and -0.2",
        ),
        (
            {"scales": [*SCALES[:7], 1.0], "offsets": [*OFFSETS[:7], 0.0], "units": [""] * 8},
            "GDAL scale of ST_B10 is 1",
        ),
        ({"scales": [1e-4, *SCALES[1:]]}, "SR_B1 declares a scale of 0.0001 per DN"),
        ({"offsets": [*OFFSETS[:2], 0.0, *OFFSETS[3:]]}, "SR_B3 declares an offset of 0 DN where"),
        (
            {"scales": [2.75e-5] * 8, "offsets": [-0.2] * 8},
            "ST_B10 declares a scale of 2.75e-05 per DN where .* has 0.00341802",
        ),
        ({"descriptions": [*OLI.names[:7], "ST_B99"]}, "missing ST_B10; not known ST_B99"),
        ({"descriptions": [*OLI.names[:6], "SR_B6", "ST_B10"]}, "missing SR_B7; twice SR_B6"),
        ({"descriptions": [*OLI.names[:7], None]}, "missing ST_B10; without a name: layer 8"),
    ],
)
def test_a_raster_that_does_not_fit_is_refused_with_the_name_of_the_band(tmp_path, changes, words):
    facts = handed_in(tmp_path / "x.tif", OLI, ground(OLI, FIELDS), OWN, **changes)
    with pytest.raises(BadInput, match=words):
        declared_in(facts, OLI)


def test_an_offset_of_one_band_alone_is_refused_for_sentinel_2(tmp_path):
    facts = handed_in(tmp_path / "x.tif", L2A, ground(L2A, FIELDS), offsets=[-0.1] * 11 + [0.0])
    with pytest.raises(BadInput, match="different offsets: B12 0 DN, the others -1000 DN"):
        declared_in(facts, L2A)
    assert declared_in(facts, L2A.subset(["B04", "B08"]))[0].offset_dn == -1000.0


def test_a_wavelength_that_is_another_bands_is_refused(tmp_path):
    facts = handed_in(tmp_path / "x.tif", L2A, ground(L2A, FIELDS))
    nm = tuple(band.centre_nm for band in L2A.bands)
    assert declared_in(replace(facts, wavelengths_nm=nm), L2A)
    # Sentinel-2B is up to 17 nm away from Sentinel-2A.
    assert declared_in(replace(facts, wavelengths_nm=(*nm[:-1], 2185.7)), L2A)
    swapped = (*nm[:3], nm[7], *nm[4:7], nm[3], *nm[8:])
    with pytest.raises(BadInput, match=r"delivered as B04 \(664.6 nm\), but is centred at 832.8 nm, where B08 is"):
        declared_in(replace(facts, wavelengths_nm=swapped), L2A)


def test_numbers_under_exchanged_names_are_refused_where_they_are_certain():
    dn = ground(L2A, FIELDS)
    right = to_contract(dn, L2A.radiometry, L2A)
    refuse_exchanged(right, L2A)
    wrong = to_contract(exchanged(dn, L2A, "B04", "B08"), L2A.radiometry, L2A)
    with pytest.raises(BadInput, match="B04 follows the near infrared and B08 the visible"):
        refuse_exchanged(wrong, L2A)
    # A model of four bands cannot know it, and leaves it to the names.
    four = L2A.subset(["B02", "B03", "B04", "B08"])
    refuse_exchanged(wrong[[L2A.names.index(name) for name in four.names]], four)

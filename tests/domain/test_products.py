"""What producers' metadata files say, in all the forms they come in, and how much nonsense they may hold."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.bands import CONTRACTS, Radiometry, contract_for, linear
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.delivery import SceneDelivery, declare, is_product, layers_of, read_product
from tests.scenery import boa, mtl

L2A = contract_for("sentinel-2-l2a")
OLI = contract_for("landsat-8-9-oli-tirs-c2-l2")
TM = contract_for("landsat-4-5-tm-c2-l1")


def said(sensor, **more):
    return SceneDelivery(kind="scene", sensor=sensor, **more)


def failed(checks) -> str:
    return " ".join(c.sentence for c in checks if not c.passed and c.blocking)


def test_a_level_2_file_tells_levels_apart():
    product = read_product(mtl(), "x_MTL.txt")
    assert (product.sensor, product.baseline) == (OLI.sensor, "C02-L2SP")
    assert product.acquired == datetime(2020, 6, 1, 10, 2, 3, 123456, tzinfo=UTC)
    # The Level 1 numbers of the same keys stand in the same file.
    assert product.bands["SR_B1"] == linear(2.75e-5, -0.2)
    assert product.bands["ST_B10"] == linear(0.00341802, 149.0)
    assert set(product.bands) == set(OLI.names)
    found, checks = declare(said(OLI.sensor), product, {}, OLI)
    assert found is not None, failed(checks)
    assert (found.radiometry, dict(found.own)) == (OLI.radiometry, {"ST_B10": OLI.radiometry_of("ST_B10")})


def test_text_and_json_say_the_same():
    groups, inside = {}, None
    for line in mtl().decode().splitlines():
        key, _, value = (part.strip().strip('"') for part in line.partition("="))
        if key == "GROUP":
            inside = groups.setdefault(value, {})
        elif inside is not None and value and key != "END_GROUP":
            inside[key] = value
    content = json.dumps({"LANDSAT_METADATA_FILE": groups}).encode()
    assert read_product(content, "x_MTL.json") == read_product(mtl(), "x_MTL.txt")


def test_level_1_has_reflectance_and_radiance():
    product = read_product(mtl(level="L1TP"), "x_MTL.txt")
    assert product.sensor == "landsat-8-9-oli-tirs-c2-l1"
    assert product.bands == {"B1": linear(2e-5, -0.1), "B10": linear(3.342e-4, 0.1)}


def test_a_scene_of_tm_needs_its_own_rescaling():
    found, checks = declare(said(TM.sensor, acquired=datetime(2000, 1, 1, tzinfo=UTC)), None, {}, TM)
    assert found is None
    assert "Not declared: radiometry." in failed(checks)
    lines = "".join(
        f"    REFLECTANCE_MULT_BAND_{n[1:]} = {TM.radiometry_of(n).scale * 1.03:.6E}\n"
        f"    REFLECTANCE_ADD_BAND_{n[1:]} = {TM.radiometry_of(n).scale * TM.radiometry_of(n).offset_dn:.6f}\n"
        for n in TM.names if n not in ("B6", "B1")
    )  # fmt: skip
    lines += "    RADIANCE_MULT_BAND_6 = 5.5375E-02\n    RADIANCE_ADD_BAND_6 = 1.18243\n"
    text = mtl("L1TP", "LANDSAT_5", "TM", more=lines).replace(b"_1 = 2.0000E-05", b"_1 = 1.2582E-03")
    text = text.replace(b"REFLECTANCE_ADD_BAND_1 = -0.100000", b"REFLECTANCE_ADD_BAND_1 = -0.003756")
    found, checks = declare(said(TM.sensor), read_product(text, "LT05_MTL.txt"), {}, TM)
    assert found is not None, failed(checks)
    assert found.own["B1"].scale == 1.2582e-3
    assert set(found.own) == set(TM.names)
    far = text.replace(b"1.2582E-03", b"2.0000E-05")
    found, checks = declare(said(TM.sensor), read_product(far, "LT05_MTL.txt"), {}, TM)
    assert found is None
    assert "B1 declares a scale of 2e-05 per DN where landsat-4-5-tm-c2-l1 has 0.00121327" in failed(checks)


@pytest.mark.parametrize(
    ("delivery", "product", "in_files", "words"),
    [
        (
            said(OLI.sensor),
            read_product(mtl(level="L1TP"), "x_MTL.txt"),
            {},
            "sensor landsat-8-9-oli-tirs-c2-l2 in delivery.yaml, landsat-8-9-oli-tirs-c2-l1 in the MTL file",
        ),
        (
            said(OLI.sensor),
            read_product(mtl(spacecraft="LANDSAT_7", instrument="ETM"), "x_MTL.txt"),
            {},
            "landsat-7-etm-c2-l2 in the MTL file",
        ),
        (
            said(OLI.sensor),
            read_product(mtl().replace(b"ADD_BAND_3 = -0.2", b"ADD_BAND_3 = -0.1"), "x_MTL.txt"),
            {},
            "SR_B3 declares an offset of -3636.36 DN where",
        ),
        (
            said(OLI.sensor),
            read_product(mtl().replace(b"149.0", b"0.0"), "x_MTL.txt"),
            {},
            "ST_B10 declares an offset of 0 DN",
        ),
        (
            said(OLI.sensor),
            read_product(mtl(), "x_MTL.txt"),
            {"SR_B4": Radiometry(scale=1e-4)},
            "radiometry of SR_B4 (DN + 0) / 10000 in its file",
        ),
        (
            said(OLI.sensor, harmonised=True),
            read_product(mtl(), "x_MTL.txt"),
            {},
            "harmonised is a word for sentinel-2-l1c and sentinel-2-l2a",
        ),
        (
            said("sentinel-2-l1c"),
            read_product(boa()),
            {},
            "sensor sentinel-2-l1c in delivery.yaml, sentinel-2-l2a in the product",
        ),
        (
            said(L2A.sensor),
            read_product(boa(dict.fromkeys(range(13), -1000) | {3: 0})),
            {},
            "different offsets: B04 0 DN, the others -1000 DN",
        ),
        (said(L2A.sensor), read_product(boa({0: -1000, 3: -900})), {}, "Not declared: radiometry of B02, B03"),
        (
            said(L2A.sensor),
            read_product(boa(quantification="1000")),
            {},
            "every band declares a scale of 0.001 per DN where sentinel-2-l2a has 0.0001",
        ),
        (
            said(L2A.sensor),
            read_product(boa(dict.fromkeys(range(13), -1000), baseline="02.14")),
            {},
            "Baseline 02.14 goes with an offset of 0 DN; declared -1000",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_band(delivery, product, in_files, words):
    contract = CONTRACTS[delivery.sensor]
    found, checks = declare(delivery, product, in_files, contract)
    assert found is None
    assert words in failed(checks)


def test_offsets_of_level_2a_and_of_what_was_harmonised():
    shifted = read_product(boa(dict.fromkeys(range(13), -1000)))
    found, checks = declare(said(L2A.sensor), shifted, {}, L2A)
    assert found is not None, failed(checks)
    assert (found.radiometry, found.own) == (Radiometry(scale=1e-4, offset_dn=-1000.0), {})
    found, checks = declare(said(L2A.sensor, harmonised=True), shifted, {}, L2A)
    assert found is not None, failed(checks)
    assert found.radiometry.offset_dn == 0
    assert "taken out before" in " ".join(c.sentence for c in checks)
    # Without the word, two sources say two things.
    zero = {name: Radiometry(scale=1e-4) for name in L2A.names}
    found, checks = declare(said(L2A.sensor), shifted, zero, L2A)
    assert found is None
    assert "radiometry of every band (DN + 0) / 10000 in its file, (DN + -1000) / 10000 in the product" in failed(
        checks
    )


def test_a_sensor_without_baselines_is_declared_by_its_name_and_needs_a_time():
    rgbn = contract_for("rgbn-aerial")
    found, checks = declare(said(rgbn.sensor), None, {}, rgbn)
    assert found is None
    assert "Not declared: acquired" in failed(checks)
    found, _ = declare(said(rgbn.sensor, acquired=datetime(2020, 1, 1, tzinfo=UTC)), None, {}, rgbn)
    assert found is not None
    assert (found.baseline, found.radiometry, found.own) == ("none", rgbn.radiometry, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GROUP = A",
        b"GROUP = A\nEND_GROUP = B\nEND",
        b"this is no MTL file",
        b"\xff\xfe\x00",
        b"x" * ((1 << 20) + 1),
        mtl(collection="01"),
        mtl(spacecraft="LANDSAT_3", instrument="MSS"),
        mtl(level="L3"),
        mtl().replace(b"2.75e-05", b"nan"),
        mtl().replace(b"2.75e-05", b"-1"),
        mtl().replace(b"= 149.0", b'= "warm"'),
        mtl().replace(b"    TEMPERATURE_ADD_BAND_ST_B10 = 149.0\n", b""),
        mtl().replace(b"2020-06-01", b"2020-13-01"),
    ],
)
def test_mtl_files_that_are_none_are_refused_with_a_sentence(content):
    with pytest.raises(BadInput, match="product metadata"):
        read_product(content, "x_MTL.txt")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"LANDSAT_METADATA_FILE": 3}', b"[" * 200_000, b"{'a': 1}"])
def test_json_that_is_no_mtl_file_is_refused(content):
    with pytest.raises(BadInput, match="product metadata"):
        read_product(content, "x_MTL.json")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(mtl()) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_a_damaged_file_is_bad_input_or_a_product(at, noise, xml):
    content = boa(dict.fromkeys(range(13), -1000)) if xml else mtl()
    at %= len(content)
    content = content[:at] + noise + content[at + len(noise) :]
    try:
        read_product(content, "MTD_MSIL2A.xml" if xml else "x_MTL.txt")
    except BadInput as error:
        said = str(error)
    else:
        said = "product metadata"
    assert "product metadata" in said


def test_product_files_by_name():
    assert all(is_product(n) for n in ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "LC08_T1_MTL.txt", "LC08_T1_MTL.json"))
    assert not any(is_product(n) for n in ("MTD_TL.xml", "LC08_T1_MTL.xml", "MTL.txt", "LC08_T1_ANG.txt"))


@pytest.mark.parametrize(
    ("sensor", "files", "bands", "unknown"),
    [
        (
            "sentinel-2-l2a",
            ["R10m/T_B04_10m.jp2", "R20m/T_B04_20m.jp2", "R60m/T_B04_60m.jp2", "R20m/T_SCL_20m.jp2"],
            {"B04": ["R10m/T_B04_10m.jp2"]},
            [],
        ),
        ("sentinel-2-l2a", ["R20m/T_B01_20m.jp2"], {"B01": ["R20m/T_B01_20m.jp2"]}, []),
        ("sentinel-2-l2a", ["a/QI_DATA/MSK_B04.jp2", "QI_DATA/T_B04.jp2", "MSK_CLDPRB_20m.jp2"], {}, []),
        ("sentinel-2-l2a", ["T_B10.jp2"], {}, ["B10 in T_B10.jp2"]),
        (
            "landsat-8-9-oli-tirs-c2-l1",
            ["LC08_T1_B4.TIF", "LC08_T1_B10.TIF", "LC08_T1_B8.TIF", "LC08_T1_QA_PIXEL.TIF"],
            {"B4": ["LC08_T1_B4.TIF"], "B10": ["LC08_T1_B10.TIF"]},
            [],
        ),
        ("landsat-8-9-oli-tirs-c2-l1", ["LC08_T1_SR_B4.TIF"], {}, ["SR_B4 in LC08_T1_SR_B4.TIF"]),
        (
            "landsat-8-9-oli-tirs-c2-l2",
            ["LC08_T1_B4.TIF", "x_ST_QA.TIF", "x_SR_QA_AEROSOL.TIF"],
            {},
            ["B4 in LC08_T1_B4.TIF"],
        ),
        (
            "landsat-7-etm-c2-l1",
            ["x_B6_VCID_1.TIF", "x_B1.TIF", "gap_mask/x_GM_B1.TIF"],
            {"B6_VCID_1": ["x_B6_VCID_1.TIF"], "B1": ["x_B1.TIF"]},
            [],
        ),
        ("rgbn-aerial", ["nir.tif", "x_red.tif", "y_R.tif"], {"N": ["nir.tif"], "R": ["x_red.tif", "y_R.tif"]}, []),
    ],
)
def test_files_tell_their_band_by_the_longest_name(sensor, files, bands, unknown):
    found = layers_of(files, contract_for(sensor), {})
    assert {name: [layer.file for layer in layers] for name, layers in found.bands.items()} == bands
    assert found.unknown == unknown


def test_a_person_may_say_what_files_hold():
    found = layers_of(["photo.tif", "warm.tif"], contract_for("rgbn-aerial"), {"photo.tif": ("R", "G", "B", "heat")})
    assert {name: [(x.file, x.position) for x in layers] for name, layers in found.bands.items()} == {
        "R": [("photo.tif", 0)], "G": [("photo.tif", 1)], "B": [("photo.tif", 2)],
    }  # fmt: skip
    assert (found.unknown, found.open) == (["heat in photo.tif"], ["warm.tif"])
    with pytest.raises(BadInput, match=r"not there: 'photo\.tif'"):
        layers_of(["a.tif"], contract_for("rgbn-aerial"), {"photo.tif": "R"})

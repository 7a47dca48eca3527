"""Rasters as agencies hand them on: another nodata, a wider type, reflectances; the map is that of the product."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoml_ops.adapters import raster
from geoml_ops.adapters.predictions import MAP, PredictionLog
from geoml_ops.adapters.raster import RasterFacts
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.bands import CONTRACTS, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Prediction
from geoml_ops.settings import Settings
from geoml_ops.steps import chips
from geoml_ops.steps import classify as step
from geoml_ops.steps.places import Places
from geoml_ops.steps.radiometry import declared_in
from tests.answering import BANDS, world, write_bundle

POSITIONS = [1, 2, 3, 7]
DN, TRUTH, GRID = world(height=560, width=600)
DN = np.ascontiguousarray(DN[POSITIONS])
ABSENT = np.broadcast_to(TRUTH == 255, DN.shape)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, step.Model, NDArray[Any]]:
    """Places, a model and the layers of the product's own map."""
    folder = tmp_path_factory.mktemp("served")
    places = Settings(workspace=folder / "workspace").places()
    bundle = write_bundle(places.bundles / "made")
    (places.bundles / "made").rename(places.bundles / bundle.file.sha256)
    release = Release("landcover", 1, bundle.id, bundle.file.sha256)
    model = step.load(open_bundle(places.bundles, bundle.file.sha256, bundle.id), release)
    path = write(folder / "product.tif", DN, 0)
    return places, model, layers(places, step.classify(places, path, model))


def write(
    path: Path, dn: NDArray[Any], nodata: float | None, *, scale: float = 1e-4, unit: str = "", **how: Any
) -> Path:
    profile = {"driver": "GTiff", "dtype": dn.dtype.name, "count": len(dn), "height": dn.shape[1], "width": dn.shape[2]}
    place = {"crs": GRID.crs, "transform": rasterio.Affine(*GRID.transform), "nodata": nodata}
    with rasterio.open(path, "w", **profile, **place, **how) as target:
        target.descriptions = BANDS
        target.scales, target.offsets = [scale] * len(dn), [0.0] * len(dn)
        if unit:
            target.units = [unit] * len(dn)
        target.write(dn)
    return path


def redeclared(path: Path, dn: NDArray[Any], text: str, **how: Any) -> Path:
    """Writes a raster whose nodata is this text, whatever its type could hold."""
    write(path, dn, 77, **how)
    content = path.read_bytes()
    place = b"\x81\xa4\x02\x00"  # field 42113 of kind ASCII, little-endian
    assert content.count(place) == 1
    at = content.index(place)
    assert len(text) <= 3  # as long as fits into the field itself
    new = (len(text) + 1).to_bytes(4, "little") + text.encode().ljust(4, b"\0")
    path.write_bytes(content[: at + 4] + new + content[at + 12 :])
    return path


def layers(places: Places, prediction: Prediction) -> NDArray[Any]:
    return raster.read(PredictionLog(places.predictions).home(prediction.id) / MAP)


def numbers_of(kind: str, absent: float) -> NDArray[Any]:
    return np.where(ABSENT, absent, DN).astype(kind)


KINDS = {
    "uint16": [65535.0, 12345.0, 1.0],
    "int16": [-9999.0, -32768.0, 32767.0, -1.0],
    "int32": [-9999.0, -2147483648.0, 2147483647.0],
    "uint32": [4294967295.0],
    "int64": [-9999.0, -(2.0**40)],
    "float32": [float("nan"), -9999.0, -3.4028234663852886e38, 0.1, float("inf")],
    "float64": [float("nan"), -9999.0, -1.7976931348623157e308, 1e300],
}


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([(kind, number) for kind, numbers in KINDS.items() for number in numbers]),
    st.sampled_from([{}, {"tiled": True, "blockxsize": 128, "blockysize": 64, "interleave": "pixel"}]),
    st.sampled_from([1, 3]),
    st.sampled_from([1.0, 64.0]),
)
def test_the_same_scene_with_another_nodata_and_type_has_the_same_map(
    tmp_path_factory: pytest.TempPathFactory,
    served: tuple[Places, step.Model, NDArray[Any]],
    said: tuple[str, float],
    how: dict[str, Any],
    threads: int,
    memory_mb: float,
) -> None:
    places, model, expected = served
    path = write(tmp_path_factory.mktemp("again") / "scene.tif", numbers_of(*said), said[1], **how)
    made = step.classify(places, path, model, threads=threads, memory_mb=memory_mb)
    np.testing.assert_array_equal(layers(places, made), expected)
    assert made.declared.nodata == 0.0
    known = np.isfinite(said[1]) and abs(said[1]) < 2e308
    assert made.declared.also_nodata == (pytest.approx(said[1], rel=1e-6) if known else None)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("absent", [-9999.0, float("nan")])
def test_reflectances_have_the_map_of_their_numbers(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]], kind: str, absent: float
) -> None:
    places, model, expected = served
    values = np.where(ABSENT, absent, DN / 1e4).astype(kind)
    path = write(tmp_path / "scene.tif", values, absent, scale=1.0, unit="reflectance")
    made = step.classify(places, path, model)
    np.testing.assert_array_equal(layers(places, made), expected)
    assert made.declared == Radiometry(scale=1.0, nodata=None if np.isnan(absent) else absent)
    asked = chips.classify_chips(model, values[None], chips.Said(BANDS, (1.0,), (0.0,), absent))
    np.testing.assert_array_equal(asked.answer[0, 0], expected[0])


def test_reflectances_without_a_word_about_nodata_are_refused(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]]
) -> None:
    places, model, _ = served
    path = write(tmp_path / "scene.tif", (DN / 1e4).astype("float32"), None, scale=1.0, unit="reflectance")
    with pytest.raises(BadInput, match="does not declare which of them means that nothing was observed"):
        step.classify(places, path, model)


def test_numbers_that_call_themselves_reflectances_are_refused(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]]
) -> None:
    places, model, _ = served
    path = write(tmp_path / "scene.tif", numbers_of("float32", -9999.0), -9999.0, scale=1.0, unit="reflectance")
    with pytest.raises(BadInput, match=r"B02 declares a scale of 1; read so, 100% of its values lie outside -0.2 to 2"):
        step.classify(places, path, model)
    said = chips.Said(BANDS, (1.0,), (0.0,), -9999.0)
    with pytest.raises(BadInput, match="declares a scale of 1; read so"):
        chips.classify_chips(model, numbers_of("float32", -9999.0)[None], said)


def test_whole_numbers_of_another_scale_are_refused(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]]
) -> None:
    places, model, _ = served
    path = write(tmp_path / "scene.tif", DN, 0, scale=1e-3)
    with pytest.raises(BadInput, match=r"a scale of 0\.001 per DN where sentinel-2-l1c has 0.0001"):
        step.classify(places, path, model)


@pytest.mark.parametrize("text", ["-99", "1e9", "nan", ".5"])
def test_a_nodata_that_none_of_the_numbers_can_be_says_nothing(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]], text: str
) -> None:
    places, model, expected = served
    made = step.classify(places, redeclared(tmp_path / "scene.tif", DN, text), model)
    np.testing.assert_array_equal(layers(places, made), expected)
    assert made.declared.absent == (0.0,)


@pytest.mark.parametrize("text", ["1_0", "0x5", "1,5", "5 5"])
def test_a_nodata_that_two_readers_take_for_two_numbers_is_refused(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]], text: str
) -> None:
    places, model, _ = served
    with pytest.raises(BadInput, match=r"The nodata of scene\.tif is no number"):
        step.classify(places, redeclared(tmp_path / "scene.tif", DN, text), model)


@pytest.mark.parametrize(("kind", "text"), [("uint16", "1e9"), ("uint16", "-99"), ("int16", ".5"), ("uint16", "nan")])
def test_missing_chunks_that_would_read_as_a_measurement_are_refused(
    tmp_path: Path, served: tuple[Places, step.Model, NDArray[Any]], kind: str, text: str
) -> None:
    places, model, _ = served
    how = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": "TRUE"}
    dn = np.where(ABSENT, 77, DN).astype(kind)
    sparse = write(tmp_path / "whole.tif", dn, 77, **how)
    assert raster.describe(sparse).nodata == 77
    with pytest.raises(BadInput, match=re.escape(f"declares {float(text):g} for that, which is none")):
        step.classify(places, redeclared(tmp_path / "scene.tif", dn, text, **how), model)


def test_a_number_that_is_declared_in_another_way_than_the_sensor_s_is_not_observed_either(
    served: tuple[Places, step.Model, NDArray[Any]],
) -> None:
    _, model, expected = served
    numbers = numbers_of("int16", -9999.0)
    numbers[:, :5] = 0
    for nodata in (-9999.0, float("nan"), None, 70_000.0, 0.5):
        answer = chips.classify_chips(model, numbers[None], chips.Said(BANDS, (1e-4,), (0.0,), nodata)).answer[0]
        assert (answer[:, :5] == 255).all()
        assert (answer[0, 5:20, :30] == 255).all() == (nodata == -9999.0)
        np.testing.assert_array_equal(answer[0, 20:], expected[0, 20:])


def facts(dtype: str, nodata: float | None, names: tuple[str, ...], *rules: Radiometry | None) -> RasterFacts:
    n = len(names)
    return RasterFacts(GRID, names, dtype, nodata, rules, ("",) * n, (None,) * n, {}, n)


@pytest.mark.parametrize(
    ("dtype", "said", "expected"),
    [
        ("uint8", None, (None, None)), ("uint8", 0.0, (0.0, None)), ("uint8", 255.0, (255.0, None)),
        ("uint8", 256.0, (None, None)), ("float32", float("nan"), (None, None)), ("int16", -1.0, (-1.0, None)),
    ],
)  # fmt: skip
def test_a_sensor_without_nodata_takes_the_file_s_own(
    dtype: str, said: float | None, expected: tuple[float | None, float | None]
) -> None:
    contract = CONTRACTS["rgbn-aerial"]
    rule = Radiometry(scale=1 / 255)
    declared, own = declared_in(facts(dtype, said, contract.names, *[rule] * 4), contract)
    assert (declared.nodata, declared.also_nodata, own) == (*expected, {})


def test_a_scale_written_in_fewer_digits_is_the_sensor_s() -> None:
    contract = CONTRACTS["sentinel-2-l1c"]
    rule = Radiometry(scale=float(np.float32(1e-4)), offset_dn=-1000.0)
    declared, own = declared_in(facts("uint16", 0.0, contract.names, *[rule] * 13), contract)
    assert (declared, own) == (Radiometry(scale=1e-4, offset_dn=-1000.0, nodata=0.0), {})


def test_values_of_a_sensor_with_offsets_may_have_none_left() -> None:
    contract = CONTRACTS["landsat-8-9-oli-tirs-c2-l2"]
    values, kelvin = Radiometry(scale=0.01, offset_dn=0.0), Radiometry(scale=1.0, offset_dn=0.0)
    rules = [kelvin if band.unit == "K" else values for band in contract.bands]
    declared, own = declared_in(facts("float32", -9999.0, contract.names, *rules), contract)
    assert (declared.scale, declared.nodata, declared.also_nodata) == (0.01, -9999.0, None)
    assert own == {"ST_B10": Radiometry(scale=1.0, nodata=-9999.0)}
    odd = Radiometry(scale=0.01, offset_dn=50.0)
    with pytest.raises(BadInput, match="declare an offset of"):
        declared_in(facts("float32", -9999.0, contract.names, *[odd] * 7, kelvin), contract)

"""The feature graph against reference numbers, spyndex, a float32 twin, and itself cut otherwise."""

import json
from functools import cache

import numpy as np
import onnx
import pytest
import spyndex
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.adapters.onnx import feature_graph
from geoml_ops.adapters.ort import Graph
from geoml_ops.core.bands import CONTRACTS, SENTINEL_2_L1C, Band, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.features import INDICES, bands_needed, expanded, halo_of, least_denominator, parse, range_of, read
from geoml_ops.domain.features.catalogue import CONSTANTS, LETTERS
from geoml_ops.domain.features.tree import Name, Node, Number, names_in, walk, written
from tests import twins

S2 = SENTINEL_2_L1C
# spyndex 0.12 on these reflectances.
REFLECTANCE = {"B02": 0.0412, "B03": 0.0655, "B04": 0.0498, "B05": 0.1103, "B08": 0.3262, "B11": 0.1876, "B12": 0.0991}
SPYNDEX = {
    "NDVI": 0.735106, "EVI": 0.525076, "SAVI": 0.473288, "NDWI": -0.665560, "MNDWI": -0.482418, "NDBI": -0.269755,
    "NBR": 0.533976, "NDMI": 0.269755, "NDREI": 0.494616, "GNDVI": 0.665560, "EVI2": 0.477963, "BI": -0.214947,
    "NBR2": 0.308685, "MSAVI": 0.465913, "AWEInsh": -0.297425,
}  # fmt: skip
MINE = "MYI = (nir - red) / (nir + red + 0.16)"
HEIGHT = Band(
    name="terrain_height",
    gsd_m=10.0,
    unit="m",
    valid=(-500.0, 9000.0),
    radiometry=Radiometry(scale=0.5, offset_dn=-7.0),
)
WITH_HEIGHT = S2.joined([HEIGHT])


def imagery(shape, seed=0, high=4000):
    """DN ``(band, y, x)`` as imagery has them: whole numbers, often equal, some not observed, zero or saturated."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(1, high, shape).astype(np.float32)
    dn[rng.random(shape) < 0.02] = np.nan
    dn[:, rng.random(shape[1:]) < 0.05] = np.nan
    dn[:, rng.random(shape[1:]) < 0.02] = 0.0
    dn[rng.random(shape) < 0.01] = 65535.0
    return dn


@cache
def graph_of(texts, contract):
    return Graph(feature_graph(texts, contract))


def run(texts, contract, dn):
    """Features ``(feature, y, x)`` of DN ``(band, y, x)`` of all bands of the contract."""
    graph = graph_of(tuple(texts), contract)
    wanted = [contract.names.index(name) for name in bands_needed(texts, contract)]
    return graph.features(np.ascontiguousarray(dn[wanted])[None])[0]


def same(found, wanted, relative):
    assert found.shape == wanted.shape
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    seen = np.isfinite(wanted)
    assert np.isfinite(found[seen]).all()
    apart = np.abs(found[seen].astype(np.float64) - wanted[seen])
    assert (apart <= relative * np.maximum(np.abs(wanted[seen]), 1e-6)).all(), apart.max()


@pytest.mark.parametrize("name", SPYNDEX)
def test_index_numbers_agree_with_spyndex(name):
    bands = bands_needed([name], S2)
    dn = np.array([REFLECTANCE[band] * 1e4 for band in bands], dtype=np.float32).reshape(1, -1, 1, 1)
    found = Graph(feature_graph([name], S2)).features(dn)
    assert found.item() == pytest.approx(SPYNDEX[name], abs=2e-6)


def of_spyndex(name, contract, reflectance):
    """What spyndex makes of float64 reflectance by sensor band, with the constants of our catalogue."""
    params = {}
    for word in spyndex.indices[name].bands:
        if word in LETTERS or word.startswith("lambda"):
            letter = word.removeprefix("lambda")
            common = next(c for c in LETTERS[letter] if any(c in band.words for band in contract.bands))
            band = contract.band(common)
            params[word] = reflectance[band.name] if word == letter else band.centre_nm
        elif word.startswith("k") and len(word) == 3:
            a, b = (reflectance[contract.band(LETTERS[x][0]).name] if x != "L" else 1.0 for x in word[1:])
            params[word] = spyndex.computeKernel("RBF", a=a, b=b, sigma=(a + b) / 2)
        else:
            params[word] = {**CONSTANTS, **INDICES[name].constants}[word]
    with np.errstate(all="ignore"):
        return np.asarray(spyndex.computeIndex(name, params), dtype=np.float64)


def makeable(contract):
    lacking = {
        letter for letter, words in LETTERS.items() if not any(w in b.words for b in contract.bands for w in words)
    }
    return [n for n in INDICES if not names_in(parse(INDICES[n].formula).tree) & lacking]


LANDSAT = next(c for n, c in CONTRACTS.items() if n.startswith("landsat-8") and n.endswith("l2"))


@pytest.mark.parametrize(
    ("contract", "name"),
    [*((S2, name) for name in makeable(S2)), *((LANDSAT, n) for n in makeable(LANDSAT) if n not in makeable(S2))],
    ids=lambda value: getattr(value, "sensor", value),
)
def test_every_index_that_a_sensor_can_make_equals_spyndex(contract, name):
    bands = bands_needed([name], contract)
    rng = np.random.default_rng(len(name))
    dn, reflectance = [], {}
    for band in bands:
        rule, thermal = contract.radiometry_of(band), contract.band(band).unit == "K"
        measured = rng.uniform(260, 320, 4000) if thermal else rng.uniform(0.01, 0.6, 4000)
        dn.append(np.round(measured / rule.scale - rule.offset_dn).astype(np.float32))
        reflectance[band] = (dn[-1].astype(np.float64) + rule.offset_dn) * rule.scale
    found = Graph(feature_graph([name], contract)).features(np.stack(dn)[None, :, None])[0, 0, 0]
    wanted = of_spyndex(name, contract, reflectance)
    # What float32 loses depends on the formula: by how much bands that are half a step of float32 off change it.
    moved = np.zeros_like(wanted)
    for band in bands:
        up = {**reflectance, band: reflectance[band] * (1 + 2.0**-22)}
        with np.errstate(all="ignore"):
            moved += np.abs(of_spyndex(name, contract, up) - wanted)
    near_nothing = ~np.isfinite(wanted) | ~np.isfinite(moved) | (moved > 1e-2 * np.maximum(np.abs(wanted), 1e-3))
    assert (near_nothing & np.isfinite(wanted)).mean() < 0.1
    sure = ~near_nothing
    # The square of a difference vanishes within a thousandth of its root.
    assert np.isfinite(found[sure & (np.abs(wanted) < 1e5)]).all()
    sure &= np.isfinite(found)
    apart = np.abs(found[sure] - wanted[sure])
    assert (apart <= 4 * moved[sure] + 4e-6 * np.maximum(np.abs(wanted[sure]), 1)).all()
    assert not np.isfinite(found[np.isnan(wanted)]).any()


EXACT = (
    "B02", "nir", "terrain_height", *twins.INDICES, MINE, "nir ** 3 - red ** 5 * 2", "-(nir - red) * -2",
    "abs(red - nir)", "minimum(nir, red * 2)", "maximum(NDVI, 0.25)", "clip(EVI, -1, 1)", "sqrt(nir - red)",
    "nir ** -2", "1 / (nir * red)", "terrain_height / 1000 - NDVI", "2 / 3 * nir", "nir / 3",
    "(nir * red) / (nir ** 2 + red ** 2) / (NDVI - 0.2)",
)  # fmt: skip


@pytest.mark.parametrize("offset_dn", [0.0, -1000.0])
def test_the_feature_graph_equals_its_float32_twin_bit_by_bit(offset_dn):
    contract = WITH_HEIGHT.model_copy(update={"radiometry": Radiometry(scale=1e-4, offset_dn=offset_dn)})
    texts = expanded(EXACT, contract)
    dn = imagery((14, 61, 67))
    found = run(texts, contract, dn)
    wanted = twins.features(dn, texts, contract)
    for text, a, b in zip(texts, found, wanted, strict=True):
        assert np.array_equal(a, b, equal_nan=True), text
    assert 0.3 < np.isfinite(found).mean() < 0.99


def test_functions_that_no_two_libraries_round_alike_equal_the_twin_within_float32():
    texts = ("exp(-nir)", "log(nir / red)", "tanh(NDVI ** 2)", "nir ** 0.3", "(nir / green) ** 1.16", "log(red - nir)",
             "exp(nir * 400)", "1 / exp(red * 400)", "exp(0 - exp(nir * 300))")  # fmt: skip
    dn = imagery((14, 50, 40), seed=3)
    found, wanted = run(texts, WITH_HEIGHT, dn), twins.features(dn, texts, WITH_HEIGHT)
    same(found[:6], wanted[:6], 3e-6)
    # An exponential of hundreds takes the last digit of its operand times hundreds.
    same(found[6:8], wanted[6:8], 3e-4)
    assert np.isnan(found[8][np.isnan(wanted[8])]).all()
    assert np.isnan(found[6][dn[7] > 3000]).all()


def test_windows_equal_the_twins_windows():
    texts = expanded(
        [
            "mean([nir, NDVI], [3, 7])", "std(NDVI, 5)", "std(terrain_height, 3)", "min(EVI, 5)",
            "max(nir, 3)", "range(red, 5)", "mean(std(nir, 3) / mean(nir, 3), 5)", "nir - mean(nir, 9)",
            "glcm_contrast(NDVI, 5)", "glcm_correlation(nir, 5, levels=8, low=0, high=0.4)",
            "glcm_homogeneity(mean(nir, 3), 5, low=0, high=0.4, distance=2)", "glcm_entropy(red, 3, levels=6)",
            "glcm_asm(red, 3, levels=6, high=0.3)", "glcm_energy(red, 3, levels=6)",
            "glcm_dissimilarity(nir, 7, levels=32)",
        ],
        WITH_HEIGHT,
    )  # fmt: skip
    dn = imagery((14, 13, 17), seed=5)
    found, wanted = run(texts, WITH_HEIGHT, dn), twins.features(dn, texts, WITH_HEIGHT)
    for text, a, b in zip(texts, found, wanted, strict=True):
        assert np.array_equal(np.isnan(a), np.isnan(b)), text
        assert np.nanmax(np.abs(a - b) / np.maximum(np.abs(b), 1e-2)) < 3e-6, text


# --- any formula -----------------------------------------------------------------------------

constants = st.sampled_from([0.5, 2.0, -1.5, 0.16, 7.0, 0.0001])
leaves = st.one_of(constants.map(Number), st.sampled_from(["nir", "red", "B02", "terrain_height"]).map(Name))


def _grown(below):
    two = st.builds(
        lambda kind, a, b: Node(kind, (a, b)), st.sampled_from(["+", "-", "*", "/", "minimum", "maximum"]), below, below
    )
    one = st.builds(
        lambda kind, a: Node(kind, (a,)), st.sampled_from(["neg", "abs", "sqrt", "exp", "log", "tanh"]), below
    )
    power = st.builds(lambda a, n: Node("**", (a, Number(n))), below, st.sampled_from([2.0, 3.0, 0.5, -1.0, 1.5, -2.0]))
    clip = st.builds(lambda a: Node("clip", (a,), (("low", Number(-0.3)), ("high", Number(0.7)))), below)
    return st.one_of(two, two, one, power, clip)


def value(tree, bands):
    """Float64, and by how much the digits that float32 loses can have moved it."""
    if isinstance(tree, Number):
        return np.float64(np.float32(tree.value)), np.float64(0)
    if isinstance(tree, Name):
        return bands[tree.text], np.abs(bands[tree.text]) * 2.0**-23
    (a, ea), *rest = (value(operand, bands) for operand in tree.operands)
    b, eb = rest[0] if rest else (None, 0.0)
    found, moved = _worked(tree, a, ea, b, eb)
    found = np.where(np.isfinite(found) & (np.abs(found) < 3.0e38), found, np.nan)
    return found, moved + np.abs(found) * 2.0**-22


def _worked(tree, a, ea, b, eb):
    kind = tree.kind
    if kind in ("+", "-"):
        return (a + b if kind == "+" else a - b), ea + eb
    if kind == "*":
        return a * b, np.abs(a) * eb + np.abs(b) * ea + ea * eb
    if kind in ("minimum", "maximum"):
        return getattr(np, kind)(a, b), np.maximum(ea, eb)
    if kind == "/":
        least = 0.0 if isinstance(tree.operands[1], Number) else least_denominator(tree.operands[1])
        # Whether a denominator at its limit vanishes is up to the last digit.
        sure = (np.abs(b) > least + 2 * eb) | (np.abs(b) + 2 * eb < least)
        gone = np.abs(b) < least
        return np.where(gone, np.nan, a / b), np.where(sure, (ea + np.abs(a / b) * eb) / (np.abs(b) - eb), np.inf)
    if kind == "**":
        n = tree.operands[1].value
        if n < 0:
            below = Node("**", (tree.operands[0], Number(-n)))
            return _worked(
                Node("/", (Number(1.0), below if n != -1 else tree.operands[0])), 1.0, 0.0, *_power(a, ea, -n)
            )
        return _power(a, ea, n)
    if kind in ("neg", "abs", "clip"):
        work = {"neg": lambda v: -v, "abs": np.abs, "clip": lambda v: np.clip(v, np.float32(-0.3), np.float32(0.7))}
        return work[kind](a), ea
    if kind == "sqrt":
        return _power(a, ea, 0.5)
    if kind == "log":
        sure = a > 2 * ea
        return np.log(a), np.where(sure | (a < -2 * ea), ea / np.maximum(a - ea, 1e-300), np.inf)
    if kind == "exp":
        return np.exp(a), np.exp(np.minimum(a, 700)) * np.expm1(np.minimum(ea, 100)) * 2
    return np.tanh(a), ea


def _power(a, ea, n):
    found = np.power(a, n)
    if n == int(n):
        return found, n * (np.abs(a) + ea) ** (n - 1) * ea
    sure = (a > 2 * ea) | (a < -2 * ea)
    slope = n * np.maximum(np.where(n < 1, a - ea, a + ea), 1e-300) ** (n - 1)
    return found, np.where(sure, slope * ea, np.inf)


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaves, _grown, max_leaves=14).filter(lambda tree: any(isinstance(n, Name) for n in walk(tree))),
       st.integers(0, 10**6))  # fmt: skip
def test_any_formula_is_what_numpy_makes_of_it(tree, seed):
    text = written(tree)
    try:
        (feature,) = read([text], WITH_HEIGHT)
    except BadInput:
        return
    dn = imagery((14, 9, 11), seed)
    found = run([text], WITH_HEIGHT, dn)[0]
    layers = {}
    for number, band in enumerate(WITH_HEIGHT.bands):
        rule = WITH_HEIGHT.radiometry_of(band.name)
        layers |= dict.fromkeys(band.words, (dn[number].astype(np.float64) + rule.offset_dn) * rule.scale)
    with np.errstate(all="ignore"):
        wanted, moved = value(parse(text).tree, layers)
    wanted, moved = np.broadcast_to(wanted, found.shape), np.broadcast_to(moved, found.shape)
    assert feature.bands
    assert not np.isinf(found).any()
    clear = np.isfinite(moved) & (moved <= 1e-2 * np.abs(wanted) + 1e-30) & ((np.abs(wanted) > 1e-30) | (wanted == 0))
    assert np.isfinite(found[clear]).all()
    assert (np.abs(found[clear] - wanted[clear]) <= 4 * moved[clear] + 1e-30).all()
    inside = np.ones(found.shape, dtype=bool)
    for name in feature.bands:
        low, high = range_of(Name(name), WITH_HEIGHT)
        inside &= (layers[name] >= low) & (layers[name] <= high)
    low, high = feature.range
    slack = 4 * moved + 1e-6 * np.abs(found)
    assert (found + slack >= low)[clear & inside].all()
    assert (found - slack <= high)[clear & inside].all()
    nowhere = np.isnan(np.stack([layers[name] for name in feature.bands])).any(axis=0)
    assert np.isnan(found[nowhere]).all()


# --- what a graph promises ---------------------------------------------------------------------

EVERYTHING = (
    "B02", "EVI", "kNDVI", "log(nir / red)", "tanh(NDVI)", "OCVI", "mean(NDVI, 5)", "std(EVI, 3)",
    "glcm_contrast(NDVI, 5)", "mean(glcm_entropy(red, 3, levels=4), 3)", "exp(max(nir, 7))",
)  # fmt: skip


def test_a_pixel_has_the_same_bits_in_every_tile_that_holds_its_halo():
    dn = imagery((13, 70, 83), seed=9)
    whole = run(EVERYTHING, S2, dn)
    halo = halo_of(EVERYTHING, S2)
    rng = np.random.default_rng(0)
    for _ in range(12):
        row, col = rng.integers(0, 70 - 25), rng.integers(0, 83 - 25)
        height, width = rng.integers(2 * halo + 1, 26, 2)
        part = run(EVERYTHING, S2, dn[:, row : row + height, col : col + width])
        inside = np.s_[:, halo : height - halo, halo : width - halo]
        assert part[inside].tobytes() == whole[:, row : row + height, col : col + width][inside].tobytes()


def test_a_halo_is_as_large_as_it_must_be_and_no_larger():
    for text in EVERYTHING:
        dn = np.random.default_rng(1).integers(100, 4000, (13, 31, 31)).astype(np.float32)
        before, halo = run([text], S2, dn)[0, 15, 15], halo_of([text], S2)
        far = dn.copy()
        far[:, np.maximum(*np.abs(np.indices((31, 31)) - 15)) > halo] = np.nan
        assert run([text], S2, far)[0, 15, 15] == before
        near = dn.copy()
        near[:, np.maximum(*np.abs(np.indices((31, 31)) - 15)) == halo] = 65000.0
        assert run([text], S2, near)[0, 15, 15] != before, text


def test_equal_parts_are_computed_once():
    def nodes(texts):
        return len(onnx.load_model_from_string(feature_graph(texts, S2)).graph.node)

    assert nodes(["NDVI", "mean(NDVI, 5)"]) <= nodes(["nir", "mean(NDVI, 5)"])
    alone = nodes(["glcm_contrast(NDVI, 7)"]), nodes(["glcm_dissimilarity(NDVI, 7)"])
    assert nodes(["glcm_contrast(NDVI, 7)", "glcm_dissimilarity(NDVI, 7)"]) < sum(alone) * 0.75


def test_the_graph_names_what_it_makes_and_the_same_texts_give_the_same_bytes():
    texts = ["B02", "mean(NDVI,[3,5])", MINE, "std(MYI, 3)"]
    content = feature_graph(texts, S2)
    graph = Graph(content)
    names = expanded(texts, S2)
    assert json.loads(graph.metadata["features"]) == list(names)
    assert json.loads(graph.metadata["bands"]) == ["B02", "B04", "B08"]
    assert graph.n_out == 5
    assert content == feature_graph(texts, S2) == feature_graph(names, S2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 3)])
def test_any_height_and_width_comes_back_as_it_went_in(shape):
    for batch in (1, 3):
        graph = graph_of(EVERYTHING, S2)
        dn = np.random.default_rng(0).integers(500, 4000, (batch, graph.n_bands, *shape)).astype(np.float32)
        assert graph.features(dn).shape == (batch, len(EVERYTHING), *shape)


def test_a_denominator_that_vanishes_is_nothing_and_one_that_is_merely_small_is_not():
    dn = np.array([[10000, 0, 0, 1, 2], [10000, 0, 1, 1, 2]], np.float32).reshape(1, 2, 1, 5)
    found = Graph(feature_graph(["NDVI", "1 / (nir * red)"], S2)).features(dn)[0, :, 0]
    assert np.isnan(found).tolist() == [[False, True, False, False, False], [False, True, True, False, False]]
    assert found[1, 3] == pytest.approx(1e8)
    opposite = S2.model_copy(update={"radiometry": Radiometry(scale=1e-4, offset_dn=-1000.0)})
    dn = np.array([1100, 900], np.float32).reshape(1, 2, 1, 1)
    assert np.isnan(Graph(feature_graph(["NDVI"], opposite)).features(dn)).all()


def test_every_band_is_measured_by_its_own_radiometry():
    dn = np.full((1, 2, 1, 1), 100.0, np.float32)
    found = Graph(feature_graph(["B02", "terrain_height"], WITH_HEIGHT)).features(dn)
    assert found.ravel().tolist() == pytest.approx([0.01, 46.5])


def test_a_newcomer_adds_an_index_in_one_line_of_text():
    dn = imagery((13, 12, 10), seed=2)
    found = run(["B04", MINE], S2, dn)
    red, nir = dn[3] * 1e-4, dn[7] * 1e-4
    same(found[1], (nir - red) / (nir + red + 0.16), 1e-5)


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e38, -1e38, 3e-39])
def test_numbers_that_no_sensor_delivers_do_not_come_out_as_an_answer(number):
    graph = Graph(feature_graph(["mean(EVI, 3)", "RI4XS", "exp(nir)", "NDVI"], S2))
    dn = np.full((1, graph.n_bands, 3, 3), 1000.0, np.float32)
    dn[..., 1, 1] = number
    valid = graph._session.run(["valid"], {"dn": dn})[0]
    found = graph.features(dn)
    assert (np.isfinite(found).all(axis=1) == valid[:, 0].astype(bool)).all()

"""The language of features: what it reads, what it refuses, and what a formula means on a sensor."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import spyndex
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.core.bands import CONTRACTS, SENTINEL_2_L1C, Band, Contract, Radiometry
from geoml_ops.core.errors import BadInput
from geoml_ops.domain.covariates.cooccurrence import check_pairs
from geoml_ops.domain.features import (
    FUNCTIONS,
    INDICES,
    LEFT_OUT,
    Index,
    bands_needed,
    degree,
    expanded,
    halo_of,
    label_of,
    least_denominator,
    parse,
    parts_of,
    read,
)
from geoml_ops.domain.features.catalogue import CONSTANTS, LETTERS
from geoml_ops.domain.features.grammar import MAX_TEXT
from geoml_ops.domain.features.tree import Choice, Name, Node, Number, names_in, walk, written

S2 = SENTINEL_2_L1C
LANDSAT_8_L2 = next(c for n, c in CONTRACTS.items() if n.startswith("landsat-8") and n.endswith("l2"))
NAIP = Contract(
    sensor="rgbn",
    bands=tuple(
        Band(name=name, common_name=common, gsd_m=1.0, unit="DN", valid=(0.0, 255.0))
        for name, common in zip("RGBN", ("red", "green", "blue", "nir"), strict=True)
    ),
    radiometry=Radiometry(scale=1.0),
    pixel_m=1.0,
    dtype="uint8",
)
HEIGHT = Band(name="terrain_height", gsd_m=10.0, unit="m", valid=(-500.0, 9000.0), radiometry=Radiometry(scale=1.0))
RADAR = Contract(
    sensor="radar",
    bands=(Band(name="VV", gsd_m=10.0, unit="linear power"), Band(name="VH", gsd_m=10.0, unit="linear power")),
    radiometry=Radiometry(scale=1.0),
    pixel_m=10.0,
    dtype="float32",
)


def one(text, contract=S2):
    (feature,) = read([text], contract)
    return feature


def indices_of(contract):
    """The indices that can be made of a sensor's bands."""
    made = []
    for name in INDICES:
        try:
            read([name], contract)
        except BadInput:
            continue
        made.append(name)
    return made


# --- names -----------------------------------------------------------------------------------


def test_only_the_bands_that_are_used_in_the_contracts_order():
    assert bands_needed(["NDVI", "B02"], S2) == ("B02", "B04", "B08")
    assert bands_needed(["B12", "NDMI"], S2) == ("B08", "B11", "B12")
    assert parts_of("mean(NDVI - B02, 5)", S2) == ("B02", "B04", "B08")


def test_a_band_answers_to_every_name_it_has_and_keeps_the_one_it_was_asked_by():
    for word in S2.band("B08").words:
        feature = one(word)
        assert (feature.text, feature.label, feature.bands, feature.tree) == (word, word, ("B08",), Name("B08"))


def test_names_are_case_sensitive_and_the_nearest_ones_are_told():
    with pytest.raises(BadInput, match=r"no feature 'ndvi' for sentinel-2-l1c \(character 1\).*did you mean NDVI"):
        read(["ndvi"], S2)
    with pytest.raises(BadInput, match=r"no feature 'NDVX'.*B8A.*NDVI"):
        bands_needed(["B02", "NDVX"], S2)
    with pytest.raises(BadInput, match=r"no feature 'B8X' .*character 6.*B8A"):
        read(["B02 +B8X"], S2)
    with pytest.raises(BadInput, match=r"no function 'maen'.*use mean"):
        read(["maen(NDVI, 3)"], S2)
    with pytest.raises(BadInput, match=r"NIRvP is left out.*radiation"):
        read(["NIRvP"], S2)


def test_letters_of_the_catalogue_mean_nothing_outside_it():
    for letter in ("N", "RE1", "S2", "L", "lambdaN"):
        with pytest.raises(BadInput, match="no feature"):
            read([f"{letter} * 2"], S2)


def test_a_band_that_looks_like_a_number_or_has_odd_letters_is_still_a_band():
    odd = NAIP.model_copy(update={"bands": (*NAIP.bands, HEIGHT.model_copy(update={"name": "1"}),
                                            HEIGHT.model_copy(update={"name": "höhe über NN"}))})  # fmt: skip
    assert bands_needed(["1", "höhe über NN", "R"], odd) == ("R", "1", "höhe über NN")
    assert expanded(["höhe über NN"], odd) == ("höhe über NN",)
    assert label_of("höhe über NN") == "höhe über NN"


def test_no_feature_and_features_that_are_the_same_are_refused():
    with pytest.raises(BadInput, match="No feature"):
        bands_needed([], S2)
    with pytest.raises(BadInput, match="B02 are named more than once"):
        bands_needed(["B02", "NDVI", "B02"], S2)
    with pytest.raises(BadInput, match="B08 and nir are the same"):
        read(["B08", "nir"], S2)
    with pytest.raises(BadInput, match=r"NDVI and .*are the same"):
        read(["NDVI", "X = (nir - red) / (nir + red)"], S2)
    with pytest.raises(BadInput, match="Several features are called mean_NDVI_9"):
        read(["mean_NDVI_9 = nir * 2", "mean(NDVI, 9)"], S2)
    with pytest.raises(BadInput, match="Several features are called W_nir"):
        read(["W_nir = red * 2", "W = [nir, green] * 2"], S2)
    with pytest.raises(BadInput, match="'3', which is no text"):
        read([3], S2)
    with pytest.raises(BadInput, match="are one text, 'NDVI'"):
        read("NDVI", S2)


# --- text and tree ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" nir-red ", "nir - red"),
        ("((nir))", "nir"),
        ("nir-(red-green)", "nir - (red - green)"),
        ("(nir-red)-green", "nir - red - green"),
        ("nir+(red+green)", "nir + (red + green)"),
        ("nir/(red*green)", "nir / (red * green)"),
        ("-nir**2", "-nir ** 2"),
        ("(-nir)**2", "(-nir) ** 2"),
        ("nir**-2", "nir ** -2"),
        ("nir**.5", "nir ** 0.5"),
        ("(nir**2)**2", "(nir ** 2) ** 2"),
        ("-(nir+red)", "-(nir + red)"),
        ("nir--red", "nir - -red"),
        ("+nir*2.0", "nir * 2"),
        ("nir*1e-3", "nir * 0.001"),
        ("nir * 1_000", "nir * 1000"),
        ("mean(nir,window=9)", "mean(nir, 9)"),
        ("mean(\n  nir,\n  9)", "mean(nir, 9)"),
        ("clip(nir, high=1, low=0)", "clip(nir, 0, 1)"),
        ("glcm_contrast(nir,7)", "glcm_contrast(nir, 7, low=0, high=1)"),
        ("glcm_contrast(nir,7,16,0,.5,1)", "glcm_contrast(nir, 7, low=0, high=0.5)"),
        ("glcm_asm(NDVI,5,high=.9,levels=8,distance=2)", "glcm_asm(NDVI, 5, levels=8, low=-1, high=0.9, distance=2)"),
        ("SAVI( L=.25 )", "SAVI(L=0.25)"),
        ("SAVI(L=1/4)", "SAVI(L=0.25)"),
        ("mean(nir, 2*4+1)", "mean(nir, 9)"),
        ("[nir]", "nir"),
        ("MYI=(nir-red)/(nir+red+.16)", "MYI = (nir - red) / (nir + red + 0.16)"),
    ],
)
def test_a_text_has_one_canonical_form_that_reads_as_itself(text, canonical):
    feature = one(text)
    assert feature.text == canonical
    assert one(canonical) == feature


numbers = st.one_of(
    st.integers(-50, 50).map(float), st.floats(1e-20, 1e20), st.floats(-1e20, -1e-20), st.sampled_from([0.1, 1e-7, 2.5])
)
leaves = st.one_of(numbers.map(Number), st.sampled_from(["nir", "B02", "NDVI", "terrain_height"]).map(Name))


def _told(known, values, names):
    given_by_name = [(name, Number(3.0)) for name in known.may if name in names]
    return (*zip(known.needs, values, strict=True), *given_by_name)


def _grown(below):
    def calls(kind):
        known = FUNCTIONS[kind]
        values = st.tuples(*[numbers.map(Number) for _ in known.needs])
        names = st.sets(st.sampled_from(list(known.may))) if known.may else st.just(set())
        operands = st.tuples(*[below] * known.operands)
        return st.builds(lambda o, v, n: Node(kind, o, _told(known, v, n)), operands, values, names)

    return st.one_of(
        st.builds(lambda kind, a, b: Node(kind, (a, b)), st.sampled_from(["+", "-", "*", "/", "**"]), below, below),
        below.filter(lambda tree: not isinstance(tree, Number)).map(lambda tree: Node("neg", (tree,))),
        st.sampled_from(list(FUNCTIONS)).flatmap(calls),
        st.lists(below, min_size=1, max_size=3).map(lambda items: Choice(tuple(items))),
        st.just(Node("SAVI", (), (("L", Number(0.25)),))),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(leaves, _grown, max_leaves=12))
def test_what_is_written_reads_back_as_the_same_tree(tree):
    text = written(tree)
    if len(text) <= MAX_TEXT:
        assert parse(text).tree == tree
        assert written(parse(text).tree) == text
        assert parse(f"A_1 = {text}") == type(parse(text))("A_1", tree)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=80), st.text("nirB02.()[]*/+-=, 9eE_", max_size=80)))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        found = read([text], S2)
    except BadInput:
        return
    assert expanded([f.text for f in found], S2) == tuple(f.text for f in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("X =", "cannot be read"),
        ("nir +", "cannot be read at character 5"),
        ("nir red", "cannot be read at character"),
        ("nir + + ", "cannot be read"),
        ("(nir", "cannot be read"),
        ("nir # 1", r"Character 5 of 'nir # 1' is '#'"),
        ("nir; red", "Character 4"),
        ("'nir'", "Character 1"),
        ("nir % 2", "Character 5"),
        ("nir > 2", "Character 5"),
        ("\uff2e\uff24\uff36\uff29", "Character 1"),
        ("N\u0131r", "Character 2"),
        ("nir\x00", "Character 4"),
        ("nir\\\n+1", "Character 4"),
        ("nir // 2", "FloorDiv at character 1"),
        ("nir if red else 2", "IfExp"),
        ("nir or red", "BoolOp"),
        ("not nir", "Not"),
        ("nir is red", "Compare"),
        ("lambda", "cannot be read"),
        ("True", "Constant"),
        ("None + nir", "Constant"),
        ("2j * nir", "Constant"),
        ("...", "Constant"),
        ("(nir, red)", "Tuple"),
        ("nir.real", "Attribute"),
        ("nir[0]", "Subscript"),
        ("[nir for nir in [red]]", "ListComp"),
        ("__import__(nir)", "no function '__import__'"),
        ("eval(nir)", "no function 'eval'"),
        ("exp(*[nir])", "Starred"),
        ("mean(**nir)", "Call"),
        ("(mean)(nir, 3)(2)", "Call"),
        ("[]", "list at character 1 .* is empty"),
        ("mean(nir, [])", "is empty"),
        ("mean(nir)", r"write mean\(operand, window\)"),
        ("mean(3)", r"write mean"),
        ("mean(nir, 3, 3)", "not told what it needs"),
        ("mean(nir, 3, window=3)", "not told what it needs"),
        ("mean(nir, size=3)", "not told what it needs"),
        ("mean(nir, window=3, window=5)", "window twice"),
        ("glcm_contrast(nir)", r"write glcm_contrast\(operand, window, levels=16, low=…"),
        ("minimum(nir)", r"write minimum\(operand, other\)"),
        ("mean(nir, red)", "window of mean .* is no number"),
        ("mean(nir, 4)", "A window of 4 pixels"),
        ("mean(nir, 1)", "A window of 1 pixels"),
        ("mean(nir, -3)", "A window of -3 pixels"),
        ("mean(nir, 3.5)", "A window of 3.5 pixels"),
        ("mean(nir, 103)", "A window of 103 pixels"),
        ("mean(nir, 1e30)", r"A window of 1e\+30 pixels"),
        ("mean(2, 3)", "is of no band"),
        ("glcm_contrast(nir, 7, levels=1)", "1 levels"),
        ("glcm_contrast(nir, 7, levels=2.5)", "whole levels"),
        ("glcm_contrast(nir, 7, levels=1e9)", "1000000000 levels"),
        ("glcm_entropy(nir, 7, levels=64)", "64 levels counts 2080 kinds.*covariate of kind texture"),
        ("glcm_contrast(nir, 7, low=1, high=1)", "between 1 and 1"),
        ("glcm_contrast(nir, 7, distance=7)", "7 apart"),
        ("glcm_contrast(nir, 7, distance=0)", "0 apart"),
        ("glcm_contrast(EVI, 7)", "'EVI' has no known lowest and highest.*give low and high"),
        ("clip(nir, 1, 0)", "clipped between 1 and 0"),
        ("nir ** red", "exponent red"),
        ("2 ** nir", "exponent nir"),
        ("nir ** 0", "exponent 0"),
        ("nir ** 11", "exponent 11"),
        ("9 ** 9 ** 9 * nir", "cannot be used"),
        ("nir ** 1e400", "number inf"),
        ("nir * 1e31", r"number 1e\+31 .*character 7"),
        ("nir * 1e-31", "number 1e-31"),
        (f"nir * {'9' * 400}", "number inf|number 1e"),
        ("nir / 0", "division by 0"),
        ("nir / (2 - 2)", "division by 0"),
        ("sqrt(-1) * nir", "has no value"),
        ("log(0) * nir", "has no value"),
        ("exp(1000) * nir", "has no value"),
        ("1 + 1", "no band in it"),
        ("7", "no band in it"),
        ("NDVI(nir)", "no function 'NDVI'"),
        ("NDVI()", "no function 'NDVI'"),
        ("NDVI(L=1)", "NDVI has no constant L"),
        ("SAVI(M=1)", "SAVI has no constant M.*it has L"),
        ("SAVI(L=nir)", "L of SAVI .* is no number"),
        ("B02(L=2)", "no feature 'B02'"),
        ("NDVI = nir - red", "NDVI is taken: it is an index"),
        ("nir = red", "nir is taken: it is a band"),
        ("mean = red", "mean is taken: it is a function"),
        ("if = nir * 2", "if is taken: it is a word of Python"),
        (f"{'x' * 61} = nir * 2", "has 61 characters, the limit is 60"),
        ("X == nir", "cannot be read|has a Compare"),
        ("X = Y = nir", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_with_the_place_and_the_way_out(text, says):
    with pytest.raises(BadInput, match=f"(?s){says}"):
        read([text], S2)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "(" * 240 + "nir" + ")" * 240,
        "-" * 490 + "nir",
        "nir" + "**2" * 160,
        "nir" + "+nir" * 120,
        "[" * 250,
        "mean(" * 45 + "nir" + ",3)" * 45,
        "exp(" * 90 + "nir" + ")" * 90,
        "9**" * 160 + "9",
        "[nir,red]" + "+[nir,red]" * 40,
    ],
)
def test_texts_that_would_eat_the_machine_are_refused_at_once(text):
    with pytest.raises(BadInput):
        read([text], S2)


@settings(max_examples=200, deadline=None)
@given(st.integers(-1, 105), st.integers(0, 260), st.integers(-1, 8), st.sampled_from([0.0, 0.5, 1.0]))
def test_texture_that_can_be_written_is_texture_that_can_be_counted(window, levels, distance, low):
    def passes(work):
        try:
            work()
        except BadInput:
            return False
        return True

    text = f"glcm_contrast(nir, {window}, levels={levels}, low={low}, high=0.75, distance={distance})"
    numbers = {"window_px": window, "levels": levels, "low": low, "high": 0.75, "distance": distance}
    assert passes(lambda: read([text], S2)) == passes(lambda: check_pairs(**numbers))


def test_formulae_of_formulae_cannot_grow_without_end():
    lines = ["A0 = nir * red"] + [f"A{n} = A{n - 1} * A{n - 1} + {n}" for n in range(1, 30)]
    with pytest.raises(BadInput, match="Written out"):
        read(lines, S2)


def test_too_many_features_and_too_much_ground_are_refused():
    with pytest.raises(BadInput, match="more than 500"):
        read(["[nir,red,green] * [1,2,3,4,5,6,7,8,9] + [1,2,3,4,5,6,7,8,9] * [1,2,3,4,5,6,7,8,9]"], S2)
    with pytest.raises(BadInput, match="more than 500"):
        read([f"nir + {n}" for n in range(1, 502)], S2)
    with pytest.raises(BadInput, match="sees 300 pixels"):
        read(["mean(" * 6 + "nir" + ", 101)" * 6], S2)


# --- lists, names of one's own, windows --------------------------------------------------------


def test_lists_multiply_out_in_order():
    assert expanded(["mean([NDVI, nir], [3, 9])", "[B02, B03]"], S2) == (
        "mean(NDVI, 3)", "mean(NDVI, 9)", "mean(nir, 3)", "mean(nir, 9)", "B02", "B03"
    )  # fmt: skip
    assert expanded(["[[B02, B03], B04] / nir"], S2) == ("B02 / nir", "B03 / nir", "B04 / nir")
    assert expanded(["glcm_contrast(nir, 7, high=[0.5, 1])"], S2) == (
        "glcm_contrast(nir, 7, low=0, high=0.5)", "glcm_contrast(nir, 7, low=0, high=1)"
    )  # fmt: skip
    assert expanded(["-[1, 2] * nir"], S2) == ("-1 * nir", "-2 * nir")
    assert expanded(["W = mean([nir, red], [3, 5])"], S2) == (
        "W_nir_3 = mean(nir, 3)", "W_nir_5 = mean(nir, 5)", "W_red_3 = mean(red, 3)", "W_red_5 = mean(red, 5)"
    )  # fmt: skip


def test_a_formula_that_has_a_name_may_be_used_further_down_and_every_text_stands_alone():
    lines = ["MYI = (nir - red) / (nir + red + 0.16)", "mean(MYI, [3, 9])", "HALF = MYI / 2", "std(HALF, 5)"]
    features = read(lines, S2)
    assert [feature.label for feature in features] == ["MYI", "mean_MYI_3", "mean_MYI_9", "HALF", "std_HALF_5"]
    assert features[1].text == "mean_MYI_3 = mean((nir - red) / (nir + red + 0.16), 3)"
    assert [one(feature.text) for feature in features] == list(features)
    with pytest.raises(BadInput, match="no feature 'MYI'"):
        read(lines[1::-1], S2)
    with pytest.raises(BadInput, match="MYI is taken: it is a formula further up"):
        read([lines[0], "MYI = nir * 2"], S2)
    assert expanded(["W = [nir] * 2", "mean(W, 3)"], S2) == ("W = nir * 2", "mean_W_3 = mean(nir * 2, 3)")
    with pytest.raises(BadInput, match="W stands for several features"):
        read(["W = [nir, red] * 2", "mean(W, 3)"], S2)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("B02", "B02"),
        ("mean(NDVI, 9)", "mean_NDVI_9"),
        ("std(mean(NDVI, 9), 3)", "std_mean_NDVI_9_3"),
        ("glcm_asm(NDVI, 5, levels=8, low=-1, high=0.9)", "glcm_asm_NDVI_5_levels8_-1to0.9"),
        ("SAVI(L=0.25)", "SAVI_L0.25"),
        ("MYI = nir - red", "MYI"),
        ("nir - red", "nir - red"),
        ("log(nir / red)", "log(nir / red)"),
    ],
)
def test_labels_are_short(text, label):
    assert label_of(text) == label


def test_a_long_label_is_cut_and_still_its_own():
    first, second = (f"nir * 2 + red * 3 + green * 4 + blue * 5 + {n}" for n in (6, 7))
    assert len(label_of(first)) == len(label_of(second)) == 40
    assert label_of(first) != label_of(second)


def test_halos_of_nested_windows_add_up_and_of_neighbours_do_not():
    assert halo_of(["B02", "NDVI"], S2) == 0
    assert halo_of(["mean(NDVI, 9)"], S2) == 4
    assert halo_of(["mean(std(NDVI, 5) + nir, 9)", "max(nir, 3)"], S2) == 6
    assert halo_of(["mean(NDVI, 9) - std(NDVI, 5)"], S2) == 4
    assert halo_of(["glcm_contrast(mean(nir, 3), 7, distance=3)"], S2) == 4


# --- the catalogue ---------------------------------------------------------------------------

sys.path.append(str(Path(__file__).parents[2] / "infra"))
import indices as listed  # noqa: E402


def test_the_catalogue_has_every_index_of_spyndex_as_it_was_published():
    assert {name for name in spyndex.indices if name not in LEFT_OUT} <= set(INDICES)
    assert set(LEFT_OUT) <= set(spyndex.indices)
    assert not set(LEFT_OUT) & set(INDICES)
    other = [name for name in spyndex.indices if name in INDICES and INDICES[name] != listed.entry_of(name)]
    assert not other


def test_lines_for_the_catalogue_are_python_that_says_the_same():
    for name in ("NDVI", "SAVI", "kEVI", "GEMI"):
        line = listed.line_of(name, listed.entry_of(name))
        (made,) = eval(f"{{{line.strip()}}}", {"Index": Index}).values()
        assert (made.formula, made.source) == (INDICES[name].formula, INDICES[name].source)
        assert max(map(len, line.splitlines())) <= 120


def test_every_formula_is_canonical_and_of_letters_and_constants_only():
    for name, index in INDICES.items():
        tree = parse(index.formula).tree
        letters = {word.removeprefix("lambda") for word in names_in(tree)}
        assert written(tree) == index.formula, name
        assert letters <= {*LETTERS, *CONSTANTS}, name
        assert set(index.constants) <= letters, name
        assert index.source, name
        assert index.domain, name
        assert name not in FUNCTIONS


def test_sentinel_2_makes_every_index_that_needs_no_thermal_radar_yellow_or_second_green():
    needs = {name: names_in(parse(INDICES[name].formula).tree) for name in INDICES}
    lacking = {"T", "T1", "T2", "VV", "VH", "HH", "HV", "Y", "G1"}
    assert set(indices_of(S2)) == {name for name in INDICES if not needs[name] & lacking}
    assert len(indices_of(S2)) == 244


def test_a_band_that_a_sensor_lacks_is_named():
    with pytest.raises(BadInput, match="NDMI needs the band swir16, which sentinel-2-l1c does not have"):
        bands_needed(["NDMI"], S2.subset(["B04", "B08"]))
    with pytest.raises(BadInput, match="VHVVR needs the band VH"):
        read(["VHVVR"], S2)
    with pytest.raises(BadInput, match="EBBI needs the band lwir"):
        read(["EBBI"], S2)


def test_radar_and_thermal_indices_are_made_where_the_sensor_has_such_bands():
    assert one("VHVVR", RADAR).bands == ("VV", "VH")
    decibel = RADAR.model_copy(update={"bands": tuple(b.model_copy(update={"unit": "dB"}) for b in RADAR.bands)})
    with pytest.raises(BadInput, match=r"needs linear power, and V. of radar is in 'dB'"):
        read(["VHVVR"], decibel)
    thermal = next(b.name for b in LANDSAT_8_L2.bands if b.unit == "K")
    assert thermal in one("EBBI", LANDSAT_8_L2).bands
    warm = [b.model_copy(update={"unit": "degree C"}) if b.unit == "K" else b for b in LANDSAT_8_L2.bands]
    with pytest.raises(BadInput, match=r"EBBI is of temperatures: it needs kelvin.*'degree C'"):
        read(["EBBI"], LANDSAT_8_L2.model_copy(update={"bands": tuple(warm)}))


def test_one_near_infrared_serves_where_a_sensor_has_one():
    assert one("NDVI", LANDSAT_8_L2).bands == ("SR_B4", "SR_B5")
    assert one("SeLI").bands == ("B05", "B8A")
    assert one("NDVI").bands == ("B04", "B08")


def test_wavelengths_come_from_the_contract():
    index = one("NIRvH2(k=1)")
    assert Number(832.8 - 664.6) in set(walk(index.tree))
    blind = S2.model_copy(update={"bands": tuple(b.model_copy(update={"centre_nm": None}) for b in S2.bands)})
    with pytest.raises(BadInput, match="needs the central wavelength of B08"):
        read(["NIRvH2"], blind)


# --- reflectance or not ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EVI", "EVI2", "SAVI", "OSAVI", "MSAVI", "DVI", "BAI"])
def test_an_index_that_changes_with_scale_is_refused_on_digital_numbers(name):
    assert one(name).reflectance_only
    with pytest.raises(BadInput, match=rf"{name} changes with the scale of its bands: it needs reflectance.*'DN'"):
        read([name], NAIP)
    with pytest.raises(BadInput, match="changes with the scale"):
        read([f"mean({name} * 2, 3)"], NAIP)


@pytest.mark.parametrize("name", ["NDVI", "GNDVI", "NDWI", "kNDVI", "VARI", "GLI", "TVI"])
def test_an_index_that_does_not_is_made_of_any_numbers_of_one_unit(name):
    assert not one(name).reflectance_only
    assert one(name, NAIP).bands
    mixed = [b.model_copy(update={"unit": "reflectance"}) if b.common_name == "green" else b for b in NAIP.bands]
    mixed = [b.model_copy(update={"unit": "reflectance"}) if b.common_name == "red" else b for b in mixed]
    with pytest.raises(BadInput, match="needs bands of one unit"):
        read([name], NAIP.model_copy(update={"bands": tuple(mixed)}))


def value_of(tree, bands, constants=None):
    """What a tree is, in float64; bands by name."""
    if isinstance(tree, Number):
        return np.float64(tree.value)
    if isinstance(tree, Name):
        return bands[tree.text] if tree.text in bands else np.float64(constants[tree.text])
    a, *more = (value_of(operand, bands, constants) for operand in tree.operands)
    work = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power, "neg": np.negative}
    with np.errstate(all="ignore"):
        return work.get(tree.kind, getattr(np, tree.kind, None))(a, *more)


@pytest.mark.parametrize("name", indices_of(S2))
def test_homogeneity_is_what_numbers_say(name):
    feature = one(name)
    rng = np.random.default_rng(0)
    bands = {band: rng.uniform(0.05, 0.6, 500) for band in feature.bands}
    plain = value_of(feature.tree, bands)
    scaled = value_of(feature.tree, {band: values * 3 for band, values in bands.items()})
    both = np.isfinite(plain) & np.isfinite(scaled)
    same = np.isclose(plain[both], scaled[both], rtol=1e-9).all() and (np.isfinite(plain) == np.isfinite(scaled)).all()
    found = degree(feature.tree)
    if found is None:
        assert not same, name
    else:
        assert np.allclose(scaled[both], plain[both] * 3.0**found, rtol=1e-9)
    assert feature.reflectance_only == (found != 0)


def test_a_denominator_vanishes_in_the_power_of_reflectance_it_has():
    def least(text):
        return least_denominator(one(text).tree.operands[1])

    assert least("1 / (nir + red)") == 1e-6
    assert least("1 / (nir + red + 1)") == 1e-6
    assert least("1 / (nir * red)") == pytest.approx(1e-12)
    assert least("1 / green ** 4") == pytest.approx(1e-24)
    assert least("1 / (nir + red) ** 0.5") == pytest.approx(1e-3)
    assert least("1 / (nir / red)") == 1e-6
    assert least("nir ** -2") == pytest.approx(1e-12)


# --- ranges ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("NDVI", -1, 1),
        ("BI", -1, 1),
        ("SAVI", -1, 1),
        ("EVI2", -2.5 / 3.4, 1.25),
        ("nir", 0, 1),
        ("terrain_height", -500, 9000),
        ("terrain_height / 1000", -0.5, 9),
        ("nir ** 2 - red", -1, 1),
        ("(nir - red) ** 2", 0, 1),
        ("abs(nir - red)", 0, 1),
        ("sqrt(nir)", 0, 1),
        ("exp(-nir)", math.exp(-1), 1),
        ("log(nir + 1)", 0, math.log(2)),
        ("tanh(NDVI)", math.tanh(-1), math.tanh(1)),
        ("clip(EVI, -1, 1)", -1, 1),
        ("minimum(nir, red - 1)", -1, 0),
        ("maximum(nir, 0.5)", 0.5, 1),
        ("std(NDVI, 5)", 0, 1),
        ("range(NDVI, 5)", 0, 2),
        ("mean(NDVI, 5)", -1, 1),
        ("glcm_entropy(NDVI, 5)", 0, 2 * math.log(16)),
        ("glcm_contrast(NDVI, 5, levels=8)", 0, 49),
        ("glcm_correlation(NDVI, 5)", -1, 1),
        ("nir / red", -math.inf, math.inf),
        ("EVI", -math.inf, math.inf),
        ("log(nir)", -math.inf, 0),
    ],
)
def test_ranges_of_known_formulae(text, low, high):
    found = one(text, S2.joined([HEIGHT])).range
    assert found == pytest.approx((low, high))


@pytest.mark.parametrize("name", indices_of(S2))
def test_no_reflectance_takes_an_index_out_of_its_range(name):
    feature = one(name)
    rng = np.random.default_rng(1)
    corners = rng.choice([0.0, 1.0, 1e-4], (300, len(feature.bands)))
    values = np.concatenate([rng.random((700, len(feature.bands))), corners])
    found = value_of(feature.tree, dict(zip(feature.bands, values.T, strict=True)))
    low, high = feature.range
    seen = found[np.isfinite(found)]
    slack = 1e-9 * (1 + np.abs(seen))
    assert (seen >= low - slack).all()
    assert (seen <= high + slack).all()


# --- one line --------------------------------------------------------------------------------


def test_a_newcomer_adds_a_formula_in_one_line_of_code(monkeypatch):
    monkeypatch.setitem(INDICES, "MYVI", Index("(N2 - R) / (N2 + R + L)", "me", {"L": 0.16}))
    feature = one("std(MYVI, 3)")
    assert feature.bands == ("B04", "B8A")
    assert feature.reflectance_only
    assert feature.source == "me"
    assert one("MYVI(L=0)", NAIP).bands == ("R", "N")
    assert not one("MYVI(L=0)", NAIP).reflectance_only
    assert one("MYVI").range == pytest.approx((-1 / 1.16, 1 / 1.16))


def test_what_the_page_shows_can_be_read(monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text()
    for block in re.findall(r"```yaml\n(features:\n.*?)```", page, re.S):
        assert len(read(yaml.safe_load(block)["features"], S2.joined([HEIGHT]))) >= 10
    (line,) = re.findall(r'^"MYVI": .*$', page, re.M)
    for name, index in eval(f"{{{line}}}", {"Index": Index}).items():
        monkeypatch.setitem(INDICES, name, index)
    assert one("MYVI").bands == ("B04", "B8A")
    assert all(f"`{name}`" in page for name in (*FUNCTIONS, *LETTERS) if name not in ("minimum", "maximum", "clip"))

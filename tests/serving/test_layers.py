"""What the service says of sets and of ground outside: the real application behind its guard, in this process."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from rasterio.io import MemoryFile

from geoml_ops import client
from geoml_ops.adapters import raster
from geoml_ops.adapters.nouns import Shelf
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.settings import Settings
from geoml_ops.steps import classify
from serving.follow import Follower, State
from serving.guard import Guard, Rules
from serving.keys import Keyring
from serving.pictures import BANDS, IMAGE
from serving.pictures import picture as drawn
from serving.quotas import Quotas
from serving.routes import Routes
from tests.answering import APPLICABILITY, CONFORMAL, TOP, WEST, write_bundle, write_raster
from tests.conftest import ROOT
from tests.serving.chromium import PROGRAM, browser
from tests.serving.inside import answering

PAGE = ROOT / "serving" / "page"
SHOTS = ROOT / "workspace" / "screenshots"


@dataclass
class Served:
    """A running application, and the maps of one raster by a model that knows everything and by one that does not."""

    url: str
    folder: Path
    knowing: str
    plain: str
    follower: Follower
    models: dict[str, classify.Model]

    def get(self, path: str, **question: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=question, timeout=30, trust_env=False)

    def bands(self, prediction: str) -> dict[str, Any]:
        path = self.folder / prediction / "map.tif"
        return dict(zip(raster.describe(path).names, raster.read(path), strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("layers")
    settings = Settings(workspace=home / "workspace")
    places = settings.places()
    write_raster(home / "scene.tif")
    models, made = {}, {}
    for number, (name, knows) in enumerate(
        {"plain": {}, "knowing": {"applicability": APPLICABILITY, "conformal": CONFORMAL}}.items(), start=1
    ):
        bundle = write_bundle(home / name, 0.001, **knows)  # type: ignore[arg-type]
        shutil.copytree(home / name, places.bundles / bundle.file.sha256)
        Shelf(places.nouns).put(bundle)
        opened = open_bundle(places.bundles, bundle.file.sha256, bundle.id)
        models[name] = classify.load(opened, Release("landcover", number, bundle.id, bundle.file.sha256))
        made[name] = classify.classify(places, home / "scene.tif", models[name], name=name).id
    follower = Follower(places, 60.0)
    follower.state = State(models["knowing"])
    routes = Routes(settings, follower)
    routes.start()
    guarded = Guard(
        routes.app(),
        rules=Rules(max_bytes=2**24),
        readiness=follower.readiness,
        keyring=Keyring(None),
        quotas=Quotas(home / "quotas.json"),
    )
    with answering(guarded) as url:
        yield Served(url, places.predictions, made["knowing"], made["plain"], follower, models)
    routes.stop()


def picture(answer: httpx.Response) -> Any:
    """Returns the codes of a PNG with a palette, and the palette as RGBA."""
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as memory, memory.open(driver="PNG") as source:
        return source.read(1), source.colormap(1)


def test_the_model_says_where_it_may_be_asked_and_what_its_sets_hold(served: Served) -> None:
    said = served.get("/model").json()
    assert (said["applicability"]["threshold"], said["applicability"]["definition"]) == (
        APPLICABILITY.threshold,
        APPLICABILITY.definition,
    )
    assert "beyond 0.8 times their mean distance" in said["applicability"]["sentence"]
    assert "Of held-out samples 5 % were" in said["applicability"]["sentence"]
    assert (said["sets"]["coverage"], said["sets"]["measured"]["value"]) == (0.9, 0.91)
    assert said["sets"]["sentence"] == (
        "Sets of classes held the true one on 91 % of held-out ground (87 % to 95 % from 30 blocks); 90 % are "
        "promised. A set holds 1.4 of 2 classes; 10 % of the blocks fall short by a tenth or more."
    )
    served.follower.state = State(served.models["plain"])
    try:
        said = served.get("/model").json()
        assert (said["applicability"], said["sets"]) == (None, None)
    finally:
        served.follower.state = State(served.models["knowing"])


def test_the_list_says_what_is_outside_and_which_layers_there_are(served: Served) -> None:
    rows = {row["id"]: row for row in served.get("/predictions").json()["predictions"]}
    knowing, plain = rows[served.knowing], rows[served.plain]
    far = served.bands(served.knowing)["dissimilarity"]
    assert knowing["outside_share"] == pytest.approx(((far > 100) & (far < 255)).sum() / (far < 255).sum(), abs=1e-6)
    assert 1 < knowing["mean_set_size"] < 2
    assert knowing["layers"] == ["classes", "confidence", "set_size", "dissimilarity", "outside", "image"]
    assert (knowing["coverage"], len(knowing["set_colours"])) == (0.9, 2)
    assert plain["layers"] == ["classes", "confidence", "image"]
    assert (plain["outside_share"], plain["mean_set_size"], plain["coverage"]) == (None, None, None)


def test_every_layer_is_a_picture_of_its_band(served: Served) -> None:
    band, path = served.bands(served.knowing), f"/predictions/{served.knowing}/map.png"
    unknown = band["class"] == 255
    for layer, name in (("classes", "class"), ("confidence", "confidence"), ("set_size", "set_size"),
                        ("dissimilarity", "dissimilarity")):  # fmt: skip
        codes, colours = picture(served.get(path, layer=layer))
        np.testing.assert_array_equal(codes, band[name])
        assert all(colours[int(code)][3] == 255 for code in np.unique(codes[~unknown]))
        assert colours[255][3] == 0
    row = next(r for r in served.get("/predictions").json()["predictions"] if r["id"] == served.knowing)
    colours = picture(served.get(path, layer="set_size"))[1]
    assert ["#{:02x}{:02x}{:02x}".format(*colours[size][:3]) for size in (1, 2)] == row["set_colours"]
    codes, colours = picture(served.get(path, layer="outside"))
    far = band["dissimilarity"]
    np.testing.assert_array_equal(codes, (far > 100) & (far < 255))
    assert (colours[0][3], colours[1][3]) == (0, 255)


def test_a_layer_that_a_map_lacks_is_refused_with_those_it_has(served: Served) -> None:
    for layer in ("set_size", "outside", "secret", "set_1"):
        answer = served.get(f"/predictions/{served.plain}/map.png", layer=layer)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].endswith("Try: one of classes, confidence, image")


def test_a_band_is_a_layer_under_either_name_and_density_and_probabilities_have_pictures(
    served: Served, tmp_path: Path
) -> None:
    path = f"/predictions/{served.knowing}/map.png"
    one, other = (served.get(path, layer=word) for word in ("class", "classes"))
    assert (one.status_code, one.content) == (200, other.content)
    codes, colours = picture(served.get(path, layer="density"))
    np.testing.assert_array_equal(codes, served.bands(served.knowing)["density"])
    assert [colours[code][3] for code in (0, 250, 255)] == [255, 255, 0]
    answer = served.get(path, layer="probability_0")
    assert answer.status_code == 422
    assert (
        "There is no picture of a layer 'probability_0' of this map. Try: one of classes"
        in answer.json()["error"]["message"]
    )
    for word in ("set_1", "Class", "probability_", "probability_1e3", "../image"):
        answer = served.get(path, layer=word)
        assert (answer.status_code, "There is no picture of a layer" in answer.text) == (422, True)
        answer = served.get("/tiles/0/0/0.png", prediction=served.knowing, layer=word)
        assert (answer.status_code, "There is no picture of a layer" in answer.text) == (422, True)
    write_raster(tmp_path / "scene.tif", seed=1)
    places, model = Settings(workspace=tmp_path / "workspace").places(), served.models["knowing"]
    layers = classify.chosen(model.bundle, ("classes", "probabilities"))
    assert layers == ("class", "probability_0", "probability_1")
    made = classify.classify(places, tmp_path / "scene.tif", model, layers=layers)
    path = places.predictions / made.id / "map.tif"
    with MemoryFile(drawn(path, "probability_0", model.bundle.colours)) as memory, memory.open(driver="PNG") as source:
        np.testing.assert_array_equal(source.read(1), raster.read(path, bands=[1])[0])
        assert [source.colormap(1)[code][3] for code in (0, 100, 255)] == [255, 255, 0]


@pytest.mark.parametrize(
    "said",
    ["x", "bytes", "bytes=", "bytes=a-b", "bytes=9-3", "bytes=-", "lines=0-5", "bytes=0-1_0", "bytes=0-5,x", ","],
)
def test_what_is_no_range_is_ignored(served: Served, said: str) -> None:
    path = f"/predictions/{served.plain}/map.tif"
    whole = served.get(path)
    answer = httpx.get(served.url + path, headers={"range": said}, trust_env=False)
    assert (answer.status_code, answer.content) == (200, whole.content)


def test_ranges_are_parts_and_those_behind_the_end_are_refused_in_our_words(served: Served) -> None:
    path = f"/predictions/{served.plain}/map.tif"
    whole = served.get(path).content
    for said, part in (("0-9", whole[:10]), ("-4", whole[-4:]), (f"{len(whole) - 2}-", whole[-2:])):
        answer = httpx.get(served.url + path, headers={"range": f"bytes={said}"}, trust_env=False)
        assert (answer.status_code, answer.content) == (206, part)
    answer = httpx.get(served.url + path, headers={"range": f"bytes={len(whole)}-"}, trust_env=False)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    error = answer.json()["error"]
    assert f"behind the end of the file ({len(whole)} bytes)" in error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("limit", "status"), [("0", 200), ("500", 200), ("-1", 422), ("501", 422), ("1.5", 422), ("", 422)]
)
def test_a_list_is_as_long_as_the_door_says(served: Served, limit: str, status: int) -> None:
    answer = served.get("/predictions", limit=limit)
    assert answer.status_code == status, answer.text


def test_a_point_says_its_set_and_how_unlike_it_is(served: Served) -> None:
    band = served.bands(served.knowing)
    far, size = band["dissimilarity"], band["set_size"]
    for outside, n_classes in ((True, 2), (False, 1), (True, 1), (False, 2)):
        row, col = np.argwhere((far < 255) & ((far > 100) == outside) & (size == n_classes))[0].tolist()
        where = {"easting": WEST + 10 * col + 5, "northing": TOP - 10 * row - 5}
        said = served.get(f"/predictions/{served.knowing}/at", **where).json()
        assert (said["outside"], len(said["set"]), said["coverage"]) == (outside, n_classes, 0.9)
        assert said["class"] in said["set"]
        assert said["dissimilarity"] == pytest.approx(int(far[row, col]) / 100)
        assert said["density"] == int(band["density"][row, col])
        assert ("unlike anything" in said["trust"]) == outside
        assert said["trust"] in said["lineage"][0]["sentence"]
        plain = served.get(f"/predictions/{served.plain}/at", **where).json()
        assert (plain["class"], plain["set"], plain["outside"], plain["trust"]) == (said["class"], None, None, "")
    nothing = served.get(f"/predictions/{served.knowing}/at", easting=WEST + 5, northing=TOP - 5).json()
    assert (nothing["class"], nothing["set"], nothing["dissimilarity"], nothing["trust"]) == (None, None, None, "")


def test_the_answer_to_a_raster_says_how_far_its_map_may_be_trusted(served: Served, tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif")
    said = client.classify(served.url, tmp_path / "scene.tif", tmp_path / "map.tif")
    row = next(r for r in served.get("/predictions").json()["predictions"] if r["id"] == said["prediction"])
    assert float(said["outside_share"]) == pytest.approx(row["outside_share"], abs=1e-5)
    assert float(said["mean_set_size"]) == pytest.approx(row["mean_set_size"], abs=1e-5)
    served.follower.state = State(served.models["plain"])
    try:
        assert set(client.classify(served.url, tmp_path / "scene.tif", tmp_path / "map.tif")) == {
            "prediction", "number", "bundle", "map",
        }  # fmt: skip
    finally:
        served.follower.state = State(served.models["knowing"])


def test_the_page_asks_only_for_parts_and_layers_that_exist() -> None:
    script = "".join(part.read_text() for part in sorted(PAGE.glob("*.js")))
    html = (PAGE / "index.html").read_text()
    wanted = set(re.findall(r'at\("([\w-]+)"\)', script))
    there = re.findall(r'id="([\w-]+)"', html)
    assert wanted <= set(there)
    assert len(there) == len(set(there))
    layers = set(re.findall(r'data-layer="(\w+)"', html))
    assert layers == (set(BANDS) | {IMAGE}) - {"outside", "density"}
    assert 'new Hatched(row.id, "outside"' in script


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")
def test_a_browser_shows_what_a_map_knows_and_hides_what_it_does_not(served: Served) -> None:
    """The page as Chromium builds it, its policy enforced."""
    with browser() as page:
        page.size(1280, 800)
        for prediction, knows in ((served.knowing, True), (served.plain, False)):
            page.open("about:blank")
            page.asked.clear()
            page.open(f"{served.url}/#{prediction}")
            page.wait("document.querySelectorAll('#predictions button').length === 2")
            page.settled()
            for layer in ("set_size", "dissimilarity"):
                assert page.js(f"document.querySelector('[data-layer={layer}]').hidden") != knows
            assert page.js("document.getElementById('hatching').hidden") != knows
            assert ("Outside: unlike the samples" in page.js("document.getElementById('legend').innerText")) == knows
            assert any("layer=outside" in asked for asked in page.asked) == knows
            assert "Sets of classes held the true one on 91 %" in page.js(
                "document.getElementById('trust').textContent"
            )
        page.js(f"location.hash = '{served.knowing}'")
        page.settled()
        for number, layer in enumerate(("set_size", "dissimilarity", "classes"), start=1):
            page.js(f"document.querySelector('[data-layer={layer}]').click()")
            page.settled()
            page.shot(SHOTS / f"layers-{number}-{layer}.png")
        page.click(800, 400)
        page.wait("!document.getElementById('pixel').hidden")
        page.settled()
        page.shot(SHOTS / "layers-4-pixel.png")
        assert "the threshold" in page.js("document.getElementById('pixel-trust').innerText")
        assert page.complaints == []

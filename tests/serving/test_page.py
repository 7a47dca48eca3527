"""The map page in a real browser, against the real service: its whole flow, its refusals, and what it is built on."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from tests.answering import write_raster
from tests.conftest import ROOT
from tests.serving.chromium import PROGRAM, Page, browser
from tests.serving.conftest import Service
from tests.serving.keyed import Keyed, keyed, raster_of

__all__ = ["keyed"]
PAGE = ROOT / "serving" / "page"
VENDOR = PAGE / "vendor"
SHOTS = ROOT / "workspace" / "screenshots"
BARE, GREEN = (160, 82, 45), (34, 139, 34)

_seeds = itertools.count(700)

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A raster that no other test sends: the same one again would be the same prediction."""
    write_raster(tmp_path / "Spreewald 2024.tif", seed=next(_seeds))
    return tmp_path / "Spreewald 2024.tif"


def visit(page: Page, url: str, width: int = 1280, height: int = 800) -> None:
    """Opens the page as somebody who was never there, and remembers whether progress was ever shown."""
    page.size(width, height)
    page.open("about:blank")
    page.asked.clear()
    page.complaints.clear()
    page.open(url + "/")
    page.wait("!['asking', ''].includes(document.getElementById('badge')?.textContent ?? '')")
    page.js("""
        window.progress = [];
        const [part, words] = ['progress', 'progress-words'].map((id) => document.getElementById(id));
        new MutationObserver(() => { if (!part.hidden) window.progress.push(words.textContent); })
          .observe(part, {subtree: true, attributes: true, childList: true, characterData: true});
    """)


def text(page: Page, part: str) -> str:
    return str(page.js(f"document.getElementById({part!r}).innerText"))


def hidden(page: Page, part: str) -> bool:
    return bool(page.js(f"document.getElementById({part!r}).hidden"))


def upload(page: Page, path: Path) -> str:
    """Sends a raster by the page's own field and returns the id of its prediction once it is shown."""
    before = page.js("location.hash")
    page.choose_file("#file", path)
    page.wait(f"location.hash !== {before!r} && document.getElementById('progress').hidden", 60)
    page.settled()
    return str(page.js("location.hash")).removeprefix("#")


def seen(page: Page, path: Path) -> NDArray[np.uint8]:
    """Returns what is seen as ``(y, x, 3)``."""
    with rasterio.open(page.shot(path), driver="PNG") as source:
        return np.asarray(source.read([1, 2, 3]).transpose(1, 2, 0), dtype=np.uint8)


def only_itself(page: Page, url: str) -> None:
    """Everything the page asked for came from the service, and nothing was against its content policy."""
    strange = [
        asked for asked in page.asked if not asked.startswith((f"{url}/", f"blob:{url}/", "about:blank", "data:"))
    ]
    assert (strange, [words for words in page.complaints if "favicon" not in words]) == ([], [])


@needs_browser
def test_the_whole_flow(page: Page, service: Service, scene: Path) -> None:
    visit(page, service.url)
    page.shot(SHOTS / "1-open.png")
    assert text(page, "badge") in ("serving", "last good")
    prediction = upload(page, scene)
    words = page.js("window.progress")
    assert any(said.startswith("Sending Spreewald") for said in words)
    assert any(said.startswith("Classifying Spreewald") for said in words)
    assert service.get(f"/predictions/{prediction}/at", easting=392000, northing=5828500).status_code == 200
    page.shot(SHOTS / "2-result.png")
    # At full opacity the map shows the colours of its classes and nothing of the image below.
    page.js(
        "document.getElementById('opacity').value = 100;"
        "document.getElementById('opacity').dispatchEvent(new Event('input'))"
    )
    page.settled()
    pixels = seen(page, SHOTS / "2-result-opaque.png")[90:560, 420:1240].reshape(-1, 3)
    shares = [np.all(pixels == colour, axis=1).mean() for colour in (BARE, GREEN)]
    assert min(shares) > 0.1
    assert sum(shares) > 0.5
    for number, layer in enumerate(("confidence", "image"), start=3):
        page.js(f"document.querySelector('[data-layer={layer}]').click()")
        page.settled()
        page.shot(SHOTS / f"{number}-{layer}.png")
        assert page.js(f"document.querySelector('[data-layer={layer}]').getAttribute('aria-checked')") == "true"
    assert any("layer=confidence" in asked for asked in page.asked)
    only_itself(page, service.url)


@needs_browser
def test_a_pixel_says_its_class_its_probabilities_and_where_it_comes_from(
    page: Page, service: Service, scene: Path
) -> None:
    visit(page, service.url)
    prediction = upload(page, scene)
    page.js("document.querySelector('[data-layer=classes]').click()")
    page.settled()
    box = page.js(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])"
        "(document.getElementById('stage').getBoundingClientRect())"
    )
    page.click(*box)
    page.wait("!document.getElementById('pixel').hidden")
    page.settled()
    page.shot(SHOTS / "5-pixel.png")
    easting, northing = map(float, re.findall(r"(\d+) [EN]", text(page, "pixel-place")))
    said = service.get(f"/predictions/{prediction}/at", easting=easting + 0.3, northing=northing + 0.3).json()
    assert text(page, "pixel-class") == said["class"]
    lines = text(page, "probabilities")
    for name, share in (
        (said["class"], said["confidence"]),
        (({"bare", "green"} - {said["class"]}).pop(), 1 - said["confidence"]),
    ):
        assert re.search(rf"{name}\s+{round(100 * share)} %", lines), lines
    lineage = text(page, "lineage")
    assert prediction in lineage
    assert said["lineage"][-1]["id"] in lineage
    assert page.js("document.querySelectorAll('.leaflet-interactive, .leaflet-overlay-pane path').length") > 0
    # By keys alone: the pixel in the middle, then away with it.
    page.press("Escape", 27)
    assert hidden(page, "pixel")
    page.js("document.getElementById('stage').focus()")
    page.press("Enter", 13)
    page.wait("!document.getElementById('pixel').hidden")
    only_itself(page, service.url)


@needs_browser
def test_under_the_pointer_stand_the_coordinates_that_the_service_says(
    page: Page, service: Service, scene: Path
) -> None:
    visit(page, service.url)
    upload(page, scene)
    page.tell("Input.dispatchMouseEvent", type="mouseMoved", x=800, y=400)
    shown = re.match(r"(\d+) E\s+(\d+) N\s+([\d.]+)° N\s+([\d.]+)° E", text(page, "where"))
    assert shown, text(page, "where")
    easting, northing, lat, lon = map(float, shown.groups())
    said = service.get(f"/predictions/{page.js('location.hash.slice(1)')}/at", lon=lon, lat=lat).json()
    assert (said["easting"], said["northing"]) == pytest.approx((easting, northing), abs=1.2)


@needs_browser
def test_what_cannot_be_read_is_refused_in_a_sentence(page: Page, service: Service, tmp_path: Path) -> None:
    visit(page, service.url)
    (tmp_path / "notes.txt").write_text("no raster at all\n" * 50)
    page.drop_file(800, 400, tmp_path / "notes.txt")
    page.wait("!document.getElementById('refusal').hidden")
    page.shot(SHOTS / "6-refused.png")
    assert "TIFF" in text(page, "refusal")
    assert hidden(page, "progress")
    assert not hidden(page, "drop")
    (tmp_path / "torn.tif").write_bytes(b"II*\0" + b"\0" * 400)
    page.choose_file("#file", tmp_path / "torn.tif")
    page.wait(
        "document.getElementById('progress').hidden && !document.getElementById('refusal').hidden && "
        "!document.getElementById('refusal').innerText.includes('begins with')"
    )
    assert str(tmp_path) not in text(page, "refusal")
    assert len(text(page, "refusal")) > 20


@needs_browser
def test_on_a_telephone_everything_is_there_and_nothing_sticks_out(page: Page, service: Service, scene: Path) -> None:
    visit(page, service.url, 400, 800)
    upload(page, scene)
    page.shot(SHOTS / "7-narrow.png")
    assert page.js("document.documentElement.scrollWidth") <= 400
    assert page.js("document.getElementById('stage').getBoundingClientRect().height") > 300
    page.click(200, 300)
    page.wait("!document.getElementById('pixel').hidden")
    page.settled()
    page.shot(SHOTS / "8-narrow-pixel.png")
    panel, marked = (
        page.js(f"(({{top}}) => top)(document.querySelector({part!r}).getBoundingClientRect())")
        for part in ("#pixel", ".leaflet-overlay-pane path")
    )
    assert marked < panel
    assert page.js("document.documentElement.scrollWidth") <= 400


@needs_browser
def test_a_key_is_asked_for_and_a_large_raster_becomes_a_job(page: Page, keyed: Keyed, tmp_path: Path) -> None:
    """The whole flow where keys are needed: refused without one, tiles and jobs with one, and a job that is stopped."""
    visit(page, keyed.service.url)
    page.wait("!document.getElementById('key-form').hidden")
    assert text(page, "badge") == "asks for a key"
    page.shot(SHOTS / "9-key.png")
    give_key(page, "geoml_nobody")
    page.wait("document.getElementById('key-words').innerText.includes('not known')")
    give_key(page, keyed.keys["office"])
    page.wait("document.getElementById('badge').textContent === 'serving'")
    assert hidden(page, "key-form")
    raster_of(tmp_path / "large.tif", 2000, 2100, seed=31, plain=True)
    before = page.js("location.hash")
    page.choose_file("#file", tmp_path / "large.tif")
    page.wait("window.progress.some((words) => / of 4.2 million pixels/.test(words))", 60)
    page.shot(SHOTS / "10-job.png")
    assert page.js("document.getElementById('cancel').hidden") is False
    page.wait(f"location.hash !== {before!r} && document.getElementById('progress').hidden", 60)
    page.settled()
    page.shot(SHOTS / "11-job-result.png")
    assert any("/jobs?layers=all,probabilities&name=large" in asked for asked in page.asked)
    assert not any("/classify?" in asked for asked in page.asked)
    assert hidden(page, "trouble")
    assert page.js("sessionStorage.getItem('geoml-job')") is None
    # Another one is stopped on the way; the page says so and is ready for the next.
    raster_of(tmp_path / "other.tif", 2000, 2100, seed=32, plain=True)
    page.choose_file("#file", tmp_path / "other.tif")
    page.wait(
        "window.progress.some((words) => /other/.test(words)) && sessionStorage.getItem('geoml-job') !== null", 60
    )
    page.js("document.getElementById('cancel').click()")
    page.wait("document.getElementById('progress').hidden && !document.getElementById('refusal').hidden", 60)
    assert "cancel" in text(page, "refusal").lower()
    assert not hidden(page, "drop")
    refused = ("status of 401", "favicon")
    assert [words for words in page.complaints if not any(each in words for each in refused)] == []
    page.js("sessionStorage.clear()")


def give_key(page: Page, key: str) -> None:
    page.wait("!document.getElementById('key-form').hidden")
    page.js(f"document.getElementById('key').value = {key!r}; document.getElementById('key-form').requestSubmit()")


def test_what_is_vendored_is_what_the_manifest_says() -> None:
    manifest = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
    locked = json.loads((ROOT / "infra" / "vendor" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    listed: dict[str, str] = {}
    for entry in manifest["packages"]:
        said: dict[str, Any] = locked[f"node_modules/{entry['package']}"]
        assert (entry["version"], entry["integrity"], entry["licence"]) == (
            said["version"],
            said["integrity"],
            said["license"],
        )
        assert entry["licence_file"] in entry["files"]
        assert "Redistribution and use" in (VENDOR / entry["licence_file"]).read_text(encoding="utf-8")
        listed |= entry["files"]
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.json"
    }
    assert found == listed


def test_what_is_vendored_asks_only_for_what_is_there() -> None:
    for sheet in [*VENDOR.rglob("*.css"), *PAGE.glob("*.css")]:
        for asked in re.findall(r"url\(([^)#]+)\)", sheet.read_text(encoding="utf-8")):
            assert (sheet.parent / asked.strip("\"'")).is_file(), f"{sheet.name}: {asked}"


def test_the_page_names_no_other_origin_and_brings_no_code_inside() -> None:
    for part in [path for path in PAGE.iterdir() if path.suffix in (".html", ".js", ".css")]:
        said = part.read_text(encoding="utf-8")
        assert not re.findall(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}|@import|\beval\(|innerHTML", said), part.name
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"<script(?![^>]*\bsrc=)|\bstyle=|\bon[a-z]+=", html)
    for asked in re.findall(r'(?:src|href)="(/page/[^"]+)"', html):
        assert (PAGE / asked.removeprefix("/page/")).is_file(), asked


def test_each_part_of_the_page_finds_the_parts_it_takes_from() -> None:
    for part in PAGE.glob("*.js"):
        for names, source in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', part.read_text(encoding="utf-8")):
            given = (PAGE / source).read_text(encoding="utf-8")
            for name in (each.strip() for each in names.split(",")):
                assert re.search(rf"export (?:async function|function|const|class) {name}\b", given), (
                    f"{part.name}: {name}"
                )


@pytest.mark.full
@pytest.mark.skipif(os.environ.get("GEOML_FULL") != "1", reason="fetches the packages; make full")
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here")
def test_what_is_vendored_is_built_again_byte_by_byte(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra" / "vendor", tmp_path / "infra" / "vendor")
    subprocess.run(["python3", "infra/vendor/vendor.py"], cwd=tmp_path, check=True, timeout=120)
    built = tmp_path / "serving" / "page" / "vendor"
    names = sorted(str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
    assert all((built / name).read_bytes() == (VENDOR / name).read_bytes() for name in names)

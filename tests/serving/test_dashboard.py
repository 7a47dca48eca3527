"""The monitoring pages of the real service in a real browser: read, followed, narrow, and inside another's page."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from geoml_ops.adapters.nouns import Shelf
from geoml_ops.core.evidence import Score
from geoml_ops.core.flow import Bundle, Drift, Entry, Judgement, Verdict, Version
from geoml_ops.steps import dashboard
from serving.monitoring import origins_of, page_policy, watch_text
from tests.answering import publish
from tests.conftest import ROOT, free_port
from tests.every_noun import any_noun
from tests.pages import HOSTILE
from tests.serving.chromium import PROGRAM, Page, browser
from tests.serving.conftest import Service, start, stop
from tests.showing import fill

SHOTS = ROOT / "workspace" / "screenshots"
MODEL = "watched"
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@dataclass
class Shown:
    """A service with a full dashboard, what is on it, and another server whose page may show it."""

    service: Service
    found: dict[str, Drift]
    airflow: str
    stranger: str


@pytest.fixture(scope="module")
def shown(
    mlflow_server: str, bundles: list[tuple[Path, Bundle]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    home, ports = tmp_path_factory.mktemp("watched"), (free_port(), free_port())
    airflow, stranger = (f"http://127.0.0.1:{port}" for port in ports)
    service = start(home, mlflow_server, MODEL, GEOML_AIRFLOW_URL=airflow)
    publish(mlflow_server, MODEL, *bundles[0])
    shelf = Shelf(service.places.nouns)
    shelf.put(bundles[0][1])
    challenger = shelf.put(Entry(bundle="bundle-" + "c" * 16, model=MODEL, number=2))
    judged = {
        "challenger": challenger.id,
        "outcome": "HOLD",
        "against": "champion 1",
        "metric": "macro F1",
        "difference": Score(value=0.012, low=-0.018, high=0.043, n_blocks=38),
        "objections": ("as good, and not shown to be better",),
    }
    shelf.put(any_noun(Judgement).model_copy(update=judged))
    shelf.put(any_noun(Version))
    shelf.put(any_noun(Verdict).model_copy(update={"delivery": "S2A_33UUU_20211104", "accepted": True}))
    found = fill(service.places)
    dashboard.summarise(service.places, links={"Map and service": f"{service.url}/", "Airflow": f"{airflow}/"})
    frame = ('<iframe style="width:100%;height:96vh;border:0" sandbox="allow-scripts allow-same-origin allow-forms '
             f'allow-downloads" src="{service.url}/dashboard/"></iframe>')  # fmt: skip
    outside = home / "outside"
    outside.mkdir()
    (outside / "index.html").write_text(f"<!doctype html><title>Another page</title>{frame}")
    serve = functools.partial(Quiet, directory=str(outside))
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", port), serve) for port in ports]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        service.wait(lambda said: said["ready"])
        yield Shown(service, found, airflow, stranger)
    finally:
        stop(service)
        for server in servers:
            server.shutdown()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


def visit(page: Page, url: str, width: int = 1280, height: int = 900) -> None:
    page.size(width, height)
    page.open("about:blank")
    page.asked.clear()
    page.complaints.clear()
    page.open(url)
    page.wait(f"location.href === {url!r} && document.readyState === 'complete'")


def whole(page: Page, path: Path, width: int = 1280, most: int = 7000) -> None:
    """Keeps a picture of the page from top to bottom."""
    height = int(page.js("document.documentElement.scrollHeight"))
    page.size(width, min(height, most))
    page.shot(path)
    page.size(width, 900)


def only_itself(page: Page, url: str) -> None:
    strange = [asked for asked in page.asked if not asked.startswith((f"{url}/", "about:blank", "data:"))]
    assert (strange, page.complaints) == ([], [])


# --- in a browser ------------------------------------------------------------------------------


@needs_browser
def test_from_the_overview_to_the_stream_to_the_scene_and_back(page: Page, shown: Shown) -> None:
    url = f"{shown.service.url}/dashboard"
    visit(page, f"{url}/")
    whole(page, SHOTS / "dashboard-1-overview.png")
    words = str(page.js("document.body.innerText"))
    for said in (
        "need a look",
        "number 1",
        "number 2",
        "hold",
        "covariate shift",
        "fix ingest",
        "cool-down: 30 of 90 days",
    ):
        assert said in words.lower(), said
    assert page.js("document.querySelectorAll('.stream').length") == 6
    assert page.js("document.querySelectorAll('.stream')[0].innerText").startswith("landsat-8-l2")
    page.js("[...document.querySelectorAll('.stream a')].find((a) => a.innerText.endsWith('33-3-58') && "
            "a.innerText.startsWith('sentinel')).click()")  # fmt: skip
    page.wait("location.pathname.includes('/streams/') && document.readyState === 'complete'")
    whole(page, SHOTS / "dashboard-2-stream.png")
    assert page.js("document.querySelectorAll('svg circle').length") == 4 * 68
    last = "[...document.querySelectorAll('svg a')].filter((a) => a.getAttribute('href').includes('drift-')).at(-1)"
    page.js(f"{last}.dispatchEvent(new MouseEvent('click', {{bubbles: true, cancelable: true}}))")
    page.wait("location.pathname.includes('/drifts/') && document.readyState === 'complete'")
    assert page.js("document.querySelector('h1').innerText").startswith("Covariate shift")
    assert page.js("document.querySelector('figure img').naturalWidth") == 960
    whole(page, SHOTS / "dashboard-3-covariate-shift.png")
    page.js("document.querySelector('.crumbs a').click()")
    page.wait("location.pathname.endsWith('/dashboard/index.html')")
    only_itself(page, shown.service.url)


@needs_browser
@pytest.mark.parametrize("name", ["profile", "bands", "tiles", "shares", "old", "hostile", "young"])
def test_the_page_of_each_cause_shows_its_picture(page: Page, shown: Shown, name: str) -> None:
    visit(page, f"{shown.service.url}/dashboard/drifts/{shown.found[name].id}.html")
    assert page.js("document.querySelector('#nothing')") is None
    drawn = page.js("(() => { const b = document.querySelector('section svg').getBoundingClientRect();"
                    " return [b.width, b.height] })()")  # fmt: skip
    assert drawn[0] > 500
    assert drawn[1] > 120
    assert page.js("document.querySelectorAll('.do li').length") >= 1
    whole(page, SHOTS / f"dashboard-4-{name}.png")
    only_itself(page, shown.service.url)


@needs_browser
def test_on_a_narrow_screen_nothing_is_cut_off(page: Page, shown: Shown) -> None:
    home = f"{shown.service.url}/dashboard"
    stream = next(iter((shown.service.places.dashboard / "streams").glob("sentinel-2-l2a-EPSG-32633*"))).name
    pages = {"overview": f"{home}/", "stream": f"{home}/streams/{stream}"}
    pages |= {n: f"{home}/drifts/{d.id}.html" for n, d in shown.found.items()}
    for name, url in pages.items():
        visit(page, url, 390, 844)
        assert page.js("document.documentElement.scrollWidth") <= 390, name
        if name in ("overview", "stream", "map"):
            page.shot(SHOTS / f"dashboard-narrow-{name}.png")


@needs_browser
def test_names_that_try_to_be_markup_are_text(page: Page, shown: Shown) -> None:
    visit(page, f"{shown.service.url}/dashboard/")
    assert page.js("document.scripts.length") == 0
    assert HOSTILE in str(page.js("document.querySelector('main').textContent"))
    assert page.js("[...document.images].filter((i) => i.src.endsWith('/x')).length") == 0


@needs_browser
def test_pages_are_whole_without_a_script_and_on_paper(page: Page, shown: Shown) -> None:
    page.tell("Emulation.setScriptExecutionDisabled", value=True)
    page.tell("Emulation.setEmulatedMedia", media="print")
    try:
        page.size(794, 1123)
        page.open(f"{shown.service.url}/dashboard/drifts/{shown.found['shares'].id}.html")
        time.sleep(1.0)
        page.shot(SHOTS / "dashboard-5-print.png")
        root = page.tell("DOM.getDocument")["root"]["nodeId"]
        assert page.tell("DOM.querySelector", nodeId=root, selector="section svg")["nodeId"]
    finally:
        page.tell("Emulation.setScriptExecutionDisabled", value=False)
        page.tell("Emulation.setEmulatedMedia", media="")


@needs_browser
def test_airflows_page_may_show_it_and_a_strangers_may_not(page: Page, shown: Shown) -> None:
    visit(page, f"{shown.airflow}/")
    assert framed(page) == f"{shown.service.url}/dashboard/"
    page.shot(SHOTS / "dashboard-6-inside-another-page.png")
    visit(page, f"{shown.stranger}/")
    assert framed(page) != f"{shown.service.url}/dashboard/"
    assert any("frame-ancestors" in words for words in page.complaints)


def framed(page: Page) -> str:
    """Returns the address of what a page shows inside itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        (inside,) = page.tell("Page.getFrameTree")["frameTree"]["childFrames"]
        if inside["frame"]["url"] not in ("", "about:blank"):
            return str(inside["frame"]["url"])
        time.sleep(0.1)
    return ""


# --- without one -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("state.json", "application/json"),
        ("metrics.prom", "text/plain; version=0.0.4; charset=utf-8"),
        ("maps/drifting.tif", "image/tiff"),
        ("maps/drifting.gpkg", "application/geopackage+sqlite3"),
        ("maps/drifting.png", "image/png"),
    ],
)
def test_each_file_has_its_type(shown: Shown, path: str, kind: str) -> None:
    answer = shown.service.get(f"/dashboard/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_raster_can_be_read_in_parts(shown: Shown) -> None:
    url = f"{shown.service.url}/dashboard/maps/drifting.tif"
    size = (shown.service.places.dashboard / "maps" / "drifting.tif").stat().st_size
    part = httpx.get(url, headers={"Range": "bytes=0-3"}, trust_env=False)
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"II*\0", "image/tiff")
    assert part.headers["content-range"] == f"bytes 0-3/{size}"
    beyond = httpx.get(url, headers={"Range": f"bytes={size + 5}-"}, trust_env=False)
    assert beyond.status_code == 416
    head = httpx.head(url, trust_env=False)
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(size), "bytes")


@pytest.mark.parametrize(
    "path", ["../nouns", "..%2fnouns/", "drifts/../../nouns", "drifts/", "streams/none.html", "maps/"]
)
def test_what_is_no_page_is_not_found(shown: Shown, path: str) -> None:
    assert httpx.get(f"{shown.service.url}/dashboard/{path}", trust_env=False).status_code == 404


def test_only_the_dashboard_may_be_shown_inside_another_page(shown: Shown) -> None:
    def ancestors(path: str) -> str:
        return shown.service.get(path).headers["content-security-policy"].rpartition("frame-ancestors ")[2]

    port = shown.airflow.rpartition(":")[2]
    assert ancestors("/dashboard/") == f"'self' http://127.0.0.1:{port} http://localhost:{port}"
    assert {ancestors(path) for path in ("/", "/model", "/dashboards", "/openapi.json")} == {"'none'"}


@pytest.mark.parametrize(
    ("address", "origins"),
    [
        ("http://127.0.0.1:8080/", ("http://127.0.0.1:8080", "http://localhost:8080")),
        ("https://Air.Example.org/home?x=1#y", ("https://air.example.org",)),
        ("http://[::1]:80/", ("http://[::1]:80",)),
        ("http://user:word@a.org:81", ("http://a.org:81",)),
        ("", ()),
        ("*", ()),
        ("http://*", ()),
        ("javascript:alert(1)", ()),
        ("http://a.org; script-src *", ()),
        ("http://a.org:99999", ()),
        ("http://a b", ()),
        ("http://ä.org", ()),
        ("file:///etc", ()),
    ],
)
def test_who_may_show_it_is_an_address_or_nobody(address: str, origins: tuple[str, ...]) -> None:
    assert origins_of(address) == origins
    assert page_policy(address).decode().count(";") == 3


def test_the_watchs_numbers_are_among_those_of_the_service(shown: Shown) -> None:
    text = shown.service.get("/metrics").text
    found = {f.name: f for f in text_string_to_metric_families(text)}
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE geoml")]
    assert len(names) == len(set(names))
    assert {"geoml_watch_state", "geoml_watch_path", "geoml_watch_written_timestamp_seconds", "geoml_ready"} <= set(
        found
    )
    assert HOSTILE in {sample.labels["stream"] for sample in found["geoml_watch_scenes"].samples}


def test_a_damaged_file_does_not_spoil_the_numbers_of_the_service(tmp_path: Path) -> None:
    assert watch_text(tmp_path) == ""
    good = '# TYPE geoml_watch_scenes gauge\ngeoml_watch_scenes{stream="a\\"b"} 3.0\n'
    (tmp_path / "metrics.prom").write_bytes(b"\xff\0 bad\n<html>\nother_metric 1\n" + good.encode() + b"geoml_watch_sc")
    found = {f.name: f.samples for f in text_string_to_metric_families(watch_text(tmp_path))}
    assert set(found) == {"geoml_watch_scenes", "geoml_watch_written_timestamp_seconds"}
    assert found["geoml_watch_scenes"][0].labels == {"stream": 'a"b'}

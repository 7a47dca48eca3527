"""A jailed thread does its work and reaches nothing else; the threads beside it stay free."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geoml_ops.adapters import raster
from geoml_ops.core.grid import Grid
from geoml_ops.platform import jail
from geoml_ops.platform.files import whole_file, whole_folder
from geoml_ops.platform.locks import only_one

needs_landlock = pytest.mark.skipif(not jail.available(), reason="this kernel has no Landlock")
pytestmark = needs_landlock
GRID = Grid(crs="EPSG:32633", left=400_000.0, top=5_800_020.0, pixel_m=10.0, width=60, height=48)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[jail.JailedPool]:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with jail.JailedPool(2, read=[tmp_path / "in"], write=[tmp_path / "out", tmp_path / "more"]) as threads:
        assert threads.confined
        yield threads


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError as error:
        return type(error)


def test_nothing_beyond_the_folders_is_read_written_or_started(pool: jail.JailedPool, tmp_path: Path) -> None:
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "link.txt").symlink_to(tmp_path / "secret.txt")
    attempts: list[Callable[[], Any]] = [
        (tmp_path / "in" / "a.txt").read_text,
        (tmp_path / "secret.txt").read_text,
        (tmp_path / "in" / "link.txt").read_text,
        lambda: list(tmp_path.iterdir()),
        lambda: (tmp_path / "in" / "b.txt").write_text("b"),
        (tmp_path / "in" / "a.txt").unlink,
        lambda: (tmp_path / "c.txt").write_text("c"),
        lambda: Path("/etc/passwd").read_text(),
        lambda: Path("/proc/self/environ").read_bytes(),
        lambda: os.rename(tmp_path / "secret.txt", tmp_path / "out" / "mine.txt"),
        lambda: os.link(tmp_path / "secret.txt", tmp_path / "out" / "mine.txt"),
        lambda: os.symlink("/etc", tmp_path / "out" / "etc"),
        lambda: subprocess.run(["/bin/true"], check=False),
    ]
    found = [pool.submit(outcome, work).result() for work in attempts]
    assert found[0] == "a"
    assert all(isinstance(kind, type) and issubclass(kind, OSError) for kind in found[1:]), found
    assert (tmp_path / "secret.txt").read_text() == "secret"


@pytest.mark.skipif(not jail.closes_connections(), reason="this kernel's Landlock knows no connections")
def test_no_connection_is_made_and_none_is_taken(pool: jail.JailedPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = server.getsockname()
        assert pool.submit(outcome, lambda: socket.create_connection(address, 2)).result() is PermissionError
        assert pool.submit(outcome, lambda: socket.create_server(("127.0.0.1", 0))).result() is PermissionError
        with pytest.raises(TimeoutError):
            server.accept()
        socket.create_connection(address, 2).close()


def test_files_appear_whole_locks_hold_and_folders_are_renamed(pool: jail.JailedPool, tmp_path: Path) -> None:
    out, more = tmp_path / "out", tmp_path / "more"

    def work() -> str:
        with only_one(out / ".lock"), whole_file(out / "deep" / "a.bin") as part:
            part.write_bytes(b"a" * 100_000)
        with whole_folder(out / "folder") as folder:
            (folder / "b.txt").write_text("b")
        os.rename(out / "folder" / "b.txt", more / "b.txt")
        with (out / "a.txt").open("a+b") as stream:
            stream.write(b"line\n")
            os.fsync(stream.fileno())
            stream.truncate(2)
        return (more / "b.txt").read_text()

    assert pool.submit(work).result() == "b"
    assert (out / "deep" / "a.bin").stat().st_size == 100_000
    assert (out / "a.txt").read_bytes() == b"li"


def test_rasters_are_read_warped_and_written(pool: jail.JailedPool, tmp_path: Path) -> None:
    dn = np.arange(GRID.height * GRID.width, dtype=np.uint16).reshape(GRID.shape)
    raster.write_band(tmp_path / "in" / "a.tif", dn, GRID)

    def work() -> tuple[Any, Any]:
        on_grid = raster.warped(tmp_path / "in" / "a.tif", GRID, smooth=False)
        raster.write_band(tmp_path / "out" / "b.tif", dn, GRID)
        return on_grid, raster.read(tmp_path / "out" / "b.tif")[0]

    for found in pool.submit(work).result():
        np.testing.assert_array_equal(found, dn)


def test_gdal_itself_is_stopped(pool: jail.JailedPool, tmp_path: Path) -> None:
    # The adapter would not let this file through; the jail does not know what a raster is.
    (tmp_path / "secret.raw").write_bytes(b"\7" * 100)
    band = "<VRTRasterBand dataType='Byte' band='1' subClass='VRTRawRasterBand'>"
    source = f"<SourceFilename relativeToVRT='0'>{tmp_path / 'secret.raw'}</SourceFilename>"
    (tmp_path / "in" / "x.vrt").write_text(
        f"<VRTDataset rasterXSize='10' rasterYSize='10'>{band}{source}</VRTRasterBand></VRTDataset>"
    )

    def work() -> Any:
        with rasterio.open(tmp_path / "in" / "x.vrt") as dataset:
            return dataset.read(1)

    assert (work() == 7).all()
    with pytest.raises(rasterio.errors.RasterioIOError):
        pool.submit(work).result()


def test_what_a_jailed_thread_starts_is_jailed_and_what_is_beside_it_free(
    pool: jail.JailedPool, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"

    def work() -> Any:
        with ThreadPoolExecutor(1) as inner:
            return inner.submit(outcome, secret.read_text).result()

    assert pool.submit(work).result() is PermissionError
    assert secret.read_text() == "secret"
    free: list[str] = []
    beside = threading.Thread(target=lambda: free.append(secret.read_text()))
    beside.start()
    beside.join()
    assert free == ["secret"]


def test_a_folder_to_read_that_comes_later_is_seen(tmp_path: Path) -> None:
    with jail.JailedPool(1, read=[tmp_path / "later"], write=[]) as threads:
        threads.submit(int).result()
        (tmp_path / "later" / "a.txt").write_text("a")
        assert threads.submit((tmp_path / "later" / "a.txt").read_text).result() == "a"


def test_where_there_is_no_landlock_the_pool_works_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jail, "available", lambda: 0)
    with jail.JailedPool(1, read=[], write=[tmp_path / "out"]) as threads:
        assert not threads.confined
        assert threads.submit(lambda: 1).result() == 1
    with pytest.raises(jail.NoJail, match="no Landlock"):
        jail.jailed(read=[], write=[])


def test_a_whole_process_can_be_jailed_at_its_start(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    code = (
        "import sys; from pathlib import Path; from geoml_ops.platform import jail\n"
        "jail.jailed(read=jail.installed(), write=[Path(sys.argv[1]) / 'out'])\n"
        "import rasterio, json, decimal\n"
        "try: print((Path(sys.argv[1]) / 'secret.txt').read_text())\n"
        "except PermissionError: print('closed')\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "closed"


def test_a_caller_that_is_cancelled_waits_for_the_work(pool: jail.JailedPool, tmp_path: Path) -> None:
    began, done = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        time.sleep(0.2)
        done.set()

    async def ask() -> None:
        task = asyncio.create_task(pool.run(work))
        while not began.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.is_set()
        assert await pool.run(lambda: 7) == 7

    asyncio.run(ask())

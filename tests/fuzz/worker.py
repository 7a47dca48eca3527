"""One process that reads mutants as the service would: gate, description, a window, and a whole map.

``python -m tests.fuzz.worker JOB.json`` says one line before and one after each mutant; whoever started it holds the
watch. Only :mod:`geoml_ops.core.errors` may come out of a mutant.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geoml_ops.adapters import raster
from geoml_ops.adapters.predictions import PredictionLog
from geoml_ops.adapters.registry import Release, open_bundle
from geoml_ops.core.errors import BadInput, GeomlError
from geoml_ops.core.grid import Window
from geoml_ops.platform import jail
from geoml_ops.settings import Settings
from geoml_ops.steps import classify as step
from tests.answering import write_bundle
from tests.fuzz.mutants import mutant

LIMITS = raster.Limits(file_bytes=8 << 20, side_px=4_000, pixels=1_000_000, bands=16, decoded_bytes=256 << 20)
DELIVERED = replace(LIMITS, jpeg=True)


def main() -> None:
    """Reads the mutants of a job, one after the other."""
    job = json.loads(Path(sys.argv[1]).read_text())
    home = Path(job["home"])
    seeds = [Path(path).read_bytes() for path in job["seeds"]]
    words = [text.encode() for text in job["words"]]
    places = Settings(workspace=home / "workspace").places()
    model = _model(places)
    upload = home / "upload" / "upload.tif"
    upload.parent.mkdir(parents=True, exist_ok=True)
    _look(upload, Path(job["seeds"][1]).read_bytes(), places, model)  # everything is imported and loaded from here on
    used = _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (used + job["memory_mb"] * 2**20,) * 2)
    if job["jailed"]:
        journals = places.workspace / "service" / "journals"
        kept = [upload.parent, places.predictions, places.nouns, journals]
        jail.jailed(read=[*jail.installed(), places.bundles], write=kept)
    for number in range(job["first"], job["last"], job["step"]):
        print(json.dumps({"number": number}), flush=True)
        began = time.process_time()
        outcome = _look(upload, mutant(seeds, number, words), places, model)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        cpu = round(time.process_time() - began, 4)
        print(json.dumps({"number": number, "cpu_s": cpu, "peak_mb": peak, **outcome}), flush=True)


def _look(upload: Path, content: bytes, places: Any, model: Any) -> dict[str, Any]:
    upload.write_bytes(content)
    stages: dict[str, Callable[[], Any]] = {
        "describe": lambda: raster.describe(upload, LIMITS),
        "window": lambda: raster.read(upload, Window(col=3, row=5, width=9, height=7), limits=LIMITS),
        "extent": lambda: raster.extent(upload, LIMITS),
        "delivered": lambda: (raster.describe(upload, DELIVERED), raster.read(upload, limits=DELIVERED)),
        "codes": lambda: raster.describe_codes(upload),
        "map": lambda: step.classify(places, upload, model, limits=LIMITS),
    }
    said = {name: _said(stage) for name, stage in stages.items()}
    if said["map"] == "fine":
        _sweep(places)
    return {"said": said}


def _said(stage: Callable[[], Any]) -> str:
    try:
        stage()
    except BadInput as error:
        return "raw cause" if _leads_out(str(error)) else type(error).__name__
    except GeomlError as error:
        return f"!{type(error).__name__}: {error}"
    except BaseException as error:  # noqa: BLE001  whatever it is, it is a defect that is reported
        return f"!{type(error).__name__}: {str(error)[:300]} {traceback.format_exc()[-600:]}"
    return "fine"


def _leads_out(sentence: str) -> bool:
    return len(sentence) > 1_000


def _sweep(places: Any) -> None:
    """Removes what was answered: a log of thousands of lines would be read for each of them."""
    log = PredictionLog(places.predictions)
    for line in list(log.lines()):
        shutil.rmtree(log.home(line.id), ignore_errors=True)
    for folder in (places.predictions / "log", places.nouns / "prediction"):
        shutil.rmtree(folder, ignore_errors=True)


def _model(places: Any) -> Any:
    bundle = write_bundle(places.workspace / "made", 0.01)
    shutil.copytree(places.workspace / "made", places.bundles / bundle.file.sha256, dirs_exist_ok=True)
    release = Release("landcover", 1, bundle.id, bundle.file.sha256)
    return step.load(open_bundle(places.bundles, bundle.file.sha256, bundle.id), release)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

"""Our engine beside geoai's tiled inference, which lives in an environment of its own: torch and torchvision are large.

``GEOML_GEOAI_PYTHON`` names the interpreter of that environment; without it there is no figure. geoai 0.40.1 reads in
windows and holds the sums of all classes of the whole raster; here a 1 x 1 convolution of ten bands to five classes,
tiles of 512 pixels without overlap. Raster Vision 0.31.1 installs, but does not load beside torch 2.13.0 with
torchvision 0.28.0.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.engine import _raster, _side
from tests.benchmarks.pairs import Figure

INTERPRETER = "GEOML_GEOAI_PYTHON"
PIXELS, ROUNDS = 16e6, 3
_THEIRS = """
import sys, time, numpy as np, torch
torch.set_num_threads(2)
from geoai.inference import predict_geotiff
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(10, 5, 1), torch.nn.Softmax(dim=1))
began = time.perf_counter()
predict_geotiff(
    model, sys.argv[1], sys.argv[2], tile_size=512, overlap=0, batch_size=4, num_classes=5, blend_mode="none",
    device="cpu", preprocess_fn=lambda a: a * np.float32(1e-4),
    postprocess_fn=lambda a: a.argmax(axis=0).astype(np.uint8), output_dtype="uint8", output_nodata=255,
    compress="deflate", verbose=False,
)
print(time.perf_counter() - began)
"""
_OURS = """
import sys, tempfile, time
from pathlib import Path
from geoml_ops.settings import be_quiet
be_quiet()
from tests.benchmarks import engine
model = engine.reference("light").model()
with tempfile.TemporaryDirectory() as folder:
    request = engine._requests(Path(folder), Path(sys.argv[1]), model)
    began = time.perf_counter()
    request()
    print(time.perf_counter() - began)
"""


def beside_geoai(name: str) -> Figure:
    """Times both in processes of their own, in turns; loading is not counted."""
    side = _side(PIXELS)
    source, seconds = _raster(side, "tiled", "deflate"), []
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        goal = str(Path(folder) / "theirs.tif")
        for _ in range(ROUNDS):
            own = _timed([sys.executable, "-c", _OURS, str(source)], OMP_NUM_THREADS="1", PYTHONPATH=root)
            theirs = [os.environ[INTERPRETER], "-c", _THEIRS, str(source), goal]
            seconds.append((own, _timed(theirs, OMP_NUM_THREADS="2")))
    low, middle, high = statistics.quantiles([theirs / own for own, theirs in seconds], n=4, method="inclusive")
    size = side * side
    return Figure(
        name=name,
        compared="steps.classify of `light` from a GeoTIFF of 10 bands to map, sketches and picture on disk, against "
        "geoai's predict_geotiff of a 1x1 convolution with tiles of 512 px, no overlap; 2 threads each",
        ours=round(size / statistics.median(own for own, _ in seconds)),
        against=round(size / statistics.median(theirs for _, theirs in seconds)),
        ratio=round(middle, 3),
        ratio_low=round(low, 3),
        ratio_high=round(high, 3),
        unit="pixels/s",
        size=size,
        rounds=ROUNDS,
    )


def _timed(command: list[str], **environment: str) -> float:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-800:])
    return float(json.loads(done.stdout.splitlines()[-1]))


FIGURES: Mapping[str, Callable[[str], Figure]] = {"engine_geoai": beside_geoai} if os.environ.get(INTERPRETER) else {}

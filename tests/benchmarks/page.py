"""``python -m tests.benchmarks.page``: the figures under ``workspace/bench/`` as ``docs/speed.md``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geoml_ops.platform.files import read_json, write_text
from geoml_ops.settings import CHECKOUT, Settings

PARTS: Mapping[str, tuple[str, ...]] = {
    "Heads of trees, against the library that fitted them": ("head_",),
    "Other heads, against the fitted object": ("family_",),
    "Features, against the same in numpy": ("feature_", "focal"),
    "Texture, against one co-occurrence matrix per pixel": ("texture_",),
    "Covariates, against the plain way": (
        "terrain", "wetness", "harmonics", "season", "distance_", "objects", "lag",
    ),
    "Whole bundles and maps": ("bundle_", "classify", "map_files"),
    "Rasters of any size through the engine": ("engine_",),
    "Chips over HTTP, against the bare call": ("http_",),
    "Judging": ("leave_one_out", "blocks", "knndm", "audit", "applicability"),
    "Watching: sketches, comparisons, hot-spots, the trail": (
        "sketch", "log_", "compare_", "hotspots", "trail_",
    ),
}  # fmt: skip
HEAD = """# How fast it is

Written by `make speed` from the figures of `make bench`; not edited by hand. Every figure times two things in turns in
one run, with as many threads each, so that whatever else the machine does meets both. The ratio is the median of the
rounds, its quartiles beside it; above 1 ours is faster (of memory, below 1 ours needs less).
Speeds are those of one small machine with two cores: only ratios travel.
"""


def page(figures: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page of these figures; each belongs to one part, the first whose beginning its name has."""
    left, parts = {f["name"]: f for f in figures}, [HEAD]
    for title, beginnings in PARTS.items():
        mine = [left.pop(name) for name in sorted(left) if name.startswith(beginnings)]
        if mine:
            parts += [
                f"\n## {title}\n",
                "| figure | what | ours | against | ratio | quartiles |",
                "|---|---|---|---|---|---|",
            ]
            parts += [_row(figure) for figure in mine]
    if left:
        raise ValueError(f"no part of the page holds {', '.join(left)}")
    return "\n".join(parts) + "\n"


def _row(f: Mapping[str, Any]) -> str:
    speeds = " | ".join(f"{_short(f[name])} {f['unit']}" for name in ("ours", "against"))
    spread = f"{f['ratio_low']:.2f} to {f['ratio_high']:.2f}"
    return f"| `{f['name']}` | {f['compared']} | {speeds} | **{f['ratio']:.2f}** | {spread} |"


def _short(speed: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if speed >= size:
            return f"{speed / size:.3g} {letter}"
    return f"{speed:.3g} "


def main() -> int:
    """Writes the page of every figure that was timed; returns the exit code."""
    folder = Settings().workspace.resolve() / "bench"
    files = sorted(Path(folder).glob("*.json"))
    if not files:
        print(f"No figure was timed yet in {folder}; run make bench first.", file=sys.stderr)
        return 1
    write_text(CHECKOUT / "docs" / "speed.md", page([read_json(file) for file in files]))
    print(f"{len(files)} figures written to docs/speed.md", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.benchmarks [NAME …]``: times figures and writes ``workspace/bench/<name>.json``."""

from __future__ import annotations

import sys
from dataclasses import asdict

from geoml_ops.settings import Settings, be_quiet

# One thread per numeric library; they read it when they are loaded.
be_quiet()

from geoml_ops.platform.files import write_json  # noqa: E402
from tests.benchmarks import (  # noqa: E402
    beside,
    covariates,
    engine,
    families,
    features,
    heads,
    http,
    judging,
    mapfiles,
    places,
    shifts,
    sketching,
    texture,
    trails,
)
from tests.benchmarks import figures as maps  # noqa: E402
from tests.benchmarks.pairs import Figure  # noqa: E402

FIGURES = {
    name: figure
    for part in (
        maps,
        judging,
        features,
        texture,
        covariates,
        places,
        heads,
        families,
        mapfiles,
        sketching,
        shifts,
        trails,
        engine,
        beside,
        http,
    )
    for name, figure in part.FIGURES.items()
}


def main(names: list[str]) -> int:
    """Times the named figures, all when none is named; returns the exit code."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"There is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}.", file=sys.stderr)
        return 2
    folder = Settings().workspace.resolve() / "bench"
    figures = []
    for name in names or FIGURES:
        print(f"{name} …", file=sys.stderr, flush=True)
        figure = FIGURES[name](name)
        write_json(folder / f"{name}.json", asdict(figure))
        figures.append(figure)
    _show(figures)
    print(f"written to {folder}", file=sys.stderr)
    return 0


def _show(figures: list[Figure]) -> None:
    print(f"{'figure':20} {'ours':>12} {'against':>12} {'ratio':>7} {'quartiles':>15} {'rounds':>7}  unit")
    for f in figures:
        spread = f"{f.ratio_low:.2f} to {f.ratio_high:.2f}"
        print(f"{f.name:20} {f.ours:12,.0f} {f.against:12,.0f} {f.ratio:7.2f} {spread:>15} {f.rounds:7}  {f.unit}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

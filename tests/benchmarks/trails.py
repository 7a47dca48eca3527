"""Hot-spots of many tiles against one permutation at a time, and a trail verified against reading its JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from geoml_ops.adapters.trail import Trail
from geoml_ops.core.trail import TrailRecord
from geoml_ops.domain.hotspots import Lattice, local_moran
from tests.benchmarks.pairs import Figure, in_turns

EDGE_TILES, PERMUTATIONS = 50, 999
N_RECORDS = 5000


def hotspots(name: str) -> Figure:
    """Local Moran of a lattice with conditional permutations, against numpy drawing tile by tile."""
    rows, cols = np.divmod(np.arange(EDGE_TILES**2), EDGE_TILES)
    lattice = Lattice.of(640.0 * cols, -640.0 * rows, 640.0)
    values = np.random.default_rng(7).normal(size=rows.size)
    near = lattice.neighbours("queen", np.ones(rows.size, dtype=np.bool_))
    z = (values - values.mean()) / values.std()

    def by_tile() -> list[int]:
        rng, found = np.random.default_rng(7), []
        for tile, around in enumerate(near):
            k = int((around >= 0).sum())
            drawn = rng.integers(0, len(z) - 1, (PERMUTATIONS, k))
            sums = z[drawn + (drawn >= tile)].sum(axis=1)
            found.append(int((sums >= z[around[:k]].sum()).sum()))
        return found

    return in_turns(
        name,
        f"local Moran's I of {rows.size} tiles with {PERMUTATIONS} draws each, without replacement, against numpy "
        "drawing with replacement tile by tile",
        lambda: local_moran(lattice, values, permutations=PERMUTATIONS, finest=PERMUTATIONS),
        by_tile,
        size=rows.size,
        unit="tiles/s",
    )


def trail(name: str) -> Figure:
    """Every digest and link of a trail, against parsing its lines."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Trail(Path(folder) / "trail")
        at = datetime(2026, 3, 1, tzinfo=UTC)
        statistics = {f"shift:B{band:02d}": band / 7 for band in range(12)}
        kept.extend(
            [
                TrailRecord(
                    at=at, statistics=statistics, policy="p", action="none", fired=False, because=str(n), engine="1"
                )
                for n in range(N_RECORDS)
            ]
        )
        if kept.verify().n_records != N_RECORDS or not kept.verify().is_whole:
            raise SystemExit(f"{name}: the trail is not whole")
        (segment,) = kept.folder.glob("*.jsonl")
        return in_turns(
            name,
            f"a trail of {N_RECORDS} records verified, against parsing its lines as JSON",
            kept.verify,
            lambda: [json.loads(line) for line in segment.read_bytes().splitlines()],
            size=N_RECORDS,
            unit="records/s",
        )


FIGURES: Mapping[str, Callable[[str], Figure]] = {"hotspots": hotspots, "trail_verify": trail}

"""A thousand tiles compared with a reference, from their sketches, against scipy on their pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoml_ops.adapters import evidently
from geoml_ops.core.bands import SENTINEL_2_L1C
from geoml_ops.domain.shift import Moves, frozen_cuts, jensen_shannon, joined, moves
from geoml_ops.domain.sketch import Sketch, bins_of, sketch
from tests.benchmarks.pairs import Figure, in_turns

N_TILES, N_BANDS, TILE_PX = 1000, 12, 32
#: Tiles whose distances are looked at before anything is timed.
LOOKED_AT = 20

Compared = tuple[Moves, NDArray[np.float64]]


def _ground(n_tiles: int) -> tuple[list[Sketch], list[list[Sketch]], NDArray[np.uint16]]:
    """Returns a reference, sketches of tiles, and pixels ``(tile, band, pixel)`` of the reference and the tiles."""
    rng = np.random.default_rng(7)
    bins = bins_of(SENTINEL_2_L1C)[:N_BANDS]
    middle = rng.normal(1500, 400, (n_tiles + 1, N_BANDS, 1))
    dn = np.rint(rng.normal(middle, 300, (n_tiles + 1, N_BANDS, TILE_PX**2)).clip(1, 20_000)).astype(np.uint16)
    sketches = [[sketch(layer, own) for layer, own in zip(tile, bins, strict=True)] for tile in dn]
    return sketches[0], sketches[1:], dn


def compare(reference: list[Sketch], tiles: list[list[Sketch]]) -> Compared:
    """Returns distances of all tiles and bands, and Jensen-Shannon distances ``(tile, band)`` in frozen bins."""
    apart = np.empty((len(tiles), len(reference)))
    for band, known in enumerate(reference):
        cuts = frozen_cuts(known.counts)
        counts = np.array([tile[band].counts for tile in tiles])
        apart[:, band] = jensen_shannon(joined(known.counts, cuts), joined(counts, cuts))
    return moves(reference, tiles), apart


def plain(dn: NDArray[np.uint16], n_tiles: int) -> NDArray[np.float64]:
    """Returns scipy's distances of the first tiles, pixel by pixel, in standard deviations of the reference."""
    spread = dn[0].std(axis=1)
    far = [
        [stats.wasserstein_distance(*pair) for pair in zip(dn[0], tile, strict=True)] for tile in dn[1 : n_tiles + 1]
    ]
    return np.array(far) / spread


def check(n_tiles: int) -> tuple[list[Sketch], list[list[Sketch]], NDArray[np.uint16]]:
    """Returns the ground once sketches and pixels were found to tell the same distances."""
    reference, tiles, dn = _ground(n_tiles)
    (found, apart), exact = compare(reference, tiles), plain(dn, min(n_tiles, LOOKED_AT))
    far = float(np.abs(found.distance[: len(exact)] - exact).max())
    # A bin here is some 5 % of the reference's spread wide.
    if far > 0.1 or not ((apart >= 0) & (apart <= 1)).all():
        raise SystemExit(f"sketches and pixels differ by {far:.2g} standard deviations; their speeds say nothing")
    return reference, tiles, dn


def comparing(name: str) -> Figure:
    """Wasserstein and Jensen-Shannon distances of 1,000 tiles of 12 bands from sketches, against scipy on pixels."""
    reference, tiles, dn = check(N_TILES)
    return in_turns(
        name,
        f"W1 and Jensen-Shannon of {N_TILES} tiles x {N_BANDS} bands from their sketches, of whatever size, against "
        f"scipy's W1 alone on their {TILE_PX} x {TILE_PX} px; {N_TILES * N_BANDS} a second is one second for all",
        lambda: compare(reference, tiles),
        lambda: plain(dn, N_TILES),
        size=N_TILES * N_BANDS,
        unit="band-tiles/s",
    )


def beside_evidently(name: str) -> Figure:
    """The same comparison against Evidently's preset, which is given one mean per tile and band and no pixel."""
    reference, tiles, dn = check(N_TILES)
    half = N_TILES // 2
    means = dn[1:].mean(axis=2)
    before, now = (
        {f"B{band:02d}": part[:, band].astype(np.float64) for band in range(N_BANDS)}
        for part in (means[:half], means[half:])
    )
    return in_turns(
        name,
        f"W1 and Jensen-Shannon of {N_TILES} tiles x {N_BANDS} bands from their sketches, against Evidently's "
        f"DataDriftPreset with its defaults on the means of {half} against {half} of those tiles",
        lambda: compare(reference, tiles),
        lambda: evidently.naive(before, now, list(before)),
        size=N_TILES * N_BANDS,
        unit="band-tiles/s",
    )


FIGURES: Mapping[str, Callable[[str], Figure]] = {
    "compare_tiles": comparing,
    "compare_evidently": beside_evidently,
}

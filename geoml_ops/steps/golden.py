"""Golden tiles of a bundle: made when it is exported, asked before it serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters.ort import Graph
from geoml_ops.core.errors import Refused
from geoml_ops.core.flow import Bundle
from geoml_ops.domain.swap import Golden, Outcome, ask, decode, encode, golden, inputs, require, size_for
from geoml_ops.domain.tiling import NODATA_CLASS, Run

N_GROUNDS, N_TILES = 3, 6
MOST_LOOKED_AT = 24
CPU = "CPUExecutionProvider"


def golden_tiles(found: Sequence[NDArray[np.float32]], graph: Graph, halo_px: int) -> bytes:
    """Returns the golden tiles of a bundle as one file, below a megabyte whatever its bands, classes and halo.

    They are real ground that a model learned from, on which together it answers as many classes as it can, and that
    ground with what scenes are full of; see :func:`geoml_ops.domain.swap.inputs`.

    Args:
        found: DN ``(band, y, x)`` of ground with samples, with the halo, NaN where not observed.
        graph: the bundle's.
        halo_px: what it needs around a pixel.

    Raises:
        Refused: what the graph answers hangs on the last digits of its input everywhere.
    """
    core, step = size_for(graph.n_bands, graph.n_out, halo_px, N_TILES)
    edge = -(-(core + 2 * halo_px) // step)
    chosen = _varied(list(_candidates(found, edge)), graph.run, core, halo_px, step)
    made = golden(graph.run, inputs(chosen), core_px=core, halo_px=halo_px, step=step)
    require(ask(made, graph.run), "The graph")
    return encode(made)


def asked(bundle: Bundle, content: bytes, run: Run, provider: str) -> Outcome:
    """Returns what this machine makes of a bundle's golden tiles.

    On a processor probabilities may differ by 0.0001 from those of the machine that exported the bundle. On a GPU,
    which ``device: auto`` uses where there is one, by 0.005: its floating point has fewer digits and another order of
    sums; a class may then differ only where the two likeliest are as close as that.

    Args:
        bundle: they belong to.
        content: their file, whose digest was checked.
        run: the loaded graph.
        provider: where it runs, as onnxruntime names it.

    Raises:
        Refused: they differ beyond that, or are not what this platform writes; the sentence has the numbers.
    """
    tiles = decode(content)
    _require_of(bundle, tiles)
    outcome = ask(tiles, run, elsewhere=provider != CPU)
    require(outcome, bundle.id)
    return outcome


def _require_of(bundle: Bundle, tiles: Golden) -> None:
    said = (len(tiles.tiles[0].dn), tiles.halo_px)
    if said != (len(bundle.bands), bundle.halo_px) or len({tile.dn.shape for tile in tiles.tiles}) > 1:
        raise Refused(
            f"The golden tiles of {bundle.id} have {said[0]} bands and a halo of {said[1]} px, "
            f"the bundle {len(bundle.bands)} and {bundle.halo_px} px.",
            "publish the model again",
        )


def _candidates(found: Sequence[NDArray[np.float32]], edge: int) -> Iterator[NDArray[np.float32]]:
    """Yields the middle of tiles spread over all that were found, ``(band, edge, edge)``; NaN beyond small ones."""
    for position in np.unique(np.linspace(0, len(found) - 1, MOST_LOOKED_AT).round().astype(int)):
        around = found[position]
        height, width = min(edge, around.shape[1]), min(edge, around.shape[2])
        row, col = (around.shape[1] - height) // 2, (around.shape[2] - width) // 2
        part = np.full((len(around), edge, edge), np.nan, dtype=np.float32)
        part[:, :height, :width] = around[:, row : row + height, col : col + width]
        yield part


def _varied(
    grounds: Sequence[NDArray[np.float32]], run: Run, core_px: int, halo_px: int, step: int
) -> list[NDArray[np.float32]]:
    """Returns grounds that together show many classes, then many pixels with an answer; the first ones of equals."""
    shown = []
    for ground in grounds:
        blank = golden(run, {"": ground}, core_px=core_px, halo_px=halo_px, step=step).tiles[0]
        codes = np.where(blank.valid, blank.probability.argmax(axis=0), NODATA_CLASS)
        shown.append((set(np.unique(codes[blank.valid]).tolist()), float(blank.valid.mean())))
    chosen: list[int] = []
    seen: set[int] = set()
    for _ in range(min(N_GROUNDS, len(grounds))):
        rest = [i for i in range(len(grounds)) if i not in chosen]
        best = max(rest, key=lambda i: (len(shown[i][0] - seen), shown[i][1], -i))
        chosen.append(best)
        seen |= shown[best][0]
    return [grounds[i] for i in chosen]

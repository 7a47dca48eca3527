"""What a model's answers are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from geoml_ops.terminal import places, say, show


def explain(
    evaluation: Annotated[str, typer.Argument(help="id of an evaluation whose model was chosen")],
    against: Annotated[str, typer.Option(help="id of the champion's evaluation: what did the challenger change")] = "",
    rows: Annotated[int, typer.Option(help="samples that are explained")] = 600,
    scene: Annotated[str, typer.Option(help="name of a scene to map values over; with --map alone the first")] = "",
    mapped: Annotated[bool, typer.Option("--map", help="map the values as a COG")] = False,
    at: Annotated[str, typer.Option(help="COL,ROW,WIDTH,HEIGHT of the part of the scene to map, in pixels")] = "",
) -> None:
    """Say what answers are made of: SHAP values per class and feature, as pictures, GeoPackage and COG."""
    from geoml_ops.core.errors import BadInput
    from geoml_ops.core.grid import Window
    from geoml_ops.steps import explaining as step

    here = places()
    window = None
    if at:
        try:
            col, row, width, height = (int(part) for part in at.split(","))
            window = Window(col=col, row=row, width=width, height=height)
        except ValueError:
            raise BadInput(f"{at[:60]!r} is no window.", "write --at 0,0,512,512") from None
    found = step.explain(here, evaluation, against=against, rows=rows, progress=_told("rows"))
    show(found)
    if mapped or scene or window:
        path = step.map_values(here, found.id, scene=scene, window=window, progress=_told("pixels"))
        say(f"values on the ground: {path}")
    say(f"pictures and points: {step.folder_of(here, found)}")


def _told(what: str) -> Callable[[int, int], None]:
    """Returns what says how far a long explanation is, ten times at most."""
    last = [0]

    def tell(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > last[0]:
            last[0] = tenth
            say(f"  explained {done} of {total} {what}")

    return tell

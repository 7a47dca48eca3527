"""Maps of rasters: by this machine's own engine, or by a service; and the keys that a service asks for."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from geoml_ops.core.errors import BadInput, StorageFull
from geoml_ops.settings import Settings
from geoml_ops.terminal import progress, say, settings, show

MAP_SUFFIXES = ("", ".tif", ".tiff", ".gtiff")


def classify(
    raster: Annotated[
        str, typer.Argument(help="a GeoTIFF with named bands; a file, or an https address", metavar="FILE|URL")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="where the map goes")] = Path("map.tif"),
    url: Annotated[
        str, typer.Option(help="address of a service that classifies; this machine itself if left out")
    ] = "",
    key: Annotated[str, typer.Option(envvar="GEOML_KEY", help="key for the service", show_default=False)] = "",
    layers: Annotated[str, typer.Option(help="bands of the map, e.g. class,confidence; all if left out")] = "",
    outlines: Annotated[Path | None, typer.Option(help="polygons as .gpkg or .fgb", dir_okay=False)] = None,
    mmu_ha: Annotated[float, typer.Option(min=0, help="minimum mapping unit of the polygons, in hectares")] = 0.0,
    item: Annotated[bool, typer.Option(help="write a STAC item beside the map")] = True,
) -> None:
    """Map a raster, however large; killed and asked again it goes on where it was."""
    machine = settings()
    wanted = tuple(part.strip() for part in layers.split(",") if part.strip())
    if url and outlines is not None:
        raise BadInput("A service sends maps, not polygons.", "leave --url out, or outline the map in a GIS")
    _can_be_written(raster, out, outlines, item=item and not url)
    with _at_hand(raster, machine) as source:
        if url:
            _ask(url, key, source, out, wanted)
        else:
            _map(machine, source, out, wanted, outlines, mmu_ha, item)
    say(f"next: geoml trace {out} --at EASTING,NORTHING")


def _map(
    machine: Settings,
    source: Path,
    out: Path,
    layers: tuple[str, ...],
    outlines: Path | None,
    mmu_ha: float,
    item: bool,
) -> None:
    from geoml_ops.steps import classify as step
    from geoml_ops.steps import outputs, records, scenes

    if outlines is not None:
        outputs.check_outlines(outlines, mmu_ha)
    here = machine.places()
    model = scenes.current_champion(here)
    say(f"{model.release.model} {model.release.number} ({model.bundle.id})")
    prediction = step.classify(
        here,
        source,
        model,
        name=source.stem,
        limits=step.BATCH_LIMITS,
        layers=layers,
        progress=progress("classifying"),
        memory_mb=machine.memory_mb,
        threads=machine.threads,
    )
    records.record(here, model.bundle, prediction)
    records.tidy(here, machine.keep_log_days)
    show(prediction)
    with _writing(out):
        say(f"map: {outputs.hand_over(here, prediction, out)}")
    if outlines is not None:
        made = outputs.outline(here, prediction, outlines, mmu_ha)
        left = (
            f"; {made.n_left_out} patches ({made.left_out_ha:g} ha) had no neighbour large enough"
            if made.n_left_out
            else ""
        )
        say(f"outlines: {made.path}, {made.n_polygons} polygons of {made.least_px} pixels and more{left}")
    if item:
        beside = [outlines] if outlines is not None else []
        with _writing(out):
            say(f"STAC item: {outputs.item(here, prediction, out, *beside)}")
    for name, share in sorted(prediction.class_shares.items(), key=lambda entry: -entry[1]):
        say(f"  {share:6.1%}  {name}")
    if prediction.outside_share:
        say(f"  {prediction.outside_share:6.1%}  of the answers lie outside what the model knows")


def _ask(url: str, key: str, source: Path, out: Path, layers: tuple[str, ...]) -> None:
    from geoml_ops.client import Client

    with Client(url, key or None) as service:
        if service.is_large(source):
            job = service.submit(source, layers=layers)
            say(f"job {job['id']}; it goes on if you leave")
            service.wait(job["id"], progress("classifying"))
            with _writing(out):
                answer = service.result(job["id"], out)
        else:
            with _writing(out):
                answer = service.classify(source, out, layers=layers)
    print(json.dumps(answer))


def _can_be_written(raster: str, out: Path, outlines: Path | None, *, item: bool) -> None:
    """Says before hours of work, not after them, that what comes out has no place to go to."""
    from geoml_ops.steps import outputs

    beside = [] if outlines is None else [outlines]
    goals = [out, *beside, *([out.with_suffix(".json")] if item and out.name else [])]
    if out.suffix.lower() not in MAP_SUFFIXES and not out.is_dir():
        raise BadInput(f"A map is a GeoTIFF, and {out.name[:60]} is called like something else.", "let it end in .tif")
    places = [goal.resolve() for goal in goals]
    if Path(raster).resolve() in places:
        raise BadInput("The map would take the place of the raster it is made of.", "name another file as --out")
    if len(set(places)) < len(places):
        raise BadInput(f"The map and what goes beside it would be one file, {out.name[:60]}.", "let --out end in .tif")
    for goal in places:
        if goal.is_dir():
            raise BadInput(f"{goal.name[:60]} is a folder.", f"e.g. --out {goal.name[:60]}/map.tif")
        above = next(folder for folder in goal.parents if folder.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise BadInput(f"Nothing can be written into {str(above)[:120]}.", "name a file in a folder of your own")
    if item and out.name and not outputs.is_item(out.with_suffix(".json")):
        raise BadInput(
            f"{out.with_suffix('.json').name[:60]} is there already and is no STAC item of a map; it would be lost.",
            "name another file as --out, or leave the item away (--no-item)",
        )


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turns what the system says of a file that cannot be written into a sentence; the map itself is kept."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"No space left for {out.name[:60]}.", "make room, and ask again: the map is kept"
            ) from None
        raise BadInput(f"{out.name[:60]} cannot be written.", "name a file in a folder of your own as --out") from None


@contextmanager
def _at_hand(raster: str, machine: Settings) -> Iterator[Path]:
    """Yields the raster as a file; one behind an address is fetched first, from allowed hosts only."""
    if "://" not in raster:
        path = Path(raster)
        if not path.is_file():
            raise BadInput(f"There is no file {raster[:120]}.")
        yield path
        return
    from geoml_ops.adapters import remote
    from geoml_ops.steps.classify import BATCH_LIMITS

    with tempfile.TemporaryDirectory(dir=_folder(machine)) as folder:
        path = Path(folder) / "fetched.tif"
        say("fetching the raster")
        size = remote.fetch(raster, path, machine.allowed_hosts.split(","), max_bytes=BATCH_LIMITS.file_bytes)
        say(f"fetched {size / 2**20:.1f} MiB")
        yield path


def _folder(machine: Settings) -> Path:
    folder = machine.workspace.resolve() / "service" / "fetched"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

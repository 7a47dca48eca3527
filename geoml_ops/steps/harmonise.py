"""A delivered scene on its way to one named-band grid; checked as it goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoml_ops.adapters import gx, raster, stac
from geoml_ops.core.bands import Band, Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.flow import Ancillary, BandSource, Check, Labels, Scene
from geoml_ops.core.grid import Grid
from geoml_ops.core.noun import FileRef
from geoml_ops.domain import checks as rules
from geoml_ops.domain.delivery import (
    MOST_XML_BYTES,
    Layer,
    Product,
    SceneDelivery,
    declare,
    is_product,
    read_product,
)
from geoml_ops.platform.files import sha256_of, write_json
from geoml_ops.steps.deliveries import Delivery
from geoml_ops.steps.layers import layers_in, refuse_other_band
from geoml_ops.steps.places import Places
from geoml_ops.steps.sensors import contract_of


@dataclass
class Judged:
    """What is known about a delivery so far; ``noun`` stays None where none could be made."""

    checks: list[Check] = field(default_factory=list)
    outcomes: list[gx.Outcome] = field(default_factory=list)
    noun: Scene | Labels | Ancillary | None = None

    def ask(self, title: str, rows: Sequence[rules.Row], columns: Sequence[str], of: Sequence[rules.Rule]) -> bool:
        """Adds what GX says; returns whether no blocking check failed so far."""
        outcome = gx.validate(title, rows, columns, of)
        self.outcomes.append(outcome)
        self.checks.extend(outcome.checks)
        return self.accepted

    @property
    def accepted(self) -> bool:
        """Whether anything was checked and no blocking check failed."""
        return bool(self.checks) and all(check.passed or not check.blocking for check in self.checks)


def read_scene(places: Places, delivery: Delivery, said: SceneDelivery, judged: Judged, scratch: Path) -> None:
    """Reads band files and writes ``scene.tif`` and its JSON to ``scratch``, as far as it gets.

    Args:
        places: where sensors of this deployment are described.
        delivery: the listed delivery.
        said: its declaration.
        judged: what was found is added here.
        scratch: an empty folder.

    Raises:
        BadInput: the sensor or the product metadata are unusable.
    """
    contract = contract_of(places, said.sensor)
    product = _product(delivery)
    layers = layers_in(delivery, said, contract)
    judged.checks.extend(layers.checks)
    headers, dn = _harmonise(delivery, layers.bands, contract)
    rows = [{"band": row["band"], "problem": row["problem"]} for row in headers]
    declaration, said_checks = declare(said, product, {row["band"]: row.get("declared") for row in headers}, contract)
    judged.checks.extend(said_checks)
    complete = judged.ask("Bands as delivered", rows, rules.DELIVERED, rules.delivered_rules(contract))
    if dn is None or declaration is None or not complete:
        return
    nodata = _nodata(headers, contract)
    radiometry = declaration.radiometry.model_copy(update={"nodata": nodata})
    own = {name: rule.model_copy(update={"nodata": nodata}) for name, rule in declaration.own.items()}
    numbers = rules.measure(dn, contract, radiometry, own)
    table = [
        {"band": row["band"], **{k: row[k] for k in rules.HEADER}, **measured}
        for row, measured in zip(headers, numbers, strict=True)
    ]
    judged.ask("Bands as measured", table, rules.MEASURED, rules.measured_rules(contract))
    each = {name: own.get(name, radiometry) for name in contract.names}
    judged.checks.append(rules.offset_check(numbers, contract, each, sworn=product is not None and not said.harmonised))
    judged.checks.append(rules.spectral_check(dn, contract, each))
    grid = next(row["grid"] for row in headers if row["pixel_m"] == contract.pixel_m)
    raster.write_scene(scratch / "scene.tif", dn, grid, contract, radiometry, {"GEOML_SENSOR": contract.sensor}, own)
    scene = Scene(
        name=delivery.name,
        sensor=contract.sensor,
        acquired=declaration.acquired,
        baseline=declaration.baseline,
        declared=radiometry,
        grid=grid,
        bands=tuple(
            BandSource(
                name=row["band"],
                file=delivery.files[layers.bands[row["band"]][0].file],
                gsd_m=row["pixel_m"],
                resampling="none" if row["pixel_m"] == contract.pixel_m else contract.band(row["band"]).resampling,
                declared=own.get(row["band"]),
            )
            for row in headers
        ),
        file=_file_ref(scratch / "scene.tif", f"data/scenes/{delivery.name}/scene.tif"),
    )
    judged.noun = scene
    write_json(scratch / "scene.json", scene.as_json())
    write_json(scratch / "item.json", stac.scene_item(scene, contract))


def _nodata(headers: Sequence[rules.Row], contract: Contract) -> float | None:
    """Returns the number that stands for "not observed": the sensor's, or where it has none the one of all files."""
    said = {row["nodata"] for row in headers}
    if contract.radiometry.nodata is not None or said == {None}:
        return contract.radiometry.nodata
    if len(said) > 1:
        named = ", ".join(f"{row['band']} {row['nodata']}" for row in headers[:8])
        raise BadInput(
            f"The bands declare different numbers as nodata: {named}.", "declare one, or none, for all bands"
        )
    number = float(said.pop())
    return number if math.isfinite(number) else None


def _product(delivery: Delivery) -> Product | None:
    """Returns what the producer's metadata say; of several files the first that tells where Sentinel-2 delivers one."""
    names = [name for name in delivery.files if is_product(name.rsplit("/", 1)[-1])]
    if not names:
        return None
    # A Landsat product repeats its metadata as text and as JSON; one of them suffices.
    name = min(names, key=lambda n: (n.endswith(".json"), n))
    limit = MOST_XML_BYTES
    if delivery.files[name].size > limit:
        raise BadInput(f"{name[:120]} has {delivery.files[name].size} bytes; product metadata have less than {limit}.")
    return read_product((delivery.folder / name).read_bytes(), name.rsplit("/", 1)[-1])


def _harmonise(
    delivery: Delivery, by_band: dict[str, list[Layer]], contract: Contract
) -> tuple[list[rules.Row], NDArray[Any] | None]:
    """Returns one row per delivered band, and all bands on one grid, or None where one cannot be brought there."""
    rows: list[rules.Row] = []
    for band in contract.bands:
        claims = by_band.get(band.name, [])
        for layer in claims:
            rows.append({"band": band.name, "problem": "", "layer": layer, **_header(delivery, layer, band, contract)})
        if len(claims) > 1:
            rows[-1]["problem"] = f"{band.name} was delivered {len(claims)} times."
    grid: Grid | None = next(
        (row["grid"] for row in rows if not row["problem"] and row["pixel_m"] == contract.pixel_m), None
    )
    layers = []
    for row in rows:
        if row["problem"]:
            continue
        try:
            if grid is None:
                raise BadInput(f"No readable band has pixels of {contract.pixel_m:g} m, so there is no common grid.")
            where: Layer = row["layer"]
            how = contract.band(row["band"]).resampling
            path, nodata = delivery.folder / where.file, contract.radiometry.nodata
            layers.append(raster.to_grid(path, grid, how, nodata, band=where.position))
        except BadInput as error:
            row["problem"] = str(error)
    whole = [row["band"] for row in rows] == list(contract.names) and len(layers) == len(rows)
    same = {layer.dtype.name for layer in layers} == {contract.dtype}
    return rows, np.stack(layers) if whole and same else None


def _header(delivery: Delivery, layer: Layer, band: Band, contract: Contract) -> rules.Row:
    path, position = delivery.folder / layer.file, layer.position or 0
    try:
        facts = raster.describe(path)
        if position >= facts.n_bands:
            raise BadInput(f"{path.name} holds {facts.n_bands} bands; {band.name} should be band {position + 1}.")
        if facts.dtype != contract.dtype:
            raise BadInput(f"{path.name} holds {facts.dtype} numbers, {contract.sensor} has {contract.dtype}.")
        refuse_other_band(path.name, facts, position, band, contract)
        return {
            "crs": facts.grid.crs,
            "pixel_m": facts.grid.pixel_m,
            **dict(zip(("left", "bottom", "right", "top"), facts.grid.bounds.as_tuple(), strict=True)),
            "dtype": facts.dtype,
            "grid": facts.grid,
            "declared": facts.radiometries[position],
            "nodata": facts.nodata,
        }
    except BadInput as error:
        return {"problem": str(error)}


def _file_ref(path: Path, home: str) -> FileRef:
    return FileRef(path=home, sha256=sha256_of(path), size=path.stat().st_size)

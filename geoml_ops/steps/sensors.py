"""Sensors by name: those that are built in, and those that a deployment describes in files."""

from __future__ import annotations

from pathlib import Path

from geoml_ops.adapters.configs import plain_yaml, validated
from geoml_ops.core.bands import CONTRACTS, Contract
from geoml_ops.core.errors import BadInput
from geoml_ops.core.sensorfile import SensorFile
from geoml_ops.domain.delivery import is_name
from geoml_ops.steps.places import Places

MOST_BYTES = 256 << 10


def contract_of(places: Places, sensor: str) -> Contract:
    """Returns the contract of a sensor: built in, or of the file ``<sensor>.yaml`` in the sensors' folder.

    Raises:
        BadInput: no contract is written for it, or its file is not valid.
    """
    if sensor in CONTRACTS:
        if places.sensors is not None and (places.sensors / f"{sensor}.yaml").is_file():
            raise BadInput(f"{sensor} is built in, and {sensor}.yaml describes it too.", "give yours another name")
        return CONTRACTS[sensor]
    path = None if places.sensors is None or not is_name(sensor) else places.sensors / f"{sensor}.yaml"
    if path is None or not path.is_file():
        raise BadInput(
            f"There is no band contract for {sensor[:60]!r}.",
            f"use one of {', '.join(sensors(places))}, or describe it in {sensor[:60]}.yaml in the sensors' folder",
        )
    return read_sensor(path)


def read_sensor(path: Path) -> Contract:
    """Returns the contract that a sensor file describes.

    Raises:
        BadInput: too large, not YAML, a key is unknown, missing or out of range, or the file is called otherwise.
    """
    if path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path.name} has {path.stat().st_size} bytes; a sensor file has at most {MOST_BYTES}.")
    try:
        content = plain_yaml(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is not UTF-8 text.", "write the sensor file as plain YAML") from None
    found = validated(content, SensorFile, path.name)
    if found.sensor != path.stem:
        raise BadInput(f"{path.name} describes {found.sensor[:60]!r}.", "call the file after its sensor")
    return found.contract


def sensors(places: Places) -> tuple[str, ...]:
    """Returns the names of all sensors: the built-in ones, then those of files, sorted."""
    folder = places.sensors
    files = sorted(p.stem for p in folder.glob("*.yaml")) if folder is not None and folder.is_dir() else []
    return (*CONTRACTS, *(name for name in files if name not in CONTRACTS))

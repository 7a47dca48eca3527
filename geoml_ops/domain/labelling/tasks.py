"""Tasks for people as the programs that they label with read them: QGIS, and Microsoft's labelling tool."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from geoml_ops.domain.labelling.returned import CANNOT_TELL, NONE_OF_THESE

FIELDS = ("unit", "design", "label", "labeller", "sure", "note")
"""What a task says and asks, in the order of its columns; the last four are for people to fill."""
CLASS_PROPERTY = "class"
SUMMARY = ("Task ID", "West", "South", "East", "North")
_EXTRA_COLOURS = "#ffffff", "#808080"
_CONTEXT = 12
_LONGITUDES, _LATITUDES = (-180.0, 180.0), (-90.0, 90.0)


def words(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns what a label may be: the classes, and two words for what is none or cannot be told."""
    return (*classes, NONE_OF_THESE, CANNOT_TELL)


def instructions(classes: Sequence[str], edge_m: float, unit_px: int, n: int) -> str:
    """Returns what people are told, in Markdown."""
    square = "the square" if unit_px == 1 else "most of the square"
    listed = "\n".join(f"* {name}" for name in classes)
    return (
        f"# What is there?\n\n{n} squares of {edge_m:g} m. Say of each what covers {square}, from imagery of the date "
        f"of the map or from the ground, without looking at the map.\n\n{listed}\n\n"
        f"Write *{NONE_OF_THESE}* where something else is there, *{CANNOT_TELL}* where nobody can tell. Leave nothing "
        "out because it is difficult: the difficult places are part of the answer. Do not move, add or delete "
        "squares; write your name into *labeller*, and *no* into *sure* where you doubt.\n"
    )


def qgis_style(classes: Sequence[str]) -> str:
    """Returns a style for QGIS: red outlines, a drop-down list of labels, ids that cannot be edited."""
    label = _value_map([(name, name) for name in words(classes)])
    sure = _value_map([("yes", "yes"), ("no", "no")])
    text = (
        '<editWidget type="TextEdit"><config><Option type="Map">'
        '<Option name="IsMultiline" type="bool" value="false"/></Option></config></editWidget>'
    )
    widgets = {name: {"label": label, "sure": sure}.get(name, text) for name in FIELDS}
    fields = "".join(
        f'<field name="{name}" configurationFlags="None">{widget}</field>' for name, widget in widgets.items()
    )
    editable = "".join(f'<field name="{name}" editable="{int(name in FIELDS[2:])}"/>' for name in ("fid", *FIELDS))
    line = "".join(
        f'<Option name="{name}" type="QString" value="{value}"/>'
        for name, value in (
            ("line_color", "255,0,0,255"),
            ("line_style", "solid"),
            ("line_width", "0.6"),
            ("line_width_unit", "MM"),
        )
    )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.28.0" styleCategories="Symbology|Fields|Forms">'
        '<renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0"><symbols>'
        '<symbol name="0" type="fill" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="SimpleLine" enabled="1" locked="0" pass="0"><Option type="Map">{line}</Option></layer>'
        "</symbol></symbols></renderer-v2>"
        f"<fieldConfiguration>{fields}</fieldConfiguration><editable>{editable}</editable>"
        "<layerGeometryType>2</layerGeometryType></qgis>\n"
    )


def _value_map(options: Sequence[tuple[str, str]]) -> str:
    listed = "".join(
        f'<Option type="Map"><Option name={quoteattr(name)} type="QString" value={quoteattr(value)}/></Option>'
        for name, value in options
    )
    return (
        '<editWidget type="ValueMap"><config><Option type="Map"><Option name="map" type="List">'
        f"{listed}</Option></Option></config></editWidget>"
    )


def geojson(features: Sequence[Mapping[str, Any]], crs: str = "") -> str:
    """Returns a FeatureCollection as text, one feature a line.

    Args:
        features: GeoJSON features.
        crs: ``EPSG:<code>`` of coordinates that are no longitudes and latitudes; empty for those.
    """
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if crs:
        head["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs.replace(':', '::')}"}}
    opening = json.dumps(head, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(f, ensure_ascii=False, allow_nan=False) for f in features)
    return f'{opening}, "features": [\n{lines}\n]}}\n'


def feature(ring: Sequence[Sequence[float]], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a GeoJSON feature of one polygon without holes."""
    closed = [[float(x), float(y)] for x, y in ring]
    return {
        "type": "Feature",
        "properties": dict(properties),
        "geometry": {"type": "Polygon", "coordinates": [closed]},
    }


def labelling_tool(
    project: str,
    rings: Mapping[str, Sequence[Sequence[float]]],
    told: str,
    classes: Mapping[str, str],
    tiles: str = "",
) -> dict[str, str]:
    """Returns the files of a project of Microsoft's satellite-imagery-labeling-tool: path to text.

    One task a unit, whose id is the unit's; a shape that somebody draws in it comes back with that id.

    Args:
        project: its name.
        rings: by unit, its corners in longitude and latitude, closed.
        told: instructions, Markdown.
        classes: name to colour, ``#rrggbb``.
        tiles: URL of imagery as web tiles with ``{z}``, ``{x}``, ``{y}``; empty for the tool's own.
    """
    layers = {"imagery": {"type": "TileLayer", "tileUrl": tiles, "tileSize": 256, "enabled": True}} if tiles else {}
    colours = [*classes.values(), *_EXTRA_COLOURS]
    shared = {
        "project_name": project,
        "instructions": told,
        "instructions_on_load": True,
        "allow_wizard": False,
        "drawing_type": "polygons",
        "layers": layers,
        "primary_classes": {
            "display_name": "Class",
            "property_name": CLASS_PROPERTY,
            "names": list(words(list(classes))),
            "colors": colours,
        },
    }
    files, summary = {}, [",".join(SUMMARY)]
    for unit, ring in rings.items():
        name = task_name(project, unit)
        task = feature(ring, {**shared, "name": name}) | {"id": name, "bbox": _bbox(ring)}
        files[f"tasks/{name}.json"] = geojson([task])
        summary.append(",".join([name, *(f"{value:.7f}" for value in _bbox(ring))]))
    corners = [place for ring in rings.values() for place in ring]
    west, south, east, north = _bbox(corners, 0)
    area = feature(
        [[west, south], [east, south], [east, north], [west, north], [west, south]], {**shared, "name": project}
    )
    files["project_builder_settings.json"] = geojson([area | {"id": project}])
    files["summary.csv"] = "\n".join(summary) + "\n"
    return files


def task_name(project: str, unit: str) -> str:
    """Returns the id of a unit's task."""
    return f"{project}_{unit}"


def unit_of(task: str) -> tuple[str, str]:
    """Returns project and unit that a task's id names; two empty texts where it names none."""
    found = re.fullmatch(r"(design-[0-9a-f]{16})_(u[0-9]+)", task)
    return (found[1], found[2]) if found else ("", "")


def _bbox(ring: Sequence[Sequence[float]], around: float = _CONTEXT) -> list[float]:
    """Returns west, south, east, north of a ring with some ground around it, for the first look at it."""
    west, east = min(p[0] for p in ring), max(p[0] for p in ring)
    south, north = min(p[1] for p in ring), max(p[1] for p in ring)
    wide, high = around * (east - west), around * (north - south)
    return [
        max(west - wide, _LONGITUDES[0]),
        max(south - high, _LATITUDES[0]),
        min(east + wide, _LONGITUDES[1]),
        min(north + high, _LATITUDES[1]),
    ]

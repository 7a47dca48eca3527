"""The attribute table of a map: what GIS programs show beside it, class by class (GDAL's ``.aux.xml``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoml_ops.adapters.cog import markup
from geoml_ops.adapters.cog.layout import rgba
from geoml_ops.adapters.cog.quiet import full_disk_named
from geoml_ops.platform.files import write_text

_M2_PER_HA = 10_000
_WHOLE, _REAL, _TEXT = 0, 1, 2
_GENERIC, _COUNT, _NAME, _VALUE, _RED, _GREEN, _BLUE = 0, 1, 2, 5, 6, 7, 8
"""What a column is for, as GDAL numbers it."""
Column = tuple[str, int, int, Sequence[str | int | float]]


def attributes_path(map_path: Path) -> Path:
    """Returns where GDAL looks for the attribute table of a map."""
    return map_path.with_name(map_path.name + ".aux.xml")


def write_attributes(
    map_path: Path,
    *,
    names: Sequence[str],
    colours: Sequence[str],
    counts: Sequence[int],
    pixel_m: float,
    values: Sequence[int | None] | None = None,
) -> Path:
    """Writes the attribute table of a map beside it, whole or not at all, and returns where.

    Its columns are ``Value`` (the code of the pixels), ``Class``, ``Red``, ``Green``, ``Blue``, ``Count`` (pixels),
    ``Area_ha`` and, where every class has a value in the customer's legend, ``Legend``.

    Args:
        map_path: of the map; it need not exist yet.
        names: class names in code order.
        colours: ``#rrggbb`` in code order.
        counts: pixels of each class.
        pixel_m: edge of a pixel in metres.
        values: of the classes in the customer's legend.

    Raises:
        StorageFull: no space left; an older table is untouched.
        ValueError: the arguments have different lengths.
    """
    if not len(names) == len(colours) == len(counts) or (values is not None and len(values) != len(names)):
        raise ValueError(f"{len(names)} names, {len(colours)} colours, {len(counts)} counts, values {values}")
    red, green, blue, _ = zip(*map(rgba, colours), strict=True) if colours else ((),) * 4
    columns: list[Column] = [
        ("Value", _WHOLE, _VALUE, range(len(names))),
        ("Class", _TEXT, _NAME, names),
        ("Red", _WHOLE, _RED, red),
        ("Green", _WHOLE, _GREEN, green),
        ("Blue", _WHOLE, _BLUE, blue),
        ("Count", _kind(counts), _COUNT, [int(count) for count in counts]),
        ("Area_ha", _REAL, _GENERIC, [float(count * pixel_m**2 / _M2_PER_HA) for count in counts]),
    ]
    legend = [value for value in values or () if value is not None]
    if names and len(legend) == len(names):
        columns.append(("Legend", _kind(legend), _GENERIC, legend))
    path = attributes_path(map_path)
    with full_disk_named(path):
        write_text(path, _document(columns))
    return path


def _kind(cells: Sequence[int]) -> int:
    # GDAL keeps whole numbers in 32 bits (3.10); a country has more pixels.
    return _WHOLE if all(-(2**31) <= cell < 2**31 for cell in cells) else _REAL


def _document(columns: Sequence[Column]) -> str:
    fields = [
        f'      <FieldDefn index="{number}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>'
        for number, (name, kind, usage, _) in enumerate(columns)
    ]
    rows = [
        f'      <Row index="{number}">{"".join(f"<F>{markup.escaped(str(cell))}</F>" for cell in row)}</Row>'
        for number, row in enumerate(zip(*(cells for *_, cells in columns), strict=True))
    ]
    return "\n".join(
        [
            "<PAMDataset>",
            '  <PAMRasterBand band="1">',
            '    <GDALRasterAttributeTable tableType="thematic">',
            *fields,
            *rows,
            "    </GDALRasterAttributeTable>",
            "  </PAMRasterBand>",
            "</PAMDataset>",
            "",
        ]
    )

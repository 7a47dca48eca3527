"""The attribute table beside a map, read by GDAL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from geoml_ops.adapters import cog
from tests.maps import COLOURS, NAMES, layers_of, layout_of, made

needs_gdal = pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="GDAL's programs are not installed")


def table_of(path: Path) -> list[dict[str, str]]:
    """The rows of a map's table as gdalinfo says them."""
    said = subprocess.run(["gdalinfo", path], capture_output=True, text=True, check=True, timeout=60)
    assert said.stderr == ""
    first, last = said.stdout.index("<GDALRasterAttributeTable"), said.stdout.index("</GDALRasterAttributeTable>")
    table = ElementTree.fromstring(said.stdout[first:last] + "</GDALRasterAttributeTable>")
    assert table.get("tableType") == "thematic"
    columns = [field.findtext("Name", "") for field in table.iter("FieldDefn")]
    return [dict(zip(columns, [cell.text or "" for cell in row], strict=True)) for row in table.iter("Row")]


@needs_gdal
def test_gdal_reads_the_table_beside_a_map(tmp_path: Path) -> None:
    layout = layout_of(70, 90)
    layers = layers_of(layout)
    path = made(tmp_path, layout, layers)
    counts = [int((layers[0] == code).sum()) for code in range(3)]
    written = cog.write_attributes(path, names=NAMES, colours=COLOURS, counts=counts, pixel_m=10.0, values=[10, 20, 90])
    assert written == tmp_path / "map.tif.aux.xml"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml"]
    assert table_of(path)[2] == {
        "Value": "2", "Class": "built", "Red": "215", "Green": "38", "Blue": "61", "Count": str(counts[2]),
        "Area_ha": f"{counts[2] / 100:g}", "Legend": "90",
    }  # fmt: skip
    assert sum(float(row["Area_ha"]) for row in table_of(path)) == pytest.approx(sum(counts) / 100)


@needs_gdal
def test_counts_of_a_country_and_names_of_any_kind_stay_what_they_are(tmp_path: Path) -> None:
    path = made(tmp_path, layout_of(20, 20), layers_of(layout_of(20, 20)))
    names = ("</F></Row> & <b>", "лес\x00", "built")
    cog.write_attributes(path, names=names, colours=COLOURS, counts=[0, 3 * 10**9, 5], pixel_m=10.0)
    rows = table_of(path)
    assert [row["Class"] for row in rows] == [names[0], "лес\ufffd", "built"]
    assert [float(row["Count"]) for row in rows] == [0, 3e9, 5]
    assert float(rows[1]["Area_ha"]) == 3e7
    assert "Legend" not in rows[0]


@needs_gdal
def test_a_legend_with_gaps_is_left_out_and_one_of_large_numbers_is_kept(tmp_path: Path) -> None:
    path = made(tmp_path, layout_of(20, 20), layers_of(layout_of(20, 20)))
    said = {"names": NAMES, "colours": COLOURS, "counts": [1, 2, 3], "pixel_m": 10.0}
    cog.write_attributes(path, **said, values=[10, None, 30])
    assert "Legend" not in table_of(path)[0]
    cog.write_attributes(path, **said, values=[10, 2**31, -5])
    assert [float(row["Legend"]) for row in table_of(path)] == [10, 2**31, -5]


def test_a_table_of_uneven_columns_is_refused(tmp_path: Path) -> None:
    for counts, values in (([1, 2], None), ([1, 2, 3], [1])):
        with pytest.raises(ValueError, match="3 names"):
            cog.write_attributes(
                tmp_path / "map.tif", names=NAMES, colours=COLOURS, counts=counts, pixel_m=10.0, values=values
            )
    assert list(tmp_path.iterdir()) == []

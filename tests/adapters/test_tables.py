"""Tables are named by their content and refuse to be read when altered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geoml_ops.adapters.tables import is_whole, read_table, write_table
from geoml_ops.core.errors import NotFound, Refused

COLUMNS = {
    "scene": np.array(["a", "b", "é"], dtype=object),
    "row": np.array([1, 2, 3]),
    "ndvi": np.array([0.1, np.nan, -1], dtype=np.float32),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = write_table(tmp_path, COLUMNS, {"crs": "EPSG:32633", "features": "ndvi"})
    table = read_table(tmp_path, file)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(table.columns[name], values)
        assert table.columns[name].dtype == values.dtype
    assert table.says == {"crs": "EPSG:32633", "features": "ndvi"}


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    first = write_table(tmp_path / "a", COLUMNS, {"b": "2", "a": "1"})
    second = write_table(tmp_path / "b", COLUMNS, {"a": "1", "b": "2"})
    assert first == second
    other = write_table(tmp_path / "a", {**COLUMNS, "row": np.array([1, 2, 4])}, {"a": "1", "b": "2"})
    assert other != first
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_an_altered_file_is_refused_and_repaired_by_writing_again(tmp_path: Path) -> None:
    file = write_table(tmp_path, COLUMNS, {})
    content = bytearray((tmp_path / file.path).read_bytes())
    content[20] ^= 1
    (tmp_path / file.path).write_bytes(content)
    with pytest.raises(Refused, match="altered"):
        read_table(tmp_path, file)
    write_table(tmp_path, COLUMNS, {})
    assert is_whole(tmp_path, file)
    (tmp_path / file.path).unlink()
    with pytest.raises(NotFound, match="gone"):
        read_table(tmp_path, file)

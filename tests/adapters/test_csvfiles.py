"""Tables from spreadsheets: what people write is read, what is no table is refused with its row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoml_ops.adapters.csvfiles import read_columns, write_columns
from geoml_ops.core.errors import BadInput


def written(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,x\n2,y\n", b"a;b\n1;x\n2;y\n", b"a\tb\r\n1\tx\r\n2\ty\r\n", b"\xef\xbb\xbfa, b\n\n1 ,x\n 2,y\n\n"],
)
def test_spreadsheets_of_every_country_say_the_same(tmp_path: Path, content: bytes) -> None:
    assert read_columns(written(tmp_path, content)) == {"a": ["1", "2"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n1\n", "Row 2 of table.csv has 1 cells, its header 2"),
        (b"a,a\n1,2\n", "more than one column a"),
        (b"a,,c\n1,2,3\n", "Column 2 of table.csv has no name"),
        (b"a,b\n\xff\xfe,1\n", "not UTF-8"),
        (b'a,b\n"1,2\n', "no table"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read_columns(written(tmp_path, content))


def test_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(BadInput):
            read_columns(path)


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(st.lists(st.tuples(CELLS.filter(str.strip), CELLS), min_size=1, max_size=20))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    columns = {"left": [r[0] for r in rows], "right": [r[1] for r in rows]}
    write_columns(path, columns)
    assert read_columns(path) == {name: [cell.strip() for cell in cells] for name, cells in columns.items()}

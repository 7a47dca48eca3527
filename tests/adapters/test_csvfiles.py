"""Sheets as spreadsheets of several countries write them, and what is refused."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoml_ops.adapters.csvfiles import keep_bytes, keep_sheet, kept, read_sheet, write_bytes
from geoml_ops.core.errors import BadInput, NotFound, Refused, TooLarge
from geoml_ops.core.noun import FileRef
from geoml_ops.platform.files import sha256_of

ROWS = (("forest", "1.5"), ("wet, land", "-2"))


@pytest.mark.parametrize(
    "content",
    [
        'name,n\nforest,1.5\n"wet, land",-2\n',
        '\ufeffname,n\r\nforest,1.5\r\n"wet, land",-2\r\n\r\n',
        'name;n\n forest ; 1,5\nwet, land;-2,0\n;\n',
        "name\tn\nforest\t+1.5e0\nwet, land\t-2\n",
        'sep=;\nname;n\rforest;1,5\rwet, land;-2',
        'NAME,n\nforest,1.5\n"wet, land",-2\n',
    ],
)  # fmt: skip
def test_every_spreadsheet_is_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content.encode())
    sheet = read_sheet(path)
    assert sheet.texts("name") == ("forest", "wet, land")
    np.testing.assert_array_equal(sheet.numbers("n"), [1.5, -2])
    assert sheet.has("Name")
    assert not sheet.has("other")
    assert sheet.besides("name") == ("n",)


def test_names_of_columns_may_be_spelt_in_several_ways(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text("Inclusion Probability\n0.5\n")
    assert read_sheet(path).numbers("inclusion_probability") == [0.5]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"\n \n;\n", "is empty"),
        (b"a,b\n1\n", "line 2 has 1 cells, the header 2"),
        (b"a,b\n\n1,2,3\n", "line 3 has 3 cells"),
        (b"a,\n1,2\n", "column without a name"),
        (b"a,b\n1,\xff\n", "line 2 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n1,\0\n", "not text"),
        (b'a,b\n1,"2\n', "line 2"),
        (b"a,b\n1," + b"9" * 200_000 + b"\n", "field larger"),
    ],
)
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=match):
        read_sheet(path)


@pytest.mark.parametrize("cell", ["", "nan", "inf", "1e999", "1.234,5", "1,5", "0x10", "1_000", "ten", "1 2", "١٢"])
def test_what_is_no_number_is_refused(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(f'n,m\n"{cell}",1\n')
    with pytest.raises(BadInput, match="line 2: n is "):
        read_sheet(path).numbers("n")


def test_columns_that_are_missing_or_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text("a,A,b\n1,2,3\n")
    with pytest.raises(BadInput, match="2 columns 'a'"):
        read_sheet(path).texts("a")
    with pytest.raises(BadInput, match="no column 'c'; it has a, A, b"):
        read_sheet(path).texts("c")


def test_only_regular_files_of_a_size_are_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no readable file"):
        read_sheet(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="not a regular file"):
        read_sheet(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BadInput, match="not a regular file"):
        read_sheet(tmp_path / "pipe.csv")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(TooLarge, match="the limit is"):
        read_sheet(tmp_path / "large.csv")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cc", "Zs", "Zl", "Zp"]))


@given(st.lists(st.tuples(CELLS.filter(bool), CELLS), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_what_was_written_is_read_again_and_is_no_formula(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    # A text that begins with a quoted formula sign is the one thing that does not come back as it was.
    rows = [tuple(cell.lstrip("'") or "x" for cell in row) for row in rows]
    folder = tmp_path_factory.mktemp("sheets")
    file = keep_sheet(folder, ("id", "stratum"), rows)
    assert file == keep_sheet(folder, ("id", "stratum"), rows)
    path = kept(folder, file)
    assert read_sheet(path).rows == tuple(rows)
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            assert not any(cell[:1] in set("=@") for cell in row)


def test_numbers_below_zero_are_no_formulas(tmp_path: Path) -> None:
    file = keep_sheet(tmp_path, ("n",), [("-1",), ("=1+1",), ("-x",)])
    assert (tmp_path / file.path).read_text() == "n\n-1\n'=1+1\n'-x\n"


def test_a_kept_file_that_was_lost_or_altered_is_told(tmp_path: Path) -> None:
    file = keep_bytes(tmp_path, b"a,b\n1,2\n")
    (tmp_path / file.path).write_bytes(b"a,b\n1,3\n")
    with pytest.raises(Refused, match="altered"):
        kept(tmp_path, file)
    assert keep_bytes(tmp_path, b"a,b\n1,2\n") == file
    assert sha256_of(kept(tmp_path, file)) == file.sha256
    with pytest.raises(NotFound, match="gone"):
        kept(tmp_path, FileRef(path="none.csv", sha256="0" * 64, size=1))
    with pytest.raises(BadInput, match="cannot be written"):
        write_bytes(tmp_path / file.path / "inside.csv", b"")

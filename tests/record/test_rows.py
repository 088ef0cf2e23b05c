import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from brittle.errors import UserError
from brittle.record.rows import (
    COLUMNS,
    Row,
    StoredRows,
    format_results,
    in_one_table,
    parse_results,
    read_results,
)

ROW = Row("a, \"b\"", "noise(x)", "jpeg:quality=65", "img2img", "two\nlines", 3,
          "perceptual.distance", "control", 0.1)  # fmt: skip
HEADER = ",".join(COLUMNS) + "\n"
NUMBERS = ("seed", "value")


def test_rows_come_back_as_they_were_written(tmp_path):
    missing = Row("b", "x", "none", "e", "p", -1, "psnr", "control", None, "out of memory")
    (tmp_path / "results.csv").write_bytes(format_results([missing, ROW]).encode())
    assert read_results(tmp_path / "results.csv") == [ROW, missing]
    assert "\r" not in format_results([missing, ROW])


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-0.3",
        "@SUM(A1)",
        "\tx",
        "\r\nx",
        "a sepia\rphoto",
        "＝1",
        "'=1",
        "''=1",
        "'tis raining",
        "plain",
    ],
)
def test_no_cell_is_a_formula_and_every_text_comes_back(text):
    row = Row(text, text, text, text, text, -2, text, "control", -0.25)
    written = format_results([row, replace(row, value=None, reason=text)])
    assert parse_results(written) == [replace(row, value=None, reason=text), row]
    for cells in [*csv.reader(io.StringIO(written, newline=""))][1:]:
        texts = [cell for place, cell in enumerate(cells) if COLUMNS[place] not in NUMBERS]
        assert not any(cell.startswith(tuple("=+-@\t\r＝")) for cell in texts)
        assert cells[COLUMNS.index("seed")] == "-2"
        assert cells[COLUMNS.index("value")] in ("-0.25", "")


def test_tables_of_former_versions_are_read_as_they_are():
    line = "=1,-x,'none,e,p,0,m,control,1,\n"
    (row,) = parse_results(HEADER + line)
    assert (row.image, row.arm, row.transform) == ("=1", "-x", "'none")


def test_every_order_is_written_alike():
    rows = [Row("p", "x", "none", "e", "p", seed, "m", "control", seed / 7) for seed in range(12)]
    assert format_results(rows) == format_results(reversed(rows))
    assert {row.value for row in parse_results(format_results(rows))} == {r.value for r in rows}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("p,x,none,e,p,0,m,control,1", "9 columns"),
        ("p,x,none,e,p,0,m,somewhere,1,", "reference 'somewhere'"),
        ("p,x,none,e,p,0.5,m,control,1,", "no whole number"),
        ("p,x,none,e,p,0,m,control,nan,", "no finite number"),
        ("p,x,none,e,p,0,m,control,one,", "no finite number"),
        ("p,x,none,e,p,0,m,control,1_0,", "no finite number"),
        ("p,x,none,e,p,0,m,control,٣,", "no finite number"),
        ("p,x,none,e,p,²,m,control,1,", "no whole number"),
        (f"p,x,none,e,p,{'9' * 5000},m,control,1,", "no whole number"),
        ("p,x,none,e,p,0,m,control,,", "must have its reason"),
        ("p,x,none,e,p,0,m,control,1,but why", "belongs to a missing one"),
        ("p,x,none,e,p,0,m.distance,control,-0.1,", "is negative"),
        ("p,x,none,e,p,0,usable,photo,0.5,", "0 or 1"),
        (",x,none,e,p,0,m,control,1,", "must not be empty"),
        ('p,x,none,e,"p,0,m,control,1,', "not a table"),
    ],
)
def test_what_is_no_row_is_refused_with_its_line(line, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        parse_results(HEADER + line + "\n", where="here.csv")
    assert "here.csv, line 2" in str(error.value)


@pytest.mark.parametrize("text", ["", "image,arm\n", HEADER.replace("seed,", "")])
def test_other_columns_are_refused(text):
    with pytest.raises(UserError, match="first line must be"):
        parse_results(text)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_results(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="can't be read"):
        read_results(tmp_path / "binary.csv")


def test_the_schema_accepts_a_row():
    adapter = TypeAdapter(Row)
    record = json.loads(adapter.dump_json(ROW))
    assert list(record) == list(COLUMNS)
    assert adapter.validate_python(record) == ROW


def of_photo(name: str) -> list[Row]:
    texts = ("", "=1+1", 'a "quote", and\nanother line')
    return [
        replace(ROW, image=name, prompt=f"p{text}", value=None, reason=text or "none")
        for text in reversed(texts)
    ] + [replace(ROW, image=name, seed=seed, value=seed / 7) for seed in (10, 9, 2)]


def test_a_table_of_parts_is_that_of_all_rows(tmp_path):
    parts = [of_photo("b"), of_photo("c"), [], of_photo("a")]
    whole = format_results([row for part in parts for row in part])
    at_a_time: list[int] = []

    def told() -> Iterator[Iterator[Row]]:
        for part in parts:
            at_a_time.append(len(part))
            yield iter(part)

    with in_one_table(told(), tmp_path) as lines:
        assert at_a_time == [6, 6, 0, 6]
        assert "".join(lines) == whole
    assert not any(tmp_path.iterdir())


def test_stored_rows_are_read_anew_and_have_the_order_of_their_file(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(format_results(of_photo("a")), newline="")
    stored = StoredRows(path)
    assert [*stored] == [*stored] == read_results(path)
    assert (len(stored), stored[1], stored[-2:]) == (6, [*stored][1], [*stored][-2:])
    assert stored == read_results(path)
    assert stored != of_photo("a")
    path.write_text(format_results(of_photo("b")), newline="")
    assert {row.image for row in stored} == {"b"}


def test_a_text_of_many_rows_is_in_memory_once(tmp_path):
    rows = parse_results(format_results(of_photo("a long name")))
    for field in ("image", "arm", "transform", "editor", "metric", "reference"):
        assert len({id(getattr(row, field)) for row in rows}) == 1

"""Tables of edits as people write them, and every mistake in one sentence."""

import pytest

from brittle.errors import UserError
from brittle.sources.edits_table import groups, protections, read_edits
from tests.trial.edits import COLUMNS, JPEG, write_table

PROMPT = "heavy rain"


def line(arm, transform="none", *, seed="", edit=None, photo="dog", original="", prompt=PROMPT):
    name = edit or f"{arm}-{transform.partition(':')[0]}-{seed}.png".replace("(", "-").replace(
        ")", ""
    )
    return (photo, arm, transform, prompt, seed, name, original)


@pytest.fixture
def table(tmp_path):
    def write(*lines, separator=","):
        for one in lines:
            if not one[5].startswith((".", "/")):
                (tmp_path / one[5]).write_bytes(b"not read here")
        return write_table(tmp_path / "edits.csv", lines, separator)

    return write


def test_rows_are_read_with_their_defaults(table):
    entries = read_edits(table(line("Original"), line("shield"), line("Grey", ""), separator=";"))
    assert [(one.arm, one.transform, one.seed) for one in entries] == [
        ("original", "none", 0), ("shield", "none", 0), ("gray", "none", 0),
    ]  # fmt: skip
    assert entries[1].where == "edits.csv, line 3"
    assert protections(entries) == ["shield"]


def test_columns_may_stand_in_any_order_and_optional_ones_may_lack(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    text = "\ufeffEdit, Prompt ,arm,photo\r\na.png,rain,original,dog\r\n,,,\r\nb.png,rain,cloak,dog"
    (tmp_path / "edits.csv").write_text(text, encoding="utf-8")
    entries = read_edits(tmp_path / "edits.csv")
    assert [(one.arm, one.edit.name, one.original) for one in entries] == [
        ("original", "a.png", None), ("cloak", "b.png", None),
    ]  # fmt: skip


def test_a_placebo_serves_every_protection_that_has_none_of_its_own(table):
    rows = (line("original"), line("a"), line("b"), line("placebo"), line("placebo(b)"))
    assert {one.arm: one.edit.name for one in read_edits(table(*rows))} == {
        "original": "original-none-.png", "a": "a-none-.png", "b": "b-none-.png",
        "noise(a)": "placebo-none-.png", "noise(b)": "placebo-b-none-.png",
    }  # fmt: skip


def test_a_transform_of_ones_own_is_taken_by_name(table):
    rows = [line(arm, name, edit=f"{arm}{number}.png") for arm in ("original", "x")
            for number, name in enumerate(("none", "Instagram", "rotate: degrees=90"))]  # fmt: skip
    assert [one.transform for one in read_edits(table(*rows))][:3] == [
        "none", "Instagram", "rotate:degrees=90",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([line("shield")], "line 2: its control is missing: a row of photo dog, arm original"),
        ([line("original"), line("shield", JPEG)], "missing: .* transform jpeg:quality=75"),
        ([line("original", JPEG), line("shield", JPEG)], "control is missing: .* none"),
        ([line("original"), line("shield"), line("shield", edit="b.png")], "those of .* line 3"),
        ([line("original"), line("shield", edit="original-none-.png")], "has its own file"),
        ([line("original"), line("original", seed="1")], "no protected photo"),
        ([line("original"), line("shield(x)")], r"'shield\(x\)' is no arm"),
        ([line("original"), line("shield"), line("placebo(shild)")], "did you mean 'shield'"),
        ([line("original"), line("shield", "jpeg:qualty=5")], "line 3: .*qualty"),
        ([line("original"), line("shield", seed="one")], "'one' is no whole number"),
        ([line("original"), line("shield", seed="²")], "'²' is no whole number"),
        ([line("original"), line("shield", seed="9" * 19)], "at most 18 digits"),
        ([line("original"), line("shield", original="n" * 300)], "there is no file nnn"),
        ([line("original"), line("shield", prompt="x" * 4001)], "more than 4,000 characters"),
        ([line("original"), line("shield", prompt="")], "the column prompt is empty"),
        ([line("original", edit="../a.png"), line("shield")], "leads out of the table's folder"),
        ([line("original", edit="/etc/passwd"), line("shield")], "leads out of the table's"),
        ([line("original", original="no.png"), line("shield")], "there is no file no.png"),
    ],
)
def test_mistakes_are_one_sentence(table, lines, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        read_edits(table(*lines))
    assert "\n" not in str(error.value)


def test_a_link_out_of_the_folder_is_not_followed(table, tmp_path):
    path = table(line("original"), line("shield"))
    (tmp_path / "shield-none-.png").unlink()
    (tmp_path / "shield-none-.png").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="leads out"):
        read_edits(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("photo,arm,promt,edit\n", "'promt': did you mean 'prompt'"),
        ("photo,arm,edit\n", "lacks the column prompt"),
        ("photo,arm,arm,edit\n", "column arm is there twice"),
        (",".join(COLUMNS) + "\n", "no rows"),
        ("\ufeff \n", "is empty"),
        ("photo,arm,prompt,edit\na,b\0,c,d\n", "bytes that are no text"),
        ("photo,arm,prompt,edit\na,b,c,d,e\n", "line 2: 5 cells and 4 columns"),
        ('photo,arm,prompt,edit\na,b,"c"x,d\n', "line 2: not a table"),
        ('photo,arm,prompt,edit\na,b,"c,d\n', "not a table"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, complaint):
    (tmp_path / "edits.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_edits(tmp_path / "edits.csv")


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "edits.csv").write_bytes("photo,arm,prompt,edit\nBär,a,b,c".encode("latin-1"))
    with pytest.raises(UserError, match="CSV UTF-8"):
        read_edits(tmp_path / "edits.csv")


def test_a_photo_is_in_one_group(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    path = tmp_path / "edits.csv"
    rows = ["a.png,rain,original,dog,", "b.png,rain,cloak,dog,zoo", "c.png,rain,gray,dog,{}"]
    text = "\n".join(["edit,prompt,arm,photo,group", *rows])
    path.write_text(text.format("zoo"))
    assert groups(read_edits(path)) == {"dog": "zoo"}
    path.write_text(text.format("park"))
    with pytest.raises(UserError, match="line 4: dog is in the group park here and in zoo above"):
        groups(read_edits(path))

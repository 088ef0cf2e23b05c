"""What the command line prints: everywhere, steering no terminal, and a sentence where it can't."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from skimage import data
from typer.testing import CliRunner

import brittle
from brittle.cli import app
from brittle.errors import UserError, printable
from brittle.images import from_bytes, write_image
from tests.trial.edits import write_edits

FULL = Path("/dev/full")


@pytest.fixture
def photo(tmp_path):
    write_image(tmp_path / "cat.png", from_bytes(data.chelsea()[None, :64, :64]))
    return tmp_path / "cat.png"


def run(*arguments, encoding="utf-8", stdout=subprocess.PIPE):
    code = "from brittle.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def test_an_answer_needs_no_character_that_the_code_page_lacks(photo):
    renamed = photo.rename(photo.with_name("猫 é 😀.png"))
    whole = CliRunner().invoke(app, ["audit", str(renamed), "--json"]).stdout
    told = run("audit", renamed, "--json", encoding="cp1252").stdout.decode("cp1252")
    assert "猫 é 😀.png" in whole
    assert r"\u732b é \ud83d\ude00.png" in told
    assert json.loads(told) == json.loads(whole)


def test_no_list_needs_one_either():
    done = run("list", "transforms", encoding="ascii")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", [("list", "metrics"), ("--help",), ("--version",)])
def test_a_full_disk_behind_the_answer_is_a_sentence(command):
    with FULL.open("w") as full:
        done = run(*command, stdout=full)
    said = done.stderr.decode().strip()
    assert (done.returncode, said.count("\n")) == (2, 0)
    assert said.startswith("brittle: the output could not be written: No space left")


def test_a_files_name_steers_no_terminal(photo):
    odd = photo.rename(photo.with_name("\x1b[31mred\x9b\u202egpj.png"))
    out = photo.parent / "out"
    done = CliRunner().invoke(app, ["transform", str(odd), "--with", "flip", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert r"\u001b[31mred\u009b\u202egpj.png" in done.stdout
    assert not set("\x1b\x9b\u202e") & set(done.output)
    done = CliRunner().invoke(app, ["transform", str(odd) + "x", "--with", "flip", "-o", str(out)])
    assert done.exit_code == 2
    assert not set("\x1b\x9b\u202e") & set(done.output)


def test_what_is_printable_stays():
    text = "Größe ×\t½ …\n猫 😀 عربى \u200f"
    assert printable(text) == text
    assert printable(Path("a\udcffb")) == r"a\udcffb"


def test_a_sentence_is_one_line_without_a_word_that_never_ends():
    said = str(UserError(f"a\nb \x1b[2J {'/x' * 5000}: there is no such file."))
    assert said.startswith(r"a\nb \u001b[2J /x/x")
    assert said.endswith(": there is no such file.")
    assert len(said) < 300


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_runs_out_is_a_sentence(photo, monkeypatch, error):
    def fails(*arguments, **options):
        raise error

    for name in ("protect_files", "edit_files", "audit", "visibility", "calibrate"):
        monkeypatch.setattr(brittle, name, fails)
    for command in (
        ("protect", photo, "-o", "x.png"),
        ("edit", photo, "--prompt", "rain", "-o", "x.png"),
        ("audit", photo, photo),
        ("visibility", photo, photo),
        ("calibrate", photo),
    ):
        done = CliRunner().invoke(app, [str(one) for one in command])
        assert done.exit_code == 2
        assert done.stderr.strip().startswith("brittle: this needs more memory")


def test_an_error_that_is_nobodys_to_mend_is_not_hidden(photo, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("a mistake of brittle's own")

    monkeypatch.setattr(brittle, "visibility", fails)
    done = CliRunner().invoke(app, ["visibility", str(photo), str(photo)])
    assert isinstance(done.exception, RuntimeError)


def test_folders_whose_names_are_no_utf8_are_written_of(photo):
    odd = Path(os.fsdecode(os.fsencode(photo.parent) + b"/odd\xff"))
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("the file system takes names of UTF-8 alone")
    photo.rename(odd / "cat.png")
    assert json.loads(run("audit", odd / "cat.png", "--json").stdout)
    table = write_edits(odd / "edits", photos=1)
    assert brittle.score(table, odd / "out").path.is_file()
    assert brittle.score(table.rename(odd / "edits" / "more.csv"), odd / "more").path.is_file()
    assert brittle.compare([odd / "out", odd / "more"], odd / "both.html").path.is_file()


def test_a_prompt_that_is_no_text_is_refused(photo):
    done = CliRunner().invoke(app, ["edit", str(photo), "--prompt", "rain\udcff", "-o", "x.png"])
    assert done.exit_code == 2
    assert r"'rain\udcff' has bytes that are no UTF-8" in done.stderr

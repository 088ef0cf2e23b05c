"""The page's three kinds of work, which are the library's own."""

import io
import zipfile

import pytest

import brittle
from brittle.images import read_photo

pytest.importorskip("starlette", reason="pip install 'brittle[app]'")
ASKED = {"protection": "photoguard-encoder", "strength": "medium"}


def test_check_shows_the_audit_s_own_report(page, pictures, tmp_path):
    protected = tmp_path / "another name.png"
    brittle.protect_files(pictures / "cat.png", protected, "photoguard-encoder:steps=3")
    page.drop("originals", pictures / "cat.png")
    page.drop("protected", protected)
    told = page.work("check", edits=False)
    assert told["problem"] == ""
    again = tmp_path / "again.html"
    brittle.audit(pictures / "cat.png", protected, quick=True, out=again)
    assert page.made(told["found"]["report"]).decode() == again.read_text(encoding="utf-8")


def test_check_takes_folders_and_says_what_doesn_t_fit(page, pictures):
    page.drop("originals", pictures / "cat.png")
    page.drop("originals", pictures / "cup.jpg")
    page.drop("protected", pictures / "cup.jpg")
    told = page.work("check", edits=False)
    assert "originals/cat.png" in page.made(told["found"]["report"]).decode()


def test_protect_makes_the_command_s_files(page, pictures, tmp_path):
    for name in ("cat.png", "cup.jpg"):
        page.drop("photos", pictures / name)
    told = page.work("protect", **ASKED)
    assert told["problem"] == ""
    by_name = {one["photo"]: one for one in told["found"]["photos"]}
    assert set(by_name) == {"cat.png", "cup.jpg"}
    brittle.protect_files(pictures / "cup.jpg", tmp_path / "x.png", budget="medium")
    cup = page.made(by_name["cup.jpg"]["after"])
    assert cup == (tmp_path / "x.png").read_bytes()
    assert by_name["cup.jpg"]["costs"].count("dB") == 1
    (tmp_path / "before.png").write_bytes(page.made(by_name["cup.jpg"]["before"]))
    assert read_photo(tmp_path / "before.png").digest == read_photo(pictures / "cup.jpg").digest
    with zipfile.ZipFile(io.BytesIO(page.made(told["found"]["all"]))) as file:
        assert sorted(file.namelist()) == ["cat.png", "cup.png"]
        assert file.read("cup.png") == cup


def test_a_photo_that_can_t_be_protected_is_listed_and_the_others_are_protected(
    page, pictures, server
):
    page.drop("photos", pictures / "cat.png")
    page.drop("photos", pictures / "cup.jpg")
    (server.uploads.photos("0" * 32, "photos")[0]).write_bytes(b"damaged meanwhile")
    told = page.work("protect", **ASKED)
    assert [one["photo"] for one in told["found"]["photos"]] == ["cup.jpg"]
    (said,) = told["found"]["left_out"]
    assert said.startswith("cat.png ")
    assert "all" not in told["found"]


def test_the_figure_is_four_pictures_and_each_is_made_once(page, server):
    asked = ASKED | {"sample": "chelsea", "look": "sepia", "quality": 75}
    told = page.work("figure", **asked)
    assert told["problem"] == ""
    names = {
        f"{arm} {what}" for arm in ("unprotected", "protected") for what in ("received", "edit")
    }
    assert set(told["found"]) == names
    assert len({page.made(path) for path in told["found"].values()}) == 4
    made = [server.made / path for path in told["found"].values()]
    when = [path.stat().st_mtime_ns for path in made]
    assert page.work("figure", **asked)["found"] == told["found"]
    assert [path.stat().st_mtime_ns for path in made] == when


def test_what_was_protected_stays_while_figures_come_and_go(page, pictures, server, monkeypatch):
    monkeypatch.setattr("brittle.app.jobs.KEPT", 1)
    page.drop("photos", pictures / "cat.png")
    (protected,) = page.work("protect", **ASKED)["found"]["photos"]
    asked = ASKED | {"sample": "chelsea", "look": "sepia", "quality": 75}
    known = len(server.jobs._known)
    figures = [page.work("figure", **asked)["found"] for _ in range(4)]
    assert page.made(protected["after"])
    assert len(server.jobs._known) <= known + 2
    for path in figures[0].values():  # the forgotten one's pictures lie elsewhere
        assert path.startswith("figures/")
        assert page.made(path)


def test_the_figure_takes_one_s_own_photo(page, pictures):
    page.drop("own photo", pictures / "cat.png")
    told = page.work("figure", **ASKED, sample="", look="snow", quality=None)
    assert told["problem"] == ""
    received = told["found"]["unprotected received"]
    assert page.made(received)[16:24] == bytes([0, 0, 0, 64, 0, 0, 0, 48])  # a PNG's width, height

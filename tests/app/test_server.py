import asyncio
import re
import shutil
import socket

import pytest
from typer.testing import CliRunner

from brittle.cli import app as commands
from brittle.errors import UserError
from tests.app.pages import VISIT

pytest.importorskip("starlette", reason="pip install 'brittle[app]'")
JSON = {"visit": VISIT, "protection": "photoguard-encoder", "strength": "mild"}


def test_the_page_names_nothing_but_this_server(page):
    answer = page.client.get("/")
    assert answer.status_code == 200
    for address in re.findall(r'(?:src|href)="([^"]*)"', answer.text):
        assert re.fullmatch(r"data:,|(static/|samples/)?[\w.]+", address), address
        if address != "data:,":
            assert page.client.get(f"/{address}").status_code == 200, address
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"host": "localhost:8765"}, 200),
        ({"host": "evil.example"}, 400),
        ({"host": "evil.example:8765"}, 400),
        ({"host": "127.0.0.1.evil.example"}, 400),
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_only_this_page_on_this_computer_is_answered(page, headers, code):
    assert page.client.get("/", headers=headers).status_code == code
    assert page.client.delete(f"/trays/{VISIT}/photos", headers=headers).status_code == code


def test_a_photo_that_arrives_is_described(page, pictures):
    found = page.drop("photos", pictures / "cat.png")
    assert (found["width"], found["height"]) == (64, 48)


def test_what_is_no_photo_is_refused_in_a_sentence_and_deleted(page, pictures, server):
    said = page.drop("photos", pictures / "broken.jpg", code=400)["problem"]
    assert said == "broken.jpg is damaged or incomplete, and can't be read."
    with pytest.raises(UserError, match="A photo is missing"):
        server.uploads.photos(VISIT, "photos")


def test_too_many_bytes_are_refused_while_they_come(server):
    sent = []

    async def body():
        for _ in range(100):
            sent.append(1)
            yield b"0" * 2**20

    with pytest.raises(UserError, match=r"big.png is larger than 3 MB"):
        asyncio.run(server.uploads.receive(VISIT, "photos", "big.png", body(), max_bytes=3 * 2**20))
    assert len(sent) == 4
    with pytest.raises(UserError, match="A photo is missing"):
        server.uploads.photos(VISIT, "photos")


@pytest.mark.parametrize("name", ["..%2Fcat.png", "a%2Fcat.png", "a%5Ccat.png", ".cat", "%00.png"])
def test_names_that_are_paths_are_refused(page, name, server):
    answer = page.client.put(f"/trays/{VISIT}/photos/{name}", content=b"x")
    assert answer.status_code == 400
    assert "no name for a photo" in answer.json()["problem"]
    assert not server.uploads.root.exists()


@pytest.mark.parametrize("ask", ["PUT", "DELETE"])
@pytest.mark.parametrize("name", ["猫" * 100 + ".png", "a" * 252 + ".png"])
def test_names_that_are_too_long_are_refused(page, name, ask, server):
    answer = page.client.request(ask, f"/trays/{VISIT}/photos/{name}", content=b"x")
    assert answer.status_code == 400
    assert answer.json()["problem"] == f"The name {name[:80]}… is too long: rename the file."
    assert not server.uploads.root.exists()


def test_a_name_of_255_bytes_is_taken(page, pictures, tmp_path):
    long = tmp_path / ("猫" * 83 + "a.png")
    shutil.copy(pictures / "cat.png", long)
    assert page.drop("photos", long)["width"] == 64
    assert page.client.delete(f"/trays/{VISIT}/photos/{long.name}").status_code == 200


def test_a_file_that_the_system_refuses_is_said(page, monkeypatch):
    monkeypatch.setattr("brittle.app.uploads.LONGEST", 999)  # as where a name may be shorter
    name = "cat" * 100
    answer = page.client.put(f"/trays/{VISIT}/photos/{name}", content=b"x")
    assert answer.status_code == 400
    assert answer.json()["problem"] == f"{name} couldn't be written: File name too long."


@pytest.mark.parametrize("path", ["x/photos", f"{'g' * 32}/photos", f"{VISIT}/elsewhere"])
def test_only_the_trays_of_a_visit_take_photos(page, path):
    assert page.client.put(f"/trays/{path}/cat.png", content=b"x").status_code == 400


def test_a_second_photo_of_a_name_is_refused_until_the_first_is_removed(page, pictures):
    page.drop("photos", pictures / "cat.png")
    assert "Two of the photos" in page.drop("photos", pictures / "cat.png", code=400)["problem"]
    assert page.client.delete(f"/trays/{VISIT}/photos/cat.png").status_code == 200
    page.drop("photos", pictures / "cat.png")
    assert page.client.delete(f"/trays/{VISIT}/photos").status_code == 200
    page.drop("photos", pictures / "cat.png")


@pytest.mark.parametrize(
    ("task", "body"),
    [
        ("dance", {}),
        ("protect", {}),
        ("protect", JSON),  # no photo yet
        ("protect", JSON | {"protection": "../nothing"}),
        ("protect", JSON | {"strength": "8/255"}),
        ("figure", JSON | {"sample": "nobody", "look": "sepia", "quality": None}),
        ("figure", JSON | {"sample": "chelsea", "look": "../x", "quality": None}),
        ("figure", JSON | {"sample": "chelsea", "look": "sepia", "quality": 0}),
    ],
)
def test_work_that_can_t_be_is_refused_in_a_sentence(page, task, body):
    answer = page.client.post(f"/tasks/{task}", json=body)
    assert answer.status_code == 400
    assert answer.json()["problem"].endswith((".", "page again.", "file."))


def test_nothing_outside_of_what_was_made_is_served(page, server, pictures):
    page.drop("photos", pictures / "cat.png")
    for path in (f"trays/{VISIT}/photos/cat.png", "..%2Ftrays", "%2e%2e/trays"):
        assert page.client.get(f"/made/{path}").status_code == 404
    assert page.client.get("/jobs/nobody").status_code == 400


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("brittle.app.find_spec", lambda name: None)
    done = CliRunner().invoke(commands, ["app", "--no-browser"])
    assert done.exit_code == 2
    said = "brittle: The app needs two more packages: pip install 'brittle[app]'.\n"
    assert done.stderr == said


def test_a_port_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(commands, ["app", "--no-browser", "--port", str(port)])
    assert done.exit_code == 2
    assert f"Port {port} can't be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_listens_on_this_computer_alone():
    from brittle.app.server import _listening

    with _listening(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"

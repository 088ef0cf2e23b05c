"""The front door: what it promises in its docstrings, and what it does with files."""

import doctest
import inspect

import pytest
from PIL import Image
from skimage import data

import brittle
from brittle import api
from brittle.images import from_bytes, read_photo, write_image
from brittle.trial import demo
from tests.pictures import photo
from tests.reporting.made import finish, make_trial
from tests.trial.edits import write_edits

TRIAL = """
photos: me.png
size: 128
prompts: heavy rain
protections: ['photoguard-encoder:steps=2']
placebos: [noise]
transforms: ['jpeg:quality=75']
editors: ['img2img:num_inference_steps=4']
floor_seeds: []
metrics: [psnr]
primary: {metric: psnr}
"""
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
EXAMPLES = ["brittle", *(name for name in api.__all__ if name not in ("EditModel", "Trial"))]


BENCH = """
name: tiny
version: 1
levels: {mild: 8/255}
trial:
  photos: me.png
  size: 128
  prompts: heavy rain
  placebos: [noise]
  transforms: ['jpeg:quality=75']
  editors: ['img2img:num_inference_steps=4']
  floor_seeds: []
  metrics: [psnr]
  primary: {metric: psnr}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples name: photos, paintings, a trial's file, a table of edits, two trials."""
    folder = tmp_path_factory.mktemp("examples")
    write_image(folder / "me.png", from_bytes(photo(64, 80)[None]))
    me = read_photo(folder / "me.png").image
    write_image(folder / "protected.png", brittle.protect(me, "photoguard-encoder:steps=8"))
    (folder / "photos").mkdir()
    for number in range(8):
        crop = data.astronaut()[20 * number : 20 * number + 128 : 2, 150:278:2]
        Image.fromarray(crop).save(folder / "photos" / f"{number}.png")
    for number in range(2):
        write_image(folder / "holiday" / f"{number}.png", from_bytes(photo(64 + 8 * number)[None]))
    for name, crop in (("a", data.chelsea()[:200, :220]), ("b", data.chelsea()[90:290, 100:280])):
        painting = from_bytes(crop[None].copy())
        write_image(folder / "paintings" / f"{name}.png", painting)
        write_image(folder / "cloaked" / f"{name}.png", (painting + 4 / 255).clamp(0, 1))
    (folder / "trial.yaml").write_text(TRIAL)
    (folder / "bench.yaml").write_text(BENCH)
    (folder / "entries").mkdir()
    (folder / "mine.py").write_text("from brittle.component import register")
    (folder / "demo.yaml").write_text(TRIAL.replace("size: 128", "square: 64"))
    write_edits(folder, photos=2)
    for name in ("old", "new"):
        finish(make_trial(folder / name))
    return folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_docstrings_show_is_what_happens(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(demo, "TRIAL", folder / "demo.yaml")
    documented = brittle if name == "brittle" else getattr(brittle, name)
    said = []
    text = inspect.getdoc(documented)
    example = doctest.DocTestParser().get_doctest(text, {"brittle": brittle}, name, None, None)
    assert example.examples
    doctest.DocTestRunner(optionflags=FLAGS).run(example, out=said.append)
    assert not said, "".join(said)


def test_the_package_has_the_names_of_its_front_door():
    assert brittle.__all__ == sorted([*api.__all__, "Unavailable", "UserError"])


def test_every_argument_and_result_is_typed():
    for name in api.__all__:
        if inspect.isfunction(function := getattr(api, name)):
            signature = inspect.signature(function)
            typed = [one.annotation for one in signature.parameters.values()]
            assert inspect.Signature.empty not in (*typed, signature.return_annotation), name


def test_photos_are_protected_with_what_memory_there_is(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("brittle.models.memory.free_memory", lambda device: 10**8)
    me = folder / "me.png"
    for protect in (
        lambda: brittle.protect(read_photo(me).image),
        lambda: brittle.protect_files(me, tmp_path / "out.png"),
    ):
        with pytest.raises(brittle.UserError, match="Protecting a photo of 80 × 64 px"):
            protect()
    assert not any(tmp_path.iterdir())


def test_a_folder_of_photos_is_written_as_the_photos_by_themselves(folder, tmp_path):
    setting = "photoguard-encoder:steps=1"
    made = brittle.protect_files(folder / "paintings", tmp_path / "out", setting).found
    assert [path.name for path in made.files] == ["a.png", "b.png"]
    alone = tmp_path / "b.png"
    brittle.protect_files(folder / "paintings" / "b.png", alone, setting)
    assert alone.read_bytes() == (tmp_path / "out" / "b.png").read_bytes()
    tensor = brittle.protect(read_photo(folder / "paintings" / "b.png").image, setting)
    assert read_photo(alone).image.equal(tensor)

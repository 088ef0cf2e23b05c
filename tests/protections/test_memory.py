"""What a protection takes of memory: estimated, refused where it can't fit, and measured."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch.nn import functional

from brittle import api
from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.images import quantise, write_image
from brittle.models import load_model, memory
from brittle.protections import Protection
from brittle.sources.photos import read_photos
from brittle.transforms import Transform
from brittle.trial.fits import check_memory
from brittle.trial.plan import make_plan

BIG = (3000, 4000)
RUN = """
import re, sys
from pathlib import Path
from brittle.cli import app
try:
    app(sys.argv[1:])
finally:
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def estimate(model, protection: str, *shapes: tuple[int, int]) -> float:
    return Protection.parse(protection).memory(model, shapes)


def peak(photo, height: int, width: int, folder: Path, protection: str) -> int:
    """Bytes that `brittle protect` took at most, imports included."""
    big = functional.interpolate(photo, (height, width), mode="bilinear")
    write_image(folder / "photo.png", quantise(big))
    command = [sys.executable, "-c", RUN, "protect", str(folder / "photo.png")]
    done = subprocess.run(
        [*command, "--with", protection, "-o", str(folder / "out.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    return 1024 * int(done.stdout.split()[-1])


def test_the_estimate_grows_with_pixels_and_with_what_is_asked(embedded):
    small = estimate(embedded, "encoder", (512, 512))
    assert small < estimate(embedded, "encoder", BIG) < 4e9
    assert estimate(embedded, "encoder", BIG, BIG) > 1.3 * estimate(embedded, "encoder", BIG)
    jpeg = estimate(embedded, "photoguard-encoder-jpeg", BIG)
    assert jpeg > 1.5 * estimate(embedded, "encoder", BIG)
    assert estimate(embedded, "diffusion", (512, 512)) > small
    # What the perceptual distance keeps of a photo at its own size for its gradient.
    plain, seen = (estimate(embedded, f"style-cloak:alpha={alpha}", BIG) for alpha in (0, 1))
    assert seen - plain > 1_000 * 3000 * 4000


def test_what_cannot_fit_is_refused_before_work(embedded, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**30)
    encoder = Protection.parse("encoder")
    encoder.check_memory(embedded, [(512, 512)])
    with pytest.raises(UserError) as refused:
        encoder.check_memory(embedded, [BIG])
    assert str(refused.value).startswith("Protecting a photo of 4000 × 3000 px with encoder needs ")
    assert "and 1.0 GiB are free on cpu: make the photo smaller" in str(refused.value)


def test_a_trial_that_cannot_fit_is_refused_too(embedded, photos, tmp_path, monkeypatch):
    write_image(tmp_path / "one.png", photos[:1])
    trial = Trial(photos=str(tmp_path), size=128, prompts=("rain",))
    plan = make_plan(trial, read_photos(trial), embedded)
    check_memory(plan, embedded)
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**20)
    with pytest.raises(UserError, match=r"Protecting a photo of 128 × 128 px with encoder needs"):
        check_memory(plan, embedded)
    check_memory(plan, embedded, lambda key: True)


def test_edits_are_refused_where_the_weights_do_not_fit(embedded, photos, tmp_path, monkeypatch):
    new = embedded.with_files(embedded.files)
    whole = new.unread_bytes
    new.embed(["rain"])
    read = sum(weight.nbytes for weight in new.weights())
    assert new.unread_bytes == whole - read > 0
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**10)
    with pytest.raises(UserError, match=r"^Editing with embedded needs .* are free on cpu: say --"):
        api.edit(photos[:1], "heavy rain", model=new)
    write_image(tmp_path / "one.png", photos[:1])
    with pytest.raises(UserError, match=r"^Editing with embedded needs"):
        api.edit_files(tmp_path / "one.png", tmp_path / "out", "heavy rain", model=new)
    trial = Trial(photos=str(tmp_path), size=128, prompts=("rain",), protections=())
    plan = make_plan(trial, read_photos(trial), new)
    with pytest.raises(UserError, match=r"^Editing with embedded needs"):
        check_memory(plan, new)


def test_a_photo_too_large_for_a_transform_is_left_out(photos, tmp_path, monkeypatch):
    for name in "ab":
        write_image(tmp_path / "in" / f"{name}.png", photos[:1] if name == "a" else big(photos))
    monkeypatch.setattr(memory, "free_memory", lambda device: 40 * 2**20)
    said = r"^Passing a photo of 1024 × 1024 px through jpeg:.* needs 0.1 GiB and"
    batch = api.transform_files(tmp_path / "in", tmp_path / "out", "jpeg:quality=75").found
    assert batch.files == [tmp_path / "out" / "a.png"]
    assert re.match(said, batch.failed["b.png"])
    with pytest.raises(UserError, match=said):
        api.transform_files(tmp_path / "in" / "b.png", tmp_path / "b.png", "jpeg:quality=75")
    assert not (tmp_path / "b.png").exists()
    with pytest.raises(UserError, match=r"^Passing a photo of 1024 × 1024 px"):
        api.transform(big(photos), "flip")
    assert api.transform(photos[:1], "flip").shape == photos[:1].shape


def big(photos):
    return quantise(functional.interpolate(photos[:1], (1024, 1024), mode="bilinear"))


def test_a_chain_takes_what_its_largest_step_takes():
    small, blur = (
        Transform.parse("resize:factor=0.5,back=false"),
        Transform.parse("gaussian-blur:sigma=1"),
    )
    chain = Transform.parse(f"{small}+{blur}")
    assert chain.memory((800, 600)) == max(small.memory((800, 600)), blur.memory((400, 300)))
    other = Transform.parse(f"{blur}+{small}")
    assert other.memory((800, 600)) == blur.memory((800, 600)) > chain.memory((800, 600))


def test_the_library_refuses_it_too(embedded, photos, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**20)
    with pytest.raises(UserError, match=r"Protecting 2 photos of up to 128 × 128 px with encoder"):
        api.protect(photos[:2], "encoder:steps=1", model=embedded)


@linux
def test_the_estimate_is_near_what_is_taken(photos, tmp_path):
    taken = peak(photos[:1], 750, 1000, tmp_path, "encoder:steps=1")
    assert 0.8 * taken < estimate(load_model(), "encoder", (750, 1000)) < 1.6 * taken


@linux
@pytest.mark.slow
def test_twelve_megapixels_take_less_than_4_gb(photos, tmp_path):
    assert peak(photos[:1], *BIG, tmp_path, "photoguard-encoder:steps=3") < 4e9

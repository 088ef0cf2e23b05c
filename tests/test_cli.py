import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from brittle import appearance
from brittle.budgets import STRENGTHS, read_budget
from brittle.cli import app
from brittle.images import read_photo
from tests.models import taesd
from tests.reporting.made import finish, make_trial
from tests.trial.edits import write_edits


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.jpg"
    exif = Image.Exif()
    exif[0x010E] = "my secret garden"
    Image.fromarray(data.chelsea()[:150:2, :203:2]).save(path, quality=95, exif=exif)
    return path


def brittle(*arguments, code=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


def refused(*arguments):
    """The one sentence with which a command refuses; never a traceback."""
    done = brittle(*arguments, code=2)
    said = done.stderr.strip()
    assert said.startswith("brittle: ")
    assert "Traceback" not in said
    assert said.count("\n") == 0
    return said


def png(width, height, depth, colour, rows):
    """A PNG by hand, for what Pillow doesn't write."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CAT = Image.fromarray(data.chelsea()[:64, :64])
GOOD = {
    "16 bits.png": png(32, 32, 16, 2, [np.full(96, 30000, ">u2").tobytes()] * 32),
    "palette.png": encoded(CAT.convert("P"), "PNG"),
    "gray.png": encoded(CAT.convert("L"), "PNG"),
    "cmyk.jpg": encoded(CAT.convert("CMYK"), "JPEG"),
    "alpha.png": encoded(CAT.convert("RGBA"), "PNG"),
    "animated.gif": encoded(CAT.convert("P"), "GIF", save_all=True, append_images=[CAT.rotate(9)]),
    "webp.webp": encoded(CAT, "WEBP"),
}
BAD = {
    "empty.png": b"",
    "text.png": b"these are not pixels",
    "truncated.png": encoded(CAT, "PNG")[:400],
    "truncated.jpg": encoded(CAT, "JPEG")[:400],
    "bomb.png": png(60000, 60000, 8, 2, []),
    "tiny.png": encoded(CAT.crop((0, 0, 5, 5)), "PNG"),
}


@pytest.mark.parametrize("name", GOOD)
def test_photos_of_all_kinds_work(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    brittle("transform", tmp_path / name, "--with", "none", "-o", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert (out.mode, out.format) == ("RGB", "PNG")


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_photo_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    said = refused("transform", tmp_path / name, "--with", "flip", "-o", tmp_path / "out.png")
    assert name in said
    assert not (tmp_path / "out.png").exists()


def test_a_protected_photo_keeps_its_size_and_its_budget(photo, tmp_path):
    said = brittle(
        *("protect", photo, "--with", "photoguard-encoder:steps=2", "--epsilon", "8/255"),
        *("-o", tmp_path / "out"),
    ).stdout
    protected = read_photo(tmp_path / "out" / "cat.png")
    original = read_photo(photo)
    assert protected.image.shape == original.image.shape
    moved = (protected.image - original.image).abs().max().item() * 255
    assert 1 <= round(moved) <= 8
    found = appearance.essentials(original.image, protected.image)
    assert said.splitlines()[-2:] == [
        f"cat.jpg: {appearance.spent(found)}",
        f"  written to {tmp_path / 'out' / 'cat.png'}",
    ]


def test_what_is_plainly_visible_is_said_with_what_to_type(photo, tmp_path):
    setting = ("protect", photo, "--with", "photoguard-encoder:steps=6,step_size=6/255")
    plain = brittle(*setting, "--epsilon", "24/255", "-o", tmp_path / "plain.png").stdout
    assert "plainly visible" in plain
    assert "--epsilon mild is hardly visible" in plain
    mild = brittle(*setting, "--epsilon", "mild", "-o", tmp_path / "mild.png").stdout
    assert "as sky\n  written to" in mild
    assert "hardly visible" in mild


def test_a_file_saved_with_loss_is_measured_as_it_is(photo, tmp_path):
    out = tmp_path / "out.jpg"
    setting = ("--with", "photoguard-encoder:steps=1", "--lossy")
    said = brittle("protect", photo, *setting, "-o", out).stdout
    lost = appearance.spent(appearance.essentials(read_photo(photo).image, read_photo(out).image))
    assert said.endswith(f"saved with loss, which undoes protections: {lost}\n")


@pytest.mark.parametrize("budget", ["l2:8@512", "l2:2@128", "mild"])
def test_budgets_of_other_norms_are_used(photo, tmp_path, budget):
    out = tmp_path / "out.png"
    brittle(
        *("protect", photo, "--with", "photoguard-encoder:steps=8", "--epsilon", budget),
        *("-o", out),
    )
    used = read_budget(budget)
    spent = float(used.spent(read_photo(photo).image, read_photo(out).image))
    assert used.radius / 2 < spent <= used.radius  # half of it would not have been enough


@pytest.mark.parametrize("setting", ["steps=3,budget=0.9/255", "steps=1,budget=l2:8"])
def test_a_file_that_would_not_be_protected_is_not_written(photo, tmp_path, setting):
    out = tmp_path / "out.png"
    done = brittle("protect", photo, "--with", f"photoguard-encoder:{setting}", "-o", out, code=2)
    assert "moves no pixel by a whole level" in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_metadata_is_dropped_unless_asked_for(photo, tmp_path):
    for flag, kept in (([], False), (["--keep-metadata"], True)):
        out = tmp_path / f"{kept}.png"
        brittle("transform", photo, "--with", "flip", "-o", out, *flag)
        assert (b"my secret garden" in out.read_bytes()) is kept


def test_the_same_seed_gives_the_same_bytes(photo, tmp_path):
    for name in ("one", "two"):
        out = tmp_path / f"{name}.png"
        brittle("edit", photo, "--prompt", "heavy rain", "--seed", 3, "-o", out)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    brittle("edit", photo, "--prompt", "heavy rain", "--seed", 4, "-o", tmp_path / "three.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "three.png").read_bytes()


def test_a_collection_is_protected_together(photo, tmp_path):
    other = tmp_path / "coffee.png"
    Image.fromarray(data.coffee()[:150:2, :150:2]).save(other)
    setting = "anti-dreambooth:rounds=1,steps=1,training_steps=1"
    told = brittle("protect", photo, other, "--with", setting, "-o", tmp_path / "out")
    lines = [line for line in told.stdout.splitlines() if " dB, at most" in line]
    assert [line.partition(":")[0] for line in lines] == ["cat.jpg", "coffee.png"]
    alone = tmp_path / "alone.png"
    brittle("protect", photo, "--with", setting, "-o", alone)
    together = read_photo(tmp_path / "out" / "cat.png")
    assert together.digest != read_photo(alone).digest


def test_protections_and_edits_with_a_mask(photo, tmp_path):
    out = tmp_path / "out.png"
    brittle("protect", photo, "--with", "encoder:steps=1", "--mask", "auto", "-o", out)
    same = read_photo(out).image == read_photo(photo).image
    assert same[..., 35:40, 48:53].all()
    assert not same.all()
    edited = tmp_path / "edited.png"
    brittle(
        *("edit", photo, "--prompt", "snow", "--editor", "inpaint", "--mask", "auto"),
        *("-o", edited),
    )
    assert read_photo(edited).image.shape[-2:] == (72, 96)  # its own size, in multiples of 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "photogard-encoder"], "did you mean 'photoguard-"),
        (["--with", "photoguard-encoder:step=3"], "did you mean 'steps'"),
        (["--with", "photoguard-encoder:steps=0"], "steps"),
        (["--with", "photoguard-encoder:steps"], "key=value"),
        (["--epsilon", "-8/255"], "-8/255"),
        (["--epsilon", "8"], "8/255"),
        (["--epsilon", "0"], "radius"),
        (["--epsilon", "lots"], "lots"),
        (["--model", "embeded"], "embedded"),
        (["--mask", "nowhere.png"], "nowhere.png"),
        (["--mask", "alpha"], "alpha"),
        (["--device", "abacus"], "abacus"),
        (["--dtype", "float12"], "float12"),
    ],
)
def test_mistakes_in_protect_are_one_sentence(photo, tmp_path, arguments, message):
    assert message in refused("protect", photo, "-o", tmp_path / "out.png", *arguments)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ("jpg:quality=65", "did you mean 'jpeg'"),
        ("jpeg:qualty=65", "did you mean 'quality'"),
        ("jpeg:quality=0", "quality"),
        ("jpeg:quality=101", "quality"),
        ("jpeg:quality=65.5", "quality"),
        ("jpeg", "quality"),
        ("jpeg:quality=65,quality=70", "twice"),
        ("jpeg:quality=65,subsampling=4:1:1", "subsampling"),
        ("median-blur:size=4", "size"),
        ("jpeg:quality=65+nope", "nope"),
        ("denoise:strength=0.01", "leaves no step"),
    ],
)
def test_mistakes_in_transforms_are_one_sentence(photo, tmp_path, transform, message):
    assert message in refused("transform", photo, "--with", transform, "-o", tmp_path / "out.png")


def test_purifiers_run_the_model_that_is_named(photo, tmp_path):
    out, same = tmp_path / "out.png", tmp_path / "same.png"
    brittle("transform", photo, "--with", "flip+autoencode", "-o", out)
    brittle("transform", photo, "--with", "flip+autoencode", "--model", "embedded", "-o", same)
    assert out.read_bytes() == same.read_bytes()
    alone = taesd.write(tmp_path / "alone", "taesd", channels=4, pooled=False)
    arguments = ["transform", photo, "--with", "denoise:strength=0.1", "-o", tmp_path / "no.png"]
    assert "is an autoencoder alone" in refused(*arguments, "--model", alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", " "], "empty"),
        (["--prompt", "rain", "--editor", "img2img:strength=0.001"], "strength"),
        (["--prompt", "rain", "--editor", "img2img:strength=2"], "strength"),
        (["--prompt", "rain", "--editor", "inpaint"], "--mask auto"),
        (["--prompt", "rain", "--mask", "auto"], "inpaint"),
    ],
)
def test_mistakes_in_edits_are_one_sentence(photo, tmp_path, arguments, message):
    assert message in refused("edit", photo, "-o", tmp_path / "out.png", *arguments)


def test_masks_that_fit_nothing_are_refused(photo, tmp_path):
    for name, level, size in (
        ("black", 0, (102, 75)),
        ("white", 255, (102, 75)),
        ("small", 0, (9, 9)),
    ):
        mask = tmp_path / f"{name}.png"
        Image.new("L", size, level).save(mask)
        said = refused("protect", photo, "--mask", mask, "-o", tmp_path / "out.png")
        assert mask.name in said


def test_nothing_is_overwritten(photo, tmp_path):
    before = photo.read_bytes()
    out = tmp_path / "out.png"
    brittle("transform", photo, "--with", "none", "-o", out)
    assert "--force" in refused("transform", photo, "--with", "flip", "-o", out)
    brittle("transform", photo, "--with", "flip", "-o", out, "--force")
    for flags in ([], ["--force"], ["--force", "--lossy"]):
        refused("transform", photo, "--with", "flip", "-o", photo, *flags)
    assert "input" in refused("transform", out, "--with", "flip", "-o", out, "--force")
    assert photo.read_bytes() == before


def test_no_command_writes_over_what_it_reads(photo, tmp_path):
    original, protected = tmp_path / "me.png", tmp_path / "protected.png"
    brittle("transform", photo, "--with", "none", "-o", original)
    brittle("transform", photo, "--with", "flip", "-o", protected)
    before = original.read_bytes(), protected.read_bytes()
    for out in (original, protected):
        said = refused("visibility", original, protected, "-o", out, "--force")
        assert "never overwritten" in said
    noise = tmp_path / "protected--noise.png"
    original.rename(noise)
    kind = ("-o", tmp_path, "--kind", "noise", "--force")
    assert "never overwritten" in refused("placebo", noise, protected, *kind)
    assert (noise.read_bytes(), protected.read_bytes()) == before
    calibrating = ("calibrate", tmp_path, "-o", noise, "--force", "--prompt", "sepia")
    assert "no .json file" in refused(*calibrating)


def test_a_difference_goes_into_a_folder_too(photo, tmp_path):
    flipped = tmp_path / "flipped.png"
    brittle("transform", photo, "--with", "flip", "-o", flipped)
    brittle("visibility", photo, flipped, "-o", tmp_path / "added")
    assert (tmp_path / "added" / "flipped.png").is_file()


def test_a_page_is_not_written_over_a_file_of_ones_own(photo, tmp_path):
    blurred, page = tmp_path / "blurred.png", tmp_path / "page.html"
    brittle("transform", photo, "--with", "gaussian-blur:sigma=1", "-o", blurred)
    audit = ("audit", photo, blurred, "--quick", "--with", "none", "-o", page)
    brittle(*audit)
    brittle(*audit)
    page.write_text("mine")
    assert "didn't write it" in refused(*audit)
    assert page.read_text() == "mine"


def test_a_photo_that_is_named_twice_is_one_photo(photo, tmp_path):
    twice = (photo, photo.parent / "." / photo.name)
    brittle("transform", *twice, "--with", "flip", "-o", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["cat.png"]


@pytest.mark.parametrize("name", ["models/übung", "a/b--c", "a/-b", "sd/model.git"])
def test_a_name_that_no_hub_has_is_one_sentence(photo, tmp_path, name):
    said = refused("protect", photo, "-o", tmp_path / "out.png", "--model", name)
    assert name in said


@pytest.mark.parametrize("shard", ["²/4", "0/0", "2/1", "1", "1/2/3"])
def test_a_shard_that_is_none_is_refused_before_a_dry_run(tmp_path, shard):
    (tmp_path / "trial.yaml").write_text("prompts: a sepia photo")
    assert "--shard" in refused("run", tmp_path / "trial.yaml", "--dry-run", "--shard", shard)


def test_mistakes_in_mimicry_are_one_sentence(tmp_path):
    for number, seed in enumerate((60, 120)):
        Image.fromarray(data.chelsea()[seed : seed + 100, :100]).save(tmp_path / f"{number}.png")
    mimic = ("mimic", tmp_path, "-o", tmp_path / "out")
    assert "a prompt is empty" in refused(*mimic, "--prompt", " ")
    assert "names x twice" in refused(*mimic, "--prompt", "x", "--prompt", "x")


def test_a_lossy_file_is_refused_with_the_reason(photo, tmp_path):
    out = tmp_path / "out.jpg"
    said = refused("protect", photo, "-o", out)
    assert "JPG compression undoes" in said
    brittle("transform", photo, "--with", "flip", "-o", out, "--lossy")
    with Image.open(out) as written:
        assert written.format == "JPEG"


def test_several_photos_need_a_folder(photo, tmp_path):
    other = tmp_path / "other.png"
    CAT.save(other)
    assert "folder" in refused(
        "transform", photo, other, "--with", "flip", "-o", tmp_path / "o.png"
    )
    brittle("transform", photo, other, "--with", "flip", "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "cat.png",
        "other.png",
    ]


@pytest.mark.parametrize("command", ["transform", "protect", "edit"])
def test_a_seed_that_no_generator_takes_is_refused(photo, tmp_path, command):
    done = brittle(command, photo, "--seed", 2**64, "-o", tmp_path / "o.png", code=2)
    assert "--seed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_nothing_behind(photo, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    said = refused("transform", photo, "--with", "flip", "-o", tmp_path / "out" / "cat.png")
    assert "No space left" in said
    assert not any((tmp_path / "out").iterdir())


def test_run_and_report_say_what_is_missing(tmp_path):
    assert "no such trial file" in refused("run", tmp_path / "nope.yaml")
    trial = tmp_path / "trial.yaml"
    trial.write_text("prompts: rain")
    assert "i/n" in refused("run", trial, "--shard", "3/2")
    assert "did you mean 'seeds'" in refused("run", trial, "--set", "seed=[1]")
    assert "no finished trial" in refused("report", tmp_path)


def test_a_dry_run_counts_the_work(tmp_path):
    trial = tmp_path / "trial.yaml"
    trial.write_text("prompts: heavy rain\nsquare: 64\ntransforms: ['jpeg:quality=75']\n")
    said = brittle("run", trial, "--dry-run", "--out", tmp_path / "out").stdout
    assert "8 photos" in said
    assert "320 gradient steps" in said
    assert "photos" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("family", ["protections", "transforms", "editors", "metrics", "models"])
def test_lists_name_everything(family):
    from brittle.component import registry

    said = brittle("list", family).stdout.splitlines()
    names = ["embedded"] if family == "models" else registry(family[:-1]).names()
    assert {*names} <= {*said}


def test_the_list_says_which_preset_to_take(tmp_path):
    from brittle.component import registry

    listing, _, budgets = brittle("list", "protections").stdout.partition("--epsilon sets")
    entries = re.split(r"^(?=\S)", listing, flags=re.MULTILINE)[1:]
    said = {entry.partition("\n")[0]: " ".join(entry.split()) for entry in entries}
    for name, preset in registry("protection").presets.items():
        assert f"For: {preset.advice}" in said[name]
        if "with_models" in preset.fields and "Unavailable: " in said[name]:
            continue
        assert "Cost a photo: " in said[name]
        assert re.search(r"Visibility: at least [\d.]+ dB", said[name])
    for name in STRENGTHS:
        assert re.search(rf"^ +{name} +perceptual:", budgets, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "command", [command.name or command.callback.__name__ for command in app.registered_commands]
)
def test_help_shows_an_example(command):
    assert "Example: brittle" in brittle(command, "--help").stdout


def test_the_version_is_that_of_the_package():
    import brittle as package

    assert brittle("--version").stdout == f"brittle {package.__version__}\n"


def test_unknown_commands_and_options_exit_with_2():
    brittle("frobnicate", code=2)
    assert brittle("list", "editor").stdout == brittle("list", "editors").stdout
    brittle("list", "--frobnicate", code=2)
    brittle("list", "colours", code=2)


def test_a_small_trial_runs_to_its_report(tmp_path, embedded):
    trial = tmp_path / "trial.yaml"
    trial.write_text(
        json.dumps(
            {
                "prompts": "heavy rain",
                "square": 64,
                "protections": ["photoguard-encoder:steps=2"],
                "placebos": ["noise"],
                "transforms": ["jpeg:quality=75"],
                "editors": ["img2img:num_inference_steps=4"],
                "floor_seeds": [1],
            }
        )
    )
    said = brittle("run", trial, "--out", tmp_path / "out").stdout
    assert "\n\nOn the embedded model" in said
    assert "JPEG 75" in said
    first = (tmp_path / "out" / "report.html").read_bytes()
    brittle("report", tmp_path / "out")
    assert (tmp_path / "out" / "report.html").read_bytes() == first


@pytest.fixture
def short_demo(tmp_path, monkeypatch):
    """Few steps in the place of the demo's, and a folder of two photos for it."""
    from brittle.trial import demo as module

    short = {
        "title": "A short demo",
        "prompts": ["a sepia photo", "golden hour"],
        "protections": ["photoguard-encoder:steps=2"],
        "placebos": ["noise"],
        "transforms": ["jpeg:quality=75", "flip"],
        "editors": ["img2img:num_inference_steps=4"],
        "floor_seeds": [],
        "metrics": ["psnr"],
        "primary": {"metric": "psnr"},
    }
    monkeypatch.setattr(module, "TRIAL", tmp_path / "demo.yaml")
    module.TRIAL.write_text(json.dumps(short))
    (tmp_path / "photos").mkdir()
    for name, crop in (("cat", data.chelsea()), ("cup", data.coffee())):
        Image.fromarray(crop[:200:2, :200:2]).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def test_the_demo_takes_ones_own_photos_and_says_what_it_leaves_out(short_demo):
    out = short_demo / "out"
    wanted = ("--photos", short_demo / "photos", "--size", 128, "--out", out)
    done = brittle("demo", *wanted, "--minutes", 0.1)
    assert "the demo left out golden hour, flip." in done.stderr
    assert re.match(r"\d of 2 edits of protected photos moved further than with noise", done.stdout)
    assert "\n\nOn the embedded model (128 px; an illustration on 2 photos)." in done.stdout
    assert re.search(r"^JPEG 75 ", done.stdout, re.MULTILINE)
    assert "flip" not in done.stdout
    assert done.stdout.endswith(f"Report: {out / 'report.html'}\n")
    page = (out / "report.html").read_bytes()
    assert b"golden hour" in page  # among what was left out
    again = brittle("demo", *wanted)
    assert again.stdout == done.stdout
    assert again.stderr.splitlines()[0] == done.stderr.splitlines()[0]
    assert "inpaint" in brittle("demo", *wanted, "--editor", "inpant", code=2).stderr


def test_scores_of_a_table_tell_the_protections_apart(tmp_path):
    table = write_edits(tmp_path, photos=2, side=32)
    said = brittle("score", table, "--editor", "Photoshop 2026").stdout
    assert re.match(r"idle: \d of 2 edits of protected photos moved further than with noise", said)
    assert "\n\nOn Photoshop 2026 (32 px; an illustration on 2 photos)." in said
    tables = re.split(r"^(idle|perfect|undone); usable.*$", said, flags=re.MULTILINE)
    reach = {
        (arm, row.partition("  ")[0]): float(re.findall(r"(-?\d\.\d\d)", row)[0])
        for arm, part in zip(tables[1::2], tables[2::2], strict=True)
        for row in part.strip().splitlines()[2:4]
    }
    assert reach["idle", "no transform"] == pytest.approx(0, abs=0.05)
    assert reach["perfect", "JPEG 75"] == pytest.approx(1, abs=0.05)
    assert reach["undone", "no transform"] > 0.5
    assert reach["undone", "JPEG 75"] == pytest.approx(0, abs=0.05)
    assert said.endswith(f"Report: {tmp_path / 'edits-scored' / 'report.html'}\n")
    assert "brittle run" not in said
    assert "holds no finished trial" in refused("report", tmp_path)


def test_trials_are_compared_with_the_first(tmp_path):
    for name, after in (("old", 0.3), ("new", 0.6)):
        finish(make_trial(tmp_path / name, left={"none": 1.0, "jpeg:quality=75": after}))
    folders, out = (tmp_path / "old", tmp_path / "new"), tmp_path / "both.html"
    said = brittle("compare", *folders, "-o", out).stdout
    differences = said.partition("photoguard-encoder (new) minus photoguard-encoder (old)")[2]
    (moved,) = re.findall(r"^JPEG 75 +reach +(\S+)", differences, re.MULTILINE)
    assert float(moved) == pytest.approx(0.17, abs=0.02)
    assert said.endswith(f"Report: {out}\n")
    assert "photoguard-encoder (new)" in out.read_text()
    assert "two different folders" in refused("compare", folders[0], "-o", out)

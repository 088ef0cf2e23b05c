"""Audits on the embedded model, from files to answers."""

import html
import json
import math
import re
import shutil
import subprocess
import sys
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import brittle
from brittle.analysis.randomization_test import DRAWS, FIRST
from brittle.analysis.schemas import with_tables
from brittle.auditing.document import Audit
from brittle.auditing.reduction import TracedTransform
from brittle.auditing.request import Request
from brittle.auditing.schemas import SCHEMA, field_tables, schema
from brittle.auditing.setting import TRANSPLANTS, Setting
from brittle.auditing.work import PhotoWork
from brittle.cli import app
from brittle.editors import Img2Img
from brittle.errors import UserError
from brittle.images import from_bytes
from brittle.metrics import PSNR, Latent, Thresholds
from brittle.metrics.thresholds import Calibration, Validity
from brittle.models import load_model
from brittle.record.arms import NOISES
from brittle.record.store import FolderStore, MemoryStore
from brittle.reporting.audit import audit_text, render_audit, tails
from brittle.reporting.transfer import transfer
from brittle.sources.pairs import Pair, read_pair
from brittle.trial.stages import released
from tests.metrics import files as networks
from tests.models import taesd

JPEG = "jpeg:quality=50"
DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def working(files, name, model, transforms, *, calibration=None, metric=None, editor=None):
    """The work on one pair, each transform at the file's own size."""
    request = Request.read(
        transforms, ["a sepia photo"], "img2img", quick=False, thorough=True, seed=0
    )
    setting = Setting(model, request, editor, "", metric or Latent(), "", calibration)
    pictures = read_pair(Pair("cat", files / "original.png", files / name))
    tried = [TracedTransform(transform, 1.0) for transform in request.transforms]
    loaded = Future()
    loaded.set_result(None)
    return PhotoWork(setting, pictures, tried, MemoryStore(), loaded)


def quick(files, name, embedded, **options):
    options = {"transforms": [JPEG], "quick": True, "models": [embedded], **options}
    return brittle.audit(files / "original.png", files / name, **options).found


def test_a_report_of_another_kind_is_refused_before_the_work(files, monkeypatch):
    monkeypatch.setattr("brittle.api.answers.run.audit", None)
    with pytest.raises(UserError, match=r"rep\.txt is no \.html file"):
        brittle.audit(files / "original.png", files / "protected.png", out="rep.txt")


def test_a_model_that_cannot_edit_says_so_and_promises_no_edits(files, tmp_path):
    alone = load_model(taesd.write(tmp_path, "taesd", channels=4, pooled=False), device="cpu")
    report = brittle.audit(
        files / "original.png", files / "protected.png", models=[alone], transforms=[], quick=True
    )
    assert "Run again without --quick" not in report.text
    assert report.found.document.models[0].why_no_edits == alone.why_no_edits.rstrip(".")


def test_what_looks_like_processing_is_said_to_be_in_the_noise_too(files, embedded, tmp_path):
    pixels = np.asarray(Image.open(files / "protected.png")).astype(float)
    Image.fromarray((255 * (pixels / 255) ** 0.8).round().astype(np.uint8)).save(tmp_path / "x.png")
    report = brittle.audit(
        files / "original.png", tmp_path / "x.png", models=[embedded], transforms=[], quick=True
    )
    assert re.search(r"Note: \d+ % of the change, by its energy, is what a processing", report.text)
    assert "what a processing" not in audit_text(quick(files, "noise.png", embedded).document)


def test_a_change_of_a_part_is_not_moved_to_where_it_was_not(files, embedded, tmp_path):
    whole, part = (Image.open(files / name) for name in ("protected.png", "original.png"))
    part.paste(whole.crop((0, 0, 64, 32)), (0, 0))
    part.save(tmp_path / "part.png")
    report = brittle.audit(
        files / "original.png", tmp_path / "part.png", models=[embedded], transforms=[], quick=True
    )
    (none,) = report.found.document.photos[0].results[0].comparisons
    assert none.test.stronger
    assert (none.transplants, none.elsewhere) == ((), None)
    assert "Moved and mirrored" not in report.text


def test_identical_files_promise_and_report_no_edits(files, embedded):
    for fast in (True, False):
        document = quick(files, "same.tif", embedded, quick=fast).document
        assert document.models[0].edits is False
        assert not re.search("Edits were made|to see edits", audit_text(document))


def test_options_that_exclude_each_other_are_refused_for_one_file_too(files):
    with pytest.raises(UserError, match="thorough"):
        brittle.audit(None, files / "protected.png", quick=True, thorough=True)


def test_of_many_files_without_originals_the_unreadable_are_listed(files, tmp_path):
    shutil.copy(files / "protected.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    document = brittle.audit(None, tmp_path).found.document
    assert [one.name for one in document.photos] == ["good"]
    assert "bad.png isn't an image" in document.refused["bad"]
    (tmp_path / "good.png").unlink()
    with pytest.raises(UserError, match="bad"):
        brittle.audit(None, tmp_path)


def test_one_changed_file_of_a_folder_is_not_called_several(files, embedded, tmp_path):
    for folder, name in (("left", "original.png"), ("right", "protected.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(files / name, tmp_path / folder / "cat.png")
        shutil.copy(files / "noise.png", tmp_path / folder / "dog.png")
    document = brittle.audit(
        tmp_path / "left", tmp_path / "right", models=[embedded], transforms=[], quick=True
    ).found.document
    assert (document.models[0].answer, document.models[0].p) == ((), None)


def test_notes_on_reading_name_the_file_or_both(files, embedded, tmp_path):
    for name in ("original.png", "protected.png"):
        Image.open(files / name).convert("L").save(tmp_path / name)
    found = quick(tmp_path, "protected.png", embedded, transforms=[])
    assert audit_text(found.document).count("Both files on reading: gray to colour.") == 1


@pytest.fixture(scope="module")
def protected(files, embedded):
    return quick(files, "protected.png", embedded)


@pytest.fixture(scope="module")
def looked_at(files, embedded):
    """What the encoder sees of many draws, as the file is and mirrored: the work, and its lines."""
    work = working(files, "protected.png", embedded, ["flip"])
    return work, work.latents()


EDITS = {"quick": False, "transforms": [], "prompts": ["a sepia photo"]}


@pytest.fixture(scope="module")
def edited(large, embedded):
    """An audit that edits, and what it said beforehand."""
    said = []
    return quick(large, "protected.png", embedded, say=said.append, **EDITS), said


def test_a_protection_shifts_the_encoder_and_jpeg_takes_some_of_it(protected):
    none, jpeg = protected.document.photos[0].results[0].comparisons
    assert none.test.stronger
    assert jpeg.left < 0.9
    assert (none.seen, none.metric, none.transform) == ("latents", "latent", "none")


def test_noise_is_no_more_than_noise(files, embedded):
    (photo,) = quick(files, "noise.png", embedded).document.photos
    assert not photo.results[0].comparisons[0].test.stronger
    said = " ".join(photo.results[0].answer)
    assert "no more than noise of its size" in said
    assert "No shift of the encoder can be seen in it." in said


def test_draws_that_are_asked_for_are_counted(files, embedded):
    document = quick(files, "protected.png", embedded, transforms=[], draws=19).document
    (none,) = document.photos[0].results[0].comparisons
    assert [len(of) for of in none.placebos.values()] == [19, 19, 19]
    assert (none.test.p, none.test.stronger) == (1 / 20, True)


def test_nothing_changed_is_said_plainly_and_costs_no_model(files, embedded):
    document = quick(files, "same.tif", embedded).document
    assert document.photos[0].unchanged
    assert document.photos[0].results == ()
    assert "Nothing was changed" in audit_text(document)


def test_the_distortion_is_what_was_done(protected):
    found = protected.document.photos[0].distortion
    assert found.largest == 12
    assert 0.9 < found.changed <= 1
    assert found.psnr == pytest.approx(20 * math.log10(255 / found.rms), abs=1e-4)


def test_the_same_seed_gives_the_same_answer(files, embedded, protected):
    again = quick(files, "protected.png", embedded)
    assert again.document == protected.document
    other = quick(files, "protected.png", embedded, transforms=["none"], seed=1)
    first = other.document.photos[0].results[0].comparisons[0]
    assert first.placebos != protected.document.photos[0].results[0].comparisons[0].placebos


def test_the_shift_is_the_metric_latent(looked_at, embedded):
    work, (none, flip) = looked_at
    assert flip.seen == "latents"
    assert [len(of) for of in none.placebos.values()] == [DRAWS] * len(NOISES)
    assert len(none.transplants) == TRANSPLANTS
    assert flip.transplants == ()
    flipped = [image.flip(-1) for image in (work.pictures.protected, work.pictures.original)]
    expected = Latent().score(*flipped, model=embedded)
    assert flip.protected == pytest.approx(float(expected), rel=1e-4)


def test_placebos_are_as_large_as_the_protection_on_disk(looked_at):
    work, _ = looked_at
    original = work.pictures.original * 255
    change = work.pictures.protected * 255 - original
    released_ = [one for one in work.plan.releases.values() if one.of is not None]
    drawn = [one for one in released_ if work.plan.arms[one.arm].noise in NOISES]
    assert len(drawn) == DRAWS * len(NOISES)
    seen = set()
    for one in drawn:
        placebo = from_bytes(released(work.plan, work.store, one)[None]) * 255
        assert torch.allclose(placebo, placebo.round(), atol=1e-3)
        assert round(float((placebo - original).abs().max())) <= round(float(change.abs().max()))
        power = (placebo - original).square().mean() / change.square().mean()
        assert abs(10 * math.log10(power)) < 0.5
        seen.add(placebo.numpy().tobytes())
    assert len(seen) == len(drawn)


def test_what_a_shift_pushed_out_makes_no_edit_useless(files, embedded):
    thresholds = Thresholds(
        editor="still",
        mask="none",
        size=64,
        tau_follow={"sepia": 0.0},
        tau_keep=0.999,
        validity=Validity(keep_between_photos=0.0, follow_empty={"sepia": -1.0}),
        n=8,
        photos="made up",
    )
    calibration = Calibration(model="any", thresholds=(thresholds,))
    work = working(
        files, "original.png", embedded, ["shift:right=8,down=4"],
        calibration=calibration, metric=PSNR(), editor=Still(),
    )  # fmt: skip
    _, shifted = work.edits()
    assert shifted.usable is not None, shifted.usable_reason
    assert (shifted.usable.original, shifted.usable.protected) == (1, 1)


def test_a_folder_keeps_what_was_done_and_the_audit_goes_on_from_it(
    files, embedded, tmp_path, monkeypatch
):
    few = EDITS | {"editor": "img2img:num_inference_steps=4"}
    alone = quick(files, "protected.png", embedded, **few)
    stop = Countdown(9)
    monkeypatch.setattr(FolderStore, "write_cell", stop.then(FolderStore.write_cell))
    with pytest.raises(KeyboardInterrupt):
        quick(files, "protected.png", embedded, out=tmp_path, **few)
    monkeypatch.undo()
    kept = {path: path.read_bytes() for path in (tmp_path / "cells").rglob("*.json")}
    assert len(kept) == 8
    resumed = quick(files, "protected.png", embedded, out=tmp_path, **few)
    assert resumed.document == alone.document
    assert all(path.read_bytes() == data for path, data in kept.items())
    monkeypatch.setattr(type(embedded), "encode_to_attack", None)
    monkeypatch.setattr("brittle.auditing.run.cost.describe", lambda *_: "")
    again = quick(files, "protected.png", embedded, out=tmp_path, **few)
    assert again.document == alone.document
    monkeypatch.undo()
    damaged, said = sorted(kept)[0], []
    damaged.write_bytes(kept[damaged][:20])
    mended = quick(files, "protected.png", embedded, out=tmp_path, say=said.append, **few)
    assert mended.document == alone.document
    assert damaged.read_bytes() == kept[damaged]
    assert any(one.endswith(": 1 cell was damaged and made again.") for one in said)


class Countdown:
    """Interrupts at the n-th call of a method."""

    def __init__(self, calls):
        self.left = calls

    def then(self, method):
        def counted(*arguments):
            self.left -= 1
            if self.left <= 0:
                raise KeyboardInterrupt
            return method(*arguments)

        return counted


class Still(Img2Img):
    """An editor that changes nothing, under a name of its own."""

    name = "still"

    def edit(self, model, image, *, prompts, mask=None, seeds):
        return model.fit(image)

    def __str__(self):
        return "still"


def test_edits_with_counts_and_a_report(edited):
    found, said = edited
    result = found.document.photos[0].results[0]
    edits = result.comparisons[1]
    assert result.deciding == (edits,)
    assert (edits.seen, edits.metric) == ("edits", "perceptual")
    assert edits.usable.edits == 1
    assert 3 * FIRST <= edits.usable.placebo_edits == edits.test.placebos < 3 * DRAWS
    assert said == [said[0]]
    assert ": 15 to 27 edits on the embedded model at 128 × 128 px; --quick makes none." in said[0]
    assert "--thorough edits after all" in audit_text(found.document)
    page = render_audit(found)
    assert page.count("data:image/webp") == 5  # original, protected, difference, two edits
    small = render_audit(found, limit=20_000)
    assert len(small) < len(page) - page.count("data:image/webp") * 2_000
    assert "pictures below are previews" in small
    assert "data-open><img" in small
    assert not re.search(r'src="(?!data:)', small)
    assert edits.finding in html.unescape(page)
    assert edits.finding == (
        f"acts more strongly than all {edits.test.placebos} random perturbations of its size"
    )
    assert "http" not in page.split("</style>")[1].replace("http-equiv", "")


def test_a_thorough_audit_goes_on_with_the_same_draws(files, small_sd, tmp_path):
    model = brittle.load_model(small_sd, device="cpu", dtype="float32")
    few = EDITS | {"editor": "img2img:num_inference_steps=2", "out": tmp_path}
    some = quick(files, "protected.png", model, **few).document
    everything = quick(files, "protected.png", model, thorough=True, **few).document
    edits, thorough = (one.photos[0].results[0].comparisons[1] for one in (some, everything))
    assert edits.seen == thorough.seen == "edits"
    for kind, drawn in edits.placebos.items():
        assert FIRST <= len(drawn) < DRAWS
        assert thorough.placebos[kind][: len(drawn)] == drawn
        assert len(thorough.placebos[kind]) == DRAWS
    assert (some.models[0].left_out == "", everything.models[0].left_out) == (False, "")


def test_an_autoencoder_alone_compares_latents_and_says_so(files, embedded, monkeypatch):
    monkeypatch.setattr(type(embedded), "why_no_edits", "It is an autoencoder alone.")
    document = quick(files, "protected.png", embedded, quick=False, transforms=[]).document
    assert document.models[0].why_no_edits == "It is an autoencoder alone"
    assert document.prompts == ()


def test_purifiers_are_tried_with_each_audited_model(files, embedded, monkeypatch):
    found = quick(files, "protected.png", embedded, transforms=["autoencode"])
    none, purified = found.document.photos[0].results[0].comparisons
    assert purified.name == "autoencoder's round trip"
    assert purified.distance < none.distance
    assert purified.ceiling != none.ceiling
    monkeypatch.setattr(type(embedded), "why_no_edits", "It is an autoencoder alone.")
    with pytest.raises(UserError, match="autoencoder alone"):
        quick(files, "protected.png", embedded, transforms=["denoise:strength=0.1"])


def test_several_models_get_one_table_of_transfer(files, embedded, protected, tmp_path):
    folder = taesd.write(tmp_path / "other", "other", channels=4, pooled=False)
    other = load_model(folder, device="cpu")
    stages = []

    @contextmanager
    def progress(name, total):
        done = []
        yield done.append
        stages.append((name, sum(done) / total))

    found = quick(files, "protected.png", embedded, models=[embedded, other], progress=progress)
    assert stages == [("files", 1), ("comparisons", 1)]  # all models are one stage
    table = transfer(found.document)
    assert table.models == ("embedded", other.name)
    assert [row[0] for row in table.rows] == ["no transform", "JPEG 50"]
    (photo,) = found.document.photos
    for row, *answers in zip(
        table.rows, *(result.seen_as("latents") for result in photo.results), strict=True
    ):
        for cell, answer in zip(row[1:], answers, strict=True):
            assert cell.startswith(f"{round(100 * answer.reach)}".replace("-", "−"))
            assert cell.endswith("(like noise)") != answer.test.stronger
    assert table.rows[0][1].endswith("%")  # made on the embedded model
    for shown in (audit_text(found.document), html.unescape(render_audit(found))):
        assert table.title in shown
        assert table.sentence in shown
        assert table.answer in shown
        assert all(cell in shown for row in table.rows for cell in row)
    said = tails(photo)
    assert said[0].startswith("On the embedded model (")
    assert said[-1].startswith("This looked only at what the model's image encoder sees")
    assert len(said) == len(set(said)) <= 3
    none, jpeg = photo.results[0].comparisons
    jpeg = jpeg.model_copy(update={"reduced_first": True})
    first = photo.results[0].model_copy(update={"comparisons": (none, jpeg)})
    other_way = photo.model_copy(update={"results": (first, photo.results[1])})
    mixed = transfer(found.document.model_copy(update={"photos": (other_way,)}))
    assert [", reduced first" in cell for cell in mixed.rows[1][1:]] == [True, False]
    assert "don’t compare it with models that saw it at full size" in mixed.sentence
    assert "reduced first" not in table.sentence
    twice = found.document.model_copy(update={"photos": (photo, photo)})
    reach = round(100 * photo.results[0].seen_as("latents")[0].reach)
    much = f"the embedded model ({reach}\u00a0% of what a gray picture does) sees more than noise"
    assert much in table.answer
    said = f"what {other.name} sees no more than noise does" in table.answer
    assert said != photo.results[1].seen_as("latents")[0].test.stronger
    reach = transfer(twice).rows[0][1].partition(" (")[0]
    assert f"the embedded model 2 of 2, {reach}" in transfer(twice).answer
    assert transfer(twice).title.endswith("over 2 photos")
    assert transfer(twice).rows[0][1].endswith("(2 of 2 beyond noise)")
    assert transfer(protected.document) is None
    assert transfer(brittle.audit(None, files / "protected.png").found.document) is None


def test_two_edit_models_answer_each_for_itself(files, embedded, small_sd):
    other = brittle.load_model(small_sd, device="cpu", dtype="float32")
    found = quick(
        files, "protected.png", embedded, quick=False, transforms=[], prompts=["a sepia photo"],
        models=[embedded, other], editor="img2img:num_inference_steps=2,strength=0.5",
    )  # fmt: skip
    (photo,) = found.document.photos
    first, second = photo.results
    assert {model for _, model, _, _ in found.edits} == {"embedded", other.name}
    assert first.deciding[0].seen == second.deciding[0].seen == "edits"
    assert second.deciding[0].usable_reason
    said = audit_text(found.document).split("\n\n")
    for result in (first, second):
        numbers = " ".join(result.answer[result.lead :])
        (paragraph,) = (one for one in said if one.startswith(numbers))
        assert result.model in paragraph
    assert transfer(found.document).rows[0][0] == "no transform"
    assert render_audit(found).count("data:image/webp") == 7  # three of files, two edits a model


def test_edits_on_other_models_are_compared_by_lpips_where_it_is(
    files, small_sd, tmp_path, monkeypatch
):
    pytest.importorskip("torchmetrics")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = brittle.load_model(small_sd, device="cpu", dtype="float32")
    few = {"quick": False, "transforms": ["flip"], "prompts": ["night"]}
    few["editor"] = "img2img:num_inference_steps=2"
    without = quick(files, "noise.png", model, **few).document
    assert without.photos[0].results[0].deciding[0].metric == without.models[0].metric
    assert without.models[0].metric == "perceptual"
    assert "LPIPS, in which results on Stable Diffusion" in audit_text(without)
    checkpoint = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    networks.save_checkpoint(checkpoint, networks.alexnet())
    found = quick(files, "noise.png", model, **few).document
    assert found.models[0].metric_reason == ""
    assert {one.metric for one in found.photos[0].results[0].comparisons} == {"latent", "lpips"}


def test_without_the_original_little_is_said(files):
    said = audit_text(brittle.audit(None, files / "protected.png").found.document)
    assert "Without the original nothing can be said" in said
    assert "64 × 64 px" in said


def test_eight_photos_get_intervals(files, embedded, tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
    for at in range(8):
        box = (at, 2 * at, at + 48, 2 * at + 48)
        for folder, name in (("left", "original.png"), ("right", "protected.png")):
            Image.open(files / name).crop(box).save(tmp_path / folder / f"{at}.png")
    document = brittle.audit(
        tmp_path / "left", tmp_path / "right", models=[embedded], transforms=[JPEG], quick=True
    ).found.document
    none, jpeg = document.models[0].latents
    assert none.effect.n == 8
    assert none.effect.low is not None
    assert jpeg.retention is None or jpeg.retention.high is not None
    assert document.models[0].summary is None
    assert "together, the 8 files shift what the image encoder sees" in document.models[0].answer[0]
    said = audit_text(document)
    assert "differ from their originals by at most 12 of 255 levels; PSNR" in said
    assert "What the image encoder sees" not in said  # eight tables would bury the answer
    assert "Each photo's own answer and table stand in --json" in said
    photos = [one.model_copy(update={"results": one.results * 2}) for one in document.photos]
    twice = document.model_copy(update={"photos": tuple(photos), "models": document.models * 2})
    first = transfer(twice).rows[0][1]  # the paragraph's number, not another mean of it
    assert first.startswith(f"{round(100 * none.reach.estimate)}\u00a0%")


def test_a_pair_that_is_refused_is_listed_and_ends_nothing(files, embedded, tmp_path):
    for folder, name in (("left", "original.png"), ("right", "protected.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(files / name, tmp_path / folder / "cat.png")
        turned = Image.open(files / name).rotate(90 * (folder == "right"))
        turned.save(tmp_path / folder / "dog.png")
    options = {"models": [embedded], "transforms": [JPEG], "quick": True}
    found = brittle.audit(tmp_path / "left", tmp_path / "right", **options).found
    assert [photo.name for photo in found.document.photos] == ["cat"]
    assert "show different pictures" in found.document.refused["dog"]
    said = audit_text(found.document)
    assert "Not audited: dog. " in said
    assert "Not audited: dog. " in render_audit(found)
    (tmp_path / "left" / "cat.png").unlink()
    with pytest.raises(UserError, match="show different pictures"):
        brittle.audit(tmp_path / "left", tmp_path / "right", **options)


def test_what_was_drawn_over_a_photo_is_said_to_be_left_out(files, embedded):
    captioned = Image.open(files / "protected.png").convert("RGB")
    captioned.paste((255, 0, 0), (0, 56, 64, 64))
    captioned.save(files / "captioned.png")
    (photo,) = quick(files, "captioned.png", embedded).document.photos
    (flag,) = [one for one in photo.flags if "drawn over the photo" in one]
    assert flag.startswith("In 16 % of the picture")
    assert not quick(files, "protected.png", embedded).document.photos[0].flags


def test_an_encoder_that_sees_nothing_is_refused(files, tmp_path):
    folder = taesd.write(tmp_path / "dead", "dead", channels=4, pooled=False)
    dead = {
        name: torch.zeros_like(one)
        for name, one in taesd.weights("encoder", channels=4, pooled=False).items()
    }
    torch.save(dead, folder / "dead_encoder.pth")
    with pytest.raises(UserError, match="sees no difference between protected and a gray picture"):
        quick(files, "protected.png", load_model(folder, device="cpu"))


def test_doubts_come_before_the_answer_and_notes_name_the_file(files, embedded):
    cropped = files / "cropped.png"
    Image.open(files / "protected.png").convert("L").crop((1, 1, 63, 63)).resize((64, 64)).save(
        cropped
    )
    found = quick(files, "cropped.png", embedded)
    said, page = audit_text(found.document), render_audit(found)
    assert said.startswith("Check first: The two files")
    assert said.index("do not lie on one another") < said.index("On the embedded model")
    assert page.index("do not lie on one another") < page.index("On the embedded model")
    assert "Note: The protected file on reading: gray to colour." in said
    many = audit_text(found.document.model_copy(update={"photos": found.document.photos * 8}))
    assert many.count("do not lie on one another") == 1
    assert "cropped, cropped, cropped" in many


def test_the_schema_and_its_tables_are_those_of_the_models(protected):
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text, field_tables()) == text
    for name, table in field_tables().items():
        assert f"<!-- fields of {name} -->" in text
        assert "|  |" not in table, f"{name} has a field without a description"
    again = Audit.model_validate_json(protected.document.model_dump_json())
    assert again == protected.document


def test_the_command_refuses_in_a_sentence(files):
    for arguments in (
        [files / "original.png", files / "original.png"],
        [files / "original.png", files / "missing.png"],
        [files / "original.png", files / "noise.png", "--with", "jpg:quality=3"],
        [files / "original.png", files / "noise.png", "--prompt", " "],
        [files / "original.png", files / "noise.png", "--quick", "--draws", "5"],
        [files / "original.png", files / "noise.png", "--editor", "inpaint"],
        [files / "original.png"] * 3,
    ):
        done = CliRunner().invoke(app, ["audit", *map(str, arguments)])
        assert done.exit_code == 2, done.output
        assert done.stderr.strip().startswith("brittle: ")  # after the bar's empty line
        assert "Traceback" not in done.stderr


def test_two_models_of_one_name_are_refused(files, embedded):
    with pytest.raises(UserError, match="same name"):
        quick(files, "noise.png", embedded, models=[embedded, embedded])


def test_a_quick_audit_imports_no_library_that_it_does_not_need(files):
    names = [str(files / name) for name in ("original.png", "noise.png")]
    code = (
        "import sys\n"
        "from brittle.cli import app\n"
        f"app(['audit', *{names}, '--quick', '--with', 'flip'], standalone_mode=False)\n"
        "heavy = {'diffusers', 'transformers', 'torchvision', 'torch._dynamo'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "No shift of the encoder" in done.stdout

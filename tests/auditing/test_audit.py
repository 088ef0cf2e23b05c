"""Audits on the embedded model, from files to answers."""

import html
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import brittle
from brittle.analysis.randomization_test import DRAWS, FIRST
from brittle.analysis.schemas import with_tables
from brittle.auditing.document import Audit
from brittle.auditing.edits import Judge, Line, edit_lines
from brittle.auditing.reduction import Tried
from brittle.auditing.schemas import SCHEMA, field_tables, schema
from brittle.auditing.views import PLACEBOS, PROTECTED, ROWS, Bench
from brittle.cli import app
from brittle.editors import Identity
from brittle.errors import UserError
from brittle.metrics import PSNR, Latent, Thresholds
from brittle.metrics.thresholds import Calibration, Validity
from brittle.models import load_model
from brittle.protections import Noise, NoiseSpectrum
from brittle.reporting.audit import audit_text, render_audit
from brittle.reporting.transfer import transfer
from brittle.sources.pairs import Pair, read_pair
from brittle.transforms import Transform
from tests.metrics import files as networks
from tests.models import taesd

JPEG = "jpeg:quality=50"
DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


class Loaded:
    def result(self):
        return None


def quick(files, name, embedded, **options):
    options = {"transforms": [JPEG], "quick": True, "models": [embedded], **options}
    return brittle.audit(files / "original.png", files / name, **options)


@pytest.fixture(scope="module")
def protected(files, embedded):
    return quick(files, "protected.png", embedded)


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


def test_the_shift_is_the_metric_latent(files, embedded):
    pictures = read_pair(Pair("cat", files / "original.png", files / "protected.png"))
    flip = Transform.parse("flip")
    bench, tried = Bench(embedded, (flip,), 0, Loaded()), Tried(flip, 1.0)
    views = bench.views(pictures, NoiseSpectrum(), [tried], lambda rows: None)["flip"]
    shift = bench.shift(pictures, views, tried)
    assert shift.shape == (ROWS,)
    expected = Latent().score(views[PROTECTED : PROTECTED + 1], views[:1], model=embedded)
    assert float(shift[PROTECTED]) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("kind", [Noise(), NoiseSpectrum()], ids=str)
def test_placebos_are_as_large_as_the_protection_on_disk(files, embedded, kind):
    pictures = read_pair(Pair("cat", files / "original.png", files / "protected.png"))
    none = Transform.parse("none")
    bench = Bench(embedded, (none,), 0, Loaded())
    views = bench.views(pictures, kind, [Tried(none, 1.0)], lambda rows: None)["none"] * 255
    assert torch.allclose(views, views.round(), atol=1e-3)
    change = views - views[:1]
    power = change.square().flatten(1).mean(1)
    for row in range(PLACEBOS.start, PLACEBOS.stop):
        assert round(float(change[row].abs().max())) == round(float(change[PROTECTED].abs().max()))
        assert abs(10 * math.log10(power[row] / power[PROTECTED])) < 0.5
    assert len({row.numpy().tobytes() for row in change[PLACEBOS]}) == 19


def test_what_a_shift_pushed_out_makes_no_edit_useless(files, embedded):
    pictures = read_pair(Pair("cat", files / "original.png", files / "original.png"))
    shift = Transform.parse("shift:right=16,down=8")
    bench, tried = Bench(embedded, (shift,), 0, Loaded()), Tried(shift, 1.0)
    thresholds = Thresholds(
        editor="none",
        mask="none",
        size=128,
        tau_follow={"sepia": 0.0},
        tau_keep=0.999,
        validity=Validity(keep_between_photos=0.0, follow_empty={"sepia": -1.0}),
        n=8,
        photos="made up",
    )
    calibration = Calibration(model="any", thresholds=(thresholds,))
    judge = Judge(bench, Identity(), ("a sepia photo",), PSNR(), (shift,), calibration=calibration)
    views = bench.views(pictures, Noise(), [tried], lambda rows: None)[str(shift)]
    line = Line(judge, tried, views, pictures.original, seed=0)
    edit_lines(judge, [line], lambda rows: None)
    counts, reason = line.usable()
    assert counts is not None, reason
    assert (counts.original, counts.protected) == (1, 1)


def test_edits_with_counts_and_a_report(files, embedded):
    said = []
    options = {"quick": False, "transforms": [], "prompts": ["a sepia photo"]}
    found = quick(files, "protected.png", embedded, say=said.append, **options)
    result = found.document.photos[0].results[0]
    edits = result.comparisons[1]
    assert result.deciding == (edits,)
    assert (edits.seen, edits.metric) == ("edits", "perceptual")
    assert edits.usable.edits == 1
    assert FIRST <= edits.usable.placebo_edits == edits.test.placebos < DRAWS
    assert said == [said[0]]
    assert ": 6 to 22 edits on the embedded model at 128 × 128 px; --quick makes none." in said[0]
    everything = quick(files, "protected.png", embedded, thorough=True, **options).document
    thorough = everything.photos[0].results[0].comparisons[1]
    assert thorough.test.stronger == edits.test.stronger
    assert thorough.placebos[: len(edits.placebos)] == edits.placebos
    assert len(thorough.placebos) == DRAWS
    assert everything.models[0].left_out == ""
    assert "--thorough edits after all" in audit_text(found.document)
    page = render_audit(found)
    assert page.count("data:image/webp") == 5  # original, protected, difference, two edits
    small = render_audit(found, limit=20_000)
    assert len(small) < len(page) - page.count("data:image/webp") * 2_000
    assert "pictures below are previews" in small
    assert "data-open><img" in small
    assert not re.search(r'src="(?!data:)', small)
    assert "acts more strongly" in page or "no more than noise" in page
    assert "http" not in page.split("</style>")[1].replace("http-equiv", "")


def test_an_autoencoder_alone_compares_latents_and_says_so(files, embedded, monkeypatch):
    monkeypatch.setattr(type(embedded), "edits", property(lambda self: False))
    document = quick(files, "protected.png", embedded, quick=False, transforms=[]).document
    assert document.models[0].why_no_edits.endswith("is an autoencoder alone, which can't edit")
    assert document.prompts == ()


def test_purifiers_are_tried_with_each_audited_model(files, embedded, monkeypatch):
    found = quick(files, "protected.png", embedded, transforms=["autoencode"])
    none, purified = found.document.photos[0].results[0].comparisons
    assert purified.name == "autoencoder's round trip"
    assert purified.distance < none.distance
    assert purified.ceiling != none.ceiling
    monkeypatch.setattr(type(embedded), "edits", False)
    with pytest.raises(UserError, match="autoencoder alone"):
        quick(files, "protected.png", embedded, transforms=["denoise:strength=0.1"])


def test_several_models_get_one_table_of_transfer(files, embedded, protected, tmp_path):
    folder = taesd.write(tmp_path / "other", "other", channels=4, pooled=False)
    other = load_model(folder, device="cpu")
    found = quick(files, "protected.png", embedded, models=[embedded, other])
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
        assert all(cell in shown for row in table.rows for cell in row)
    twice = found.document.model_copy(update={"photos": (photo, photo)})
    assert transfer(twice).title.endswith("mean over 2 photos")
    assert transfer(twice).rows[0][1].endswith("(2 of 2 beyond noise)")
    assert transfer(protected.document) is None
    assert transfer(brittle.audit(None, files / "protected.png").document) is None


def test_two_edit_models_answer_each_for_itself(files, embedded, tiny_sd):
    other = brittle.load_model(tiny_sd, device="cpu", dtype="float32")
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
        (paragraph,) = (one for one in said if one.startswith(" ".join(result.answer)))
        assert result.model in paragraph
    assert transfer(found.document).rows[0][0] == "no transform"
    assert render_audit(found).count("data:image/webp") == 7  # three of files, two edits a model


def test_edits_on_other_models_are_compared_by_lpips_where_it_is(
    files, tiny_sd, tmp_path, monkeypatch
):
    pytest.importorskip("torchmetrics")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = brittle.load_model(tiny_sd, device="cpu", dtype="float32")
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
    said = audit_text(brittle.audit(None, files / "protected.png").document)
    assert "Without the original nothing can be said" in said
    assert "128 × 128 px" in said


def test_eight_photos_get_intervals(files, embedded, tmp_path):
    from PIL import Image

    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
    for at in range(8):
        box = (at, 2 * at, at + 96, 2 * at + 96)
        for folder, name in (("left", "original.png"), ("right", "protected.png")):
            Image.open(files / name).crop(box).save(tmp_path / folder / f"{at}.png")
    document = brittle.audit(
        tmp_path / "left", tmp_path / "right", models=[embedded], transforms=[JPEG], quick=True
    ).document
    none, jpeg = document.models[0].latents
    assert none.effect.n == 8
    assert none.effect.low is not None
    assert jpeg.retention is None or jpeg.retention.high is not None
    assert document.models[0].summary is None
    assert "of 8 photos" in document.models[0].answer[0]
    said = audit_text(document)
    assert "differ from their originals by at most 12 of 255 levels; PSNR" in said
    assert "What the image encoder sees" not in said  # eight tables would bury the answer
    assert "Each photo's own answer and table stand in --json" in said


def test_doubts_come_before_the_answer_and_notes_name_the_file(files, embedded):
    from PIL import Image

    cropped = files / "cropped.png"
    Image.open(files / "protected.png").convert("L").crop((2, 2, 126, 126)).save(cropped)
    found = quick(files, "cropped.png", embedded)
    said, page = audit_text(found.document), render_audit(found)
    assert said.startswith("Check first: The two files")
    assert said.index("do not lie on one another") < said.index("On the embedded model")
    assert page.index("do not lie on one another") < page.index("On the embedded model")
    assert "Note: cropped.png on reading: gray to colour." in said
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

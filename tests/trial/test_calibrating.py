"""A user's way to `usable` on Stable Diffusion: calibrate with a CLIP, name the file in a trial."""

import pytest
from skimage import data
from typer.testing import CliRunner

from brittle.cli import app
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.metrics import Calibration
from brittle.models import load_model
from brittle.record.rows import read_results
from brittle.sources.photos import load_photos
from brittle.trial.calibrating import calibrate_model, read_photos
from brittle.trial.plan import make_plan
from brittle.trial.run import run
from tests.metrics import files

PROMPT = "a house of glass"
FEW = "img2img:num_inference_steps=4,strength=0.5"
IMG2IMG, INPAINT = "img2img:num_inference_steps=2", "inpaint:num_inference_steps=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        levels = data.astronaut()[None, 20 * number : 20 * number + 128, 150:278]
        write_image(folder / f"{number}.png", from_bytes(levels[:, ::2, ::2]))
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return files.save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def calibrated(folder, clip, small_sd, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / "sd.json"
    command = ["calibrate", str(folder), "--model", str(small_sd), "--clip", str(clip)]
    command += ["--prompt", PROMPT, "--editor", IMG2IMG, "--editor", INPAINT, "--device", "cpu"]
    result = CliRunner().invoke(app, [*command, "--dtype", "float32", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert f"follow:clip={clip}, {PROMPT}: at least" in result.output
    return out


def trial(folder, small_sd, **changes):
    fields = {
        "photos": str(folder),
        "model": str(small_sd),
        "protections": (),
        "editors": (IMG2IMG, INPAINT),
        "mask": "auto",
        "prompts": (PROMPT,),
        "metrics": ("psnr", "keep"),
        "primary": {"metric": "psnr", "editor": IMG2IMG},
        "floor_seeds": (),
    }
    return Trial.model_validate(fields | changes)


def test_the_command_measures_each_editor(calibrated, small_sd, clip):
    found = Calibration.load(calibrated)
    assert found.model == load_model(small_sd, device="cpu").content_hash
    assert [(one.editor.partition(":")[0], one.mask) for one in found.thresholds] == [
        ("img2img", "none"),
        ("inpaint", "auto"),
    ]
    # What lies outside of the mask is kept, so inpainting keeps more of the photo.
    assert found.thresholds[1].tau_keep > found.thresholds[0].tau_keep
    assert found.metrics == (f"follow:clip={clip}", f"keep:clip={clip}")


def test_a_trial_that_names_the_file_judges_by_it(calibrated, folder, small_sd, clip, tmp_path):
    named = trial(folder, small_sd, calibration=str(calibrated))
    run(named, tmp_path / "out", device="cpu", dtype="float32")
    rows = [row for row in read_results(tmp_path / "out" / "results.csv") if row.arm == "original"]
    follow, keep = f"follow:clip={clip.name}", f"keep:clip={clip.name}"  # no folder is told
    assert {row.metric for row in rows} == {"usable", follow, keep}
    found = Calibration.load(calibrated)
    kinds = ((IMG2IMG, found.thresholds[0]), (INPAINT, found.thresholds[1]))
    for editor, thresholds in kinds:
        values = {
            name: {row.image: row for row in rows if (row.editor, row.metric) == (editor, name)}
            for name in (follow, keep, "usable")
        }
        for photo, judged in values["usable"].items():
            reached = [
                values[follow][photo].value >= thresholds.tau_follow[PROMPT],
                values[keep][photo].value >= thresholds.tau_keep,
            ]
            if reason := thresholds.why_not(PROMPT):
                assert (judged.value, judged.reason) == (None, reason)
            else:
                assert judged.value == float(all(reached))


def test_the_calibrations_own_photos_pass_as_its_percentile_says(calibrated, folder, small_sd):
    """A trial on the calibration photos gives the very scores that the thresholds came from."""
    model = load_model(small_sd, device="cpu", dtype="float32")
    named = trial(folder, small_sd, calibration=str(calibrated))
    plan = make_plan(named, load_photos(str(folder), mask="auto"), model)
    photos = read_photos(str(folder), model, "auto")
    again = calibrate_model(
        model,
        list(plan.editors.values()),
        photos,
        [PROMPT],
        follow=plan.metrics[plan.calibration.metrics[0]],
        keep=plan.metrics[plan.calibration.metrics[1]],
    )
    assert again == plan.calibration


def test_without_a_calibration_the_reason_stands_in_the_table(folder, small_sd, tmp_path):
    plain = trial(folder, small_sd, editors=(IMG2IMG,), mask=None)
    run(plain, tmp_path / "out", device="cpu", dtype="float32")
    rows = read_results(tmp_path / "out" / "results.csv")
    reasons = {row.reason for row in rows if row.metric == "usable"}
    assert reasons == {"not calibrated: there are no thresholds for this model"}


def test_what_cannot_work_is_said_before_the_work(folder, clip, small_sd, tmp_path):
    model = load_model(small_sd, device="cpu")
    photos = load_photos(str(folder), mask="auto")
    with pytest.raises(UserError, match=r"nowhere\.json: there is no such file"):
        make_plan(trial(folder, small_sd, calibration="nowhere.json"), photos, model)
    few = tmp_path / "few"
    few.mkdir()
    write_image(few / "one.png", from_bytes(data.chelsea()[None, :64, :64]))
    with pytest.raises(UserError, match="holds 1 photos, and thresholds need at least 8"):
        read_photos(str(few), model, "auto")
    command = ["calibrate", str(folder), "--model", str(small_sd), "-o", str(tmp_path / "new.json")]
    result = CliRunner().invoke(app, [*command, "--prompt", PROMPT])
    assert (result.exit_code, "follow:clip=DIR" in result.output) == (2, True)
    result = CliRunner().invoke(app, [*command, "--clip", str(clip)])
    assert (result.exit_code, "Name the prompts" in result.output) == (2, True)


def test_prompts_and_editors_are_checked_before_the_first_edit(folder, embedded):
    photos = read_photos(str(folder), embedded, "auto")

    def refused(message, editors=(FEW,), prompts=()):
        with pytest.raises(UserError, match=message):
            calibrate_model(
                embedded, [*map(Editor.parse, editors)], photos, prompts, progress=never
            )

    def never(*stage):
        raise AssertionError("work began")

    refused("knows no word of 'xylophone'", prompts=["heavy rain", "xylophone"])
    refused("A prompt is empty", prompts=["heavy rain", " "])
    refused("finetune learns from collections", editors=[FEW, "finetune"])
    refused("leaves no step", editors=["img2img:num_inference_steps=2,strength=0.1"])


def test_thresholds_are_written_into_a_new_folder(calibrated, tmp_path):
    Calibration.load(calibrated).save(tmp_path / "new" / "sd.json")
    assert (tmp_path / "new" / "sd.json").read_bytes() == calibrated.read_bytes()

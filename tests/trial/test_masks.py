import json
import shutil
from pathlib import Path

import pytest
import torch
from skimage import data

from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.images import around, ellipse_mask, from_bytes, from_png, read_photo, write_image
from brittle.metrics import Follow, Keep
from brittle.models import load_model
from brittle.record.rows import read_results
from brittle.record.store import FolderStore
from brittle.sources.photos import load_photos
from brittle.trial.plan import make_plan
from brittle.trial.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    stream = torch.Generator().manual_seed(0)
    for name in ("one", "two"):
        write_image(folder / f"{name}.png", torch.rand(3, 64, 64, generator=stream))
        mask = torch.zeros(3, 64, 64)
        mask[:, 16:48, 8:32] = 1
        write_image(folder / f"{name}.mask.png", mask)
    return folder


@pytest.fixture(scope="module")
def trial(folder, small_sd):
    return Trial(
        photos=str(folder),
        mask=str(folder),
        model=str(small_sd),
        protections=("photoguard-encoder:steps=1",),
        placebos=("noise",),
        transforms=("none", "rotate:degrees=90"),
        editors=("inpaint:num_inference_steps=2,strength=0.5",),
        prompts=("heavy rain",),
        metrics=("psnr",),
        primary={"metric": "psnr"},
        floor_seeds=(),
        batch=2,
    )


@pytest.fixture(scope="module")
def out(trial, tmp_path_factory):
    out = tmp_path_factory.mktemp("inpainting") / "out"
    run(trial, out)
    return out


def cell(out, **wanted):
    index = json.loads((out / "index.json").read_text())
    (found,) = [c for c in index if all(c[name] == value for name, value in wanted.items())]
    return found


def pictures(out, **wanted):
    found = cell(out, **wanted)
    return [from_png((out / found[name]).read_bytes()) for name in ("released", "edited")]


def test_masks_are_not_photos(folder):
    assert list(load_photos(str(folder))) == ["one", "two"]


def test_only_what_will_be_kept_is_perturbed(trial, out):
    mask = load_photos(trial.photos, mask=trial.mask)["one"].mask
    for arm in ("photoguard-encoder:steps=1", "noise(photoguard-encoder:steps=1)"):
        photo, _ = pictures(out, image="one", arm="original", transform="none")
        released, _ = pictures(out, image="one", arm=arm, transform="none")
        assert torch.equal(released * mask, photo * mask)
        assert not torch.equal(released, photo)


def test_the_mask_moves_with_the_picture(out):
    _, edited = pictures(out, image="one", arm="original", transform="rotate:degrees=90")
    photo, _ = pictures(out, image="one", arm="original", transform="none")
    kept = torch.ones(64, 64, dtype=torch.bool)
    kept[16:48, 8:32] = False
    turned, kept = photo.rot90(1, (2, 3)), kept.rot90(1, (0, 1))
    assert torch.equal(edited[..., kept], turned[..., kept])
    assert not torch.equal(edited[..., ~kept], turned[..., ~kept])


def distance(out):
    """The distance of the first photo's protected edit from its control."""
    wanted = ("one", "photoguard-encoder:steps=1", "none", "psnr.distance")
    (row,) = [
        row
        for row in read_results(out / "results.csv")
        if (row.image, row.arm, row.transform, row.metric) == wanted
    ]
    return row.value


def test_the_perturbation_itself_is_no_effect(trial, out, tmp_path):
    """Where the editor keeps everything that differs, arm and control are compared inside only."""
    protected = {"image": "one", "arm": "photoguard-encoder:steps=1", "transform": "none"}
    _, edited = pictures(out, **protected)
    _, control = pictures(out, **protected | {"arm": "original"})
    mask = load_photos(trial.photos, mask=trial.mask)["one"].mask
    inside = ((edited - control) * mask).double().square().mean().sqrt().item()
    assert inside > 0
    assert distance(out) == pytest.approx(inside, rel=1e-6)

    # An edit that painted what the control's did, and differs by the perturbation alone.
    shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cells")
    alike = torch.where(mask == 1, control, edited)
    assert not torch.equal(alike, control)
    FolderStore(tmp_path / "out").write(Path(cell(out, **protected)["edited"]).stem, alike)
    run(trial, tmp_path / "out")
    assert distance(tmp_path / "out") == 0


def test_masks_and_editors_belong_together(trial, small_sd):
    model, photos = load_model(str(small_sd)), load_photos(trial.photos, mask=trial.mask)
    for change in ({"mask": None}, {"editors": ("img2img",)}):
        with pytest.raises(UserError, match="mask"):
            make_plan(trial.model_copy(update=change), photos, model)


def test_a_missing_or_unfit_mask_is_said(folder, tmp_path):
    with pytest.raises(UserError, match="no mask for one"):
        load_photos(str(folder), mask=str(tmp_path))
    write_image(tmp_path / "small.png", torch.rand(3, 32, 32).round())
    with pytest.raises(UserError, match="same size"):
        load_photos(str(folder), mask=str(tmp_path / "small.png"))
    with pytest.raises(UserError, match="alpha"):
        load_photos(str(folder), mask="alpha")


def test_a_mask_that_a_transform_takes_away_is_refused_before_the_work(trial, small_sd):
    model, photos = load_model(str(small_sd)), load_photos(trial.photos, mask=trial.mask)
    crop = "crop:left=33,top=0,right=0,bottom=0"
    asked = trial.model_copy(update={"transforms": ("none", "flip", crop)})
    with pytest.raises(UserError, match=r"mask of one is left after crop:left=33"):
        make_plan(asked, photos, model)


def test_a_mask_of_which_the_square_is_all_white_is_refused(tmp_path):
    write_image(tmp_path / "wide.png", torch.rand(3, 64, 128).mul(255).round() / 255)
    mask = torch.ones(3, 64, 128)
    mask[..., :16] = 0
    write_image(tmp_path / "wide.mask.png", mask)
    assert load_photos(str(tmp_path), mask=str(tmp_path))["wide"].mask.mean() < 1
    with pytest.raises(UserError, match="of wide, cut to its centre, has nothing black"):
        load_photos(str(tmp_path), square=64, mask=str(tmp_path))


def test_the_automatic_mask_is_an_ellipse_in_the_middle(folder):
    mask = load_photos(str(folder), mask="auto")["one"].mask
    assert mask[0, 0, 32, 32] == 1
    assert mask[0, 0, 0, 0] == mask[0, 0, 32, 2] == 0
    assert mask.mean().item() == pytest.approx(torch.pi * 0.6**2 / 4, abs=0.02)


def judged(tmp_path, **changes):
    """The astronaut, edited in a trial: photo and edit (1, 3, 128, 128), and scores by metric."""
    photo = tmp_path / "photo.png"
    write_image(photo, from_bytes(data.astronaut()[None, :128, 150:278]))
    fields = {
        "protections": (),
        "prompts": ("neon",),
        "metrics": ("psnr", "follow", "keep"),
        "primary": {"metric": "psnr"},
        "floor_seeds": (),
        "batch": 1,
    }
    run(Trial(photos=str(photo), **fields, **changes), tmp_path / "out")
    transform = changes.get("transforms", ("none",))[-1]
    _, edited = pictures(tmp_path / "out", transform=transform, arm="original")
    rows = read_results(tmp_path / "out" / "results.csv")
    here = [row for row in rows if (row.arm, row.transform) == ("original", transform)]
    return read_photo(photo).image, edited, {row.metric: row.value for row in here}


def test_follow_judges_what_was_painted(tmp_path):
    image, edited, scores = judged(
        tmp_path, mask="auto", editors=("inpaint:num_inference_steps=2",)
    )
    box = [around(ellipse_mask(image), picture) for picture in (edited, image)]
    assert box[0].shape[-1] < image.shape[-1]
    follow = Follow().score(*box, prompts=["neon"], model=load_model("embedded"))
    assert scores["follow"] == pytest.approx(float(follow), abs=1e-6)
    assert scores["keep"] == pytest.approx(float(Keep().score(edited, image)), abs=1e-6)


def test_what_a_shift_pushed_out_is_not_judged(tmp_path):
    image, edited, scores = judged(
        tmp_path,
        transforms=("none", "shift:right=16,down=8"),
        editors=("img2img:num_inference_steps=4",),
    )
    shown, photo = edited[..., 8:, 16:], image[..., :-8, :-16]
    follow = Follow().score(shown, photo, prompts=["neon"], model=load_model("embedded"))
    assert scores["follow"] == pytest.approx(float(follow), abs=1e-6)
    assert scores["keep"] == pytest.approx(float(Keep().score(shown, photo)), abs=1e-6)


def test_masks_of_groups_lie_in_folders_of_their_names(tmp_path):
    """Two shoots whose cameras both began to count at 1."""
    stream = torch.Generator().manual_seed(1)
    for at, group in enumerate(("g1", "g2")):
        write_image(tmp_path / "in" / group / "img1.png", torch.rand(3, 32, 32, generator=stream))
        mask = torch.zeros(3, 32, 32)
        mask[:, : 8 * (at + 1)] = 1
        write_image(tmp_path / "masks" / group / "img1.mask.png", mask)
    found = load_photos(str(tmp_path / "in"), mask=str(tmp_path / "masks"))
    assert [int(found[f"{g}/img1"].mask.sum()) for g in ("g1", "g2")] == [8 * 32, 16 * 32]
    flat = tmp_path / "flat"
    flat.mkdir()
    shutil.copy(tmp_path / "masks" / "g1" / "img1.mask.png", flat)
    with pytest.raises(UserError, match=r"img1\.mask\.png would be the mask of .*g1.* and of .*g2"):
        load_photos(str(tmp_path / "in"), mask=str(flat))
    assert load_photos(str(tmp_path / "in"), mask=str(flat / "img1.mask.png"))  # one for all

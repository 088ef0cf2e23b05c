import dataclasses

import pytest
from PIL import features

from brittle.declaration.primary import Contrast, Primary
from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.images import to_bytes
from brittle.models import load_model
from brittle.noise import derive_seed
from brittle.protections import Protection
from brittle.sources.photos import load_photos
from brittle.transforms import Jpeg, Transform
from brittle.trial import cost
from brittle.trial import plan as planning
from brittle.trial.cost import count
from brittle.trial.plan import make_plan, rows_a_call
from tests.models import taesd

TRIAL = Trial(
    prompts=("heavy rain", "night"),
    transforms=("none", "jpeg:quality=75", "rotate:degrees=90"),
    square=64,
    batch=4,
)


@pytest.fixture(scope="module")
def model(small_sd):
    return load_model(str(small_sd), device="cpu")


@pytest.fixture(scope="module")
def photos():
    return load_photos("sample", square=64)


@pytest.fixture(scope="module")
def plan(model, photos):
    return make_plan(TRIAL, photos, model)


def test_every_point_of_the_grid_is_there_once(plan):
    points = {(c.subject, c.arm, c.transform, c.prompt, c.seed) for c in plan.cells}
    assert len(points) == len(plan.cells) == 8 * 6 * 3 * 2
    assert len({cell.key for cell in plan.cells}) == len(plan.cells)


def test_nothing_is_computed_twice(plan):
    # Four real arms under three transforms, gray without one and turned, and two floor seeds.
    assert len(plan.edits) == 8 * 2 * (5 * 3 + 2 + 2)
    assert len(plan.receptions) == 8 * (5 * 3 + 2)
    assert len(plan.releases) == 8 * 6


def test_controls_and_clean_edits_are_the_originals(plan):
    by_point = {(c.subject, c.arm, c.transform, c.prompt): c for c in plan.cells}
    for cell in plan.cells:
        control = by_point[cell.subject, "original", cell.transform, cell.prompt]
        clean = by_point[cell.subject, "original", "none", cell.prompt]
        assert (cell.control, cell.clean) == (control.edit, clean.edit)
        assert bool(cell.floor) == (cell.arm == "original" and cell.transform == "none")


def test_noise_belongs_to_the_seed_and_the_photo(plan, photos):
    for cell in plan.cells:
        edit = plan.edits[cell.edit]
        assert edit.seed == derive_seed(cell.seed, photos[cell.subject].digest)


@pytest.mark.parametrize(
    "change",
    [
        {"protections": ("photoguard-encoder:steps=39",)},
        {"prompts": ("heavy rain", "nights")},
        {"batch": 2},
        {"seeds": (7,)},
        {"editors": ("img2img:strength=0.4",)},
    ],
)
def test_keys_follow_what_results_depend_on(plan, model, photos, change):
    other = make_plan(TRIAL.model_copy(update=change), photos, model)
    assert {cell.key for cell in other.cells} != {cell.key for cell in plan.cells}


def test_keys_ignore_what_results_do_not_depend_on(plan, model, photos):
    words = {"title": "renamed", "threat_model": "he has it all", "not_tried": ("DiffPure",)}
    other = make_plan(TRIAL.model_copy(update=words), photos, model)
    assert [dataclasses.astuple(c) for c in other.cells] == [
        dataclasses.astuple(c) for c in plan.cells
    ]


def test_shards_are_a_partition_with_the_same_keys(plan, model, photos):
    shards = [make_plan(TRIAL, photos, model, shard=(index, 3)) for index in (1, 2, 3)]
    keys = [cell.key for shard in shards for cell in shard.cells]
    assert sorted(keys) == sorted(cell.key for cell in plan.cells)


def test_text_forms_that_mean_the_same_are_one(model, photos):
    trial = TRIAL.model_copy(update={"transforms": ("none", "jpeg:quality=75,subsampling=4:2:0")})
    assert list(make_plan(trial, photos, model).transforms) == ["none", "jpeg:quality=75"]


@pytest.mark.parametrize(
    "change", [{"transforms": ("none", "jpg")}, {"metrics": ("pnsr",)}, {"editors": ("imgimg",)}]
)
def test_unknown_components_are_refused(model, photos, change):
    with pytest.raises(UserError, match="did you mean"):
        make_plan(TRIAL.model_copy(update=change), photos, model)


def test_codecs_that_are_missing_are_refused_before_work_starts(model, photos, monkeypatch):
    trial = TRIAL.model_copy(update={"transforms": ("none", "flip+avif:quality=60")})
    make_plan(trial, photos, model)
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "avif")
    with pytest.raises(UserError, match=r"names flip.avif:quality=60, and this Pillow"):
        make_plan(trial, photos, model)


PURIFIERS = ("none", "jpeg:quality=75", "rotate:degrees=90", "flip+denoise:strength=0.1")


def keys_of(stage, transform):
    """The keys of what a transform made, or of everything else."""
    return {key for key, one in stage.items() if one.transform == transform}


def test_what_a_purifier_makes_depends_on_the_model_and_nothing_else_does(plan, photos, model):
    trial, purifier = TRIAL.model_copy(update={"transforms": PURIFIERS}), PURIFIERS[-1]
    purified = make_plan(trial, photos, model)
    assert set(plan.receptions) < set(purified.receptions)
    assert len(keys_of(purified.receptions, purifier)) == 8 * 6  # gray passes it too
    other = load_model("embedded", device="cpu")
    elsewhere = make_plan(trial.model_copy(update={"protections": ()}), photos, other)
    here = make_plan(trial.model_copy(update={"protections": ()}), photos, model)
    shared = set(here.receptions) & set(elsewhere.receptions)
    assert shared == set(here.receptions) - keys_of(here.receptions, purifier)


def test_a_purifier_that_this_model_can_not_run_is_refused(photos, tmp_path):
    alone = taesd.write(tmp_path / "alone", "taesd", channels=4, pooled=False)
    trial = TRIAL.model_copy(update={"transforms": PURIFIERS, "editors": ("none",)})
    with pytest.raises(UserError, match="is an autoencoder alone"):
        make_plan(trial, photos, load_model(alone, device="cpu"))


@pytest.mark.parametrize("transform", ["avif:quality=60", "flip+avif:quality=60"])
def test_a_codec_that_pillow_lacks_is_refused_before_work(photos, model, monkeypatch, transform):
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif")
    trial = TRIAL.model_copy(update={"transforms": ("none", transform)})
    with pytest.raises(UserError, match=r"names .*avif:quality=60, and this Pillow was built with"):
        make_plan(trial, photos, model)


@pytest.mark.parametrize(
    "transform", ["crop:left=5000", "resize:factor=0.5,back=false+crop:top=64"]
)
def test_a_crop_that_leaves_nothing_is_refused_before_work(photos, model, transform):
    trial = TRIAL.model_copy(update={"transforms": ("none", transform)})
    with pytest.raises(
        UserError, match=r"crop:.* leaves nothing of a photo of \d+ × \d+ px: cut less"
    ):
        make_plan(trial, photos, model)


@pytest.mark.parametrize(("back", "passes"), [("true", 0), ("false", 8)])
def test_gray_passes_what_changes_its_size(photos, model, back, passes):
    resize = f"resize:factor=0.5,back={back}"
    made = make_plan(TRIAL.model_copy(update={"transforms": ("none", resize)}), photos, model)
    grays = {one.key for one in made.releases.values() if one.arm == "gray"}
    received = [one for one in made.receptions.values() if one.transform != "none"]
    assert sum(one.release in grays for one in received) == passes


def test_the_cost_counts_what_purifiers_do(plan, photos, model):
    transforms = (*PURIFIERS, "impress:steps=5", "autoencode")
    trial = TRIAL.model_copy(update={"transforms": transforms})
    before, found = count(plan, model), count(make_plan(trial, photos, model), model)
    assert (found.purifiers, found.purifying_steps) == (3 * 8 * 6, 5 * 8 * 6)
    assert found.purifying_evaluations == 6 * 8 * 6  # PLMS runs one more than 0.1 of 50
    each = before.evaluations / before.edits
    assert found.evaluations == found.purifying_evaluations + each * found.edits


def test_a_dry_run_counts_a_large_trial_part_by_part(plan, model, monkeypatch):
    """As many cells at a time as a part has, and the same numbers."""
    at_a_time = []

    def counting(part, model):
        at_a_time.append(len(part.cells))
        return count(part, model)

    monkeypatch.setattr(cost, "stage_seconds", lambda *work, cost: {"edits": 1.0})
    monkeypatch.setattr(cost, "models_of", lambda trial, **where: [model])
    monkeypatch.setattr(cost, "count", counting)
    whole = cost.describe_cost(TRIAL)
    assert at_a_time == [len(plan.cells)]
    at_a_time.clear()
    monkeypatch.setattr(planning, "CELLS", 80)
    assert cost.describe_cost(TRIAL) == whole
    assert at_a_time == [2 * 6 * 3 * 2] * 4
    assert f"{count(plan, model).edits:,} (" in whole


def test_protecting_takes_a_gradient_of_each_encoder_and_view_and_a_projection_for_each_step(
    photos, model, small_sd, tmp_path, monkeypatch, timed_anew
):
    def protecting(text: str) -> float:
        trial = TRIAL.model_copy(update={"protections": (text,)})
        plan = make_plan(trial, photos, model)
        return cost.stage_seconds(plan, model, count(plan, model))[text]

    # As if every piece of work took a second: a gradient of a batch, a projection of a photo.
    monkeypatch.setattr(cost, "seconds", lambda work, warm=True: 1.0)
    gradient, files = 1 / TRIAL.batch, 8
    assert protecting("encoder:steps=3") == files * 3 * (gradient + 1)
    views = "encoder:steps=3,expectation=[none,jpeg:quality=75]"
    assert protecting(views) == files * 3 * (2 * gradient + 1)
    other = taesd.write(tmp_path, "other", channels=4, pooled=False)
    both = f"encoder:steps=3,with_models=[{other}]"
    assert protecting(both) == files * 3 * (2 * gradient + 1)
    itself = f"encoder:steps=3,with_models=[{small_sd}]"
    assert protecting(itself) == files * 3 * (gradient + 1)
    # A whole edit's gradient goes through the decoder too.
    edit = "diffusion:evaluations=2,draws=3,draws_at_once=1,steps=2"
    passes = 6 * (1 + 2 * cost.LEARNING / 2 + cost.DECODING)
    assert protecting(edit) == pytest.approx(files * (passes * gradient + 2))
    # A collection's pictures meet the denoiser one at a time, and a copy learns from them: here
    # each photo is a collection.
    through = "anti-dreambooth:rounds=1,steps=2,training_steps=5"
    learned = Protection.parse(through).total_training
    assert learned >= 5
    assert protecting(through) == files * (2 * (gradient + 1 + 2) + learned * 2)
    restyling = "style-cloak:steps=3,evaluations=5,alpha=0,p=0"
    styles = len(Protection.parse(restyling).styles)
    assert protecting(restyling) == files * (3 * (gradient + 1) + styles * 5 * gradient)
    # Each encoder has a pace of its own.
    monkeypatch.setattr(cost._Pace, "_gradient", lambda self, one: 1.0 if one is model else 3.0)
    assert protecting(both) == files * 3 * (1 + 3 + 1)


@pytest.fixture
def timed_anew():
    """No transform's time is remembered, before or after."""
    cost._seconds_a_megapixel.cache_clear()
    yield
    cost._seconds_a_megapixel.cache_clear()


@pytest.mark.parametrize(
    ("text", "arms", "pictures"),
    [
        ("adverse-cleaner", 5, 1),
        ("remover", 5, 1),
        ("jpeg:quality=75+remover", 6, 2),
        # What runs the model is counted elsewhere, and what cuts all of a piece takes no time.
        ("denoise:strength=0.5+remover", 6, 1),
        ("crop:left=32+remover", 6, 1 / 2),
    ],
)
def test_every_transform_that_runs_no_model_is_timed(
    text, arms, pictures, photos, model, monkeypatch, timed_anew
):
    """``pictures``: how many of the photos' size its parts receive, for one that is published."""

    def a_second(work, warm=True):
        work()
        return 1.0

    # As if a call took a second: on a piece of 64 px, the size of these photos.
    monkeypatch.setattr(cost, "seconds", a_second)
    monkeypatch.setattr(cost, "cores", lambda: 4)
    assert cost.PIECES[1] == 64
    plan = make_plan(TRIAL.model_copy(update={"transforms": ("none", text)}), photos, model)
    found = cost.stage_seconds(plan, model, count(plan, model))["transforms"]
    kept = 8 * arms * 64**2 / 1e6 * cost.SECONDS_TO_KEEP
    assert found - kept == pytest.approx(8 * arms * pictures / 4)


def test_what_a_call_takes_of_any_picture_is_not_taken_for_its_pixels(monkeypatch, timed_anew):
    """A small piece that takes next to no time is followed by a larger one."""
    sides = []

    def fixed(work, warm=True):
        sides.append(work().shape[-1])
        return 0.001 if sides[-1] < 256 else 0.002

    monkeypatch.setattr(cost, "seconds", fixed)
    found = cost._seconds_a_megapixel(Transform.parse("flip"))
    assert sides == [64, 128, 256]
    assert found == pytest.approx(0.002e6 / 256**2)


def test_a_piece_is_as_much_work_as_a_photo():
    """JPEG, whose files grow with the work, finds about as much in it."""
    jpeg = Jpeg(quality=75)
    photo = load_photos("sample", square=128)
    sizes = [jpeg.bits_a_pixel(to_bytes(one.image)[0]) for one in photo.values()]
    assert min(sizes) < jpeg.bits_a_pixel(to_bytes(cost._like_a_photo(128))[0]) < max(sizes)


def test_placebos_take_time_that_no_bar_shows(plan, model, monkeypatch, timed_anew):
    monkeypatch.setattr(cost, "seconds", lambda work, warm=True: 1.0)
    found = count(plan, model)
    of_all = cost.stage_seconds(plan, model, found)["placebos"]
    assert of_all == pytest.approx(found.placebos * 64**2 / 1e6 * cost.SECONDS_A_PLACEBO)
    assert found.placebos == 8 * 3
    assert "placebos" not in cost.stage_seconds(plan, model, found, roughly=True)


def test_the_cost_counts_what_protections_do_with_the_denoiser(photos, model):
    def through(text: str) -> int:
        return count(
            make_plan(TRIAL.model_copy(update={"protections": (text,)}), photos, model), model
        ).through

    assert through("encoder:steps=3") == 0
    fields = "steps=3,draws=4,evaluations=5"
    assert through(f"diffusion:{fields}") == 8 * 3 * 4 * 5
    assert through(f"diffusion:{fields},prompt=snow") == 2 * 8 * 3 * 4 * 5


def primary_of(model, photos, **change):
    return make_plan(TRIAL.model_copy(update=change), photos, model).primary


def test_undeclared_primaries_are_the_usual_ones_that_are_measured(model, photos):
    assert primary_of(model, photos).transforms == ("jpeg:quality=75",)
    other = primary_of(model, photos, transforms=("none", "flip", "rotate:degrees=90"))
    assert other.transforms == ("flip", "rotate:degrees=90")


def test_declared_primaries_must_be_measured(model, photos):
    declared = Primary(transforms=("jpeg:quality=65",))
    with pytest.raises(UserError, match="Unknown primary transform"):
        primary_of(model, photos, primary=declared)
    with pytest.raises(UserError, match="Unknown primary metric"):
        primary_of(model, photos, primary=Primary(metric="lpips"))
    with pytest.raises(UserError, match="Unknown primary arm"):
        primary_of(model, photos, primary=Primary(arms=("mist",)))
    with pytest.raises(UserError, match="Unknown primary editor"):
        primary_of(model, photos, primary=Primary(editor="img2img:strength=0.9"))
    contrasts = (Contrast(left="none", right="flip"),)
    with pytest.raises(UserError, match="Unknown transform in a contrast"):
        primary_of(model, photos, primary=Primary(contrasts=contrasts))


def test_what_is_declared_is_read_as_what_is_measured(model, photos):
    contrasts = (Contrast(left="none", right="jpeg: quality=75"),)
    primary = Primary(editor="img2img: strength=0.40", contrasts=contrasts)
    found = primary_of(model, photos, primary=primary, editors=("img2img:strength=0.4",))
    assert found.editor == "img2img:strength=0.4"
    assert found.contrasts == (Contrast(left="none", right="jpeg:quality=75"),)


@pytest.mark.parametrize("metric", ["follow", "keep"])
def test_a_primary_metric_without_distances_is_refused_before_work(model, photos, metric):
    complaint = rf"'{metric}' has no distances to the control: .* metrics perceptual, ssim, psnr\)"
    with pytest.raises(UserError, match=complaint):
        primary_of(model, photos, primary=Primary(metric=metric))
    with pytest.raises(UserError, match=r"name one that has \(of the trial's metrics none\)"):
        primary_of(model, photos, primary=Primary(metric=metric), metrics=(metric,))


SAME = "jpeg: quality=75,subsampling=4:2:0"


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        ([("none", "none")], "contrasts none with itself: name two"),
        ([("jpeg:quality=75", SAME)], "contrasts jpeg:quality=75 with itself"),
        ([("none", SAME), ("none", "jpeg:quality=75")], "none and jpeg:quality=75 twice"),
        ([("none", SAME), ("jpeg:quality=75", "none")], "jpeg:quality=75 and none twice"),
    ],
)
def test_a_contrast_is_of_two_transforms_and_named_once(model, photos, pairs, complaint):
    contrasts = tuple(Contrast(left=left, right=right) for left, right in pairs)
    with pytest.raises(UserError, match=complaint):
        primary_of(model, photos, primary=Primary(contrasts=contrasts))


def test_a_primary_transform_in_two_texts_is_one_that_is_named_twice(model, photos):
    with pytest.raises(UserError, match="named twice"):
        primary_of(model, photos, primary=Primary(transforms=("jpeg:quality=75", SAME)))


@pytest.mark.parametrize("source", ["nope", "./nope", "nobody/has-this-clip"])
def test_a_clip_that_is_not_there_is_refused_before_work(model, photos, source):
    for metric in ("follow", "keep", "style"):
        trial = TRIAL.model_copy(update={"metrics": ("perceptual", f"{metric}:clip={source}")})
        with pytest.raises(UserError, match=f"{metric}:clip={source}: there is no CLIP at"):
            make_plan(trial, photos, model)


def test_an_edit_without_a_step_is_refused_before_work(model, photos):
    editors = ("img2img:strength=0.1,num_inference_steps=2",)
    with pytest.raises(UserError, match="leaves no step to run"):
        make_plan(TRIAL.model_copy(update={"editors": editors}), photos, model)


def test_of_several_editors_one_decides(model, photos):
    editors = ("img2img:strength=0.4", "img2img:strength=0.6")
    with pytest.raises(UserError, match="name the one that decides"):
        primary_of(model, photos, editors=editors)
    found = primary_of(model, photos, editors=editors, primary=Primary(editor=editors[1]))
    assert found.editor == editors[1]


def test_a_short_name_changes_no_key(model, photos):
    text = "encoder:steps=2,target=away,random_start=true"
    named, plain = (
        make_plan(TRIAL.model_copy(update=update), photos, model)
        for update in (
            {"names": {"mine": text}, "protections": ("mine",)},
            {"protections": (text,)},
        )
    )
    assert list(named.releases) == list(plain.releases)
    assert {cell.arm for cell in named.cells} != {cell.arm for cell in plain.cells}
    assert [cell.key for cell in named.cells] == [cell.key for cell in plain.cells]


@pytest.mark.parametrize(("size", "rows"), [(128, 8), (256, 8), (384, 3), (512, 2)])
def test_a_call_has_fewer_rows_of_large_pictures(embedded, size, rows):
    assert rows_a_call(embedded.at(size)) == rows

"""The presets hold their sources' numbers, halved from [-1, 1] to [0, 1]."""

import pytest

from brittle.component import registry
from brittle.protections import EncoderProtection, Protection

# On [-1, 1], as the sources state them: budget, step, steps, schedule, random start, target.
STATED = {
    "photoguard-encoder": (0.1, 0.1 / 40 * 6, 40, "constant", False, "gray"),
    "photoguard-notebook-img2img": (0.06, 0.02, 1000, "linear", True, "zero"),
    "photoguard-notebook-inpainting": (0.06, 0.01, 1000, "linear", True, "gray"),
    "photoguard-demo": (0.12, 0.01, 200, "linear", True, "gray"),
}


@pytest.mark.parametrize("name", STATED)
def test_an_encoder_preset_is_its_sources_setting(name) -> None:
    radius, step, steps, schedule, random_start, target = STATED[name]
    preset = Protection.parse(name)
    assert isinstance(preset, EncoderProtection)
    assert preset.budget.norm == "linf"
    assert preset.budget.radius == pytest.approx(radius / 2, rel=1e-12)
    assert preset.step_size == pytest.approx(step / 2, rel=1e-12)
    assert (preset.steps, preset.schedule) == (steps, schedule)
    assert (preset.random_start, preset.target) == (random_start, target)


def test_the_papers_budget_is_twelve_levels_on_disk() -> None:
    assert Protection.parse("photoguard-encoder").budget.levels == 12
    assert Protection.parse("photoguard-encoder") == EncoderProtection()


@pytest.mark.parametrize("name", registry("protection").presets)
def test_every_preset_says_where_it_is_from_and_what_it_is_for(name) -> None:
    preset = registry("protection").presets[name]
    assert "Its range: " in preset.source
    assert preset.advice.endswith(".")
    # Models that a preset names may not be here.
    alone = {"with_models": ()} if "with_models" in preset.fields else {}
    assert Protection.from_record({"name": name, **alone}).gradients > 0


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("photoguard-encoder", "40 passes through the encoder, forward and backward"),
        ("photoguard-encoder-eot", "240 passes through the encoder, forward and backward"),
        ("photoguard-diffusion", "4,000 runs of the denoiser, forward and backward"),
        ("style-cloak-pgd:style=a pencil sketch", "100 passes through the encoder, forward and "
         "backward, and 1 edit"),
    ],
)  # fmt: skip
def test_a_cost_counts_what_a_photo_takes(name, cost) -> None:
    assert Protection.parse(name).cost == cost


@pytest.mark.parametrize("name", ["photoguard-encoder-jpeg", "photoguard-diffusion-jpeg"])
def test_a_jpeg_aware_preset_is_its_plain_form_but_for_the_expectation(name) -> None:
    preset = Protection.parse(name)
    plain = Protection.parse(name.removesuffix("-jpeg"))
    assert [str(one) for one in preset.expectation] == ["jpeg:quality=50..95"]
    assert (preset.budget, preset.target) == (plain.budget, plain.target)
    if name == "photoguard-diffusion-jpeg":
        assert preset.model_copy(update={"expectation": ()}) == plain


def test_the_expectation_preset_foresees_what_its_name_says() -> None:
    preset = Protection.parse("photoguard-encoder-eot")
    kinds = {str(one).partition(":")[0] for one in preset.expectation}
    assert kinds == {"none", "jpeg", "resize", "gaussian-blur", "gaussian-noise", "flip"}
    assert preset.sampled == 2


def test_editshield_moves_away_under_crop_blur_and_rotation() -> None:
    preset = Protection.parse("editshield")
    assert (preset.name, preset.random_start, preset.steps) == ("latent-shift", True, 30)
    assert (preset.budget.radius, preset.step_size) == pytest.approx((0.05, 1 / 255))
    assert preset.weight == 0.1
    kinds = {str(one).partition(":")[0] for one in preset.expectation}
    assert kinds == {"none", "crop", "gaussian-blur", "rotate"}

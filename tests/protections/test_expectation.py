"""Transforms that are foreseen: how they are drawn, and what the objective sees of them."""

import pytest
import torch
from torch import Tensor

from brittle.budgets import LinfBudget
from brittle.errors import UserError
from brittle.protections import PGD, EncoderProtection, Protection
from brittle.protections.expectation import Range
from brittle.transforms import Jpeg
from tests.protections.conftest import Linear, run_loop


class Watcher(PGD):
    """Keeps what the objective was shown."""

    name = "watcher"

    def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
        if perturbed.requires_grad:  # not where start and result are compared
            model.seen.append((perturbed.detach().clone(), image))
        return perturbed.flatten(1).sum(1)


class Seen(Linear):
    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []


def watch(photos: Tensor, steps: int = 3, seeds: tuple[int, ...] = (1, 2), **fields):
    model = Seen()
    protection = Watcher(budget=LinfBudget(radius=0.1), steps=steps, step_size=0.02, **fields)
    run_loop(protection, model, photos, seeds=list(seeds))
    return model.seen


@pytest.fixture
def small(photos) -> Tensor:
    return photos[:, :, :40, :48]


def test_a_range_draws_between_its_ends_and_reaches_both() -> None:
    drawn = {Range.parse("jpeg:quality=50..53").draw(seed) for seed in range(60)}
    assert drawn == {Jpeg(quality=quality) for quality in (50, 51, 52, 53)}
    noise = [Range.parse("gaussian-noise:sigma=2/255..8/255").draw(s).sigma for s in range(60)]
    assert 2 / 255 <= min(noise) < 3 / 255
    assert 7 / 255 < max(noise) <= 8 / 255


def test_a_chain_draws_in_each_of_its_steps() -> None:
    one = Range.parse("resize:factor=0.5..0.9+jpeg:quality=50..95,subsampling=4:4:4").draw(3)
    assert 0.5 < one.steps[0].factor < 0.9
    assert 50 <= one.steps[1].quality <= 95
    assert one.steps[1].subsampling == "4:4:4"


@pytest.mark.parametrize(
    "text",
    [
        "jpeg:quality=50..95",
        "resize:factor=0.5..0.9+jpeg:quality=50..95",
        "gaussian-noise:sigma=2/255..8/255",
        "rotate:degrees=-5..5,fill=0.0..0.5",
    ],
)
def test_a_range_is_read_back_from_its_text_and_record(text) -> None:
    protection = EncoderProtection(expectation=(text, "none"))
    assert Protection.parse(str(protection)) == protection
    assert Protection.from_record(protection.record()) == protection
    assert protection.expectation[0] == Range.parse(text)


def test_a_range_of_powers_of_ten() -> None:
    found = Range.parse("gaussian-noise:sigma=1e-3..1e-2")
    assert (found.low.sigma, found.high.sigma) == (0.001, 0.01)


def test_the_ends_of_a_range_are_part_of_the_record() -> None:
    records = [
        EncoderProtection(expectation=(text,)).record()
        for text in ("jpeg:quality=50..95", "jpeg:quality=50..90", "jpeg:quality=50")
    ]
    assert records[0] != records[1] != records[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("jpeg:quality=95..50", "ends before it begins"),
        ("jpeg:quality=50..200", "less than or equal to 100"),
        ("jpag:quality=50..95", "did you mean 'jpeg'"),
        ("webp:quality=50..90", "can foresee webp:quality=50, which has no gradient: leave it out"),
        ("flip+median-blur:size=3", "has no gradient"),
        ("autoencode", "has no gradient"),
        ("crop:left=0..16", r"expectation\.0\.low: crop: say how much to cut"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_refused(text, reason) -> None:
    with pytest.raises(UserError, match=reason):
        Protection.parse(f"encoder:expectation=[{text}]")


def test_nothing_is_sampled_from_no_expectation() -> None:
    with pytest.raises(UserError, match="sampled draws from expectation, which names no transform"):
        Protection.parse("encoder:sampled=2")


def test_the_objective_sees_the_real_transform_of_picture_and_photo(small) -> None:
    seen = watch(small, steps=2, expectation=("jpeg:quality=30",))
    perturbed, image = seen[0]
    assert torch.allclose(perturbed, Jpeg(quality=30).apply(small), atol=1e-6)
    assert torch.equal(image, Jpeg(quality=30).apply(small))
    levels = seen[1][0] * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    assert not torch.allclose(seen[1][0], perturbed)


def test_noise_is_really_drawn_and_drawn_anew(small) -> None:
    first, second = (
        seen for seen, _ in watch(small[:1], 2, (1,), expectation=("gaussian-noise:sigma=0.1",))
    )
    assert (first - small[:1]).std() == pytest.approx(0.1, rel=0.2)
    assert (second - first).std() > 0.1


@pytest.mark.parametrize(
    ("text", "anew"),
    [
        ("none", False),
        ("jpeg:quality=75", False),
        ("gaussian-noise:sigma=0.1", True),
        ("jpeg:quality=75+gaussian-noise:sigma=0.1", True),
        ("jpeg:quality=75..80", True),
    ],
)
def test_losses_are_compared_under_the_same_draws_where_each_step_has_its_own(text, anew) -> None:
    assert EncoderProtection(expectation=(text,)).draws_anew is anew


def test_every_step_draws_anew_and_each_photo_by_its_own_seed(small) -> None:
    ranged = {"expectation": ("brightness:factor=0.5..0.9",)}
    same = small[:1].expand(2, -1, -1, -1)
    seen = [float(picture.mean()) for picture, _ in watch(same, 4, (1, 2), **ranged)]
    assert len({round(mean, 3) for mean in seen}) == 8
    assert seen[::2] == [float(p.mean()) for p, _ in watch(same[:1], 4, (1,), **ranged)]


def test_the_result_is_the_seeds_own_whoever_is_beside_it(small) -> None:
    weight = torch.randn(4, small[0].numel(), generator=torch.Generator().manual_seed(1))
    protection = EncoderProtection(
        steps=3, expectation=("brightness:factor=0.5..1", "gaussian-noise:sigma=0.1", "none")
    )
    first, trace = run_loop(protection, Linear(weight), small, seeds=[5, 6])
    turned, _ = run_loop(protection, Linear(weight), small.flip(0), seeds=[6, 5])
    other, _ = run_loop(protection, Linear(weight), small, seeds=[7, 6])
    assert torch.equal(first, turned.flip(0))
    assert torch.equal(first[1], other[1])
    assert not torch.equal(first[0], other[0])
    assert [len(losses) for losses in trace.losses] == [2, 2, 2]


def test_sampling_takes_that_many_members_at_a_step(small) -> None:
    every = ("none", "flip", "grayscale")
    assert len(watch(small[:1], 4, (1,), expectation=every)) == 12
    seen = watch(small[:1], 6, (1,), expectation=every, sampled=1)
    assert len(seen) == 6
    kinds = {
        name
        for _, image in seen
        for name in every
        if torch.equal(image, Range.parse(name).draw(0).apply(small[:1]))
    }
    assert len(kinds) > 1


def test_memory_does_not_grow_with_the_number_of_views(small) -> None:
    seen = watch(small, 1, expectation=("none", "flip", "jpeg:quality=50", "grayscale"))
    assert [len(picture) for picture, _ in seen] == [2] * 4
    seen = watch(small, 1, expectation=("jpeg:quality=50..90", "jpeg:quality=50..90"))
    assert [len(picture) for picture, _ in seen] == [1] * 4


class Upwards(PGD):
    """The sum of a linear latent, made as large as the budget allows."""

    name = "upwards"

    def objective(self, model, perturbed, image, *, mask, seeds, prepared) -> Tensor:
        return -model.encode(perturbed).sum(1)


def test_with_jpeg_in_expectation_more_is_left_after_jpeg(small) -> None:
    # A latent that JPEG drops, the finest checks, weighs more than one that it keeps, the mean.
    checks = torch.ones(3, 40, 48)
    checks[:, ::2, 1::2] = checks[:, 1::2, ::2] = -1
    model = Linear(torch.stack([checks.flatten(), torch.full_like(checks, 0.5).flatten()]))
    image = torch.full_like(small[:1], 128 / 255)
    settings = {"steps": 8, "step_size": 0.005, "budget": LinfBudget(radius=0.02)}
    before, left = [], []
    for expectation in ((), ("jpeg:quality=30..50",)):
        result = Upwards(**settings, expectation=expectation)(model, image, seeds=[0])
        before.append(float(model.encode(result - image).sum()))
        left.append(float(model.encode(Jpeg(quality=40).apply(result) - image).sum()))
    assert before[0] > before[1]
    assert left[1] > 2 * left[0]


def test_away_leaves_the_photos_latent_behind(kl, small) -> None:
    with pytest.raises(UserError, match="random_start=true"):
        Protection.parse("encoder:target=away")
    away = EncoderProtection(target="away", random_start=True, steps=6)
    result, trace = run_loop(away, kl, small)
    with torch.no_grad():
        latents = [kl.encode(kl.fit(picture)) for picture in (result, small)]
    moved = (latents[0] - latents[1]).square().flatten(1).sum(1)
    assert (moved > -1.5 * trace.losses[0]).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("preset", "transforms"),
    [
        ("encoder:", "jpeg:quality=50..90,gaussian-noise:sigma=0.1,flip,crop:left=4,none"),
        ("encoder:target=away,random_start=true,", "none,jpeg:quality=70,gaussian-blur:sigma=1"),
        ("encoder-ensemble:", "none,flip,jpeg:quality=70"),
    ],
)
def test_views_in_one_call_have_the_gradients_of_one_after_another(
    exact, small, monkeypatch, preset, transforms, masked
) -> None:
    protection = Protection.parse(f"{preset}steps=1,expectation=[{transforms}]")
    mask = torch.zeros_like(small[:, :1])
    mask[..., 10:20, 10:20] = 1
    calls: list[int] = []
    encode = exact.encode_to_attack
    monkeypatch.setattr(exact, "encode_to_attack", lambda x: calls.append(len(x)) or encode(x))

    def gradients(views: int) -> list[Tensor]:
        monkeypatch.setattr(type(protection), "views_at_once", lambda *_: views)
        own = mask.double() if masked else None
        batches = protection.batches(exact, small.double(), own, [3, 4])
        return [x for batch in batches for x in protection._gradient(exact, batch, 0)]

    one_by_one, in_turn = gradients(1), calls.copy()
    calls.clear()
    together = gradients(2)
    assert max(calls) == 2 * max(in_turn)
    assert len(calls) < len(in_turn)
    for ours, loop in zip(together, one_by_one, strict=True):
        assert loop.any()
        torch.testing.assert_close(ours, loop, rtol=1e-7, atol=1e-9)


def test_views_are_joined_where_the_device_has_room(tiny, small, monkeypatch) -> None:
    ranged = EncoderProtection(steps=1, expectation=("jpeg:quality=50..90",) * 4)
    assert ranged.views_at_once(tiny, small) == 1
    monkeypatch.setattr("brittle.protections.pgd.room_for_more", lambda device: 10**9)
    alone = ranged.views_at_once(tiny, small[:1])
    assert alone > 2
    assert ranged.views_at_once(tiny, small) == alone // 2
    assert EncoderProtection(steps=1).views_at_once(tiny, small) == 1

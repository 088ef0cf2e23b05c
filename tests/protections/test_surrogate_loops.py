"""Loops with a surrogate against the same loops by hand: plain autograd, AdamW and diffusers."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.errors import UserError
from brittle.images import digest, quantise
from brittle.models import load_model
from brittle.noise import derive_seed
from brittle.protections import (
    Ace,
    AntiDreamBooth,
    Caat,
    MetaCloak,
    NoiseSpectrum,
    Protection,
    SimAC,
    StyleGuard,
    Trace,
)
from brittle.silence import silence
from tests.models import tiny

SEEDS = [3, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The smallest pipeline, at 16 px."""
    folder = tmp_path_factory.mktemp("models") / "smallest"
    tiny.smallest().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture
def pictures(photos) -> list[Tensor]:
    """Two pictures that the model takes as they are."""
    return [*quantise(functional.interpolate(photos, (16, 16), mode="area")).split(1)]


class ByHand:
    """A diffusers pipeline that learns and perturbs without a line of what is tested."""

    def __init__(self, folder: Path, prompt: str, seeds: list[int]) -> None:
        from diffusers import DDPMScheduler, StableDiffusionPipeline

        with silence():
            pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
        self.vae, self.nets = (
            pipe.vae,
            nn.ModuleDict({"unet": pipe.unet, "text": pipe.text_encoder}),
        )
        self.nets.requires_grad_(False).train()
        self.tokens = pipe.tokenizer(
            prompt, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        self.alphas = DDPMScheduler.from_config(pipe.scheduler.config).alphas_cumprod
        self.seed, self.steps = derive_seed(0, "surrogate", *map(str, seeds)), 0
        self.optimizer: torch.optim.Optimizer | None = None

    def encode(self, image: Tensor) -> Tensor:
        return self.vae.encode(2 * image - 1).latent_dist.mean * self.vae.config.scaling_factor

    def output(self, latents: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        alpha = self.alphas[time]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        return self.nets["unet"](noisy, time, self.nets["text"](self.tokens)[0]).sample

    def learning(self) -> list[nn.Parameter]:
        return [one for one in self.nets.parameters() if one.requires_grad]

    def learn(self, pictures: list[Tensor], steps: int, rate: float, *, forget: bool) -> None:
        with torch.no_grad():
            known = torch.cat([self.encode(quantise(picture)) for picture in pictures])
        if forget or self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self.learning(), lr=rate)
        for _ in range(steps):
            stream = torch.Generator().manual_seed(derive_seed(self.seed, "step", f"{self.steps}"))
            chosen = known[torch.randint(len(known), (1,), generator=stream)]
            noise = torch.randn(chosen.shape, generator=stream)
            time = torch.randint(1000, (1,), generator=stream)
            loss = functional.mse_loss(self.output(chosen, noise, time), noise)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.learning(), 1.0)
            self.optimizer.step()
            self.steps += 1


Loss = Callable[[ByHand, Tensor, Tensor, Tensor, Tensor], Tensor]


def away(hand: ByHand, image: Tensor, latents: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """What most of them minimise: the denoising loss, from which they flee."""
    return -functional.mse_loss(hand.output(latents, noise, time), noise)


def to_gray(hand: ByHand, image: Tensor, latents: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """ACE+'s pull of the denoiser and of the latent to that of a gray picture."""
    with torch.no_grad():
        goal = hand.encode(torch.full_like(image, 0.5))
    denoiser = functional.mse_loss(hand.output(latents, noise, time), goal)
    return denoiser + 0.5 * functional.mse_loss(latents, goal)


def with_features(
    hand: ByHand, image: Tensor, latents: Tensor, noise: Tensor, time: Tensor
) -> Tensor:
    """SimAC's: away in the denoising loss, and twice in the last upward block's features."""
    felt: list[Tensor] = []
    layers = [block.conv2 for block in hand.nets["unet"].up_blocks[-1].resnets]
    hooks = [layer.register_forward_hook(lambda _, __, out: felt.append(out)) for layer in layers]
    output = hand.output(latents, noise, time)
    with torch.no_grad():
        hand.output(hand.encode(image), noise, time)
    for hook in hooks:
        hook.remove()
    ours, theirs = torch.stack(felt).chunk(2)
    return -functional.mse_loss(output, noise) - 2 * functional.mse_loss(ours, theirs)


def with_style(hand: ByHand, image: Tensor, latents: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """StyleGuard's: away in the denoising loss, and thrice in statistics, to those of gray."""
    with torch.no_grad():
        clean, gray = hand.encode(image), hand.encode(torch.full_like(image, 0.5))

    def apart(other: Tensor) -> Tensor:
        means = functional.mse_loss(latents.mean((0, 2, 3)), other.mean((0, 2, 3)))
        return means + functional.mse_loss(latents.var((0, 2, 3)), other.var((0, 2, 3)))

    denoising = functional.mse_loss(hand.output(latents, noise, time), noise)
    return -denoising - 3 * (apart(clean) - apart(gray))


Times = list[int]
Draw = tuple[Tensor, Tensor, Tensor]


def drawn(hand: ByHand, image: Tensor, times: Times, stream: torch.Generator) -> Draw:
    """The latents of an image, noise of their shape, and one of the timesteps."""
    latents = hand.encode(image)
    noise = torch.randn(*latents.shape[1:], generator=stream)[None]
    place = int(torch.randint(len(times), (1,), generator=stream))
    return latents, noise, torch.tensor([times[place]])


def step(protection: Protection, picture: Tensor, now: Tensor, gradient: Tensor) -> Tensor:
    moved = now.detach() - protection.step_size * gradient.sign()
    radius = protection.budget.radius
    return (picture + (moved - picture).clamp(-radius, radius)).clamp(0, 1)


def all_times(hand: ByHand, protection: Protection, picture: Tensor, stream: Any) -> Times:
    return list(range(1000))


def searched(hand: ByHand, protection: SimAC, picture: Tensor, stream: Any) -> Times:
    """SimAC's timesteps for a picture."""
    left, copied = list(range(1000)), picture

    def gradient(times: Times) -> tuple[Tensor, int]:
        now = copied.detach().requires_grad_()
        draw = drawn(hand, now, times, stream)
        return torch.autograd.grad(away(hand, picture, *draw), now)[0], int(draw[2])

    for _ in range(protection.search_steps):
        if len(left) <= protection.kept:
            break
        tried = [gradient(left) for _ in range(protection.candidates)]
        sizes = [float(one.abs().sum()) for one, _ in tried]
        weakest, strongest = (tried[sizes.index(size)][1] for size in (min(sizes), max(sizes)))
        copied = step(protection, picture, copied, gradient([strongest])[0])
        middle = min(max(weakest, protection.window), 1000 - protection.window)
        out = range(middle - protection.window, middle + protection.window)
        left = [time for time in left if time not in out]
    return left


def rounds(hand: ByHand, protection: Protection, pictures: list[Tensor]) -> Iterator[None]:
    yield from [None] * protection.rounds


def pooled(hand: ByHand, protection: MetaCloak, pictures: list[Tensor]) -> Iterator[None]:
    """MetaCloak's turns."""
    pool = [copy.deepcopy(hand.nets.state_dict())]
    for member in range(1, protection.pool):
        hand.learn(pictures, protection.pool_interval, protection.learning_rate, forget=member == 1)
        pool.append(copy.deepcopy(hand.nets.state_dict()))
    for _ in range(protection.rounds):
        for state in pool:
            hand.nets.load_state_dict(state)
            yield from [None] * protection.unrolled


@dataclass(frozen=True)
class Case:
    """A protection, and what of the loop by hand is its own."""

    protection: Protection
    learns: Callable[[ByHand], None]
    loss: Loss = away
    times: Callable[..., Times] = all_times
    turns: Callable[..., Iterator[None]] = rounds

    def by_hand(
        self, folder: Path, pictures: list[Tensor], *, learns_perturbed: bool = True
    ) -> Tensor:
        """What the protection makes of pictures, (N, 3, H, W), before rounding."""
        hand = ByHand(folder, self.protection.instance_prompt, [3, 3])
        self.learns(hand)
        protection = self.protection
        perturbed = [picture.clone() for picture in pictures]
        streams = [
            torch.Generator().manual_seed(derive_seed(3, digest(picture))) for picture in pictures
        ]
        times = [self.times(hand, protection, *one) for one in zip(pictures, streams, strict=True)]
        taught = (protection.training_steps, protection.learning_rate)
        for _ in self.turns(hand, protection, pictures):
            before = copy.deepcopy(hand.nets.state_dict())
            if protection.rehearses:
                hand.learn(pictures, *taught, forget=True)
            for _ in range(protection.steps):
                for i, picture in enumerate(pictures):
                    now = perturbed[i].detach().requires_grad_()
                    loss = self.loss(hand, picture, *drawn(hand, now, times[i], streams[i]))
                    gradient = torch.autograd.grad(loss, now)[0]
                    perturbed[i] = step(protection, picture, now, gradient)
            if protection.rehearses:
                hand.nets.load_state_dict(before)
            learned = perturbed if learns_perturbed else pictures
            hand.learn(learned, *taught, forget=protection.forgets)
        return torch.cat(perturbed)


def same(ours: Tensor, theirs: Tensor) -> float:
    """The share of values that are the same."""
    return float(((ours - theirs).abs() < 1e-5).float().mean())


def run(protection: Protection, model, pictures: list[Tensor]) -> Tensor:
    made = protection.perturb_collection(
        model, pictures, masks=[None] * 2, seeds=[3, 3], trace=Trace()
    )
    return torch.cat(made)


def whole(hand: ByHand) -> None:
    hand.nets.requires_grad_(True)


def lora(hand: ByHand) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(derive_seed(hand.seed, "lora", "unet"))
    layers = ["to_q", "to_k", "to_v", "to_out.0"]
    config = LoraConfig(r=2, lora_alpha=2, target_modules=layers)
    hand.nets["unet"] = inject_adapter_in_model(config, hand.nets["unet"])


def keys_and_values(hand: ByHand) -> None:
    for name, parameter in hand.nets["unet"].named_parameters():
        parameter.requires_grad_(".attn2.to_k." in name or ".attn2.to_v." in name)


QUICK = {
    "rounds": 3,
    "steps": 2,
    "training_steps": 2,
    "learning_rate": 0.01,
    "step_size": 0.03,
    "budget": "linf:0.12",
}
"""Steps and rates so wide that what the surrogate learns from the perturbed pictures shows."""
CASES = [
    Case(AntiDreamBooth(**QUICK), whole),
    Case(
        Ace(**QUICK | {"learning_rate": 0.1}, rank=2, target="gray", latent_weight=0.5),
        lora,
        to_gray,
    ),
    Case(Caat(**QUICK | {"rounds": 6, "steps": 1}), keys_and_values),
    Case(
        SimAC(**QUICK, feature_weight=2, search_steps=9, candidates=3, window=150, kept=400),
        whole,
        with_features,
        searched,
    ),
    Case(
        MetaCloak(**QUICK | {"rounds": 1}, pool=2, pool_interval=2, unrolled=2), whole, turns=pooled
    ),
    Case(StyleGuard(**QUICK, target="gray", style_weight=3), whole, with_style),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.protection.name)
def test_a_loop_is_the_one_by_hand(case: Case, folder, model, pictures) -> None:
    protection, pictures = case.protection, sorted(pictures, key=digest)
    theirs = case.by_hand(folder, pictures)
    ours = run(protection, model, pictures)
    start = torch.cat(pictures)
    # All but signs of gradients that are next to nothing, which rounding may turn.
    assert same(ours, theirs) > 0.99
    assert ((ours - start).abs() > 1e-3).float().mean() > 0.3
    unmoved = case.by_hand(folder, pictures, learns_perturbed=False)  # a loop that is not theirs
    assert same(ours, unmoved) < 0.95
    files = protection.budget.round_inside(start, ours)
    noise = NoiseSpectrum(of=protection).draw(start, files, seeds=SEEDS) - start
    assert (noise.std() / (files - start).std()).item() == pytest.approx(1, abs=0.3)


STATED = {
    "anti-dreambooth-aspl": (0.05, 0.005, 50, 6, 3),
    "mist-v2": (8 / 255, 0.005, 5, 30, 10),
    "mist-v2-fused": (8 / 255, 0.005, 5, 30, 10),
    "caat-code": (0.05, 0.005, 250, 1, 1),
    "simac-features": (16 / 255, 0.005, 50, 6, 3),
    "simac-code": (16 / 255, 0.005, 50, 6, 3),
    "metacloak-eot": (22 / 255, 2.2 / 255, 4, 6, 2),
    "styleguard": (0.05, 0.005, 50, 6, 3),
    "styleguard-upscale": (0.05, 0.005, 50, 6, 3),
}
"""On [-1, 1], as the sources state them: budget, step; rounds, steps, training steps."""


@pytest.mark.parametrize("name", STATED)
def test_a_preset_is_its_sources_setting(name) -> None:
    radius, step, *numbers = STATED[name]
    preset = Protection.parse(name)
    assert (preset.budget.radius * 2, preset.step_size * 2) == pytest.approx((radius, step))
    assert [preset.rounds, preset.steps, preset.training_steps] == numbers


def test_a_cost_counts_both_halves_of_a_loop() -> None:
    assert Protection.parse("caat-code").cost == (
        "250 runs of the denoiser, forward and backward, and 250 steps of training for the whole "
        "collection"
    )
    # Six members of the pool, 100 turns of six steps for each, in four rounds.
    assert MetaCloak().denoiser_gradients == 4 * 6 * 100 * 6
    assert MetaCloak().total_training == 4 * 6 * 100 * 2 + 5 * 200
    assert SimAC().denoiser_gradients == 300 + 50 * 6
    assert AntiDreamBooth().cost.endswith("and 300 steps of training for the whole collection")
    views = AntiDreamBooth(expectation=("none", "flip"))
    assert views.denoiser_gradients == 2 * AntiDreamBooth().denoiser_gradients


def test_simac_refuses_a_search_that_could_leave_nothing() -> None:
    with pytest.raises(UserError, match="kept must be at least twice window"):
        Protection.parse("simac:kept=30,window=20")


def test_simac_without_features_is_its_public_codes_steps() -> None:
    features, code = (Protection.parse(name) for name in ("simac-features", "simac-code"))
    assert code == features.model_copy(update={"feature_weight": 0.0})


def test_metacloak_foresees_blur_and_flips() -> None:
    preset = Protection.parse("metacloak-eot")
    texts = [str(one) for one in preset.expectation]
    assert texts == ["gaussian-blur:sigma=0.1..2.0", "gaussian-blur:sigma=0.1..2.0+flip"]
    assert preset.sampled == 1


@pytest.mark.parametrize(
    ("moving", "vanished"), [((0, 0, 0, 1), True), ((0, 0, 1, 1), True), ((1, 1, 1, 0), False)]
)
def test_a_gradient_that_vanishes_is_counted_over_all_rounds(
    moving, vanished, model, pictures
) -> None:
    shares = chain((one for one in moving for _ in pictures), repeat(1))

    class Sometimes(Ace):
        name = "sometimes-ace"

        def objective(self, model, perturbed, image, *, prepared, **_: Any) -> Tensor:
            return next(shares) * perturbed.flatten(1).sum(1)

    protection = Sometimes(rounds=2, steps=2, training_steps=0, rank=2)
    trace = Trace()
    protection.together(model, pictures, seeds=SEEDS, trace=trace)
    assert [row["gradient_vanished"] for row in trace.summary()] == [vanished] * 2

"""Loops with a surrogate against the same loops by hand: plain autograd, AdamW and diffusers."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.images import digest, quantise
from brittle.models import load_model
from brittle.noise import derive_seed
from brittle.protections import AntiDreamBooth, Caat, NoiseSpectrum, Protection, Trace
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


def by_hand(hand: ByHand, protection: Protection, pictures: list[Tensor], loss: Loss) -> Tensor:
    """What ``protection`` makes of pictures, (N, 3, H, W), before rounding; its numbers count."""
    pictures = sorted(pictures, key=digest)
    perturbed = [picture.clone() for picture in pictures]
    streams = [
        torch.Generator().manual_seed(derive_seed(3, digest(picture))) for picture in pictures
    ]
    taught = (protection.training_steps, protection.learning_rate)
    for _ in range(protection.rounds):
        before = copy.deepcopy(hand.nets.state_dict())
        if protection.rehearses:
            hand.learn(pictures, *taught, forget=True)
        for _ in range(protection.steps):
            for i, (picture, stream) in enumerate(zip(pictures, streams, strict=True)):
                now = perturbed[i].detach().requires_grad_()
                latents = hand.encode(now)
                noise = torch.randn(*latents.shape[1:], generator=stream)[None]
                time = torch.randint(1000, (1,), generator=stream)
                gradient = torch.autograd.grad(loss(hand, picture, latents, noise, time), now)[0]
                moved = now.detach() - protection.step_size * gradient.sign()
                radius = protection.budget.radius
                perturbed[i] = (picture + (moved - picture).clamp(-radius, radius)).clamp(0, 1)
        if protection.rehearses:
            hand.nets.load_state_dict(before)
        hand.learn(perturbed, *taught, forget=protection.forgets)
    return torch.cat(perturbed)


def assert_same(ours: Tensor, theirs: Tensor, start: Tensor) -> None:
    """But for signs of gradients that are next to nothing, which rounding may turn."""
    assert ((ours - theirs).abs() < 1e-5).float().mean() > 0.99
    assert ((ours - start).abs() > 1e-3).float().mean() > 0.3


def run(protection: Protection, model, pictures: list[Tensor]) -> Tensor:
    pictures = sorted(pictures, key=digest)
    made = protection.perturb_collection(
        model, pictures, masks=[None] * 2, seeds=[3, 3], trace=Trace()
    )
    return torch.cat(made)


def whole(nets: nn.ModuleDict) -> None:
    nets.requires_grad_(True)


def keys_and_values(nets: nn.ModuleDict) -> None:
    for name, parameter in nets["unet"].named_parameters():
        parameter.requires_grad_(".attn2.to_k." in name or ".attn2.to_v." in name)


@pytest.mark.parametrize(
    ("protection", "learns"),
    [
        (AntiDreamBooth(rounds=2, steps=2, training_steps=2, learning_rate=1e-3), whole),
        (Caat(rounds=3, training_steps=2, learning_rate=1e-2), keys_and_values),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_loop_is_the_one_by_hand(protection, learns, folder, model, pictures) -> None:
    hand = ByHand(folder, protection.instance_prompt, [3, 3])
    learns(hand.nets)
    theirs = by_hand(hand, protection, pictures, away)
    ours = run(protection, model, pictures)
    assert_same(ours, theirs, torch.cat(sorted(pictures, key=digest)))
    start, files = torch.cat(pictures), torch.cat(protection.together(model, pictures, seeds=SEEDS))
    noise = NoiseSpectrum(of=protection).draw(start, files, seeds=SEEDS) - start
    assert (noise.std() / (files - start).std()).item() == pytest.approx(1, abs=0.3)
    # What learns matters here: a surrogate that learns nothing leads elsewhere.
    assert not torch.equal(
        run(protection.model_copy(update={"training_steps": 0}), model, pictures), ours
    )


STATED = {
    "anti-dreambooth-aspl": (0.05, 0.005, 50, 6, 3),
    "caat-code": (0.05, 0.005, 250, 1, 1),
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
    assert AntiDreamBooth().cost.endswith("and 300 steps of training for the whole collection")
    views = AntiDreamBooth(expectation=("none", "flip"))
    assert views.denoiser_gradients == 2 * AntiDreamBooth().denoiser_gradients

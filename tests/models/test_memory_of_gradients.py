"""What the gradient of a whole edit holds at a time, by architecture and number of steps."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from brittle import noise
from brittle.editors import IPAdapter
from brittle.models import EditModel, chain, load_model
from brittle.silence import silence
from tests.models import tiny, tiny_flow, tiny_qwen, tiny_xl
from tests.models.test_ip_adapter import write_adapter

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
MASK = torch.zeros(1, 1, 64, 64).index_fill(-1, torch.arange(21), 1)


class Held:
    """A tensor that a graph keeps for its way back, which is counted for as long as it lives."""

    def __init__(self, memory: "Memory", tensor: Tensor) -> None:
        self.memory, self.tensor = memory, tensor
        self.place = (tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        memory.hold(self.place)

    def __del__(self) -> None:
        self.memory.drop(self.place)


class Memory:
    """Bytes that graphs keep, each storage counted once, and the most that they ever were."""

    def __init__(self) -> None:
        self.places: Counter[tuple[int, int]] = Counter()
        self.held = self.most = 0

    def hold(self, place: tuple[int, int]) -> None:
        self.held += 0 if self.places[place] else place[1]
        self.places[place] += 1
        self.most = max(self.most, self.held)

    def drop(self, place: tuple[int, int]) -> None:
        self.places[place] -= 1
        self.held -= 0 if self.places[place] else place[1]


def unet(folder: Any, **options: Any) -> EditModel:
    with silence():
        tiny.smallest(**options).save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32", size=32)


def xl(folder: Any, **options: Any) -> EditModel:
    with silence():
        tiny_xl.build(**options).save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32", size=64)


def flow(folder: Any, pipeline: Any) -> EditModel:
    return load_model(tiny_flow.save(pipeline, folder), device="cpu", dtype="float32", size=64)


def qwen(folder: Any) -> EditModel:
    return load_model(
        tiny_qwen.save(tiny_qwen.build(), folder), device="cpu", dtype="float32", size=128
    )


def ip_adapter(folder: Any) -> EditModel:
    pipeline = tiny.smallest()
    model = unet(folder / "model")
    return IPAdapter(adapter=str(write_adapter(folder / "adapter", pipeline.unet))).adapted(model)


ARCHITECTURES = {
    "Stable Diffusion 1.x": ("img2img", unet),
    "Stable Diffusion 1.x, inpainting": ("inpaint", lambda path: unet(path, unet_channels=9)),
    "InstructPix2Pix": ("instruct", lambda path: unet(path, unet_channels=8)),
    "embedded-instruct": (
        "instruct",
        lambda _: load_model("embedded-instruct", device="cpu", dtype="float32", size=128),
    ),
    "IP-Adapter": ("generate", ip_adapter),
    "Stable Diffusion XL": ("img2img", xl),
    "Stable Diffusion XL, blended": ("inpaint", xl),
    "Stable Diffusion 3": ("inpaint", lambda path: flow(path, tiny_flow.sd3())),
    "FLUX.1": ("inpaint", lambda path: flow(path, tiny_flow.flux())),
    "FLUX.1 Fill": (
        "inpaint",
        lambda path: flow(path, tiny_flow.flux("FluxFillPipeline", fill=True)),
    ),
    "FLUX.1 Kontext": (
        "instruct",
        lambda path: flow(path, tiny_flow.flux("FluxKontextPipeline")),
    ),
    "Qwen-Image-Edit": ("instruct", qwen),
}
QUICK = ("Stable Diffusion 1.x", "Qwen-Image-Edit")


def most_held(model: EditModel, task: chain.Task, steps: int, recompute: bool) -> int:
    """The most bytes that the graphs of an edit and of its gradient keep at a time."""
    plan = chain.plan(
        model,
        prompts=["snow"],
        streams=noise.generators([1]),
        shape=IMAGE.shape[-2:],
        num_inference_steps=steps,
        guidance_scale=2.0,
        task=task,
        scheduler=None if model.denoiser.scheduler_name(None) == "flow" else "ddim",
        differentiable=True,
    )
    image, memory = IMAGE.clone().requires_grad_(), Memory()
    mask = MASK if task == "inpaint" else None
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: Held(memory, tensor), lambda held: held.tensor
    ):
        start = chain.start(model, plan, image, mask, recompute=recompute)
        loss = chain.finish(model, start, plan, recompute=recompute).square().mean()
        (gradient,) = torch.autograd.grad(loss, image)
    assert gradient.abs().max() > 0
    return memory.most


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ARCHITECTURES],
)
def test_with_recomputation_memory_grows_by_the_latents_of_a_step_alone(name, tmp_path):
    task, made = ARCHITECTURES[name]
    model = made(tmp_path / "model")
    latents = 4 * model.latent_channels * 64 * 64 // model.factor**2
    few, many = (most_held(model, task, steps, True) for steps in (2, 6))
    assert many - few <= 4 * latents
    few, many = (most_held(model, task, steps, False) for steps in (2, 3))
    assert many - few > 10 * latents

"""Time and memory of Stable Diffusion 1.5's full width, with random weights, on this machine.

Random weights cost what trained ones do. They are made once in --folder (1.7 GB a half-precision
copy, 4.3 GB in float32) and read back through load_model, as a user's would be::

    python benchmarks/sd_layout.py --dtype bfloat16 --size 512 --evaluations 2
    python benchmarks/sd_layout.py --device cuda --dtype float16 --compare

--compare also runs diffusers' own img2img pipeline on the same files, image and seed.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from brittle import noise
from brittle.models import EditModel, chain, load_model
from brittle.models.files import SD1
from brittle.models.reading import load_tokenizer
from brittle.silence import silence

PROMPT = "a photo of a dog in the snow"


TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "block_out_channels": [32, 64, 64, 64],
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
        "sample_size": 8,
    },
    "vae": {"block_out_channels": [16, 16, 32, 32], "norm_num_groups": 8},
    "text_encoder": {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4},
}
"""What differs where the widths are divided."""


def make(
    folder: Path, dtype: torch.dtype, *, tiny: bool = False, device: str | None = None
) -> None:
    """Write a random pipeline of Stable Diffusion 1.5's layout, one part in memory at a time.

    The weights are drawn on the ``device``.
    """
    import diffusers
    import transformers

    def config(part: str) -> dict[str, Any]:
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        written = dict(json.loads((SD1 / part / name).read_text()))
        return {**written, **(TINY.get(part, {}) if tiny else {})}

    torch.manual_seed(0)
    text_config = transformers.CLIPTextConfig.from_dict(config("text_encoder"))
    makers: dict[str, Callable[[], Any]] = {
        "unet": lambda: diffusers.UNet2DConditionModel.from_config(config("unet")),
        "vae": lambda: diffusers.AutoencoderKL.from_config(config("vae")),
        "text_encoder": lambda: transformers.CLIPTextModel(text_config),
    }
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    with silence():
        for part, maker in makers.items():
            with torch.device(device or "cpu"):
                made = maker().to(dtype)
            made.to("cpu").save_pretrained(folder / part)
        load_tokenizer(SD1 / "tokenizer").save_pretrained(folder / "tokenizer")
        diffusers.PNDMScheduler.from_config(config("scheduler")).save_pretrained(
            folder / "scheduler"
        )
    (folder / "model_index.json").write_text(json.dumps(index))


def timed(model: EditModel, name: str, work: Callable[[], Any]) -> Any:
    """Run, print seconds and the peak of memory so far, and return the result."""
    started = time.perf_counter()
    result = work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:<28}{time.perf_counter() - started:>9.2f} s   peak {peak:6.2f} GB", flush=True)
    return result


def encoder_gradient(model: EditModel, image: torch.Tensor) -> torch.Tensor:
    """One gradient of an encoder protection."""
    image = image.clone().requires_grad_()
    model.encode(image).square().sum().backward()
    assert image.grad is not None
    return image.grad


def run_diffusers(folder: Path, model: EditModel, image: torch.Tensor, steps: int) -> Any:
    """Run diffusers' own pipeline; return its latents after each step."""
    from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

    seen: list[torch.Tensor] = []

    def collect(_: Any, __: int, ___: Any, values: dict[str, Any]) -> dict[str, Any]:
        seen.append(values["latents"].float().cpu())
        return values

    with silence():
        pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
            folder, torch_dtype=model.dtype, local_files_only=True, requires_safety_checker=False
        ).to(model.device)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        pipeline(
            PROMPT,
            image=image.to(model.dtype),
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=7.5,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            callback_on_step_end=collect,
        )
    return seen


def main() -> None:
    """Run the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="where the weights are kept between runs")
    parser.add_argument("--device")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--vae-dtype", default="float32")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=2)
    parser.add_argument("--gradient", action="store_true", help="one encoder gradient as well")
    parser.add_argument("--compare", action="store_true", help="run diffusers' pipeline as well")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="sd-layout-"))
    if not (folder / "model_index.json").exists():
        # In a process of its own, so that its memory is not counted.
        maker = multiprocessing.get_context("spawn").Process(
            target=make, args=(folder, getattr(torch, options.dtype))
        )
        maker.start()
        maker.join()

    model = load_model(
        folder,
        device=options.device,
        dtype=options.dtype,
        vae_dtype=getattr(torch, options.vae_dtype),
    )
    size = options.size
    print(
        f"torch {torch.__version__}, {model.device}, {torch.get_num_threads()} threads, {size} px"
    )
    print(f"UNet {model.dtype}, autoencoder {model.vae_dtype}")
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, size, size, generator=generator)
    timed(model, "read the autoencoder", lambda: model.vae)
    if options.gradient:
        timed(model, "encoder gradient", lambda: encoder_gradient(model, image))
    timed(
        model,
        "read UNet, text encoder",
        lambda: (model.part("denoiser"), model.part("text_encoder")),
    )
    plan = timed(
        model,
        "plan (text, noise)",
        lambda: chain.plan(
            model,
            prompts=[PROMPT],
            streams=noise.generators([0]),
            shape=(size, size),
            num_inference_steps=options.evaluations,
            strength=1.0,
            guidance_scale=7.5,
            scheduler="ddim",
        ),
    )
    with torch.inference_mode():
        start = timed(model, "encode", lambda: chain.start(model, plan, image))
        steps = chain.denoise(model, start, plan)
        ours = [
            timed(model, f"evaluation {number + 1}, guided", lambda: next(steps))
            for number in range(plan.evaluations)
        ]
        timed(model, "decode", lambda: model.decode(ours[-1]))
    if options.compare:
        model.release()
        theirs = timed(
            model,
            "diffusers' pipeline",
            lambda: run_diffusers(folder, model, image, options.evaluations),
        )
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            largest = (own.cpu() - other).abs().max().item()
            print(f"step {number + 1}: latents differ by at most {largest:.2e}")


if __name__ == "__main__":
    main()

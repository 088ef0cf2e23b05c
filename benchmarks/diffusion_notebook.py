"""The published diffusion attack's own loop beside `DiffusionProtection`, at equal setting.

    python benchmarks/diffusion_notebook.py [--model embedded] [--batch 4] [--steps 20] [--draws 2]

PhotoGuard's loop (notebooks/demo_complex_attack_inpainting.ipynb, restated for img2img and linf)
runs diffusers' own modules and `scheduler.step`, guides the empty prompt against itself and lets
autograd store the whole chain. Prints, each from a process of its own, the loss of both results on
the same fresh noise, the CPU time a step and the peak memory (aim: none above the loop's).
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor

from brittle.models import EditModel, load_model
from brittle.protections import DiffusionProtection, Trace
from encoder_attack import samples


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, default=128, help="long side in px")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--one", choices=["photo", "loop", "brittle"], help="used by this script")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    for one in ("photo", "loop", "brittle"):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", one]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(output.splitlines()[-1])
        print(f"{one:>8}: loss {found['loss']:8.4f}   {found['seconds']:6.3f} s a step   "
              f"peak {found['peak']:6.0f} MB", flush=True)  # fmt: skip


def measure(options: argparse.Namespace) -> dict[str, float]:
    """The mean loss on fresh noise, the median CPU seconds of a step, the peak memory in MB."""
    model = load_model(options.model, size=options.size)
    image = samples(options.batch, model.size)
    protection = DiffusionProtection(steps=options.steps, draws=options.draws)
    times = [time.process_time()]

    def tick(*_: object) -> None:
        times.append(time.process_time())

    result, seeds = image, range(options.batch)
    if options.one == "loop":
        result = published_loop(model, image, protection, tick)
    elif options.one == "brittle":
        result = protection.perturb(model, image, mask=None, seeds=seeds, trace=Trace(on_step=tick))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    between = [b - a for a, b in itertools.pairwise(times)]
    return {
        "loss": fresh_loss(model, image, result, protection),
        "seconds": statistics.median(between[1:] or [0.0]),
        "peak": peak,
    }


@torch.no_grad()
def fresh_loss(
    model: EditModel, image: Tensor, result: Tensor, protection: DiffusionProtection
) -> float:
    """The mean over photos and 16 draws of noise that neither optimisation has seen."""
    seeds = range(1000, 1000 + len(image))
    prepared = protection.prepare(model, image, mask=None, seeds=seeds)
    losses = [
        protection.objective(model, result, image, mask=None, seeds=seeds, prepared=prepared)
        for _ in range(16)
    ]
    return float(torch.stack(losses).mean())


def published_loop(
    model: EditModel, image: Tensor, protection: DiffusionProtection, tick: object
) -> Tensor:
    """PhotoGuard's loop on diffusers' modules, which the fields of ``protection`` set."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(model.scheduler_config)
    scheduler.set_timesteps(round(protection.evaluations / protection.strength))
    timesteps = scheduler.timesteps[-protection.evaluations :]
    text = model.embed([""] * (2 * len(image)))
    scale = model.vae.config.scaling_factor
    shift = getattr(model.vae.config, "shift_factor", None) or 0.0
    generator = torch.Generator().manual_seed(0)

    def edited(x: Tensor) -> Tensor:
        encoded = model.vae.encode(2 * x - 1)
        clean = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
        clean = (clean - shift) * scale
        noise = torch.randn(clean.shape, generator=generator)
        latents = scheduler.add_noise(clean, noise, timesteps[:1])
        for t in timesteps:
            output = model.part("denoiser")(
                torch.cat([latents] * 2), t, encoder_hidden_states=text
            ).sample
            without, with_prompt = output.chunk(2)
            output = without + protection.guidance_scale * (with_prompt - without)
            latents = scheduler.step(
                output, t, latents, eta=protection.eta, generator=generator
            ).prev_sample
        return model.vae.decode(latents / scale + shift, return_dict=False)[0] / 2 + 0.5

    perturbed, radius = image, protection.budget.radius
    for _ in range(protection.steps):
        total = torch.zeros_like(image)
        for _ in range(protection.draws):
            leaf = perturbed.detach().requires_grad_()
            loss = (edited(leaf) - 0.5).flatten(1).norm(dim=1).sum()
            total += torch.autograd.grad(loss, leaf)[0]
        moved = perturbed - protection.step_size * total.sign()
        perturbed = moved.clamp(image - radius, image + radius).clamp(0, 1)
        tick()
    return perturbed


if __name__ == "__main__":
    main()

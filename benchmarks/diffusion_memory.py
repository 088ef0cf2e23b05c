"""Memory and time of one gradient through the whole editor.

    python benchmarks/diffusion_memory.py [--model embedded] [--batch 4]
    python benchmarks/diffusion_memory.py --account

The first prints, each from a process of its own, the peak memory and the time of a gradient of
`DiffusionProtection` through 4 and 50 evaluations (aim: at most 1.15 times the memory), and through
4 with plain autograd (aim: at most 1.6 times its time). The second counts what Stable Diffusion 1.5
at 512 px stores for such a gradient, on tensors without data.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.models import chain, load_model
from brittle.protections import DiffusionProtection


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, default=128, help="long side in px")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--account", action="store_true")
    parser.add_argument("--one", help="an evaluations count, and `plain`: used by this script")
    options = parser.parse_args()
    if options.account:
        account()
    elif options.one:
        print(json.dumps(measure(options)))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Run each setting in a process of its own and print what it took."""
    results = {}
    for one in ("0", "4", "50", "4 plain", "50 plain"):
        command = [
            sys.executable,
            __file__,
            "--model",
            options.model,
            "--size",
            f"{options.size}",
            "--one",
            one,
        ]
        command += ["--batch", str(options.batch), "--repeats", str(options.repeats)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results[one] = json.loads(output.splitlines()[-1])
        print(f"{one:>8} evaluations: peak {results[one]['peak']:8.0f} MB, "
              f"{results[one]['seconds']:6.2f} s a gradient", flush=True)  # fmt: skip
    print(f"peak memory, 50 : 4 evaluations = {results['50']['peak'] / results['4']['peak']:.3f}")
    ratio = results["4"]["seconds"] / results["4 plain"]["seconds"]
    print(f"time at 4 evaluations, recomputed : plain autograd = {ratio:.3f}")


def measure(options: argparse.Namespace) -> dict[str, float]:
    """The peak memory in MB and the median CPU time of a gradient; 0 evaluations: of loading."""
    evaluations, _, plain = options.one.partition(" ")
    if plain:
        for name in ("start", "denoise"):
            recomputing = getattr(chain, name)
            setattr(chain, name, partial(ignoring_recompute, recomputing))
    model = load_model(options.model, size=options.size)
    image = torch.full((options.batch, 3, model.size, model.size), 0.5, device=model.device)
    seeds, seconds = range(options.batch), [0.0]
    protection = DiffusionProtection(evaluations=int(evaluations) or 4, prompt="snow")
    prepared = protection.prepare(model, image, mask=None, seeds=seeds)
    for _ in range(options.repeats if int(evaluations) else 0):
        start = time.process_time() if model.device.type == "cpu" else time.perf_counter()
        leaf = image.clone().requires_grad_()
        loss = protection.objective(
            model, leaf, image, mask=None, seeds=seeds, prepared=prepared
        ).sum()
        torch.autograd.grad(loss, leaf)[0].cpu()
        now = time.process_time() if model.device.type == "cpu" else time.perf_counter()
        seconds.append(now - start)
    if model.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"peak": peak, "seconds": statistics.median(seconds[1:] or seconds)}


def ignoring_recompute(function: Callable[..., Any], *args: object, recompute: bool) -> Any:
    """Call what could recompute without it."""
    return function(*args, recompute=False)


def account() -> None:
    """Print what parts of Stable Diffusion 1.5 hold at 512 px, for one image."""
    import diffusers
    from diffusers.utils import logging

    from brittle.models.files import SD1

    logging.set_verbosity_error()

    def build(kind: type, part: str, dtype: torch.dtype) -> torch.nn.Module:
        config = json.loads((Path(SD1) / part / "config.json").read_text())
        with torch.device("meta"):
            return kind.from_config(config).to(dtype).requires_grad_(False).eval()

    for dtype in (torch.float32, torch.float16):
        vae = build(diffusers.AutoencoderKL, "vae", dtype)
        unet = build(diffusers.UNet2DConditionModel, "unet", dtype)
        print(f"{dtype}: MB of weights, stored for the gradient, of that attention matrices")
        show("autoencoder, encode", vae, vae.encode, inputs(dtype, (1, 3, 512, 512)))
        show("autoencoder, decode", vae, vae.decode, inputs(dtype, (1, 4, 64, 64)))
        for rows, name in ((1, "UNet, one evaluation"), (2, "UNet, with guidance")):
            latents, text = inputs(dtype, (rows, 4, 64, 64), (rows, 77, 768))
            show(name, unet, unet, [latents, 500, text])


def inputs(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Tensors without data that a gradient is wanted for."""
    return [torch.empty(shape, dtype=dtype, device="meta", requires_grad=True) for shape in shapes]


def show(
    name: str, module: torch.nn.Module, run: Callable[..., object], arguments: Sequence[object]
) -> None:
    """Print what a forward pass keeps for the backward pass, each storage once.

    Attention matrices are stored on a CPU only: the fused kernels of GPUs compute them again.
    """
    weights = {p.untyped_storage()._cdata: p.untyped_storage() for p in module.parameters()}
    kept, matrices = {}, {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
            if tensor.dim() > 2 and tensor.shape[-1] in (77, 64, 256, 1024, 4096):
                square = tensor.shape[-1] == tensor.shape[-2] > 64 and tensor.shape[-3] <= 16
                if square or tensor.shape[-1] == 77:
                    matrices[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(*arguments)
    sizes = [sum(s.nbytes() for s in store.values()) / 2**20 for store in (weights, kept, matrices)]
    print(f"  {name:22} {sizes[0]:7.0f} {sizes[1]:7.0f} {sizes[2]:7.0f}")


if __name__ == "__main__":
    main()

"""What the encoder protection costs beside bare passes through the encoder, in one run.

    python benchmarks/encoder_attack.py [--model embedded] [--batch 8] [--repeats 5]

Prints, for each repeat, the wall time of `EncoderProtection` and of as many forward and backward
passes of the encoder on the same batch, alternating, and the median of their ratios (aim: at most
1.05); then the losses of the protection and of a plain reference loop.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Trace


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = load_model(options.model)
    image = photos(options.batch, model.size)
    protection = EncoderProtection(steps=options.steps)
    bare_passes(model, image, 1)

    ratios = []
    for _ in range(options.repeats):
        bare = timed(model, lambda: bare_passes(model, image, options.steps))
        ours = timed(model, lambda: protection(model, image, seeds=range(options.batch)))
        ratios.append(ours / bare)
        print(f"bare {bare:7.2f} s   protection {ours:7.2f} s   ratio {ratios[-1]:.3f}", flush=True)
    print(f"{model}, batch {options.batch}, {options.steps} steps: median ratio "
          f"{statistics.median(ratios):.3f}")  # fmt: skip

    trace, target = Trace(), gray_latent(model, image)
    ours = protection.perturb(
        model, image.to(model.device), mask=None, seeds=range(options.batch), trace=trace
    )
    theirs = reference_loop(model, image.to(model.device), target, protection)
    print(f"mean loss: photo {float(trace.losses[0].mean()):.6g}, protection "
          f"{float(loss(model, ours, target).mean()):.6g}, reference loop "
          f"{float(loss(model, theirs, target).mean()):.6g}")  # fmt: skip


def photos(count: int, side: int) -> Tensor:
    """Crops of scikit-image's photos, (count, 3, side, side) on the 8-bit grid."""
    from skimage import data

    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    crops = []
    for index in range(count):
        source = torch.from_numpy(sources[index % len(sources)][..., :3].copy()).permute(2, 0, 1)
        square = source[:, :300, index * 8 : index * 8 + 300].float()[None]
        crops.append(torch.nn.functional.interpolate(square, (side, side), mode="area"))
    return torch.cat(crops).round() / 255


def timed(model: EditModel, run: object) -> float:
    """Seconds that a call takes, its work on a GPU included."""
    start = time.perf_counter()
    run()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare_passes(model: EditModel, image: Tensor, count: int) -> None:
    """Forward and backward passes through the encoder, and nothing else."""
    image = image.to(model.device)
    for _ in range(count):
        leaf = image.detach().requires_grad_()
        torch.autograd.grad(model.encode(leaf).sum(), leaf)


@torch.no_grad()
def gray_latent(model: EditModel, image: Tensor) -> Tensor:
    """The latent of a gray picture."""
    return model.encode(torch.full_like(image[:1], 0.5))


@torch.no_grad()
def loss(model: EditModel, image: Tensor, target: Tensor) -> Tensor:
    """Squared distance of each image's latent to the target, (N,)."""
    return (model.encode(image) - target).square().flatten(1).sum(1)


def reference_loop(
    model: EditModel, image: Tensor, target: Tensor, setting: EncoderProtection
) -> Tensor:
    """The published loop, written plainly."""
    radius, adversarial = setting.budget.radius, image.clone()
    for _ in range(setting.steps):
        adversarial = adversarial.clone().requires_grad_(True)
        ((model.encode(adversarial) - target) ** 2).sum().backward()
        adversarial = adversarial.detach() - setting.step_size * adversarial.grad.sign()
        adversarial = torch.minimum(torch.maximum(adversarial, image - radius), image + radius)
        adversarial = adversarial.clamp(0, 1)
    return adversarial


if __name__ == "__main__":
    main()

"""How much of a protection the remover takes off held-out photos, beside other transforms.

    python -m training.remover_evaluate --config training/config.yaml

A protection's *shift* is how far it moves the embedded model's latent of a photo. What a transform
leaves of it is the distance between the latents of both files after the transform, over the shift;
its *cost* is how far it moves the untouched photo's latent, over the shift. Medians over photos
that no network was trained on. Networks that were trained without one protection are measured
where their weights lie under ``work``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from brittle.images import from_bytes, quantise
from brittle.models import load_model
from brittle.networks.remover import RemoverNetwork
from brittle.protections import Noise, Protection
from brittle.transforms import Transform
from training.config import Config, from_command_line
from training.data import SIZE, crop, load_photos

Receive = Callable[[Tensor], Tensor]


def networks(config: Config) -> dict[str, Receive]:
    """The trained network, and those that lack a protection, by name."""
    files = {"remover": config.remover.export}
    for file in sorted(config.work.glob("remover-without-*-weights.safetensors")):
        files[file.name.removesuffix("-weights.safetensors")] = file
    found: dict[str, Receive] = {}
    for name, file in files.items():
        network = RemoverNetwork()
        network.load_state_dict({n: value.float() for n, value in load_file(file).items()})
        found[name] = partial(_removed, network.requires_grad_(False).eval())
    return found


def _removed(network: RemoverNetwork, image: Tensor) -> Tensor:
    return quantise(network(image))


def evaluate(config: Config) -> None:
    """Prints a row for each protection and transform."""
    settings = config.remover
    model = load_model("embedded", device="cpu", dtype="float32", size=SIZE)
    photos = load_photos(config.photos, "validation")
    rows = np.random.default_rng([config.seed, 22]).choice(
        len(photos), settings.held_out, replace=False
    )
    image = from_bytes(np.stack([crop(photos[row]) for row in rows]))
    seeds = [*range(len(image))]
    others = {
        text: partial(Transform.parse(text).apply, seeds=seeds, model=model)
        for text in settings.beside
    }
    transforms: dict[str, Receive] = {**others, **networks(config)}
    print(f"{len(image)} photos of {SIZE} px")
    clean = model.encode(image)
    controls = {name: model.encode(receive(image)) for name, receive in transforms.items()}
    for text in settings.measured:
        protected = Protection.parse(text)(model, image, seeds=seeds)
        placebo = Noise().draw(image, protected, seeds=seeds)
        shift = _distance(model.encode(protected), clean)
        for name, receive in transforms.items():
            received, noised = (model.encode(receive(one)) for one in (protected, placebo))
            pairs = {
                "left": (received, controls[name]),
                "noise": (noised, controls[name]),
                "cost": (controls[name], clean),
            }
            numbers = (
                f"{word} {float((_distance(*pair) / shift).median()):.2f}"
                for word, pair in pairs.items()
            )
            print(f"{text:36} {name:28}", *numbers, flush=True)


def _distance(latent: Tensor, other: Tensor) -> Tensor:
    return (latent - other).flatten(1).norm(dim=1)


if __name__ == "__main__":
    evaluate(from_command_line(__doc__ or ""))

"""What protections that train a surrogate do to a denoiser's loss, beside noise of their size.

    python benchmarks/surrogate_loops.py PHOTOS [--model embedded] [--side 128] [--count 3]

The pictures of a folder are one collection, squares of --side. Each setting protects it in the same
budget, and NoiseSpectrum draws a placebo of each file. Printed is by how much the denoising loss
under the setting's prompt is higher than on the unprotected pictures, in per cent, as a mean over
the pictures and --draws of noise and timestep which all share: on the model as it is, and on one
that learned --steps from the very files before. Rounds and rates are a small model's, and not the
presets'.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from brittle.budgets import read_budget
from brittle.models import EditModel, load_model
from brittle.models.finetuning import Course
from brittle.models.surrogate import Surrogate
from brittle.models.tuned import LearningScope
from brittle.noise import generators
from brittle.protections import NoiseSpectrum, Protection
from brittle.protections.surrogate_loop import SurrogateLoop
from brittle.sources.photos import load_photos

SETTINGS = (
    "anti-dreambooth:rounds=10,learning_rate=1e-4",
    "ace:rounds=3,steps=20,learning_rate=1e-3",
    "caat:rounds=60,learning_rate=1e-3",
    "simac:rounds=10,learning_rate=1e-4,search_steps=10,window=50,kept=300",
    "metacloak:rounds=1,pool=3,pool_interval=10,unrolled=3,learning_rate=1e-4",
    "style-guard:rounds=10,learning_rate=1e-4",
)


def main() -> None:
    """Protect the collection with each setting and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--budget", default="8/255")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--draws", type=int, default=32)
    parser.add_argument("--with", dest="settings", nargs="+", default=list(SETTINGS))
    options = parser.parse_args()
    model = load_model(options.model, device="cpu", dtype="float32", size=options.side)
    photos = load_photos(options.photos, square=options.side).values()
    pictures = [one.photo.image for one in photos][: options.count]
    seeds = list(range(len(pictures)))
    print("| setting | as it is: files | noise | after learning from them: files | noise |")
    print("|---|---|---|---|---|", flush=True)
    for text in options.settings:
        protection = Protection.parse(text).with_budget(read_budget(options.budget))
        assert isinstance(protection, SurrogateLoop)
        files = protection.together(model, pictures, seeds=seeds)
        noise = [
            NoiseSpectrum(of=protection).draw(picture, file, seeds=[seed])
            for picture, file, seed in zip(pictures, files, seeds, strict=True)
        ]
        cells = []
        for steps in (0, options.steps):
            clean, *others = (
                _loss(model, protection.instance_prompt, shown, steps, options.draws)
                for shown in (pictures, files, noise)
            )
            cells += [f"{100 * (other / clean - 1):+.1f} %" for other in others]
        print(f"| `{text}` | {' | '.join(cells)} |", flush=True)


def _loss(model: EditModel, prompt: str, shown: Sequence[Tensor], steps: int, draws: int) -> float:
    """The denoising loss of pictures, after ``steps`` of learning from them."""
    course = Course(LearningScope(("denoiser",), rank=None), steps, 1e-4, batch=1, seed=0)
    surrogate = Surrogate(model, course, prompt)
    surrogate.learn(shown)
    with torch.no_grad():
        latents = [model.encode(model.fit(picture)) for picture in shown]
        losses = [
            surrogate.errors(one, surrogate.task.draw(one, [stream]))
            for one, stream in zip(latents, generators(range(len(latents))), strict=True)
            for _ in range(draws)
        ]
    return float(torch.cat(losses).mean())


if __name__ == "__main__":
    main()

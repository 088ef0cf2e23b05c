"""The classifier that sees which prompt class an edit shows; it ships with the embedded model."""

import functools
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.errors import Unavailable
from brittle.networks.feature_cache import MEMORY
from brittle.networks.prompt_classes import NO_CLASS, PROMPT_CLASSES, prompt_class

SMALLEST = 16  # pixels a side that it can judge
FILE = "look_classifier"


class PromptClassifier(nn.Module):
    """Which prompt class a picture shows: a small convolutional network for 128 px.

    ``names`` are the classes in the order of the logits; the first is ``"none"``, a photo as taken.
    """

    def __init__(
        self,
        names: tuple[str, ...] = (NO_CLASS, *PROMPT_CLASSES),
        widths: tuple[int, ...] = (24, 48, 96, 128),
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        self.names, self.widths, self.mean, self.std = names, widths, mean, std
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths[:-1]), widths, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, groups=after, bias=False),
                nn.Conv2d(after, after, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(2 * widths[-1], len(names))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> logits (N, classes). 128 px is what it was trained on."""
        mean, std = (image.new_tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        found = self.features((image - mean) / std)
        # The spread over the picture tells streaks and flakes from a tint.
        pooled = torch.cat([found.mean((2, 3)), found.std((2, 3))], dim=1)
        return self.head(pooled)


def load_prompt_classifier(directory: str | Path) -> PromptClassifier:
    """The classifier in ``look_classifier.json`` and ``look_classifier.safetensors``, frozen."""
    folder = Path(directory)
    about = json.loads((folder / f"{FILE}.json").read_text())
    arguments = {key: tuple(about[key]) for key in ("names", "widths", "mean", "std")}
    model = PromptClassifier(**arguments)
    model.load_state_dict(load_file(folder / f"{FILE}.safetensors"))
    return model.requires_grad_(False).eval()


def prompt_probability(image: Tensor, prompt: str, directory: Path | None) -> Tensor:
    """Probability that an image (1, 3, H, W) in [0, 1] shows the class that a prompt names.

    ``directory`` is that of the model whose classifier judges; what it says is computed once an
    image.

    Raises:
        Unavailable: no classifier, a prompt of no known class, or an image that is too small.
    """
    if directory is None or not (directory / f"{FILE}.safetensors").is_file():
        raise Unavailable(
            "this model ships no prompt classifier: name a CLIP that you have, as follow:clip=DIR"
        )
    named = prompt_class(prompt)
    if named is None:
        raise Unavailable(f"the prompt {prompt!r} names no class that the prompt classifier knows")
    if min(image.shape[-2:]) < SMALLEST:
        raise Unavailable(f"the prompt classifier needs at least {SMALLEST} pixels a side")
    classifier = _on_device(directory, str(image.device))
    (probabilities,) = MEMORY.recall(
        f"looks:{directory}", image, lambda x: (classifier(x).softmax(1)[0],)
    )
    return probabilities[classifier.names.index(named)]


def classifier_files(directory: Path | None) -> tuple[Path, ...]:
    """The files that decide what `prompt_probability` says."""
    return () if directory is None else tuple(sorted(directory.glob(f"{FILE}.*")))


@functools.lru_cache(maxsize=2)
def _on_device(directory: Path, device: str) -> PromptClassifier:
    return load_prompt_classifier(directory).to(device)

"""Files that a user would have, with random weights."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from brittle.networks.prompt_classifier import PromptClassifier


def save_prompt_classifier(folder: Path, seed: int = 0) -> PromptClassifier:
    torch.manual_seed(seed)
    classifier = PromptClassifier().eval()
    classifier.head.weight.data *= 20  # else every look is about as probable as any other
    about = {key: getattr(classifier, key) for key in ("names", "widths", "mean", "std")}
    (folder / "look_classifier.json").write_text(json.dumps(about))
    save_file(classifier.state_dict(), folder / "look_classifier.safetensors")
    return classifier


def standing_in(folder: Path | None, content_hash: str = "weights") -> Any:
    """What metrics and thresholds ask of an edit model whose files lie in a folder."""
    return SimpleNamespace(
        directory=folder,
        base_directory=folder,
        content_hash=content_hash,
        device=torch.device("cpu"),
    )


def alexnet(seed: int = 0) -> nn.Sequential:
    """The convolutional part of torchvision's AlexNet, random."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip


def vgg16(seed: int = 0) -> nn.Sequential:
    """The convolutional part of torchvision's VGG-16, random."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    channels = 3
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def save_checkpoint(path: Path, features: nn.Module) -> Path:
    """As torchvision saves a classifier: its features, and a last layer that LPIPS doesn't use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save({**weights, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


def save_clip(folder: Path, seed: int = 0) -> Path:
    """A CLIP of the true layout with its tokenizer, and its image preparation."""
    import transformers

    from brittle.models.files import SD1
    from brittle.models.reading import load_tokenizer

    torch.manual_seed(seed)
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2,
              "num_hidden_layers": 2, "image_size": 64, "patch_size": 16}  # fmt: skip
    text = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2,
            "num_hidden_layers": 2}  # fmt: skip
    config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=24)
    model: Any = transformers.CLIPModel(config)
    model.save_pretrained(folder)
    load_tokenizer(SD1 / "tokenizer").save_pretrained(folder)
    return folder

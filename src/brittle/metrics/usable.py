"""Is an edit what an attacker wanted? It follows the prompt, and it keeps the subject."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric
from brittle.models import EditModel
from brittle.networks import efficientnet
from brittle.networks.clip import clip_files, load_clip
from brittle.networks.maps import fill_invalid
from brittle.networks.prompt_classifier import classifier_files, prompt_probability

LAYOUT = 3  # the map, of five, that `keep` compares


@register
class Follow(Metric):
    """How well an edit shows what the prompt asks for; image: the edit, reference: the photo.

    Without ``clip``: the probability, by the small classifier that ships with the embedded model,
    of the class that the prompt names. With ``clip``, a directory or downloaded hub id: cosine of
    edit and prompt minus cosine of photo and prompt in CLIP's space. Of inpainting, the rectangle
    around the mask is judged: what is kept around it can't follow a prompt.
    """

    name = "follow"
    higher_means = "closer"
    against = "photo"
    of_the_painted = True

    clip: str | None = None

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None = None,
        model: EditModel | None = None,
    ) -> Tensor:
        """A probability in [0, 1], or with CLIP a difference of cosines in [-2, 2].

        Raises:
            Unavailable: no prompt, a prompt of no known class, or nothing here that can judge.
        """
        if not prompt:
            raise Unavailable("an empty prompt asks for nothing that an edit could follow")
        edit = fill_invalid(image, valid)
        if self.clip is not None:
            clip = load_clip(self.clip, str(image.device))
            photo = fill_invalid(reference, valid)
            return ((clip.image(edit) - clip.image(photo)) * clip.text(prompt)).sum()
        return prompt_probability(edit, prompt, _folder(model))

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """CLIP's files or the prompt classifier's: one that was replaced judges anew."""
        if self.clip is not None:
            return clip_files(self.clip)
        return classifier_files(_folder(model))

    def as_distance(self, score: Tensor) -> Tensor:
        """There is none: `follow` compares an image with a prompt, not with another image."""
        raise Unavailable("follow has no distance form")


@register
class Keep(Metric):
    """How much of the photo's subject is left in an edit; image: the edit, reference: the photo.

    Without ``clip``: cosine of the two images' layouts, which are EfficientNet-lite0's features at
    1/16 of the size (112 channels, unit length at each place), each channel minus its mean over the
    image. What a style does everywhere drops out, and what lies where remains. Averaged features,
    the plainer choice, can't tell a strong style from another photo: a threshold that nine in ten
    edits pass is .34 there, and other photos reach .46; here .47 and .18
    (``benchmarks/efficientnet_choices.py``). With ``clip``, a directory or downloaded hub id of a
    CLIP or of a Stable Diffusion 1.x, whose safety checker has a CLIP's image tower: cosine of
    CLIP's image vectors.
    """

    name = "keep"
    higher_means = "closer"
    against = "photo"

    clip: str | None = None

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """The cosine, in [-1, 1].

        Raises:
            Unavailable: there is no CLIP where ``clip`` says.
        """
        edit, photo = (fill_invalid(x, valid) for x in (image, reference))
        if self.clip is not None:
            clip = load_clip(self.clip, str(image.device))
            return (clip.image(edit) * clip.image(photo)).sum()
        return torch.nn.functional.cosine_similarity(_layout(edit), _layout(photo)).squeeze(0)

    def judges(self, model: EditModel | None) -> tuple[Path, ...]:
        """CLIP's files, where it judges."""
        return () if self.clip is None else clip_files(self.clip)

    def as_distance(self, score: Tensor) -> Tensor:
        """1 - cosine, in [0, 2]."""
        return (1 - score).clamp(min=0)


def _layout(image: Tensor) -> Tensor:
    """Where in an image (1, 3, H, W) which features lie, (1, 112 x h x w), in float64."""
    found = efficientnet.features(image)[LAYOUT].double()
    return (found - found.mean((2, 3), keepdim=True)).flatten(1)


def _folder(model: EditModel | None) -> Path | None:
    """Where the classifier lies that judges a model's edits."""
    return None if model is None else model.base_directory

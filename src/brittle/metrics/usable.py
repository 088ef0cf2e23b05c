"""Is an edit what an attacker wanted? It follows the prompt, and it keeps the subject."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from brittle.component import explain, register
from brittle.errors import Unavailable
from brittle.metrics import efficientnet
from brittle.metrics.base import Metric, fill_invalid
from brittle.metrics.clip import load_clip
from brittle.metrics.memory import MEMORY
from brittle.models.looks import load_look_classifier, look_of

if TYPE_CHECKING:
    from brittle.models import EditModel

CALIBRATION = "calibration.json"
SHARE = 0.10  # of the calibration edits may fall below a threshold
LAYOUT = 3  # the map, of five, that `keep` compares
RARE = 0.95  # a threshold must lie above this share of what it has to tell apart


@register
class Follow(Metric):
    """How well an edit shows what the prompt asks for; image: the edit, reference: the photo.

    Without ``clip``: the probability, by the small classifier that ships with the embedded model,
    of the look that the prompt names. With ``clip``, a directory or downloaded hub id: cosine of
    edit and prompt minus cosine of photo and prompt in CLIP's space.
    """

    name: ClassVar[str] = "follow"
    higher_means: ClassVar[Literal["closer", "farther"]] = "closer"
    against: ClassVar[Literal["control", "photo"]] = "photo"

    clip: str | None = None

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
        """A probability in [0, 1], or with CLIP a difference of cosines in [-2, 2].

        Raises:
            Unavailable: no prompt, a prompt without a known look, or nothing here that can judge.
        """
        if not prompt:
            raise Unavailable("an empty prompt asks for nothing that an edit could follow")
        edit = fill_invalid(image, valid)
        if self.clip is not None:
            clip = load_clip(self.clip, str(image.device))
            photo = fill_invalid(reference, valid)
            return ((clip.image(edit) - clip.image(photo)) * clip.text(prompt)).sum()
        look = look_of(prompt)
        if look is None:
            raise Unavailable(f"the prompt {prompt!r} names no look that the classifier knows")
        return _look_probability(edit, look, model)

    def as_distance(self, score: Tensor) -> Tensor:
        """There is none: `follow` compares an image with a prompt, not with another image."""
        raise Unavailable("follow has no distance form")


@register
class Keep(Metric):
    """How much of the photo's subject is left in an edit; image: the edit, reference: the photo.

    Without ``clip``: cosine of the two images' layouts, which are EfficientNet-lite0's features at
    1/16 of the size (112 channels, unit length at each place), each channel minus its mean over the
    image. What a look does everywhere drops out, and what lies where remains. Averaged features,
    the plainer choice, can't tell a strong look from another photo: a threshold that nine in ten
    looks pass is .34 there, and other photos reach .46; here .47 and .18
    (``benchmarks/efficientnet_choices.py``). With ``clip``, a directory or downloaded hub id of a
    CLIP, or SD 1.x's ``safety_checker`` folder: cosine of CLIP's image vectors.
    """

    name: ClassVar[str] = "keep"
    higher_means: ClassVar[Literal["closer", "farther"]] = "closer"
    against: ClassVar[Literal["control", "photo"]] = "photo"

    clip: str | None = None

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        prompt: str | None = None,
        model: "EditModel | None" = None,
    ) -> Tensor:
        """The cosine, in [-1, 1].

        Raises:
            Unavailable: there is no CLIP where ``clip`` says.
        """
        edit, photo = (fill_invalid(x, valid) for x in (image, reference))
        if self.clip is not None:
            clip = load_clip(self.clip, str(image.device))
            return (clip.image(edit) * clip.image(photo)).sum()
        return torch.nn.functional.cosine_similarity(_layout(edit), _layout(photo)).squeeze(0)

    def as_distance(self, score: Tensor) -> Tensor:
        """1 - cosine, in [0, 2]."""
        return (1 - score).clamp(min=0)


def _layout(image: Tensor) -> Tensor:
    """Where in an image (1, 3, H, W) which features lie, (1, 112 x h x w), in float64."""
    found = efficientnet.features(image)[LAYOUT].double()
    return (found - found.mean((2, 3), keepdim=True)).flatten(1)


def _look_probability(edit: Tensor, look: str, model: "EditModel | None") -> Tensor:
    folder = model.directory if model is not None else None
    if folder is None or not (folder / "look_classifier.safetensors").is_file():
        raise Unavailable(
            "this model ships no look classifier: name a CLIP that you have, as follow:clip=DIR"
        )
    classifier = _look_classifier(folder, str(edit.device))
    (probabilities,) = MEMORY.recall(
        f"looks:{folder}", edit, lambda x: (classifier(x).softmax(1)[0],)
    )
    return probabilities[classifier.names.index(look)]


@functools.lru_cache(maxsize=2)
def _look_classifier(folder: Path, device: str) -> Any:
    return load_look_classifier(folder).to(device)


class Validity(BaseModel):
    """What the thresholds must lie above, or they tell nothing apart."""

    model_config = ConfigDict(frozen=True)

    keep_between_photos: float
    """95th percentile of `keep` between different photos."""
    follow_empty: dict[str, float]
    """By look or prompt: 95th percentile of `follow` in edits with the empty prompt."""


class Calibration(BaseModel):
    """Above which `follow` and `keep` an edit counts as usable, and whether that means anything.

    Thresholds are 10th percentiles over edits of untouched calibration photos, which are in no
    trial; they hold for one model, one editor, and the metrics named here.
    """

    model_config = ConfigDict(frozen=True)

    tau_follow: dict[str, float]
    """By look, where the prompt names one that is known, or else by prompt."""
    tau_keep: float
    validity: Validity
    n: int
    """How many photos."""
    photos: str | list[str]
    """Which ones, or where they are from."""
    follow: str = "follow"
    keep: str = "keep"
    """The metrics as one types them: thresholds of one are worth nothing for another."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a calibration file, or ``calibration.json`` in a directory.

        Raises:
            Unavailable: there is none, or it can't be read.
        """
        path = Path(path)
        path = path / CALIBRATION if path.is_dir() else path
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise Unavailable("not calibrated: there are no thresholds for this model") from None
        except ValidationError as error:
            raise Unavailable(explain(error, f"not calibrated: {path.name}", cls)) from None
        except (OSError, ValueError) as error:
            raise Unavailable(f"not calibrated: {path.name} can't be read ({error})") from None

    @classmethod
    def of(cls, model: "EditModel") -> Self:
        """The calibration that a model ships in its directory; Unavailable where there is none."""
        if model.directory is None:
            raise Unavailable("not calibrated: there are no thresholds for this model")
        return cls.load(model.directory)

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        text = json.dumps(self.model_dump(), indent=1, sort_keys=True)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def usable(self, follow: float, keep: float, prompt: str) -> float:
        """1 if an edit follows the prompt and keeps the subject, else 0.

        Raises:
            Unavailable: no threshold for this prompt, or thresholds that tell nothing apart.
        """
        asked = self._asked(prompt)
        return float(follow >= self.tau_follow[asked] and keep >= self.tau_keep)

    def _asked(self, prompt: str) -> str:
        """The key of the prompt's threshold, if the thresholds are valid."""
        asked = prompt if prompt in self.tau_follow else look_of(prompt)
        if asked not in self.tau_follow:
            raise Unavailable(f"not calibrated for the prompt {prompt!r}")
        if self.tau_keep <= self.validity.keep_between_photos:
            raise Unavailable(
                f"the calibration is not valid: its threshold of keep, {self.tau_keep:.3f}, does "
                f"not tell edits from other photos ({self.validity.keep_between_photos:.3f})"
            )
        empty = self.validity.follow_empty.get(asked)
        if empty is None or self.tau_follow[asked] <= empty:
            raise Unavailable(
                f"the calibration is not valid for {asked!r}: its threshold of follow, "
                f"{self.tau_follow[asked]:.3f}, does not tell edits from those without a prompt"
            )
        return asked


Edit = Callable[[Tensor, Sequence[str], Sequence[int]], Tensor]


def calibrate(
    edit: Edit,
    model: "EditModel",
    photos: Tensor,
    prompts: Sequence[str],
    *,
    seed: int = 0,
    source: str,
    follow: Follow | None = None,
    keep: Keep | None = None,
    batch: int = 8,
) -> Calibration:
    """Thresholds for `usable` from edits of untouched photos (N, 3, H, W) of the model's size.

    Args:
        edit: images, prompts and seeds, one an image, to edits of the same shape.
        model: passed to the metrics.
        photos: used for nothing else: photos of a trial would flatter its own thresholds.
        prompts: those whose looks, or themselves, get a threshold.
        seed: noise is drawn from seed + the photo's position.
        source: where the photos are from; recorded.
        follow: the metric, by default the embedded model's look classifier.
        keep: the metric, by default EfficientNet's features.
        batch: edits at a time.

    Raises:
        Unavailable: a metric can't be computed.
    """
    follow, keep = follow or Follow(), keep or Keep()

    def edits(prompt: str) -> Tensor:
        parts = [
            edit(rows, [prompt] * len(rows), [seed + start + i for i in range(len(rows))])
            for start in range(0, len(photos), batch)
            if len(rows := photos[start : start + batch])
        ]
        return torch.cat(parts)

    unasked = edits("")
    followed: dict[str, list[Tensor]] = {}
    empty: dict[str, list[Tensor]] = {}
    kept = []
    for prompt in prompts:
        asked = look_of(prompt) if follow.clip is None else prompt
        asked = asked or prompt
        edited = edits(prompt)
        every = [prompt] * len(photos)
        followed.setdefault(asked, []).append(
            follow.score(edited, photos, prompts=every, model=model)
        )
        empty.setdefault(asked, []).append(
            follow.score(unasked, photos, prompts=every, model=model)
        )
        kept.append(keep.score(edited, photos, model=model))
    between = [
        keep.score(photos, photos.roll(shift, 0), model=model)
        for shift in range(1, min(len(photos), 5))
    ]
    return Calibration(
        tau_follow=_quantiles(followed, SHARE),
        tau_keep=float(torch.cat(kept).quantile(SHARE)),
        validity=Validity(
            keep_between_photos=float(torch.cat(between).quantile(RARE)),
            follow_empty=_quantiles(empty, RARE),
        ),
        n=len(photos),
        photos=source,
        follow=str(follow),
        keep=str(keep),
    )


def _quantiles(scores: Mapping[str, list[Tensor]], share: float) -> dict[str, float]:
    return {asked: float(torch.cat(parts).quantile(share)) for asked, parts in scores.items()}

"""The thresholds behind `usable`: measured on edits of untouched photos, or not judged at all."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import torch
from pydantic import ValidationError
from torch import Tensor

from brittle.component import explain
from brittle.data import Data
from brittle.errors import Unavailable
from brittle.images import write_bytes
from brittle.metrics.usable import Follow, Keep
from brittle.models import EditModel
from brittle.networks.prompt_classes import prompt_class

CALIBRATION = "calibration.json"
NOT_CALIBRATED = "not calibrated: there are no thresholds for this model"
SHARE = 0.10  # of the calibration edits may fall below a threshold
NEAR = 1.5  # thresholds serve pictures up to this ratio larger or smaller
RESAMPLES = 1000
RARE = 0.95  # a threshold must lie above this share of what it has to tell apart


class Validity(Data):
    """What the thresholds must lie above, or they tell nothing apart."""

    keep_between_photos: float
    """95th percentile of `keep` between different photos."""
    follow_empty: dict[str, float]
    """By prompt class, or prompt: 95th percentile of `follow` in edits with the empty prompt."""


class Errors(Data):
    """Standard errors of thresholds over the calibration photos, by the bootstrap."""

    tau_follow: dict[str, float]
    """By prompt class, or prompt."""
    tau_keep: float


class Thresholds(Data):
    """Above which `follow` and `keep` an edit by one editor counts as usable.

    They are 10th percentiles over edits of untouched calibration photos, which are in no trial.
    """

    editor: str
    """The editor with all of its settings: thresholds of one are worth nothing for another."""
    mask: str
    """``none``, ``auto``, ``alpha`` or ``own``: what the editor was allowed to paint."""
    size: int
    """The long side, in pixels, of the pictures: scores of smaller ones are others."""
    tau_follow: dict[str, float]
    """By prompt class, where the prompt names one, or else by prompt."""
    tau_keep: float
    validity: Validity
    n: int
    """How many photos."""
    photos: str | list[str]
    """Which ones, or where they are from."""
    follow: str = "follow"
    keep: str = "keep"
    """The metrics as one types them: thresholds of one are worth nothing for another."""
    errors: Errors | None = None
    """How far other photos would have moved them; null: not known."""

    def usable(self, follow: float, keep: float, prompt: str) -> float:
        """1 if an edit follows the prompt and keeps the subject, else 0.

        Raises:
            Unavailable: no threshold for this prompt, or thresholds that tell nothing apart.
        """
        asked = self.asked(prompt)
        if reason := self.why_not(asked):
            raise Unavailable(reason)
        return float(follow >= self.tau_follow[asked] and keep >= self.tau_keep)

    def asked(self, prompt: str) -> str:
        """The key of a prompt's threshold: itself, or the class that it names.

        Raises:
            Unavailable: there is none.
        """
        asked = prompt if prompt in self.tau_follow else prompt_class(prompt)
        if asked not in self.tau_follow:
            raise Unavailable(f"not calibrated for the prompt {prompt!r}")
        return asked

    def why_not(self, asked: str) -> str:
        """Why the thresholds of a prompt class or prompt are not valid; empty where they are."""
        if self.tau_keep <= self.validity.keep_between_photos:
            return (
                f"the calibration is not valid: its threshold of keep, {self.tau_keep:.3f}, does "
                f"not tell edits from other photos ({self.validity.keep_between_photos:.3f})"
            )
        empty = self.validity.follow_empty.get(asked)
        if empty is None or self.tau_follow[asked] <= empty:
            return (
                f"the calibration is not valid for {asked!r}: its threshold of follow, "
                f"{self.tau_follow[asked]:.3f}, does not tell edits from those without a prompt"
            )
        return ""


class Calibration(Data):
    """The thresholds of one edit model, each set for one editor with its settings."""

    model: str
    """The model's content hash."""
    thresholds: tuple[Thresholds, ...]

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
            raise Unavailable(NOT_CALIBRATED) from None
        except ValidationError as error:
            raise Unavailable(explain(error, f"not calibrated: {path.name}", cls)) from None
        except (OSError, ValueError) as error:
            raise Unavailable(f"not calibrated: {path.name} can't be read ({error})") from None

    @classmethod
    def of(cls, model: EditModel, path: str | Path | None = None) -> Self:
        """A model's calibration: the file at ``path``, or the one in the model's directory.

        Raises:
            Unavailable: there is none, it can't be read, or it was measured on another model.
        """
        source = path or model.directory
        if path is not None and not os.path.exists(path):
            raise Unavailable("there is no such file: brittle calibrate makes one")
        if source is None:
            raise Unavailable(NOT_CALIBRATED)
        found = cls.load(source)
        if found.model != model.content_hash:
            raise Unavailable(
                "not calibrated: the thresholds were measured on a model with other weights"
            )
        return found

    @classmethod
    def together(cls, some: Sequence["Calibration"]) -> "Calibration":
        """Calibrations of one model, at several sizes, as one."""
        (model,) = {one.model for one in some}
        return cls(model=model, thresholds=tuple(each for one in some for each in one.thresholds))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the thresholds rest on, as one types it, each once."""
        named = [metric for one in self.thresholds for metric in (one.follow, one.keep)]
        return tuple(dict.fromkeys(named))

    def find(self, editor: str, mask: str = "none", *, size: int) -> Thresholds:
        """The thresholds of an editor, by its text with every setting filled in.

        ``size`` is the long side, in pixels, at which the model sees the photo; those of the
        nearest size serve, up to a ratio of `NEAR`.

        Raises:
            Unavailable: there are none for this editor, these settings, this kind of mask or
                pictures of about this size.
        """
        fitting = [one for one in self.thresholds if (one.editor, one.mask) == (editor, mask)]
        if not fitting:
            known = "; ".join(
                dict.fromkeys(f"{one.editor}, mask {one.mask}" for one in self.thresholds)
            )
            raise Unavailable(
                f"not calibrated for {editor}, mask {mask} (calibrated: {known or 'none'})"
            )

        def ratio(one: Thresholds) -> float:
            return max(one.size, size) / min(one.size, size)

        nearest = min(fitting, key=ratio)
        if ratio(nearest) > NEAR:
            known = ", ".join(str(one.size) for one in fitting)
            raise Unavailable(f"not calibrated for pictures of {size} px (calibrated: {known} px)")
        return nearest

    def save(self, path: str | Path) -> None:
        """Write it as JSON; UserError as `write_bytes`."""
        text = json.dumps(self.model_dump(), indent=1, sort_keys=True)
        write_bytes(path, f"{text}\n".encode(), overwrite=True)


def mask_kind(mask: str | None) -> str:
    """What kind of mask a trial's setting names: ``none``, ``auto``, ``alpha`` or ``own``."""
    if mask is None:
        return "none"
    return mask if mask in ("auto", "alpha") else "own"


Edit = Callable[[Sequence[int], str], Tensor]
"""Edits of the photos at these places with a prompt, in the photos' shape."""


def calibrate(
    edit: Edit,
    model: EditModel,
    photos: Tensor,
    prompts: Sequence[str],
    *,
    editor: str,
    mask: str = "none",
    masks: Tensor | None = None,
    source: str,
    follow: Follow | None = None,
    keep: Keep | None = None,
    batch: int = 8,
) -> Thresholds:
    """Thresholds for `usable` from edits of untouched photos (N, 3, H, W) of the model's size.

    Args:
        edit: edits of some of the photos.
        model: passed to the metrics.
        photos: used for nothing else: photos of a trial would flatter its own thresholds.
        prompts: those whose classes, or themselves, get a threshold.
        editor: the editor with all of its settings; recorded.
        mask: the kind of mask; recorded.
        masks: (N, 1, H, W), white where the editor painted; None: everywhere.
        source: where the photos are from; recorded.
        follow: the metric, by default the embedded model's prompt classifier.
        keep: the metric, by default EfficientNet's features.
        batch: edits at a time.

    Raises:
        Unavailable: a metric can't be computed.
    """
    follow, keep = follow or Follow(), keep or Keep()
    n = len(photos)

    def edits(prompt: str) -> Tensor:
        places = [range(start, min(start + batch, n)) for start in range(0, n, batch)]
        return torch.cat([edit(some, prompt) for some in places])

    painted = [None] * n if masks is None else masks.split(1)
    unasked = edits("")
    followed: dict[str, list[list[float]]] = {}  # by prompt class: a list of photos each prompt
    empty: dict[str, list[list[float]]] = {}
    kept: list[list[float]] = []
    for prompt in prompts:
        named = prompt_class(prompt) if follow.clip is None else None
        asked = named or prompt
        edited = edits(prompt)
        for found, pictures in ((followed, edited), (empty, unasked)):
            scores = [
                follow.judge(row, photo, painted=where, prompt=prompt, model=model)
                for row, photo, where in zip(
                    pictures.split(1), photos.split(1), painted, strict=True
                )
            ]
            found.setdefault(asked, []).append(scores)
        kept.append(keep.score(edited, photos, model=model).tolist())
    between = [keep.score(photos, photos.roll(by, 0), model=model) for by in range(1, min(n, 5))]
    return Thresholds(
        editor=editor,
        mask=mask,
        size=max(photos.shape[-2:]),
        tau_follow={asked: _quantile(scores, SHARE) for asked, scores in followed.items()},
        tau_keep=_quantile(kept, SHARE),
        validity=Validity(
            keep_between_photos=float(torch.cat(between).quantile(RARE)),
            follow_empty={asked: _quantile(scores, RARE) for asked, scores in empty.items()},
        ),
        n=n,
        photos=source,
        follow=str(follow),
        keep=str(keep),
        errors=Errors(
            tau_follow={asked: threshold_error(scores) for asked, scores in followed.items()},
            tau_keep=threshold_error(kept),
        ),
    )


def _quantile(scores: Sequence[Sequence[float]], share: float) -> float:
    return float(torch.tensor(scores, dtype=torch.float64).quantile(share))


def threshold_error(scores: Sequence[Sequence[float]]) -> float:
    """The standard error of a threshold, from its scores by prompt and photo.

    By drawing photos, each with all of its prompts, again and again from the same stream.
    """
    known = torch.tensor(scores, dtype=torch.float64)
    stream = torch.Generator().manual_seed(0)
    picks = torch.randint(known.shape[1], (RESAMPLES, known.shape[1]), generator=stream)
    drawn = known[:, picks].movedim(0, 1).flatten(1)  # (resamples, prompts x photos)
    return float(drawn.quantile(SHARE, dim=1).std())

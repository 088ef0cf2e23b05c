"""Calibrating `usable` for an edit model: its editors' edits of photos that are in no trial."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brittle.component import key
from brittle.editors import Editor
from brittle.editors.sampling import Sampling
from brittle.errors import Unavailable, UserError
from brittle.images import digest, quantise
from brittle.metrics import Calibration, Follow, Keep, Thresholds, calibrate
from brittle.metrics.thresholds import mask_kind
from brittle.models import EditModel
from brittle.models.prompts import check_prompts
from brittle.networks.prompt_classes import PROMPT_CLASSES
from brittle.noise import derive_seed
from brittle.progress import Advance, Progress, silent
from brittle.sources.photos import load_photos

MIN_PHOTOS = 8
"""Below it the 10th percentile of one prompt's edits is the least of them and says nothing."""
GOOD_PHOTOS = 40


@dataclass(frozen=True)
class CalibrationPhotos:
    """Photos of one shape that are in no trial: images (N, 3, H, W), masks (N, 1, H, W)."""

    images: Tensor
    masks: Tensor | None
    mask: str
    """The kind of mask that an inpainting editor gets."""
    source: str
    """Where they are from, in words."""


def read_photos(folder: str, model: EditModel, mask: str) -> CalibrationPhotos:
    """The centre squares of a folder's photos, at the model's size, each with its mask.

    Raises:
        UserError: as `load_photos`, or too few of them.
    """
    photos = load_photos(folder, square=model.size, mask=mask)
    if len(photos) < MIN_PHOTOS:
        raise UserError(
            f"{folder} holds {len(photos)} photos, and thresholds need at least {MIN_PHOTOS}; "
            f"{GOOD_PHOTOS} are good."
        )
    masks = [photo.mask for photo in photos.values() if photo.mask is not None]
    return CalibrationPhotos(
        images=torch.cat([photo.image for photo in photos.values()]),
        masks=torch.cat(masks),
        mask=mask_kind(mask),
        source=f"{len(photos)} photos, key {key(sorted(one.digest for one in photos.values()))}",
    )


def calibrate_model(
    model: EditModel,
    editors: Sequence[Editor],
    photos: CalibrationPhotos,
    prompts: Sequence[str] = (),
    *,
    follow: Follow | None = None,
    keep: Keep | None = None,
    seed: int = 0,
    batch: int = 8,
    progress: Progress = silent,
) -> Calibration:
    """Thresholds of each editor, from its edits of the photos with each prompt and with none.

    Without prompts, the classes that the prompt classifier knows are asked for. Edits are rounded
    to 8 bits and pasted as a trial's are before they are scored.

    Raises:
        UserError: nothing can judge whether an edit follows its prompt, no prompt is named or one
            that can't be edited by, an editor that learns from collections.
    """
    follow, keep = follow or Follow(), keep or Keep()
    if follow.clip is not None and not prompts:
        raise UserError("Name the prompts to calibrate, such as --prompt 'a dog in heavy rain'.")
    if any(not prompt.strip() for prompt in prompts):
        raise UserError("A prompt is empty: say what the edits should show, as --prompt rain.")
    if learning := [one.name for one in editors if one.takes_collection]:
        raise UserError(f"{learning[0]} learns from collections, whose edits need no thresholds.")
    resolved, asked, found = [one.resolve(model) for one in editors], list(prompts), []
    if any(isinstance(one, Sampling) for one in resolved):
        check_prompts(model, asked)
    asked = asked or list(PROMPT_CLASSES)
    for editor in resolved:
        painted = photos.masks if editor.needs_mask else None
        with progress(editor.name, len(photos.images) * (len(asked) + 1)) as advance:
            try:
                thresholds = calibrate(
                    _Edits(model, editor, photos, seed, advance),
                    model,
                    photos.images,
                    asked,
                    editor=str(editor),
                    mask=photos.mask if editor.needs_mask else "none",
                    masks=None if painted is None else model.fit_mask(painted),
                    source=photos.source,
                    follow=follow,
                    keep=keep,
                    batch=batch,
                )
            except Unavailable as error:
                raise UserError(f"{model.name} can't be calibrated: {error}.") from None
        found.append(thresholds)
    return Calibration(model=model.content_hash, thresholds=tuple(found))


@dataclass(frozen=True)
class _Edits:
    """One editor's edits of the photos, as a trial would keep and score them."""

    model: EditModel
    editor: Editor
    photos: CalibrationPhotos
    seed: int
    advance: Advance

    def __call__(self, places: Sequence[int], prompt: str) -> Tensor:
        images, mask = self.photos.images[list(places)], None
        if self.editor.needs_mask:
            if self.photos.masks is None:
                raise UserError(f"{self.editor.name} needs masks to be calibrated.")
            mask = self.photos.masks[list(places)]
        seeds = [derive_seed(self.seed, digest(image[None])) for image in images]
        edited = quantise(
            self.editor.edit(
                self.model, images, prompts=[prompt] * len(images), mask=mask, seeds=seeds
            )
        )
        self.advance(len(images))
        if mask is None:
            return edited
        return torch.where(self.model.fit_mask(mask) == 1, edited, self.model.fit(images))


def describe(found: Thresholds) -> str:
    """Thresholds as a table: what each must lie above, and whether it does."""
    lines = [
        f"{found.editor}, mask {found.mask}, {found.n} photos at {found.size} px",
        f"  {found.keep}: at least {found.tau_keep:.3f} "
        f"(other photos: {found.validity.keep_between_photos:.3f})",
    ]
    for asked, threshold in found.tau_follow.items():
        reason = "not valid" if found.why_not(asked) else "valid"
        lines.append(
            f"  {found.follow}, {asked}: at least {threshold:.3f} "
            f"(without a prompt: {found.validity.follow_empty[asked]:.3f}); {reason}"
        )
    return "\n".join(lines)

"""What an audit found, as data: what ``brittle audit --json`` prints.

Distances have the unit of their metric. ``None`` means that a number can't be had; the reason
stands in the field beside it.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from brittle.analysis.randomization_test import PlaceboTest
from brittle.analysis.summary import Effect, Scope, Summary
from brittle.data import Data
from brittle.sources.pairs import PictureFile

SCHEMA_VERSION = 3

Seen = Literal["latents", "edits"]


class Distortion(Data):
    """How far the protected file is from the original: what the eye pays, and the budget used."""

    largest: int
    """Largest change of any value, in levels of 255 (linf)."""
    rms: float
    """Root mean square of all changes, in levels of 255 (l2)."""
    changed: float
    """Share of pixels with any change."""
    psnr: float
    """Peak signal-to-noise ratio in dB, at most 100."""
    ssim: float | None
    """Structural similarity; on pictures of at most 1024 px a side, larger ones reduced to that."""
    perceptual: float | None
    """Perceptual distance (EfficientNet features), on pictures of at most 1024 px a side."""


class UsableCounts(Data):
    """How many edits follow the prompt and keep the subject."""

    edits: int
    """Edits judged of the original, and as many of the protected file: one for each prompt."""
    original: int
    """Usable ones of the unprotected photo, under the same transform."""
    protected: int
    """Usable ones of the protected file."""
    placebos: int
    """Usable ones with random perturbations."""
    placebo_edits: int
    """Edits judged with random perturbations."""


class Answer(Data):
    """One transform: the protected file against random perturbations of its size."""

    transform: str
    """The transform, in its text form; ``none``: the file as it is."""
    name: str
    """The transform as a person would say it."""
    trace: float
    """How much of the transform's mark on the unprotected photo reaches the model: its mark on the
    photo at its own size, over its mark on the reduced photo; 1 where the photo is not reduced."""
    reduced_first: bool
    """Whether the photo was reduced to the model's size before the transform, because the reduction
    hides what the transform does at full size. All numbers of this line are then about that."""
    seen: Seen
    """``latents``: what the model's encoder sees; ``edits``: what the model makes of it."""
    metric: str
    """The metric of all distances here."""
    distance: float
    """From the unprotected photo under the same transform (and prompt and noise); mean over
    prompts."""
    placebos: dict[str, tuple[float, ...]]
    """The same for each random perturbation that was drawn, by its kind."""
    drawn_first: int
    """Random perturbations of each kind that were drawn whatever they showed."""
    noise: float
    """The level of the strongest kind of random perturbation: the mean over its first draws."""
    transplants: tuple[float, ...]
    """The same for the perturbation itself, moved and mirrored; empty after transforms, and where
    the perturbation leaves out a part of the picture, so that it would be moved to another kind of
    place."""
    ceiling: float
    """The same for a gray picture: what a perfect protection does."""
    reach: float | None
    """Distance beyond ``noise``, as a share of the ceiling's; 0: like noise."""
    protects: bool
    """Whether it is called a protection: edits are moved beyond every kind of noise, and ``reach``
    is at least 0.1."""
    elsewhere: float | None
    """Distance of ``transplants`` beyond ``noise``, as a share of the file's; null where there are
    none, where the file is no more than noise, and where they are."""
    left: float | None
    """Share of the distance beyond ``noise`` that the transform leaves; null where there is none,
    with the reason beside it."""
    left_reason: str
    """Why ``left`` is null: nothing was transformed, the file is no more than noise or next to
    nothing (``reach`` below 0.1) already without a transform, or the reduction hides what the
    transform does."""
    left_reduced: float | None
    """The same share where the photo was reduced first; null where it was not."""
    test: PlaceboTest
    """The randomisation test; ``test.words`` is its answer."""
    finding: str
    """The answer in the words of the table."""
    usable: UsableCounts | None
    """Usable edits; null for latents, and where they can't be judged."""
    usable_reason: str
    """Why usable edits are not judged."""

    @property
    def rest(self) -> float | None:
        """What is left, of the file or of the reduced photo."""
        return self.left_reduced if self.reduced_first else self.left


def deciding(comparisons: Sequence[Answer]) -> tuple[Answer, ...]:
    """Edits where there are any, latents otherwise."""
    edits = tuple(one for one in comparisons if one.seen == "edits")
    return edits or tuple(comparisons)


class ModelResult(Data):
    """One photo on one edit model."""

    model: str
    """The edit model's name."""
    width: int
    """Pixels across at which the model sees the photo."""
    height: int
    """Pixels down."""
    reduced: bool
    """Whether the file has another size: it is larger than the model's, or lies between sizes that
    the model takes."""
    comparisons: tuple[Answer, ...]
    """Every transform by latents, and then those after which edits were made, by edits."""
    answer: tuple[str, ...]
    """What was found, in sentences."""
    lead: int
    """How many of these come first, before the numbers behind them."""

    def seen_as(self, seen: Seen) -> tuple[Answer, ...]:
        """The comparisons of one kind, in the order of the transforms."""
        return tuple(one for one in self.comparisons if one.seen == seen)

    @property
    def deciding(self) -> tuple[Answer, ...]:
        """Edits where there are any, latents otherwise."""
        return deciding(self.comparisons)


class PhotoAudit(Data):
    """One photo."""

    name: str
    """The file name that original and protected share, or the protected file's."""
    original: PictureFile | None
    """Null where no original was given."""
    protected: PictureFile
    """The file that is audited."""
    unchanged: bool
    """Whether both files hold the same pixels."""
    distortion: Distortion | None
    """Null where no original was given."""
    results: tuple[ModelResult, ...]
    """One for each model; none where nothing was changed or no original was given."""
    answer: tuple[str, ...]
    """What was found apart from models: the distortion, or what can be said without an original."""
    flags: tuple[str, ...]
    """Signs that a result may not mean what it seems to."""
    doubts: tuple[str, ...] = ()
    """Signs that the difference of the two files is not a protection's: to be read first."""


class ModelScope(Data):
    """One edit model, and what is known over all photos."""

    scope: Scope
    """What the numbers are about."""
    edits: bool
    """Whether edits were made; otherwise only latents were compared."""
    why_no_edits: str
    """Why not."""
    editor: str
    """The editor with every setting filled in; empty without edits."""
    metric: str
    """What edits are compared by: ``perceptual`` on the embedded model, ``lpips`` on others where
    it can be had; empty without edits."""
    metric_reason: str
    """Why not by LPIPS; empty where that is what decides, or was not wanted."""
    left_out: str
    """What a thorough audit would do in addition, in a sentence; empty where that is nothing."""
    error: float
    """How often, at most, a photo with noise of its size has a line that is called stronger."""
    p: float | None
    """p of all photos together, without a transform, that they are noise; null for one photo."""
    latents: tuple[Effect, ...]
    """From eight photos on: effect, reach and retention of the encoder's shift, with intervals."""
    summary: Summary | None
    """From eight photos on: everything that a trial's summary says, on edits."""
    answer: tuple[str, ...]
    """What was found over all photos, in sentences; empty for one photo."""


class Audit(Data):
    """Everything that ``brittle audit`` found."""

    schema_version: int = SCHEMA_VERSION
    """Raised when a field changes its meaning."""
    version: str
    """The version of brittle."""
    quick: bool
    """Whether only latents were asked for."""
    thorough: bool
    """Whether edits are made after every transform, with every random perturbation."""
    seed: int = Field(ge=0)
    """What placebos and noise were drawn from."""
    transforms: tuple[str, ...]
    """The transforms, in their text form, ``none`` first."""
    prompts: tuple[str, ...]
    """What edits were asked for; empty where none were made."""
    models: tuple[ModelScope, ...]
    """The edit models, in the order in which they were named."""
    photos: tuple[PhotoAudit, ...]
    """Every pair."""
    without_partner: tuple[str, ...]
    """Files in one folder without a partner in the other, with the nearest names: not audited."""
    refused: dict[str, str] = Field(default_factory=dict)
    """Pairs of a folder that can't be audited, by name, and why: different pictures, a file that
    can't be read …"""

"""What a perturbation may be made of in the place of pixels: a few numbers, waves, blurred noise.

A form says which pictures can be reached. The loop is the same for all: the gradient of the pixels
is brought back to the numbers, these take the step, and the picture that they make is brought into
the budget.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from brittle.budgets import Budget
from brittle.component import parse_parameters, shortest
from brittle.noise import Seeds, gaussian, generators, uniform
from brittle.protections.update import Update
from brittle.transforms.soft_jpeg import soft_jpeg

RADIUS = 16
"""How far a region's blur reaches, in px: BlurGuard's kernels are 33 px wide."""
REDUCED = 256
"""Long side in px of the picture whose regions are looked for."""


@dataclass(frozen=True)
class FormOnPhotos:
    """A form on given photos: the ``shape`` of one photo's numbers, and the picture of all."""

    shape: tuple[int, ...]
    picture: Callable[[Tensor], Tensor]
    """From numbers (N, *shape), of which 1 is much, to pictures (N, 3, H, W); differentiable."""


class Form(BaseModel):
    """Subclasses write `on`; their numbers start at zero and stay in -1 to 1, moved by sign."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    def on(self, image: Tensor, rms: float, seeds: Seeds) -> FormOnPhotos:
        """The form on photos (N, 3, H, W); ``rms`` is that of the budget, in [0, 1] units."""
        raise NotImplementedError

    def moved(self, numbers: Tensor, gradient: Tensor, share: float) -> Tensor:
        """The numbers after a step that takes a ``share`` of the budget."""
        return (numbers - share * gradient.sign()).clamp(-1, 1)

    def __str__(self) -> str:
        """The form as one types it."""
        fields = [(name, getattr(self, name)) for name in type(self).model_fields if name != "kind"]
        return f"{self.kind}:" + ",".join(f"{name}={shortest(value)}" for name, value in fields)


class LowFrequency(Form):
    """One value for each square of ``factor`` px and channel, interpolated between.

    After Guo, Frank and Weinberger 2019 (arXiv 1809.08758), who keep the lowest cosine waves.
    """

    kind: Literal["low"] = "low"
    factor: int = Field(8, ge=2)

    def on(self, image: Tensor, rms: float, seeds: Seeds) -> FormOnPhotos:
        """See `Form.on`."""
        height, width = image.shape[-2:]

        def picture(numbers: Tensor) -> Tensor:
            smooth = functional.interpolate(numbers, (height, width), mode="bilinear")
            return image + rms * smooth

        return FormOnPhotos((3, -(-height // self.factor), -(-width // self.factor)), picture)


class JpegCoefficients(Form):
    """The quantised coefficients of a JPEG, each of which moves by up to ``most`` steps.

    So the picture is one that a JPEG of this ``quality`` (4:2:0) can hold, where ``most`` is whole
    and the numbers are -1, 0 or 1. The photo's own coefficients are rounded.
    """

    kind: Literal["dct"] = "dct"
    quality: int = Field(95, ge=1, le=100)
    most: float = Field(1.0, gt=0, allow_inf_nan=False)

    def on(self, image: Tensor, rms: float, seeds: Seeds) -> FormOnPhotos:
        """See `Form.on`."""
        shapes: list[torch.Size] = []

        def note(coefficients: Tensor) -> Tensor:
            shapes.append(coefficients.shape[1:])
            return coefficients

        soft_jpeg(image[:1], self.quality, "4:2:0", note)
        counts = [shape.numel() for shape in shapes]

        def picture(numbers: Tensor) -> Tensor:
            parts = iter(numbers.split(counts, 1))
            return soft_jpeg(image, self.quality, "4:2:0", lambda own: self._added(own, parts))

        return FormOnPhotos((sum(counts),), picture)

    def _added(self, own: Tensor, parts: Iterator[Tensor]) -> Tensor:
        return own.round() + self.most * next(parts).view_as(own)


class BlurredRegions(Form):
    """Noise that is blurred in each region of the photo as its spectrum asks for.

    The photo is divided into about ``regions`` of like colour (SLIC). The standard deviation of
    each one's Gaussian is chosen first, in ``fitting`` steps of Adam at ``rate``: noise that fills
    the budget, blurred so, should change no ring of the photo's power spectrum. Numbers move along
    the gradient's direction and have no bound of their own.
    """

    kind: Literal["blur"] = "blur"
    regions: int = Field(8, ge=1)
    fitting: int = Field(50, ge=0)
    rate: float = Field(0.06, gt=0, allow_inf_nan=False)

    def on(self, image: Tensor, rms: float, seeds: Seeds) -> FormOnPhotos:
        """See `Form.on`."""
        found = [_regions(photo, self.regions) for photo in image]
        streams = generators(seeds)
        sigmas = [self._fitted(*one, rms) for one in zip(image, found, streams, strict=True)]

        def picture(numbers: Tensor) -> Tensor:
            rows = zip(numbers, found, sigmas, strict=True)
            return image + rms * torch.stack([_blurred(*row) for row in rows])

        return FormOnPhotos(tuple(image.shape[1:]), picture)

    def moved(self, numbers: Tensor, gradient: Tensor, share: float) -> Tensor:
        """See `Form.moved`: a step whose root mean square is the share."""
        size = gradient.square().flatten(1).mean(1).sqrt().view(-1, 1, 1, 1)
        return numbers - share * gradient / size.clamp_min(torch.finfo(size.dtype).tiny)

    def _fitted(
        self, photo: Tensor, regions: Sequence["_Region"], stream: torch.Generator, limit: float
    ) -> Tensor:
        """The standard deviation of each region's blur, in px."""
        own = _rings(photo).log10()
        logs = torch.zeros(len(regions), dtype=photo.dtype, device=photo.device, requires_grad=True)
        optimizer = torch.optim.Adam([logs], lr=self.rate)
        for _ in range(self.fitting):
            noise = gaussian(photo.shape, [stream])[0].clamp(-limit, limit).to(photo)
            with torch.enable_grad():
                change = _blurred(noise, regions, logs.exp()).clamp(-limit, limit)
                distance = (_rings((photo + change).clamp(0, 1)).log10() - own).abs().max()
                (logs.grad,) = torch.autograd.grad(distance, logs)
            optimizer.step()
        return logs.detach().exp()


_Region = tuple[tuple[slice, slice], Tensor]
"""Where a region lies, and which pixels of that box are its own (h, w)."""


def _regions(photo: Tensor, number: int) -> list[_Region]:
    """Regions of like colour of a photo (3, H, W), which cover it without overlap."""
    from skimage.measure import regionprops
    from skimage.segmentation import slic
    from skimage.transform import resize

    pixels = photo.permute(1, 2, 0).double().cpu().numpy()
    height, width = pixels.shape[:2]
    scale = min(1, REDUCED / max(height, width))
    small = resize(pixels, (max(1, round(height * scale)), max(1, round(width * scale)), 3))
    labels = slic(small, n_segments=number, start_label=1)
    labels = resize(labels, (height, width), order=0, preserve_range=True, anti_aliasing=False)
    return [
        (region.slice, torch.from_numpy(region.image.copy()).to(photo))
        for region in regionprops(labels.astype(int))
    ]


def _blurred(noise: Tensor, regions: Sequence[_Region], sigmas: Tensor) -> Tensor:
    """Noise (3, H, W), in each region under a Gaussian of its own; the edges are repeated."""
    wide = functional.pad(noise[None], [RADIUS] * 4, mode="replicate")
    distance = torch.arange(-RADIUS, RADIUS + 1, device=noise.device)
    blurred = torch.zeros_like(noise)
    for (box, own), sigma in zip(regions, sigmas, strict=True):
        line = torch.exp(-distance.square() / (2 * sigma**2))
        line = (line / line.sum()).to(noise).expand(3, 1, 1, -1)
        down, across = (slice(side.start, side.stop + 2 * RADIUS) for side in box)
        part = functional.conv2d(wide[..., down, across], line, groups=3)
        part = functional.conv2d(part, line.mT, groups=3)
        blurred[:, box[0], box[1]] += part[0] * own
    return blurred


def _rings(photo: Tensor) -> Tensor:
    """The power of a photo (3, H, W) in rings of like frequency, from the lowest on."""
    power = torch.fft.fft2(photo).abs().square().sum(0)
    longest = max(power.shape)
    down, across = (longest * torch.fft.fftfreq(side, device=photo.device) for side in power.shape)
    ring = (down[:, None] ** 2 + across**2).sqrt().round().long().flatten()
    return power.new_zeros(int(ring.max()) + 1).index_add(0, ring, power.flatten()) + 1e-8


class Formed(Update):
    """Moves the numbers of a form by the gradient with respect to them; see `Update`."""

    def __init__(
        self,
        budget: Budget,
        image: Tensor,
        keep: Tensor | None,
        sizes: Sequence[float],
        *,
        form: Form,
        seeds: Seeds,
        random_start: bool,
    ) -> None:
        super().__init__(budget, image, keep, sizes)
        self.image, self.form = image, form
        self.made = form.on(image, budget.rms, seeds)
        self.whole = budget.limit(budget.reference, budget.reference)
        noise = uniform(self.made.shape, generators(seeds)).to(image)
        self.numbers = 2 * noise - 1 if random_start else torch.zeros_like(noise)

    def start(self) -> Tensor:
        """The pictures before the first step."""
        return self.inside(self._kept(self.made.picture(self.numbers)))

    def moved(self, perturbed: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Update.moved`."""
        numbers = self.numbers.requires_grad_()
        with torch.enable_grad():
            picture = self.made.picture(numbers)
        if self.budget.norm == "linf":  # other norms shorten a perturbation as a whole
            gradient = gradient * (self.inside(picture) == picture)
        (found,) = torch.autograd.grad(picture, numbers, gradient)
        self.numbers = self.form.moved(numbers.detach(), found, self.sizes[step] / self.whole)
        return self._kept(self.made.picture(self.numbers))

    def _kept(self, picture: Tensor) -> Tensor:
        return picture if self.keep is None else torch.where(self.keep == 0, self.image, picture)


def _read(value: object) -> object:
    if isinstance(value, str):
        kind, _, parameters = value.partition(":")
        return {"kind": kind, **parse_parameters(parameters, context=value)}
    return dict(value) if isinstance(value, Mapping) else value


AnyForm = Annotated[LowFrequency | JpegCoefficients | BlurredRegions, Field(discriminator="kind")]
Delta = Annotated[AnyForm, BeforeValidator(_read)]
"""A form, its record, or its text: ``low:factor=8``, ``dct:quality=95``, ``blur:regions=8``."""

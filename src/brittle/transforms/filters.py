"""Filters: what smooths a photo, and with it what was hidden in it."""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional

from brittle.component import Fraction, register
from brittle.images import from_bytes, quantise, to_bytes
from brittle.transforms.base import Transform


@register
class GaussianBlur(Transform):
    """Gaussian blur of the sRGB values, edge pixels repeated outwards.

    ``sigma`` is the standard deviation in pixels; the kernel ends at four of them.
    """

    name = "gaussian-blur"
    example = "gaussian-blur:sigma=1"
    bytes_a_pixel = 175

    sigma: Annotated[float, Field(gt=0, le=100)]

    def surrogate(self, image: Tensor) -> Tensor:
        """The blur itself, exact."""
        reach = int(4 * self.sigma + 0.5)
        offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-0.5 * (offsets / self.sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        padded = functional.pad(image, [reach] * 4, mode="replicate")
        rows = functional.conv2d(padded, kernel, groups=3)
        return functional.conv2d(rows, kernel.mT, groups=3)


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"the size has to be odd, and is {size}")
    return size


@register
class MedianBlur(Transform):
    """The median of the square around each pixel, channel by channel, edge pixels repeated.

    ``size`` is the side of the square in pixels, an odd number from 3 to 99.
    """

    name = "median-blur"
    source = "Pillow's MedianFilter"
    example = "median-blur:size=3"

    size: Annotated[int, Field(strict=True, ge=3, le=99), AfterValidator(_odd)]

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The filtered image; there is no surrogate."""
        picture = Image.fromarray(to_bytes(image)[0]).filter(ImageFilter.MedianFilter(self.size))
        return from_bytes(np.array(picture)[None]).to(image)


@register
class Bilateral(Transform):
    """A mean over the square around each pixel that leaves out what differs in colour.

    Weights fall as Gaussians of the distance in pixels (``sigma_space``) and of the distance of
    the colours as vectors in [0, 1] units (``sigma_colour``). ``size`` is the side of the square,
    an odd number from 3 to 31; edge pixels are repeated; ``times`` is how often it is done.
    """

    name = "bilateral"
    source = "Tomasi and Manduchi, ICCV 1998"
    example = "bilateral:size=5"
    bytes_a_pixel = 120

    size: Annotated[int, Field(strict=True, ge=3, le=31), AfterValidator(_odd)]
    sigma_colour: Annotated[Fraction, Field(gt=0, le=10)] = 0.1
    sigma_space: Annotated[float, Field(gt=0, le=100)] = 2.0
    times: Annotated[int, Field(strict=True, ge=1, le=100)] = 1

    def surrogate(self, image: Tensor) -> Tensor:
        """The filter itself, exact."""
        for _ in range(self.times):
            image = self._once(image)
        return image

    def _once(self, image: Tensor) -> Tensor:
        reach, (height, width) = self.size // 2, image.shape[-2:]
        padded = functional.pad(image, [reach] * 4, mode="replicate")
        total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1])
        for down in range(self.size):
            for across in range(self.size):
                other = padded[..., down : down + height, across : across + width]
                far = ((down - reach) ** 2 + (across - reach) ** 2) / self.sigma_space**2
                unlike = (other - image).square().sum(1, keepdim=True) / self.sigma_colour**2
                weight = torch.exp(-(far + unlike) / 2)
                total, weights = total + weight * other, weights + weight
        return total / weights


@register
class Guided(Transform):
    """A guided filter: the received colours, scaled and shifted window by window, to look smooth.

    In each window the picture is fitted by a linear function of the received colours, with their
    covariance raised by ``sigma_colour`` squared: what varies less than that is levelled out. A
    pixel takes the mean of the functions of all windows that hold it. Windows are squares of
    ``radius`` pixels around a pixel, cut off at the edges; ``sigma_colour`` is in [0, 1] units.
    What is fitted is the received picture after the bilateral filter ``first``, if there is one,
    and from the second of ``times`` on what the filter made.
    """

    name = "guided"
    source = "He, Sun and Tang, ECCV 2010"
    example = "guided:radius=4"
    bytes_a_pixel = 450

    radius: Annotated[int, Field(strict=True, ge=1, le=50)]
    sigma_colour: Annotated[Fraction, Field(gt=0, le=1)] = 4 / 255
    times: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    first: Bilateral | None = None

    def surrogate(self, image: Tensor) -> Tensor:
        """The filter itself, exact."""
        found = image if self.first is None else self.first.surrogate(image)
        mean, covariance = self._mean(image), self._covariance(image, image)
        raised = covariance + self.sigma_colour**2 * torch.eye(3).to(image)
        for _ in range(self.times):
            slopes = torch.linalg.solve(raised, self._covariance(image, found))
            offsets = self._mean(found) - _by_pixel(mean, slopes)
            slopes = self._mean(slopes.flatten(-2).movedim(-1, 1)).movedim(1, -1)
            found = _by_pixel(image, slopes.unflatten(-1, (3, 3))) + self._mean(offsets)
        return found

    def _mean(self, values: Tensor) -> Tensor:
        """Of each pixel's window, (N, C, H, W)."""
        side = 2 * self.radius + 1
        return functional.avg_pool2d(values, side, 1, self.radius, count_include_pad=False)

    def _covariance(self, image: Tensor, other: Tensor) -> Tensor:
        """In each pixel's window, of colours (N, 3, H, W) with colours: (N, H, W, 3, 3)."""
        products = (image[:, :, None] * other[:, None]).flatten(1, 2)
        means = (self._mean(image)[:, :, None] * self._mean(other)[:, None]).flatten(1, 2)
        return (self._mean(products) - means).movedim(1, -1).unflatten(-1, (3, 3))


def _by_pixel(colours: Tensor, slopes: Tensor) -> Tensor:
    """Colours (N, 3, H, W), each times its pixel's matrix (N, H, W, 3, 3)."""
    return torch.einsum("nchw,nhwcd->ndhw", colours, slopes)


class _Skimage(Transform):
    """A filter of scikit-image's on floats; a subclass writes `filtered`."""

    def receive(self, image: Tensor, *, seed: int | None) -> Tensor:
        """The filtered image; there is no surrogate."""
        pixels = image[0].permute(1, 2, 0).cpu().numpy()
        found = self.filtered(pixels).reshape(pixels.shape)  # scikit-image drops sides of 1 px
        filtered = torch.from_numpy(np.ascontiguousarray(found))
        return quantise(filtered.permute(2, 0, 1)[None].to(image))

    def filtered(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels (H, W, 3) in [0, 1], filtered."""
        raise NotImplementedError


@register
class TotalVariation(_Skimage):
    """Near the received picture, with less total variation: edges stay and what is fine goes.

    Lowers ``weight`` x the sum of the gradient's lengths plus half the squared distance, channel by
    channel, in [0, 1] units, by Chambolle's projections: at most 200, which end where a step
    changes the value by less than 0.02 % of the first; both as scikit-image's defaults are, whose
    default weight is 0.1.
    """

    name = "total-variation"
    source = "Chambolle 2004; scikit-image's denoise_tv_chambolle"
    example = "total-variation:weight=0.05"
    bytes_a_pixel = 100

    weight: Annotated[float, Field(gt=0, le=10)]

    def filtered(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `_Skimage.filtered`."""
        from skimage.restoration import denoise_tv_chambolle

        filtered: NDArray[np.float32] = denoise_tv_chambolle(
            pixels, weight=self.weight, channel_axis=-1
        )
        return filtered


@register
class NonLocalMeans(_Skimage):
    """Each pixel the mean of those nearby whose surroundings look alike.

    Weights fall with the mean squared difference of two squares of ``patch_size`` pixels a side,
    over ``h`` squared, in [0, 1] units; they are compared up to ``patch_distance`` pixels away.
    Sizes are those of scikit-image's example, which takes h of 0.8 times the noise's standard
    deviation.
    """

    name = "nl-means"
    source = "Buades, Coll and Morel, CVPR 2005; scikit-image's denoise_nl_means in its fast mode"
    example = "nl-means:h=8/255"
    bytes_a_pixel = 125

    h: Annotated[Fraction, Field(gt=0, le=10)]
    patch_size: Annotated[int, Field(strict=True, ge=3, le=99), AfterValidator(_odd)] = 5
    patch_distance: Annotated[int, Field(strict=True, ge=1, le=50)] = 6

    def filtered(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `_Skimage.filtered`."""
        from skimage.restoration import denoise_nl_means

        filtered: NDArray[np.float32] = denoise_nl_means(
            pixels,
            patch_size=self.patch_size,
            patch_distance=self.patch_distance,
            h=self.h,
            channel_axis=-1,
        )
        return filtered

"""What networks said about images, so that no image goes through the same network twice.

A control is compared with the edits of every arm, and a photo with all of its edits: their
features are computed once. Keyed by the network and the image's content, so callers need not know.
"""

import hashlib
from collections.abc import Callable

from torch import Tensor

from brittle.recent import Recent, Tensors

Features = Tensors


class FeatureMemory(Recent):
    """Remembers images' features up to a number of bytes; the least recently used go first."""

    def recall(self, network: str, image: Tensor, run: Callable[[Tensor], Features]) -> Features:
        """The features of one image (1, 3, H, W): remembered, or from ``run``.

        ``network`` names everything that the features depend on beside the image: weights and form.
        An image that a gradient is to reach goes through the network every time.
        """
        if image.requires_grad:
            return run(image)
        return self.get((network, f"{image.device}:{content(image)}"), lambda: run(image))


def content(image: Tensor) -> str:
    """A hash of an image's shape and values."""
    digest = hashlib.blake2b(str((tuple(image.shape), image.dtype)).encode(), digest_size=16)
    digest.update(image.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


MEMORY = FeatureMemory(limit=512 * 2**20)
"""About 70 images of 512 px in EfficientNet features, or 1,100 of 128 px."""

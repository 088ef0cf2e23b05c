"""What networks said about images, so that no image goes through the same network twice.

A control is compared with the edits of every arm, and a photo with all of its edits: their
features are computed once. Keyed by the network and the image's content, so callers need not know.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

Features = tuple[Tensor, ...]


class FeatureMemory:
    """Remembers images' features up to a number of bytes; the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[tuple[str, str], Features] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, network: str, image: Tensor, run: Callable[[Tensor], Features]) -> Features:
        """The features of one image (1, 3, H, W): remembered, or from ``run``.

        ``network`` names everything that the features depend on beside the image: weights and form.
        An image that a gradient is to reach goes through the network every time.
        """
        if image.requires_grad:
            return run(image)
        key = (network, f"{image.device}:{content(image)}")
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        features = run(image)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = features
                self.size += _bytes(features)
            while self.size > self.limit:
                _, oldest = self._kept.popitem(last=False)
                self.size -= _bytes(oldest)
        return features

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self.size = 0


def content(image: Tensor) -> str:
    """A hash of an image's shape and values."""
    digest = hashlib.blake2b(str((tuple(image.shape), image.dtype)).encode(), digest_size=16)
    digest.update(image.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _bytes(features: Features) -> int:
    return sum(part.nbytes for part in features)


MEMORY = FeatureMemory(limit=256 * 2**20)  # about 570 images of 128 px in EfficientNet features

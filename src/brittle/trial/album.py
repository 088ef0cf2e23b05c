"""A store's pictures as scoring compares them, each decoded once while neighbours need it."""

from collections.abc import Callable

from torch import Tensor

from brittle.errors import Unavailable
from brittle.models import EditModel
from brittle.recent import Recent
from brittle.record.store import Store
from brittle.trial.tasks import Plan

LIMIT = 256 * 2**20
"""Bytes of pictures that are kept: 85 of 512 px a side. A larger one is read when it is needed."""


class Album:
    """The pictures of a plan's cells, (1, 3, H, W) in [0, 1]; those used last stay, up to LIMIT.

    Without a model pictures are taken as fitted.
    """

    def __init__(self, plan: Plan, store: Store, model: EditModel | None) -> None:
        self.plan, self.store, self.model = plan, store, model
        self._recent = Recent(LIMIT)

    def picture(self, key: str) -> Tensor:
        """The picture of a key, at its own size."""
        return self._once(key, lambda: self.store.read(key))

    def fitted(self, key: str) -> Tensor:
        """The picture of a key as the editor sees it."""
        return self._once(("fitted", key), lambda: self._fit(self.picture(key)))

    def photo(self, name: str) -> Tensor:
        """A photo as the editor sees it.

        Raises:
            Unavailable: the untouched photo was not given.
        """
        if name not in self.plan.photos:
            raise Unavailable("the untouched photo was not given")
        return self._once(("photo", name), lambda: self._fit(self.plan.photos[name].image))

    def fit_mask(self, mask: Tensor) -> Tensor:
        """A mask (1, 1, H, W) for what is fitted."""
        return mask if self.model is None else self.model.fit_mask(mask)

    def _fit(self, image: Tensor) -> Tensor:
        return image if self.model is None else self.model.fit(image)

    def _once(self, key: str | tuple[str, str], make: Callable[[], Tensor]) -> Tensor:
        (picture,) = self._recent.get(key, lambda: (make(),))
        return picture

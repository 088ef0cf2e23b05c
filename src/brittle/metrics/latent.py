"""Distance in the latent space of the edit model."""

from typing import Any

from torch import Tensor

from brittle.component import register
from brittle.errors import Unavailable
from brittle.metrics.base import Metric
from brittle.models import EditModel
from brittle.networks.feature_cache import MEMORY
from brittle.networks.maps import fill_invalid, mean_where


@register
class Latent(Metric):
    """Root mean square difference of two images' latents (means, scaled) in the edit model's VAE.

    Never a trial's primary metric: encoder protections optimise these very weights. Pixels that are
    not valid are mid-gray in both images, and a place counts by its valid share. The encoder runs
    in `EditModel.attack_dtype`; what that changes is in docs/performance.md.
    """

    name = "latent"
    version = 2
    higher_means = "farther"

    def compare(
        self,
        image: Tensor,
        reference: Tensor,
        *,
        valid: Tensor,
        model: EditModel | None = None,
        **_: Any,
    ) -> Tensor:
        """Root mean square, in units of the scaled latents: about 1 for a model's typical latents.

        Raises:
            Unavailable: no model was given.
        """
        if model is None:
            raise Unavailable("the latent distance needs the edit model")
        a, b = (_latents(fill_invalid(x, valid), model) for x in (image, reference))
        return mean_where((a - b).square(), valid).sqrt()


def _latents(image: Tensor, model: EditModel) -> Tensor:
    (latents,) = MEMORY.recall(
        f"latent:{model.content_hash}:{model.device}:{model.precision}:{model.size}",
        image,
        lambda x: (model.encode_to_attack(model.fit(x.to(model.device))).cpu(),),
    )
    return latents

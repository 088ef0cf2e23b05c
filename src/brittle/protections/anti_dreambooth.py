"""Anti-DreamBooth: a collection from which a fine-tune learns badly, by its alternating scheme."""

from pydantic import Field

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.protections.surrogate_loop import WholeSurrogateLoop


@register
class AntiDreamBooth(WholeSurrogateLoop):
    """Raises the loss with which DreamBooth learns from the collection, by ASPL.

    Alternating surrogate and perturbation learning: in each of ``rounds`` a copy of the surrogate
    learns ``training_steps`` from the clean pictures; against this copy, PGD maximises the loss of
    denoising each perturbed picture under ``instance_prompt``, for ``steps`` with a fresh noise and
    timestep each; then the surrogate itself learns ``training_steps`` from the perturbed pictures.
    So the perturbation meets models that have learned from the clean pictures and from its own.

    The whole UNet learns, and with ``train_text_encoder`` the text encoder. See `SurrogateLoop`.
    """

    name = "anti-dreambooth"
    source = "Anti-DreamBooth's ASPL (Van Le et al. 2023, arXiv:2303.15433)"
    rehearses = True

    budget: Budget = LinfBudget(radius=6.375 / 255)
    rounds: int = Field(50, ge=1)
    steps: int = Field(6, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(3, ge=0)
    learning_rate: float = Field(5e-7, gt=0, allow_inf_nan=False)
    instance_prompt: str = "a photo of sks"

"""CAAT: a collection that misleads the weights that tie words to pictures."""

from pydantic import Field

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.models.tuned import CROSS_ATTENTION, LearningScope
from brittle.protections.surrogate_loop import SurrogateLoop


@register
class Caat(SurrogateLoop):
    """Raises the denoising loss while the cross-attention's keys and values learn to lower it.

    PGD and one AdamW over the key and value projections of the UNet's cross-attention, whose
    moments are kept, take turns. See `SurrogateLoop`.
    """

    name = "caat"
    source = "CAAT (Xu et al. 2024, arXiv:2404.15081)"
    forgets = False

    budget: Budget = LinfBudget(radius=6.375 / 255)
    rounds: int = Field(250, ge=1)
    steps: int = Field(1, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(1, ge=0)
    learning_rate: float = Field(1e-5, gt=0, allow_inf_nan=False)
    instance_prompt: str = "a photo of a person"

    @property
    def scope(self) -> LearningScope:
        """See `SurrogateLoop.scope`."""
        return LearningScope(("denoiser",), rank=None, layers=CROSS_ATTENTION)

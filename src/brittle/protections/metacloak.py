"""MetaCloak: a collection that meets surrogates at many points of their training."""

from collections.abc import Iterator, Sequence

from pydantic import Field
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.models.surrogate import Surrogate
from brittle.protections.surrogate_loop import WholeSurrogateLoop


@register
class MetaCloak(WholeSurrogateLoop):
    """Raises the denoising loss of a pool of surrogates, by learning on their way.

    First a surrogate learns from the clean pictures; its weights are kept at the start and after
    every ``pool_interval`` steps, ``pool`` times in all. In each of ``rounds``, each of them is
    taken up where it was kept, and ``unrolled`` times PGD takes ``steps`` on each picture and the
    surrogate learns ``training_steps`` from the perturbed ones. Name what is to be foreseen as
    ``expectation``. See `SurrogateLoop`; the pool's weights are kept in memory.
    """

    name = "metacloak"
    source = "MetaCloak (Liu et al. 2023, arXiv:2311.13127)"

    budget: Budget = LinfBudget(radius=11 / 255)
    rounds: int = Field(4, ge=1)
    steps: int = Field(6, ge=1)
    step_size: Fraction = Field(1.1 / 255, gt=0, allow_inf_nan=False)
    training_steps: int = Field(2, ge=0)
    learning_rate: float = Field(5e-7, gt=0, allow_inf_nan=False)
    instance_prompt: str = "a photo of sks person"
    pool: int = Field(6, ge=1)
    pool_interval: int = Field(200, ge=0)
    unrolled: int = Field(100, ge=1)

    @property
    def total_rounds(self) -> int:
        """See `SurrogateLoop.total_rounds`."""
        return self.rounds * self.pool * self.unrolled

    @property
    def total_training(self) -> int:
        """See `SurrogateLoop.total_training`; with that of the pool."""
        return super().total_training + (self.pool - 1) * self.pool_interval

    @property
    def kept_copies(self) -> int:
        """See `SurrogateLoop.kept_copies`."""
        return self.pool

    def meetings(self, surrogate: Surrogate, clean: Sequence[Tensor]) -> Iterator[None]:
        """See `SurrogateLoop.meetings`; trains the pool."""
        pool = [surrogate.weights()]
        while len(pool) < self.pool:
            surrogate.learn(clean, steps=self.pool_interval, forget=len(pool) == 1)
            pool.append(surrogate.weights())
        for _ in range(self.rounds):
            for weights in pool:
                surrogate.restore(weights)
                for _ in range(self.unrolled):
                    yield

"""How a model computes, as text: ``bfloat16``, ``bfloat16:vae=bfloat16``, ``bfloat16:compiled``."""

from typing import NamedTuple, Self

import torch

from brittle.component import unknown
from brittle.errors import UserError

KNOWN = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OF_AUTOENCODERS = torch.float32
"""Unless another is asked for; then the text says it."""
_VAE, _COMPILED = ":vae=", ":compiled"


class Precision(NamedTuple):
    """The dtypes of a model's parts, and whether torch compiles its denoiser."""

    dtype: torch.dtype
    """Of all parts but the autoencoder."""
    vae_dtype: torch.dtype = OF_AUTOENCODERS
    compiled: bool = False
    """Faster on a GPU once compiled, which takes minutes; bits differ from those without."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """What a text says.

        Raises:
            UserError: a dtype in it is none of `KNOWN`.
        """
        dtypes = text.removesuffix(_COMPILED)
        main, _, of_vae = dtypes.partition(_VAE)
        for name in (main, of_vae or main):
            if name not in KNOWN:
                raise UserError(unknown("dtype", name, KNOWN))
        of_autoencoder = KNOWN[of_vae] if of_vae else OF_AUTOENCODERS
        return cls(KNOWN[main], of_autoencoder, compiled=text != dtypes)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return precision_text(named(self.dtype), named(self.vae_dtype), self.compiled)


def named(dtype: torch.dtype) -> str:
    """``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def precision_text(dtype: str, vae_dtype: str, compiled: bool) -> str:
    """`Precision` of names; of former versions the second is ""."""
    plain = vae_dtype in ("", named(OF_AUTOENCODERS))
    return dtype + ("" if plain else f"{_VAE}{vae_dtype}") + _COMPILED * compiled

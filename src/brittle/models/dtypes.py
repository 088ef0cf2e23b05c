"""The dtypes of a model as text: ``bfloat16``, or ``bfloat16:vae=bfloat16``."""

import torch

from brittle.component import unknown
from brittle.errors import UserError

KNOWN = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OF_AUTOENCODERS = torch.float32
"""Unless another is asked for; then the text says it."""
_VAE = ":vae="


def parse_dtypes(text: str) -> tuple[torch.dtype, torch.dtype]:
    """The dtype of all parts but the autoencoder, and the autoencoder's.

    Raises:
        UserError: one of them is none of `KNOWN`.
    """
    main, _, of_vae = text.partition(_VAE)
    for name in (main, of_vae or main):
        if name not in KNOWN:
            raise UserError(unknown("dtype", name, KNOWN))
    return KNOWN[main], KNOWN[of_vae] if of_vae else OF_AUTOENCODERS


def named(dtype: torch.dtype) -> str:
    """``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def dtypes_text(dtype: str, vae_dtype: str) -> str:
    """Both, by their names, as `parse_dtypes` reads them; of former versions the second is ""."""
    plain = vae_dtype in ("", named(OF_AUTOENCODERS))
    return dtype if plain else f"{dtype}{_VAE}{vae_dtype}"

"""Sana's autoencoder (DC-AE), whose latents cover 32 or 64 pixels a side."""

from typing import Any

from torch import Tensor, nn

from brittle.models.taesd import Encoded

CLASS_NAME = "AutoencoderDC"


class DeepAutoencoder(nn.Module):
    """diffusers' AutoencoderDC behind the face of its AutoencoderTiny: one latent each."""

    def __init__(self, deep: Any) -> None:
        super().__init__()
        self.encoder, self.decoder, self.config = deep.encoder, deep.decoder, deep.config

    def encode(self, image: Tensor) -> Encoded:
        """Images (N, 3, H, W) in [-1, 1] -> latents, without their scale."""
        return Encoded(self.encoder(image))

    def decode(self, latents: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """Latents -> images (N, 3, H, W)."""
        return (self.decoder(latents),)

"""Qwen-Image's autoencoder: a video's, and a picture is a video of one frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CLASS_NAME = "AutoencoderKLQwenImage"


@dataclass(frozen=True)
class _Config:
    scaling_factor: float = 1.0


class FrameAutoencoder(nn.Module):
    """diffusers' autoencoder of videos behind the face of one of pictures.

    Its latents have their own mean and deviation in each channel, by which they are moved and
    divided here. The module's own `encode` and `decode` keep what each layer saw for the frames to
    come, of which there are none, and clamp what is decoded.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, video: Any) -> None:
        super().__init__()
        self.video, self.config = video, _Config()
        for name, values in (("mean", "latents_mean"), ("deviation", "latents_std")):
            channels = torch.tensor(getattr(video.config, values), dtype=video.dtype)
            self.register_buffer(name, channels[:, None, None], persistent=False)

    def encode(self, pixels: Tensor) -> Any:
        """As AutoencoderKL's: the distribution of latents (N, C, h, w), scaled."""
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
        from diffusers.models.modeling_outputs import AutoencoderKLOutput

        moments = self.video.quant_conv(self.video.encoder(pixels[:, :, None]))
        mean, spread = moments[:, :, 0].chunk(2, dim=1)
        scaled = [(mean - self.mean) / self.deviation, spread - 2 * self.deviation.log()]
        return AutoencoderKLOutput(
            latent_dist=DiagonalGaussianDistribution(torch.cat(scaled, dim=1))
        )

    def decode(self, latents: Tensor, **_: Any) -> tuple[Tensor]:
        """As AutoencoderKL's: pixels (N, 3, H, W) of scaled latents."""
        frame = (latents * self.deviation + self.mean)[:, :, None]
        return (self.video.decoder(self.video.post_quant_conv(frame))[:, :, 0],)


def as_of_pictures(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its configuration, with what brittle reads of one by the names of AutoencoderKL's as well."""
    widths = [config["base_dim"] * times for times in config["dim_mult"]]
    return {**config, "latent_channels": config["z_dim"], "block_out_channels": widths}

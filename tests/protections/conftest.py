from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brittle.models import EditModel, load_model
from brittle.protections import PGD, Trace


@pytest.fixture(scope="session")
def kl(small_sd) -> EditModel:
    """A model of SD's layout, random, whose autoencoder is an AutoencoderKL; 64 px."""
    return load_model(small_sd, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def exact(small_sd) -> EditModel:
    """As `kl`, in float64, in which two ways to the same gradient round to the same signs."""
    return load_model(small_sd, device="cpu", dtype=torch.float64, vae_dtype=torch.float64)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> EditModel:
    """An AutoencoderTiny alone, random, of factor 4."""
    import diffusers

    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (16,) * 3, "decoder_block_out_channels": (16,) * 3}
    blocks = {"num_encoder_blocks": (1, 1, 1), "num_decoder_blocks": (1, 1, 1)}
    folder = tmp_path_factory.mktemp("models") / "tiny-vae"
    diffusers.AutoencoderTiny(**widths, **blocks, latent_channels=8).save_pretrained(folder)
    return load_model(folder, device="cpu", dtype="float32")


class Linear:
    """A stand-in for a model, whose latent (N, K) is a linear map of the image; of any size."""

    device = torch.device("cpu")
    edits = False

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def fit(self, image: Tensor) -> Tensor:
        return image

    def encode(self, image: Tensor) -> Tensor:
        return image.flatten(1) @ self.weight.to(image).T

    encode_to_attack = encode

    def settle(self) -> None:
        """It has nothing to wait for."""


def run_loop(
    protection: PGD, model: object, image: Tensor, **kwargs: object
) -> tuple[Tensor, Trace]:
    """The result of the loop before rounding, and its trace."""
    trace = Trace()
    settings = {"mask": None, "seeds": list(range(len(image))), "trace": trace, **kwargs}
    return protection.perturb(model, image, **settings), trace


def descend(gradient: Callable[[Tensor], Tensor], image: Tensor, protection: PGD) -> Tensor:
    """Signed descent inside a linf ball, without a schedule, from where the protection starts."""
    start = protection.batch(image, None, [0] * len(image), None).perturbed
    radius, moved = protection.budget.radius, start
    for _ in range(protection.steps):
        found = gradient(moved.clone().requires_grad_())
        moved = moved - protection.step_size * found.sign()
        moved = moved.clamp(image - radius, image + radius).clamp(0, 1)
    return moved

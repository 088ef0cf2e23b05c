"""Weights that a version of brittle knows by their content."""

import hashlib
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load
from torch import nn

from brittle.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


def trained(network: Network, path: Path, sha256: str) -> Network:
    """The network with the weights of a safetensors file, in float32 and frozen, on the CPU.

    Raises:
        UserError: as `known_bytes`.
    """
    weights = load(known_bytes(path, sha256))
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.requires_grad_(False).eval()


def known_bytes(path: Path, sha256: str) -> bytes:
    """A file's bytes, if they are those that ``sha256`` says.

    Raises:
        UserError: they are others, or can't be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} can't be read: {error.strerror}.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{path.name} is not the file that brittle knows: install it anew.")
    return content

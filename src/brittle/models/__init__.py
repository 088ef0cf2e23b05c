"""Edit models, latent diffusion models in diffusers' classes, and the chain that edits."""

from brittle.models.edit_model import EditModel
from brittle.models.loading import load_model

__all__ = ["EditModel", "load_model"]

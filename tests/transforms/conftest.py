import pytest
import torch
from skimage import data

from brittle.images import from_bytes


@pytest.fixture(scope="session")
def real() -> torch.Tensor:
    """Two real photos, (2, 3, 150, 203) on the 8-bit grid: odd sides, no square."""
    crops = [data.astronaut()[40:190, 120:323], data.coffee()[100:250, 200:403]]
    return torch.cat([from_bytes(crop[None].copy()) for crop in crops])

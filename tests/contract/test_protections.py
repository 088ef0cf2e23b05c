"""What holds for every protection and preset in the registry, plugins included."""

import pytest
import torch
from torch import Tensor

from brittle.component import key, registry
from brittle.images import from_png, png_bytes
from brittle.models import load_model
from brittle.protections import Protection, surrogate_loop

NAMES = registry("protection").names()
CLASSES = list(registry("protection").components)


def here(name: str) -> Protection:
    """The protection, without other models that a preset names: they may not be here."""
    preset = registry("protection").presets.get(name)
    alone = {"with_models": ()} if preset and "with_models" in preset.fields else {}
    return Protection.from_record({"name": name, **alone})


def small(name: str) -> Protection:
    """The protection with as little work as shows what it does."""
    protection = here(name)
    little = {"steps": 2, "draws": 1, "evaluations": 2, "rounds": 2, "training_steps": 1}
    little |= {"search_steps": 1, "pool": 2, "pool_interval": 1, "unrolled": 1}
    fields = type(protection).model_fields
    return protection.model_copy(
        update={field: little[field] for field in little if field in fields}
    )


@pytest.fixture(scope="module")
def model(small_sd):
    return load_model(small_sd, device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def _few_measurements(monkeypatch) -> None:
    """A loop with a surrogate tells its losses in the record alone: one draw is enough."""
    monkeypatch.setattr(surrogate_loop, "MEASURED", 1)


@pytest.fixture
def image(photos) -> Tensor:
    """Two photos of an odd size, one of them with white and black areas."""
    image = photos[:, :, :57, :80].clone()
    image[1, :, :20] = 1
    image[1, :, 40:] = 0
    return image


@pytest.fixture
def mask() -> Tensor:
    mask = torch.zeros(1, 1, 57, 80)
    mask[..., 10:30, 20:60] = 1
    return mask


@pytest.mark.parametrize(
    ("name", "masked"), [*((name, False) for name in NAMES), *((name, True) for name in CLASSES)]
)
def test_the_budget_holds_on_the_file(name, masked, model, image, mask) -> None:
    protection = small(name)
    protected = protection(model, image, mask=mask if masked else None, seeds=[3, 4])
    assert protected.shape == image.shape
    assert protected.dtype == torch.float32
    files = torch.cat([from_png(png_bytes(row)) for row in protected])
    assert torch.equal(files, protected)

    moved = (files.double() * 255).round() / 255 - (image.double() * 255).round() / 255
    if protection.budget.norm == "linf":
        assert moved.abs().max() <= protection.budget.radius + 1e-12
    else:
        limit = protection.budget.limit(57, 80)
        assert moved.flatten(1).norm(dim=1).max() <= limit * (1 + 1e-9)
    assert moved.flatten(1).any(1).all()
    if masked:
        assert not moved[(mask == 1).expand_as(moved)].any()


@pytest.mark.parametrize("name", CLASSES)
def test_the_same_seeds_give_the_same_file_whoever_the_neighbours_are(name, model, image) -> None:
    protection = small(name)
    first = protection(model, image, seeds=[3, 4])
    again = protection(model, image, seeds=[3, 4])
    other = protection(model, torch.stack([image[1].flip(-1), image[0]]), seeds=[9, 3])
    assert torch.equal(first, again)
    # A collection is what its protection depends on: there, neighbours count and their order not.
    assert torch.equal(first[0], other[1]) != protection.needs_collection
    assert torch.equal(protection(model, image.flip(0), seeds=[4, 3]).flip(0), first)


@pytest.mark.parametrize("name", NAMES)
def test_records_and_texts_are_read_back(name) -> None:
    protection = here(name)
    assert Protection.from_record(protection.record()) == protection
    assert Protection.parse(str(protection)) == protection
    assert (key(small(name)) == key(protection)) == (small(name) == protection)


@pytest.mark.parametrize("name", CLASSES)
def test_every_protection_names_its_source(name) -> None:
    component = registry("protection").components[name]
    assert component.source
    assert component.__doc__

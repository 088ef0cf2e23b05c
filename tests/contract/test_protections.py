"""What holds for every protection and preset in the registry, plugins included."""

import pytest
import torch
from torch import Tensor

from brittle.component import key, registry
from brittle.images import from_png, png_bytes
from brittle.models import load_model
from brittle.protections import Protection, pgd

NAMES = registry("protection").names()
CLASSES = list(registry("protection").components)
PRESETS = [name for name in NAMES if name not in CLASSES]


def here(name: str) -> Protection:
    """The protection, without other models that a preset names: they may not be here."""
    preset = registry("protection").presets.get(name)
    alone = {"with_models": ()} if preset and "with_models" in preset.fields else {}
    return Protection.from_record({"name": name, **alone})


def small(name: str) -> Protection:
    """The protection with as little work as shows what it does."""
    protection = here(name)
    fields = type(protection).model_fields
    little = {"steps": 2, "draws": 1, "evaluations": 2, "training_steps": 1, "unrolled": 1}
    little |= {"search_steps": 1, "candidates": 2, "pool": 2, "pool_interval": 1}
    if "rounds" in fields:
        little |= {"rounds": 2, "steps": 1}
    if "styles" in fields:
        little["styles"] = protection.styles[:2]
    return protection.model_copy(
        update={field: little[field] for field in little if field in fields}
    )


@pytest.fixture(scope="module")
def model(small_sd):
    return load_model(small_sd, device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def _few_measurements(monkeypatch) -> None:
    """A loop with a surrogate tells its losses in the record alone: one draw is enough."""
    monkeypatch.setattr(pgd, "MEASURED", 1)


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


def moved_in_file(protection: Protection, protected: Tensor, image: Tensor) -> Tensor:
    """How far a file moves each value, in float64; the file is what was returned, in the budget."""
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
    return moved


@pytest.mark.parametrize("name", PRESETS)
def test_the_budget_of_a_preset_holds_on_the_file(name, model, image) -> None:
    protection = small(name)
    moved_in_file(protection, protection(model, image, seeds=[3, 4]), image)


@pytest.mark.parametrize("name", CLASSES)
def test_the_budget_holds_on_the_file_outside_of_a_mask(name, model, image, mask) -> None:
    protection = small(name)
    moved = moved_in_file(protection, protection(model, image, mask=mask, seeds=[3, 4]), image)
    assert not moved[(mask == 1).expand_as(moved)].any()


@pytest.mark.numerical
@pytest.mark.parametrize("name", CLASSES)
def test_the_same_seeds_give_the_same_file_whoever_the_neighbours_are(name, model, image) -> None:
    protection = small(name)
    first = protection(model, image, seeds=[3, 4])
    moved_in_file(protection, first, image)
    other = protection(model, torch.stack([image[1].flip(-1), image[0]]), seeds=[9, 3])
    # A collection is what its protection depends on: there, neighbours count and their order not.
    assert torch.equal(first[0], other[1]) != protection.needs_collection
    if protection.needs_collection:
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

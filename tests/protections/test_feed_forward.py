"""The network that gives perturbations in one pass, and the protection that adds them."""

import hashlib

import pytest
import torch

from brittle.networks import immuniser
from brittle.protections import FeedForward


def distance(model, image, changed):
    with torch.no_grad():
        return (model.encode(changed) - model.encode(image)).flatten(1).norm(dim=1)


def test_what_the_network_gives_fills_the_radius_and_no_more(photos):
    network = immuniser.load_immuniser()
    for levels in (4, 16):
        given = network(photos, torch.full((2,), levels / 255)) * 255
        assert given.abs().max() <= levels + 1e-4
        assert given.abs().mean() > levels / 4


def test_its_weights_belong_to_the_protections_version():
    # Other weights give other pictures: raise the version with them.
    assert FeedForward.version == 1
    assert hashlib.sha256(immuniser.WEIGHTS.read_bytes()).hexdigest() == immuniser.SHA256
    assert immuniser.SHA256.startswith("64015cec")


def test_it_adds_what_the_network_makes_of_the_photo_at_the_models_size(kl, photos):
    protected = FeedForward(budget="8/255")(kl, photos, seeds=[0, 1])  # the model sees 64 px of 128
    given = immuniser.load_immuniser()(kl.fit(photos[:1]), torch.tensor([8 / 255]))
    expected = photos[:1] + torch.nn.functional.interpolate(
        given, size=photos.shape[-2:], mode="bilinear", antialias=True
    )
    assert (protected[:1] - expected.clamp(0, 1)).abs().max() <= 1.01 / 255


def test_it_moves_photos_that_it_never_saw_further_than_noise(embedded, photos):
    protected = FeedForward()(embedded, photos, seeds=[0, 1])
    size = (protected - photos).abs().amax()
    signs = torch.randint(0, 2, photos.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = (photos + signs * size).clamp(0, 1)
    assert (distance(embedded, photos, protected) > 1.3 * distance(embedded, photos, noise)).all()


def test_what_is_to_be_edited_stays(embedded, photos):
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 32:96] = 1
    protected = FeedForward()(embedded, photos, mask=mask, seeds=[0, 1])
    changed = (protected != photos).any(1, keepdim=True)
    assert not changed[mask.expand_as(changed) == 1].any()
    assert changed.any()


@pytest.mark.parametrize("budget", ["l2:8@512", "12.75/255"])
def test_its_budget_may_be_any(embedded, photos, budget):
    protection = FeedForward(budget=budget)
    protected = protection(embedded, photos[:1], seeds=[0])
    spent = protection.budget.spent(photos[:1], protected)
    assert 0 < spent <= protection.budget.radius + 1e-6

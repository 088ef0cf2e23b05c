"""The distance of style: its formula, and that it sees style more than place."""

import torch
from skimage import data

from brittle.metrics import Perceptual, Style
from brittle.networks.efficientnet import features


def scores(metric, image, reference) -> float:
    return float(metric.score(image, reference))


def test_it_is_the_formula_written_out(photos):
    image, reference = photos[:1], photos[1:]
    total = 0.0
    for a, b in zip(features(image), features(reference), strict=True):
        first, second = (x[0].permute(1, 2, 0).reshape(-1, x.shape[1]).double() for x in (a, b))
        gram = [torch.einsum("pi,pj->ij", x, x) / len(x) for x in (first, second)]
        total += float((gram[0] - gram[1]).pow(2).sum())
        total += float((first.mean(0) - second.mean(0)).pow(2).sum())
        total += float((first.std(0, correction=0) - second.std(0, correction=0)).pow(2).sum())
    assert abs(scores(Style(), image, reference) - total) < 1e-6


def test_two_halves_of_a_texture_are_near_and_another_texture_is_far():
    """Bricks and gravel from scikit-image: place moves everything, style hardly."""
    brick, gravel = (
        torch.from_numpy(picture.copy()).expand(1, 3, -1, -1).float() / 255
        for picture in (data.brick(), data.gravel())
    )
    one, other, stones = brick[..., :256, :256], brick[..., 256:, 256:], gravel[..., :256, :256]
    near, far = scores(Style(), one, other), scores(Style(), one, stones)
    assert near < 0.3 * far
    # The distance by place has no such gap.
    by_place = scores(Perceptual(), one, other) / scores(Perceptual(), one, stones)
    assert near / far < 0.6 * by_place


def test_a_mirrored_picture_has_nearly_its_own_style(photos):
    image = photos[:1]
    assert scores(Style(), image.flip(-1), image) < 0.2 * scores(Style(), photos[1:], image)

import torch

from brittle.networks.feature_cache import FeatureMemory, content


class Network:
    """Counts how often it runs."""

    def __init__(self):
        self.runs = 0

    def __call__(self, image):
        self.runs += 1
        return (image.mean((2, 3)),)


def test_an_image_goes_through_a_network_once():
    memory, network = FeatureMemory(10_000), Network()
    image = torch.rand(1, 3, 4, 4)
    (first,) = memory.recall("a", image, network)
    (again,) = memory.recall("a", image.clone(), network)
    assert torch.equal(first, again)
    assert network.runs == 1


def test_networks_are_told_apart():
    memory, network = FeatureMemory(10_000), Network()
    image = torch.rand(1, 3, 4, 4)
    memory.recall("a", image, network)
    memory.recall("b", image, network)
    assert network.runs == 2


def test_content_tells_values_and_shapes_apart():
    image = torch.rand(1, 3, 4, 6)
    changed = image.clone()
    changed[0, 2, 3, 5] += 1e-6
    assert len({content(x) for x in (image, changed, image.reshape(1, 3, 6, 4))}) == 3
    assert content(image.expand(1, 3, 4, 6)) == content(image.mT.contiguous().mT)

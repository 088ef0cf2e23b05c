"""The protection against many encoders at once."""

import pytest
import torch

from brittle.errors import UserError
from brittle.models import load_model
from brittle.protections import EncoderEnsemble, EncoderProtection, Protection
from brittle.protections.encoder import _Encoder
from tests.models import taesd
from tests.protections.conftest import Linear, run_loop


@pytest.fixture
def models() -> list[Linear]:
    """Two encoders, of which one moves a hundred times as far."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(5, 3 * 8 * 8, generator=generator).double() for _ in range(2)]
    return [Linear(weights[0]), Linear(100 * weights[1])]


class Both(EncoderEnsemble):
    """The protection against models that have no files."""

    def prepare(self, model, image, *, mask, seeds):
        return [_Encoder(one, one.encode_to_attack) for one in model]


def test_its_gradient_is_that_of_the_mean_logarithm(models, photos) -> None:
    image = photos[:, :, :8, :8].double()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).double()
    perturbed = (image + 0.02 * noise).requires_grad_()
    settings = {"mask": None, "seeds": [0, 1]}
    prepared = Both().prepare(models, image, **settings)
    found = Both().objective(models[0], perturbed, image, prepared=prepared, **settings)
    squares = [(one.encode(perturbed) - one.encode(image)).square().sum(1) for one in models]
    expected = -torch.stack(squares).log().mean(0)
    assert torch.allclose(found, expected, rtol=1e-12)
    ours, theirs = (torch.autograd.grad(one.sum(), perturbed)[0] for one in (found, expected))
    assert torch.allclose(ours, theirs, rtol=1e-9)


def test_no_encoder_outweighs_the_others(models, photos) -> None:
    """Each latent moves further than the same steps take the other one alone."""
    image = photos[:1, :, :8, :8].double()

    def moved(against: list[Linear]) -> list[float]:
        protected, _ = run_loop(Both(steps=20, step_size=0.01), against, image)
        return [float((one.encode(protected) - one.encode(image)).norm()) for one in models]

    both, alone = moved(models), [moved([one]) for one in models]
    for at in (0, 1):
        assert alone[1 - at][at] < both[at] <= alone[at][at] * 1.001
        assert both[at] > 0.5 * alone[at][at]


def test_its_only_target_is_away() -> None:
    with pytest.raises(UserError, match="target"):
        Protection.parse("encoder-ensemble:target=gray")
    with pytest.raises(UserError, match="random_start"):
        Protection.parse("encoder-ensemble:random_start=false")


@pytest.mark.parametrize("kind", [EncoderEnsemble, EncoderProtection])
def test_an_encoder_that_is_named_twice_or_given_counts_once(kind, tmp_path, photos) -> None:
    folders = [
        taesd.write(tmp_path / name, "taesd", channels=channels, pooled=False)
        for name, channels in (("given", 4), ("again", 4), ("other", 6))
    ]
    given, again, other = map(str, folders)
    model, strange = (load_model(folder, device="cpu") for folder in (given, other))
    settings = {"steps": 3, "step_size": 0.01, "random_start": True, "target": "away"}
    plain, twice = (
        kind(**settings, with_models=names) for names in ((other,), (given, other, again, other))
    )
    assert len(twice.with_models) == 4
    assert twice.cost == "at most 9 passes through the encoder, forward and backward"  # on a third
    hashes = [one.content_hash for one in (model, strange)]
    assert [one.content_hash for one in twice.encoders_on(model)] == hashes
    assert [one.content_hash for one in twice.encoders_on(strange)] == hashes[::-1]
    assert twice.graphs_on(model) == plain.graphs_on(model)
    image = photos[:1, :, :32, :32]
    assert twice(model, image, seeds=[3]).equal(plain(model, image, seeds=[3]))
    assert twice(model, image, seeds=[3]).ne(kind(**settings)(model, image, seeds=[3])).any()

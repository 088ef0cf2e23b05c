import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from brittle.noise import coins, derive_seed, gaussian, generators, uniform, words


def test_seeds_are_frozen():
    """A change here changes every stored result."""
    assert derive_seed(0) == 3456079177858693020
    assert derive_seed(7, "photo", "edit") == 7941839802448082999


def test_generators_are_frozen():
    """PyTorch promises the same numbers on every machine for its CPU generator."""
    first = gaussian((2,), generators([0]))
    assert first[0].tolist() == pytest.approx([1.5409960746765137, -0.293428897857666])


@given(st.integers(0, 2**63 - 1), st.lists(st.text(max_size=5), max_size=3))
def test_seeds_fit_every_generator_and_repeat(seed, labels):
    derived = derive_seed(seed, *labels)
    assert 0 <= derived < 2**63
    assert derived == derive_seed(seed, *labels)
    generators([derived])


def test_seeds_differ_by_every_part():
    seeds = [
        derive_seed(*parts) for parts in [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "ab")]
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("draw", [gaussian, uniform])
def test_a_row_never_depends_on_its_neighbours(draw):
    shape = (3, 5, 7)
    whole = draw(shape, generators([1, 2, 3]))
    assert whole.shape == (3, *shape)
    assert whole.dtype == torch.float32
    assert torch.equal(whole[1:2], draw(shape, generators([2])))
    assert torch.equal(whole.flip(0), draw(shape, generators([3, 2, 1])))
    assert not torch.equal(whole[0], whole[1])


def test_streams_go_on_where_they_were():
    streams = generators([4])
    first, second = gaussian((8,), streams), gaussian((8,), streams)
    assert not torch.equal(first, second)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    gaussian((4,), generators([9]))
    assert torch.equal(state, torch.random.get_rng_state())


def test_distributions():
    streams = generators(range(20))
    normal, even = gaussian((5000,), streams).flatten(), uniform((5000,), streams).flatten()
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert stats.kstest(even, "uniform").pvalue > 1e-3
    assert even.min() >= 0
    assert even.max() < 1


def test_words_and_coins_are_uniform_and_repeatable():
    (stream,) = generators([3])
    drawn = words(99_999, stream)
    assert drawn.shape == (99_999,)
    assert stats.kstest(drawn / 2**16, "uniform").pvalue > 0.001
    tossed = coins(99_999, stream)
    assert set(tossed.unique().tolist()) == {0, 1}
    assert stats.binomtest(int(tossed.sum(dtype=torch.int64)), 99_999).pvalue > 0.001
    assert words(5, generators([3])[0]).tolist() == drawn[:5].tolist()

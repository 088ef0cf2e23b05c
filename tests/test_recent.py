import torch

from brittle.recent import Recent


class Work:
    """Counts how often it is done; gives three float32, 12 bytes."""

    def __init__(self):
        self.done = 0

    def __call__(self):
        self.done += 1
        return (torch.ones(3),)


def test_the_least_recently_used_go_first():
    recent, work = Recent(limit=2 * 12), Work()
    for key in ("a", "b", "a", "c"):  # c takes the place of b
        recent.get(key, work)
    assert (recent.size, work.done) == (24, 3)
    recent.get("a", work)
    assert work.done == 3
    recent.get("b", work)
    assert work.done == 4


def test_what_is_larger_than_the_limit_is_not_kept():
    recent = Recent(limit=11)
    (found,) = recent.get("a", Work())
    assert found.tolist() == [1, 1, 1]
    assert recent.size == 0


def test_forget():
    recent, work = Recent(100), Work()
    recent.get("a", work)
    recent.forget()
    recent.get("a", work)
    assert (work.done, recent.size) == (2, 12)

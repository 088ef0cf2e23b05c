import pytest
import torch

from brittle.component import key
from brittle.errors import UserError
from brittle.images import quantise, stretch
from brittle.transforms import Chain, Flip, GaussianBlur, Jpeg, MedianBlur, Rotate, Transform

BLUR, JPEG = GaussianBlur(sigma=1), Jpeg(quality=75)


def test_a_chain_is_one_after_the_other(real):
    received = Chain(steps=(BLUR, JPEG)).apply(real)
    assert torch.equal(received, JPEG.apply(BLUR.apply(real)))
    assert not torch.equal(received, Chain(steps=(JPEG, BLUR)).apply(real))


def test_chains_as_text():
    chain = Transform.parse("jpeg:quality=75,subsampling=4:4:4 + flip+rotate:degrees=1e+1")
    assert chain.steps == (Jpeg(quality=75, subsampling="4:4:4"), Flip(), Rotate(degrees=10))
    assert str(chain) == "jpeg:quality=75,subsampling=4:4:4+flip+rotate:degrees=10"
    assert Transform.parse("chain:steps=[flip,'jpeg:quality=75']") == Chain(steps=(Flip(), JPEG))


def test_nested_chains_are_flat():
    nested = Chain(steps=(Flip(), Chain(steps=(BLUR, JPEG))))
    assert nested == Chain(steps=(Flip(), BLUR, JPEG))
    assert key(nested) == key(Transform.parse(str(nested)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip+jpg:quality=3", "steps.1: unknown transform 'jpg': did you mean 'jpeg'"),
        ("flip+jpeg:quality=0", "steps.1: jpeg: quality"),
        ("chain", "steps: field required"),
        ("chain:steps=[flip]", "at least two steps"),
        ("chain:steps=[]", "at least two steps"),
        ("flip+", "Unknown transform 'flip"),
    ],
)
def test_chains_that_are_none(text, message):
    with pytest.raises(UserError, match=message):
        Transform.parse(text)


def test_undo_runs_backwards(real):
    chain = Transform.parse("rotate:degrees=90+flip+rotate:degrees=180")
    received = chain.apply(real)
    assert received.shape[-2:] == (203, 150)
    assert torch.equal(chain.geometry.undo(received), real)


@pytest.mark.parametrize("shape", [(96, 128), (97, 131), (131, 97)])
@pytest.mark.parametrize("move", ["crop:left=32", "shift:right=32,down=-8", "flip+crop:right=32"])
@pytest.mark.parametrize(
    "later",
    [
        "resize:long_side=48,back=false",
        "resize:long_side=200,back=false",
        "resize:factor=0.37,back=false",
        "resize:long_side=64,back=false+rotate:degrees=90+resize:long_side=48,back=false",
        "resize:long_side=64,back=false+shift:right=2+flip",
        "screenshot:scale=0.37,gamma=1,quality=100",
    ],
)
@pytest.mark.parametrize("editor", [None, (64, 64)])
def test_what_moved_before_a_resize_is_turned_back(shape, move, later, editor):
    down, across = torch.meshgrid(*(torch.linspace(0, 1, side) for side in shape), indexing="ij")
    photo = quantise(torch.stack([down, across, across])[None])
    chain = Transform.parse(f"{move}+{later}")
    received = chain.apply(photo)
    edited = stretch(received, editor or received.shape[-2:])
    restored = chain.geometry.restore(edited, size=shape, shape=shape)
    valid = chain.geometry.valid_of(edited, size=shape)
    shown = chain.geometry.restore(valid, size=shape, shape=shape) > 1 - 1e-3
    first = Transform.parse(move)
    exact = first.geometry.undo(first.geometry.valid(first.apply(photo))) > 0
    assert not (shown & ~exact).any()
    # Pixels at an edge are mixed with those beyond it.
    assert exact.float().mean() - shown.float().mean() < 0.1
    # A displacement of 2 px would be 4 levels.
    assert (restored - photo).abs()[shown.expand_as(photo)].mean() * 255 < 2


def test_masks_and_validity_go_through_every_step(real):
    first, second = Rotate(degrees=20), Rotate(degrees=90)
    chain = Chain(steps=(first, Flip(), second, BLUR))
    received = chain.apply(real)
    expected = second.geometry.move_mask(
        Flip().geometry.move_mask(first.geometry.valid(first.apply(real)))
    )
    assert torch.equal(chain.geometry.valid(received), expected)
    mask = (torch.arange(203) < 90).float().expand(2, 1, 150, 203)
    moved = second.geometry.move_mask(Flip().geometry.move_mask(first.geometry.move_mask(mask)))
    assert torch.equal(chain.geometry.move_mask(mask), moved)
    twice = Chain(steps=(first, first))
    assert torch.equal(
        twice.geometry.valid(twice.apply(real)),
        first.geometry.move_mask(first.geometry.valid(real)) * first.geometry.valid(real),
    )


def test_surrogates_compose_and_one_without_is_named(real):
    chain = Chain(steps=(BLUR, Flip(), JPEG))
    assert torch.equal(
        chain.surrogate(real), JPEG.surrogate(Flip().surrogate(BLUR.surrogate(real)))
    )
    with pytest.raises(UserError, match="median-blur has no differentiable form"):
        Chain(steps=(BLUR, MedianBlur(size=3))).surrogate(real)

import pytest
from pydantic import ValidationError

from brittle.declaration.primary import Margins, Primary


def test_the_defaults_are_the_conventions():
    primary = Primary()
    assert primary.metric == "perceptual"
    assert primary.transforms == tuple(f"jpeg:quality={q}" for q in (95, 85, 75, 65))
    assert primary.alpha == 0.025
    assert primary.margins.model_dump() == {
        "broken": 0.25,
        "survived": 0.75,
        "protected": 0.10,
        "untestable": -0.25,
        "open": -0.15,
        "closed": 0.25,
        "closed_original": 0.5,
    }


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"transforms": ()}, "1 to 4 transforms"),
        ({"transforms": tuple("abcde")}, "1 to 4 transforms, not 5"),
        ({"transforms": ("flip", "flip")}, "named twice"),
        ({"arms": ("a", "a")}, "named twice"),
        ({"transforms": ("none", "flip")}, "name it alone"),
        ({"alpha": 0.0}, "greater than 0"),
        ({"metrics": "psnr"}, "Extra inputs"),
        ({"margins": {"broken": 0.8}}, "below survived"),
    ],
)
def test_what_cannot_be_declared_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Primary(**fields)


def test_a_declaration_comes_back_from_plain_data():
    primary = Primary(arms=("a",), margins=Margins(broken=0.1))
    assert Primary.model_validate(primary.model_dump()) == primary

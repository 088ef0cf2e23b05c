"""What `brittle list` prints: every member of a family once, below its purpose."""

import pytest

import brittle
from brittle.catalogue import FAMILIES, GROUPS
from brittle.component import registry


def lines(family):
    """Groups and members, which stand at the margin."""
    said = brittle.describe(family).split("\n")
    return [line for line in said if line and not line.startswith((" ", "--epsilon"))]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_is_listed_once(family):
    known, said = registry(FAMILIES[family].family), lines(family)
    titles = [*(group.title for group in GROUPS[family]), "Others"]
    names = [line for line in said if line.partition(".")[0] not in titles]
    assert sorted(names) == sorted(known.names())
    # What other tests registered stands in no group; what brittle brings does.
    others = said[said.index("Others.") + 1 :] if "Others." in said else []
    modules = [known.resolve(name)[0].__module__ for name in others]
    assert not [module for module in modules if module.startswith("brittle.")]


def test_a_group_begins_with_what_to_take_and_with_what_has_advice():
    said = lines("protections")
    assert said[0] == (
        "Against editing, through the image encoder. Start with encoder-away-jpeg and --epsilon "
        "mild."
    )
    encoder = said[1 : said.index(next(line for line in said if "the denoiser" in line))]
    assert encoder.index("encoder-away-jpeg") < encoder.index("encoder")

"""The model that the page works with."""

from functools import cache

import brittle


@cache
def embedded() -> brittle.EditModel:
    """The embedded model, whose weights stay in memory from one piece of work to the next."""
    return brittle.load_model()

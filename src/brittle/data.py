"""Plain data that is checked: what a trial declares, what it records, and what was found."""

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """The base of all such parts: frozen, no unknown keys, no infinities; docstrings describe."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

"""Does the protection of a photo against diffusion editing survive what happens in the world?

>>> import brittle
>>> model = brittle.load_model("embedded")                               # doctest: +SKIP
>>> protected = brittle.protect(image, "photoguard-encoder", model=model)   # doctest: +SKIP
>>> received = brittle.transform(protected, "jpeg:quality=65")           # doctest: +SKIP
>>> edited = brittle.edit(received, "heavy rain", model=model)           # doctest: +SKIP

Images are float32 tensors (N, 3, H, W), sRGB in [0, 1].
"""

from typing import TYPE_CHECKING

from brittle.errors import Unavailable, UserError
from brittle.version import VERSION

if TYPE_CHECKING:
    from brittle.api import audit, edit, load_model, protect, run_trial, transform

__version__ = VERSION
__all__ = [
    "Unavailable",
    "UserError",
    "audit",
    "edit",
    "load_model",
    "protect",
    "run_trial",
    "transform",
]


def __getattr__(name: str) -> object:
    # torch takes seconds to import: `brittle --help` must not wait for it.
    if name in __all__:
        from brittle import api

        return getattr(api, name)
    raise AttributeError(f"module 'brittle' has no attribute {name!r}")

"""Does the protection of a photo against diffusion editing survive what happens in the world?

>>> from brittle.images import read_photo
>>> photo = read_photo("me.png").image
>>> model = brittle.load_model("embedded")
>>> protected = brittle.protect(photo, "photoguard-encoder:steps=2", model=model)
>>> received = brittle.transform(protected, "jpeg:quality=65")
>>> edited = brittle.edit(received, "heavy rain", editor="img2img:strength=0.1", model=model)

Images are float32 tensors (N, 3, H, W), sRGB in [0, 1]. `brittle.api` says what there is.
"""

from typing import TYPE_CHECKING

from brittle.errors import Unavailable, UserError
from brittle.version import VERSION

if TYPE_CHECKING:
    from brittle.api import *  # noqa: F403

__version__ = VERSION
__all__ = [  # noqa: F405
    "Batch",
    "Cluster",
    "Destination",
    "EditModel",
    "Report",
    "Trial",
    "Unavailable",
    "UserError",
    "audit",
    "bench",
    "bench_cost",
    "bench_photos",
    "calibrate",
    "check",
    "compare",
    "demo",
    "describe",
    "dry_run",
    "edit",
    "edit_files",
    "export",
    "fetch_models",
    "leaderboard",
    "load_model",
    "load_plugin",
    "load_trial",
    "mimic",
    "placebo_files",
    "prepare_edits",
    "protect",
    "protect_files",
    "report",
    "run_trial",
    "score",
    "transform",
    "transform_files",
    "verify",
    "visibility",
    "visibility_files",
]


def __getattr__(name: str) -> object:
    # torch takes seconds to import: `brittle --help` must not wait for it.
    if name in __all__:
        from brittle import api

        return getattr(api, name)
    raise AttributeError(f"module 'brittle' has no attribute {name!r}")

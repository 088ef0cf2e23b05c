"""The one place where the libraries' chatter is silenced."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("diffusers.utils.logging", "transformers.utils.logging")
"""What draws progress bars, once it is imported: seconds that are saved where nobody needs it."""


@contextmanager
def silence() -> Iterator[None]:
    """Silence foreign warnings, log lines and progress bars inside the block; errors still raise.

    They are about things that brittle decides itself: the autoencoder's type, a missing
    accelerate or torchvision, the safety checker, deprecated arguments.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        libraries = [sys.modules[name] for name in LIBRARIES if name in sys.modules]
        with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
        for library in with_bars:
            library.disable_progress_bar()
        try:
            yield
        finally:
            logging.disable(level)
            for library in with_bars:
                library.enable_progress_bar()

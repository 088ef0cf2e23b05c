"""The one place where the libraries' chatter is silenced."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence foreign warnings, log lines and progress bars inside the block; errors still raise.

    They are about things that brittle decides itself: the autoencoder's type, a missing
    accelerate or torchvision, the safety checker, deprecated arguments.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        libraries = (of_diffusers, of_transformers)
        with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
        for library in with_bars:
            library.disable_progress_bar()
        try:
            yield
        finally:
            logging.disable(level)
            for library in with_bars:
                library.enable_progress_bar()

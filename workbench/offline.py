"""While local files load: keep libraries from asking a model hub, and from talking."""

import contextlib
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """No look-ups on a model hub inside: local folders need none, and without a network each would retry for long."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence libraries that print while they load."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield

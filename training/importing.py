"""Import large libraries without looking for garbage meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import libraries in this block, of whose objects none will ever be garbage.

    Python looks for garbage after every few hundred new objects. Torch, transformers and MLflow make a
    million that stay, and going through them again and again takes a quarter of the time of their imports.
    What exists at the end of the block is not looked at again, so a process enters such a block a few times
    at most, and early.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

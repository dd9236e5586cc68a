"""Leave the cluster while something else is done that does not need it."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager


@contextmanager
def leaving(cluster: ExitStack) -> Iterator[None]:
    """Close `cluster` in a thread while the block runs, and wait for it at the end of the block.

    Ray's farewell is more than a second of waiting. Ray ends the whole process, at once and without a word,
    when one of its references is freed after it is shut down. So nothing that exists by now is collected as
    garbage any more.

    Raises:
        Exception: What closing it raised; if the block raised, too, that is its context.
    """
    gc.freeze()
    with ThreadPoolExecutor(1) as aside:
        closing = aside.submit(cluster.close)
        try:
            yield
        finally:
            closing.result()

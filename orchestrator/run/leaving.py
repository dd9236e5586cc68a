"""Leave the cluster while something else is done that does not need it."""

import gc
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from threading import Thread

INTERRUPTED_S = 10.0  # how long an interrupted sweep waits; whoever interrupted it may kill it soon


@contextmanager
def leaving(cluster: ExitStack) -> Iterator[None]:
    """Close `cluster` in a thread while the block runs, and wait for it at the end of the block.

    Ray's farewell is more than a second of waiting. Ray ends the whole process, at once and without a word,
    when one of its references is freed after it is shut down. So nothing that exists by now is collected as
    garbage any more. A signal may have ended Ray's own processes, too, for which its farewell waits a minute:
    an interrupted block waits less.

    Raises:
        Exception: What closing it raised; if the block raised, too, that is its context.
    """
    gc.freeze()
    left: Future[None] = Future()
    Thread(target=_close, args=(cluster, left), name="leaving", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        wait([left], INTERRUPTED_S)
        raise
    except Exception:
        left.result()
        raise
    left.result()


def _close(cluster: ExitStack, left: Future[None]) -> None:
    try:
        cluster.close()
    except BaseException as error:  # for whoever waits
        left.set_exception(error)
    else:
        left.set_result(None)

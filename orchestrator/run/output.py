"""Where a worker's output goes while it trains a cell."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Append everything that this process prints, compiled libraries included, to a log file.

    Each worker other than the first has its own file beside it, `<log>.rank<number>.log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    rank = os.environ.get("RANK", "0")
    path = log if rank == "0" else log.with_suffix(f".rank{rank}.log")
    sys.stdout.flush()
    sys.stderr.flush()
    originals = [os.dup(1), os.dup(2)]
    with path.open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in enumerate(originals, start=1):
            os.dup2(original, descriptor)
            os.close(original)

"""A cluster that starts and ends while other things happen: the rendering of pairs, and the report."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class EarlyCluster:
    """A connection to Ray (`orchestrator.run.cluster`) that a thread of its own makes and ends.

    A block with it is left once the connection has ended, if it was made.

    Args:
        verbose: Whether to print Ray's and the workers' output.
    """

    def __init__(self, verbose: bool = False):
        self._verbose = verbose
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray")
        self._connection = ExitStack()
        self._connected: Future[None] | None = None
        self._ended: Future[None] | None = None

    def begin(self) -> None:
        """Begin to connect, without waiting."""
        self._connected = self._thread.submit(self._connect)

    def wait(self) -> None:
        """Return once Ray can be used; connect now, if `begin` was not called.

        Raises:
            StudyError: RAY_ADDRESS names a job server, or Ray does not start here in time.
        """
        if not self._connected:
            self.begin()
        assert self._connected
        self._connected.result()

    def end(self) -> None:
        """Begin to stop what is left of the lanes and to leave the cluster; from now on Ray is not used."""
        self._ended = self._thread.submit(self._connection.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._ended:
            self.end()
        assert self._ended
        self._thread.shutdown()
        self._ended.result()

    def _connect(self) -> None:
        from orchestrator.run.cluster import cluster  # imports ray, which takes a second

        self._connection.enter_context(cluster(self._verbose))

"""A breaker: where a study's first cells all fail alike, the others would too, so they are not tried."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from orchestrator.run.messages import Failure
from orchestrator.study.trial import Trial
from stats.text import plural

ENOUGH_FAILURES = 4


@dataclass
class Breaker:
    """Stops a sweep whose first cells all fail alike while none finishes.

    It trips at the `ENOUGH_FAILURES`-th failure of one kind, or later: once each lane has met such a failure,
    and, if cells of several methods or splits are open, cells of two of them. A bad node among sound ones, or
    a method or split that does not work among others that do, is no reason to stop.

    Args:
        lanes: Returns the numbers of the lanes that are alive or wait for room.
        open_cells: Returns the cells that have not ended.

    Attributes:
        reason: Why the sweep has to stop; empty while it may go on.
    """

    lanes: Callable[[], Collection[int]]
    open_cells: Callable[[], Collection[Trial]]
    reason: str = ""
    _has_finished: bool = False
    _failures: list[tuple[Trial, Failure]] = field(default_factory=list)

    def finished(self) -> None:
        """Note that a cell has finished: from now on, nothing stops the sweep."""
        self._has_finished = True
        self._failures.clear()

    def failed(self, trial: Trial, failure: Failure) -> None:
        """Note a failed attempt at a cell."""
        if self._has_finished or not failure.kind or self.reason:
            return
        self._failures.append((trial, failure))
        alike = [(cell, other) for cell, other in self._failures if other.kind == failure.kind]
        cells = {cell.trial_id: cell for cell, _ in alike}.values()
        if (
            len(alike) >= ENOUGH_FAILURES
            and len(cells) > 1
            and set(self.lanes()) <= {other.lane for _, other in alike}
            and self._are_varied(cells)
        ):
            self.reason = _describe(alike)

    def _are_varied(self, cells: Collection[Trial]) -> bool:
        """Return whether cells are of two methods and of two splits, as far as such cells are open.

        Baseline cells, which are the shortest and come last, do not count as those of another split.
        """
        open_cells = self.open_cells()
        return all(
            len(tried) >= min(2, len(tried | untried))
            for tried, untried in (
                ({cell.method for cell in cells}, {cell.method for cell in open_cells}),
                ({cell.split for cell in cells}, {cell.split for cell in open_cells if cell.groups}),
            )
        )


def _describe(alike: list[tuple[Trial, Failure]]) -> str:
    cells = {cell.trial_id: cell for cell, _ in alike}.values()
    shared = {
        "method": {cell.method for cell in cells},
        "split": {cell.split for cell in cells},
        "seed": {str(cell.seed) for cell in cells},
        "node": {failure.node for _, failure in alike},
    }
    common = [f"{name} {value}" for name, values in shared.items() if len(values) == 1 for value in values]
    return (
        f"the first {plural(len(cells), 'cell')} all failed alike, in {plural(len(alike), 'attempt')}, and "
        f"none finished: {alike[-1][1]}; in common: {', '.join(common) or 'no method, split, seed or node'}; "
        "fix the cause and give the same command again; the other attempts are unspent"
    )

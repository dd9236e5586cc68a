"""A Ray Tune searcher that turns the cells of an agenda into trials."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from orchestrator.plan.agenda import Agenda
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial


class CellSearcher(Searcher):  # type: ignore[misc]
    """Suggests the agenda's cells, as `{"cell": trial_id}`, while there is room.

    A searcher need not learn the result of a cell: the callback gives it to the agenda once it is in the
    record, where another driver finds it. The only thing to save is therefore which cells are under way.

    Args:
        shapes: The shape of each method's cells.
        capacity: Returns how many cells of a shape may be under way at the same time.
        has_stopped: Returns whether no further cell should be handed out.
        before: What is called before each suggestion. Tune asks for one while it waits, too, so that a cell
            whose models are being uploaded can end although no trial runs.
    """

    def __init__(
        self,
        agenda: Agenda,
        shapes: Mapping[str, Shape],
        capacity: Callable[[Shape], int],
        has_stopped: Callable[[], bool] = lambda: False,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._before = before
        self._has_stopped = has_stopped
        self._agenda, self._shapes, self._capacity = agenda, shapes, capacity
        self._under_way: dict[str, Trial] = {}  # by Tune's own trial id

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune keeps its searcher for a restore, but a sweep resumes from the record."""
        return {}

    # Tune sets the names of the parameters: `trial_id` is its own trial id, not a cell's.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._before()
        finished: str = Searcher.FINISHED
        if self._has_stopped():
            return finished
        counts = Counter(self._shapes[trial.method] for trial in self._under_way.values())
        free = {method for method, shape in self._shapes.items() if counts[shape] < self._capacity(shape)}
        # Tune asks many times per second, mostly while there is no room.
        trial = self._agenda.next(lambda trial: trial.method in free) if free else None
        if trial:
            self._under_way[trial_id] = trial
            return {"cell": trial.trial_id}
        return None if self._agenda.open else finished

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._under_way.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        cells = {tune_id: trial.trial_id for tune_id, trial in self._under_way.items()}
        Path(checkpoint_path).write_text(json.dumps(cells))

    def restore(self, checkpoint_path: str) -> None:
        """Hand out again the cells that were under way, and no others."""
        cells: dict[str, str] = json.loads(Path(checkpoint_path).read_text())
        for tune_id, cell in cells.items():

            def is_cell(trial: Trial, cell: str = cell) -> bool:
                return trial.trial_id == cell

            if trial := self._agenda.next(is_cell):
                self._under_way[tune_id] = trial

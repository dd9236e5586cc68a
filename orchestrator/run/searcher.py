"""Ray Tune's side of an agenda: which cell becomes the next trial."""

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

    `shapes`: of each method's cells; `room(shape)`: how many cells of it may be under way at once. What a
    cell came to is no business of a searcher: the recorder tells the agenda once it is in the record, where
    another driver finds it, so that all there is to save is which cells are under way.
    """

    def __init__(self, agenda: Agenda, shapes: Mapping[str, Shape], room: Callable[[Shape], int]) -> None:
        super().__init__()
        self._agenda, self._shapes, self._room = agenda, shapes, room
        self._running: dict[str, Trial] = {}  # by Tune's trial id

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: a Tuner keeps itself for a restore, and a sweep makes its searcher from the record."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        held = Counter(self._shapes[trial.method] for trial in self._running.values())
        free = {method for method, shape in self._shapes.items() if held[shape] < self._room(shape)}
        # Tune asks many times a second, mostly while there is no room.
        trial = self._agenda.next(lambda trial: trial.method in free) if free else None
        if trial:
            self._running[trial_id] = trial
            return {"cell": trial.trial_id}
        finished: str = Searcher.FINISHED
        return None if self._agenda.open else finished

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._running.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        cells = {trial_id: trial.trial_id for trial_id, trial in self._running.items()}
        Path(checkpoint_path).write_text(json.dumps(cells))

    def restore(self, checkpoint_path: str) -> None:
        """Take the cells that were under way, and none of the others that fit, as handed out again."""
        cells: dict[str, str] = json.loads(Path(checkpoint_path).read_text())
        for tune_id, cell in cells.items():

            def same(trial: Trial, cell: str = cell) -> bool:
                return trial.trial_id == cell

            if trial := self._agenda.next(same):
                self._running[tune_id] = trial

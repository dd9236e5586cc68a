"""How long the cells of a study are expected to take a lane."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from orchestrator.plan.progress import steps_in_all
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial


@dataclass(frozen=True)
class LanePace:
    """How fast lanes of each shape train.

    Attributes:
        seconds_per_step: Shape -> seconds of a lane per optimiser step of a cell, all that a cell needs
            besides its steps included; the median of its finished cells.
        finished: How many finished cells that is taken from.
    """

    seconds_per_step: Mapping[Shape, float]
    finished: int = 0

    @classmethod
    def of(
        cls, trials: Iterable[Trial], shapes: Mapping[str, Shape], cell_seconds: Mapping[str, float]
    ) -> "LanePace":
        """Read the pace from finished cells.

        Args:
            trials: The study's cells.
            shapes: Method -> the shape of its cells.
            cell_seconds: trial_id -> seconds that lanes spent on a finished cell; of a lane that trained
                several cells at once, the cell's part.
        """
        paces: defaultdict[Shape, list[float]] = defaultdict(list)
        for trial in trials:
            if trial.trial_id in cell_seconds:
                paces[shapes[trial.method]].append(cell_seconds[trial.trial_id] / steps_in_all(trial))
        return cls({shape: median(found) for shape, found in paces.items()}, sum(map(len, paces.values())))

    def lane_time(self, trial: Trial, shape: Shape) -> float:
        """Return how long a cell takes a lane of a shape: seconds, or steps while no cell has ended.

        A shape without a finished cell is taken to be as fast as the median of the others. Steps that are
        made side by side count as one.
        """
        steps = steps_in_all(trial)
        if not self.seconds_per_step:
            return steps / shape.cells_at_once
        known = self.seconds_per_step
        return steps * (known[shape] if shape in known else median(known.values()))

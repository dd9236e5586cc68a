"""How the newest sweep of a study ended, for those who watch it from elsewhere: a tag of the experiment."""

import json
from dataclasses import asdict, dataclass

from orchestrator.record.experiment import Experiment

TAG = "sweep_ended"


@dataclass(frozen=True)
class Ending:
    """The exit code of a sweep's process, and one line that says why it ended."""

    code: int
    text: str


class Endings:
    """How the newest sweep of a study ended; nothing is known while one runs, or after one was killed."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def last(self) -> Ending | None:
        """Return how the newest sweep ended; None if it has not, or could not note it."""
        text = self._experiment.client.get_experiment(self._experiment.id).tags.get(TAG)
        return Ending(**json.loads(text)) if text else None

    def note(self, ending: Ending) -> None:
        """Note how this sweep ends. The store is asked once: it may be what ends the sweep."""
        client = self._experiment.client.impatient()
        client.set_experiment_tag(self._experiment.id, TAG, json.dumps(asdict(ending)))

    def forget(self) -> None:
        """Remove what is known of an earlier sweep."""
        if self.last():
            self._experiment.client.delete_experiment_tag(self._experiment.id, TAG)

"""How the pairs of a study were rendered: the hash of their token ids, and what was dropped or unusual."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.record.experiment import Experiment

if TYPE_CHECKING:
    from training.rendering import Rendered

TAG = "rendered."


@dataclass(frozen=True)
class RecordedRendering:
    """What a record knows about rendered pairs; `training.rendering.Rendered` describes the values.

    `dropped` counts the pairs that are missing, by reason.
    """

    tokens: str
    pairs: int
    dropped: Mapping[str, int]
    noted: Mapping[str, int]
    written_on: str | None
    random: bool

    @property
    def holds_today(self) -> bool:
        """Whether rendering the pairs today gives the same token ids, as far as the date decides."""
        return self.written_on in (None, datetime.date.today().isoformat())


class Renderings:
    """The ways in which a study's pairs were rendered, in tags of its experiment, by `grid.rendering_key`."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def add(self, key: str, rendered: "Rendered") -> RecordedRendering:
        """Keep how the pairs were rendered; an earlier entry with the same key is replaced."""
        entry = RecordedRendering(
            tokens=rendered.tokens,
            pairs=rendered.pairs,
            dropped={reason: len(ids) for reason, ids in rendered.dropped.items()},
            noted=rendered.noted,
            written_on=rendered.written_on,
            random=rendered.random,
        )
        text = json.dumps(asdict(entry), sort_keys=True)
        self._experiment.client.set_experiment_tag(self._experiment.id, TAG + key, text)
        return entry

    def get(self, key: str) -> RecordedRendering | None:
        """Return how the pairs were last rendered; None if nobody has rendered them this way."""
        text = self._experiment.client.get_experiment(self._experiment.id).tags.get(TAG + key)
        return RecordedRendering(**json.loads(text)) if text else None

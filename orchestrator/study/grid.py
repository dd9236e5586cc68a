"""The declared grid of a study: pure, so that what is missing can always be named."""

from collections.abc import Iterable

from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.names import BASELINE
from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.model import fingerprint as model_fingerprint


def expand(study: Study) -> list[Trial]:
    """All cells: each method's baseline and splits, for each of its seeds, in the study's order; none of a
    method whose published numbers are taken.

    Raises:
        StudyError: two names for the same cell (the same trial_id), which would be trained twice.
    """
    data = data_fingerprint(study.data)
    model = model_fingerprint(study.model, study.data)
    trials = [
        Trial(
            study=study.study,
            method=method,
            split=split,
            seed=seed,
            model=model,
            data=data,
            held_out=study.held_out.model_dump(mode="json"),
            groups=groups,
            objective=study.methods[method].objective,
            training=study.training,
        )
        for method in study.methods
        if method not in study.published
        for seed in study.seeds_of(method)
        for split, groups in [(BASELINE, None), *study.grid_splits.items()]
    ]
    _refuse_twins(trials)
    return trials


def _refuse_twins(trials: Iterable[Trial]) -> None:
    seen: dict[str, Trial] = {}
    for trial in trials:
        other = seen.setdefault(trial.trial_id, trial)
        if other is not trial:
            raise StudyError(
                f"{trial.name} and {other.name} are the same cell under two names; take one out of the study"
            )

"""The declared grid of a study. It depends on the study alone, so a missing cell can always be named."""

from collections.abc import Iterable

from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.names import BASELINE
from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.model_path import fingerprint as model_fingerprint


def expand(study: Study) -> list[Trial]:
    """Return all cells in the study's order: per method and seed, the baseline and every split.

    A method whose published numbers are used has no cells.

    Raises:
        StudyError: Two names stand for the same cell (the same trial_id), which would be trained twice.
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
    _refuse_duplicates(trials)
    return trials


def _refuse_duplicates(trials: Iterable[Trial]) -> None:
    first_by_id: dict[str, Trial] = {}
    for trial in trials:
        first = first_by_id.setdefault(trial.trial_id, trial)
        if first is not trial:
            raise StudyError(
                f"{trial.name} and {first.name} are the same cell under two names; remove one from the study"
            )

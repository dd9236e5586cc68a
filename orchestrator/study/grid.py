"""The declared grid of a study. It depends on the study alone, so a missing cell can always be named."""

import hashlib
from collections.abc import Iterable

from orchestrator.study.canonical import canonical
from orchestrator.study.study import Study
from orchestrator.study.trial import NOT_RENDERED, Trial
from stats.names import BASELINE
from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.model_path import fingerprint as model_fingerprint
from training.model_path import weights_fingerprint


def expand(study: Study, tokens: str = NOT_RENDERED) -> list[Trial]:
    """Return all cells in the study's order: per method and seed, the baseline and every split.

    A method whose published numbers are used has no cells.

    Args:
        study: The study.
        tokens: The hash of the token ids that its pairs are rendered as (`training.rendering`).

    Raises:
        StudyError: Two names stand for the same cell (the same trial_id), which would be trained twice.
    """
    data = data_fingerprint(study.data)
    rendering = {
        name: getattr(study, name).model_dump(mode="json", exclude_defaults=True)
        for name in ("checks", "prompt")
    }
    model = weights_fingerprint(study.model, study.data)
    trials = [
        Trial(
            study=study.study,
            method=method,
            split=split,
            seed=seed,
            model=model,
            data=data,
            tokens=tokens,
            rendering=rendering,
            held_out=study.held_out.model_dump(mode="json"),
            groups=groups,
            objective=study.methods[method].objective,
            training=study.training_of(method),
            lora=study.model.lora,
        )
        for method in study.methods
        if method not in study.published
        for seed in study.seeds_of(method)
        for split, groups in [(BASELINE, None), *study.grid_splits.items()]
        if seed in study.seeds_of(method, split)
    ]
    _refuse_duplicates(trials)
    return trials


def rendering_key(study: Study) -> str:
    """Return a hash of everything in a study file that decides how its pairs are rendered.

    A template may also write the date, which is not part of it.
    """
    settings = {
        "data": data_fingerprint(study.data),
        "model": model_fingerprint(study.model, study.data),
        "max_length": study.training.max_length,
        "truncation": study.training.truncation,
        "checks": study.checks.model_dump(mode="json"),
        "prompt": study.prompt.model_dump(mode="json"),
    }
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:16]


def _refuse_duplicates(trials: Iterable[Trial]) -> None:
    first_by_id: dict[str, Trial] = {}
    for trial in trials:
        first = first_by_id.setdefault(trial.trial_id, trial)
        if first is not trial:
            raise StudyError(
                f"{trial.name} and {first.name} are the same cell under two names; remove one from the study"
            )

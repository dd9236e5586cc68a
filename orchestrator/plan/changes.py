"""Which changes of a study file make finished cells count no longer."""

from collections import Counter
from collections.abc import Sequence

from orchestrator.record.finished_cell import FinishedCell
from orchestrator.study.trial import Trial
from stats.text import plural

ABSENT = "(absent)"


def changes(orphans: Sequence[FinishedCell], open_trials: Sequence[Trial]) -> list[str]:
    """Say what made finished cells count no longer, one line per change, the most cells first.

    A finished cell counts no longer if the grid has another cell with its method, split and seed, which is
    open. Of several such cells, the newest is compared.

    Args:
        orphans: Finished cells of the record that are not in the study's grid, the newest first.
        open_trials: The study's cells that are not finished.
    """
    newest: dict[tuple[str, str, int], FinishedCell] = {}
    for cell in orphans:
        newest.setdefault(cell.place, cell)
    counts: Counter[str] = Counter()
    for trial in open_trials:
        if before := newest.get((trial.method, trial.split, trial.seed)):
            counts[_difference(before, trial)] += 1
    return [
        f"{difference}: {plural(count, 'finished cell')} no longer {'counts' if count == 1 else 'count'}"
        for difference, count in counts.most_common()
    ]


def _difference(before: FinishedCell, trial: Trial) -> str:
    """Return the keys of the study file whose values differ, with the old and the new value of each."""
    now = trial.dotted_identity
    keys = [key for key in {**before.identity, **now} if before.identity.get(key) != now.get(key)]
    if keys != ["tokens"]:  # other token ids follow from the other keys
        keys = [key for key in keys if key != "tokens"]
    return ", ".join(
        f"{_study_key(key, trial)} {before.identity.get(key, ABSENT)} -> {now.get(key, ABSENT)}"
        for key in sorted(keys)
    )


def _study_key(key: str, trial: Trial) -> str:
    """Return what a key of the identity is called in the study file."""
    block, dot, rest = key.partition(".")
    names = {
        "groups": f"splits.{trial.split}",
        "objective": f"methods.{trial.method}",
        "recipe": "the training code's recipe",
        "tokens": "the token ids of the pairs",
        "data": "data (fingerprint)",
        "model": "model (fingerprint)",
        "lora": "model.lora",
    }
    return names.get(block, block) + dot + rest

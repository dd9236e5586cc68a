"""Some of a study's cells, chosen by globs over their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from orchestrator.study.trial import Trial
from training.errors import StudyError


@dataclass(frozen=True)
class Selection:
    """The cells whose name, method/split/seed, matches one of the globs, such as `wpo/S4_safety/*`.

    Attributes:
        globs: Patterns of `fnmatch`: `*` also matches slashes, so `wpo/*` is every cell of wpo.
        flag: The flag that gave them, for messages.
    """

    globs: tuple[str, ...]
    flag: str

    def __contains__(self, trial: Trial) -> bool:
        return any(fnmatchcase(trial.name, glob) for glob in self.globs)

    def __str__(self) -> str:
        return f"{self.flag} {' '.join(self.globs)}"

    def of(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the chosen ones of these cells, in their order."""
        return [trial for trial in trials if trial in self]


def selection(globs: Sequence[str], trials: Sequence[Trial], flag: str = "--only") -> Selection | None:
    """Return the cells that the globs choose; None if there are no globs, which chooses nothing apart.

    Raises:
        StudyError: A glob matches no cell of the study.
    """
    for glob in globs:
        if not Selection((glob,), flag).of(trials):
            close = get_close_matches(glob, [trial.name for trial in trials], n=1)
            example = f"did you mean {close[0]}?" if close else f"names are like {trials[-1].name}"
            raise StudyError(f"{flag} {glob}: matches no cell of the study; {example}")
    return Selection(tuple(globs), flag) if globs else None

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
        return self.matches(trial.name)

    def matches(self, name: str) -> bool:
        """Return whether a cell with this name, method/split/seed, is chosen."""
        return any(fnmatchcase(name, glob) for glob in self.globs)

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
    refuse_unmatched(globs, [trial.name for trial in trials], flag)
    return Selection(tuple(globs), flag) if globs else None


def refuse_unmatched(globs: Sequence[str], names: Sequence[str], flag: str = "--only") -> None:
    """Raise StudyError if a glob matches none of the names."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            close = get_close_matches(glob, names, n=1)
            example = f"did you mean {close[0]}?" if close else f"names are like {names[-1]}"
            raise StudyError(f"{flag} {glob}: matches no cell of the study; {example}")


def whole_splits(globs: Sequence[str], names: Sequence[str], flag: str = "--only") -> set[tuple[str, str]]:
    """Return the (method, split) whose cells the globs choose.

    A verdict is of all seeds of a method and split, so globs that choose some of them are refused: a report
    of the seeds that please would look surer than the study is.

    Args:
        globs: As of `Selection`.
        names: The names, method/split/seed, of all cells that the study has.

    Raises:
        StudyError: A glob matches no cell, or one matches some seeds of a split and leaves others out.
    """
    refuse_unmatched(globs, names, flag)
    chosen = Selection(tuple(globs), flag)
    shown: set[tuple[str, str]] = set()
    left_out: set[tuple[str, str]] = set()
    for name in names:
        method, split, _ = name.split("/")
        (shown if chosen.matches(name) else left_out).add((method, split))
    if partly := sorted(shown & left_out):
        method, split = partly[0]
        raise StudyError(
            f"{flag} {' '.join(globs)}: leaves out seeds of {method}/{split}, and a report judges a split by "
            f"all of its seeds; choose '{method}/{split}/*'"
        )
    return shown

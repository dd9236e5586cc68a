"""Which cells were made by other code or library versions than this process has.

A cell's identity cannot hold its code, so code is recorded and compared. The tag `source_sha256` of a run is
the hash of all source files; the study's run keeps the list of files behind each such hash, so that only
files that can change a cell's numbers count, and the differing ones can be named.
"""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run

from orchestrator.record.provenance import SOURCE_TAG, code_and_libraries, source_files
from orchestrator.record.result import values_of_arms
from orchestrator.record.study_run import StudyRun
from stats.text import plural

FOLDER = "code"
VERSION_TAG = "version."  # followed by the library's name
# Where the code is that can change a cell's numbers.
MAKES_NUMBERS = ("training/", "orchestrator/run/worker.py")
FILES_SHOWN = 3


@dataclass(frozen=True)
class OtherOrigin:
    """Finished cells that something else made than this process would use.

    Attributes:
        cells: How many cells.
        what: `code`, or the name of a library.
        before: What made them: a commit, or a version.
        now: What this process has.
        files: The source files that differ; none for a library, or if they are not known.
    """

    cells: int
    what: str
    before: str
    now: str
    files: tuple[str, ...] = ()

    @property
    def shown_files(self) -> str:
        """The differing files, as far as there is room for them."""
        more = f" and {len(self.files) - FILES_SHOWN} more" if len(self.files) > FILES_SHOWN else ""
        return ", ".join(self.files[:FILES_SHOWN]) + more or "not known"

    def __str__(self) -> str:
        made = f"{plural(self.cells, 'cell')} {'was' if self.cells == 1 else 'were'} made"
        if self.what == "code":
            return f"{made} by other code (since commit {self.before}; files: {self.shown_files})"
        return f"{made} with {self.what} {self.before}, which is {self.now} now"


class Origins:
    """The code behind the cells of a study."""

    def __init__(self, study_run: StudyRun) -> None:
        self._study_run = study_run

    def keep_code(self) -> None:
        """Keep the list of this process's source files, unless the study's run has it already."""
        file, text = f"{code_and_libraries()[SOURCE_TAG]}.json", json.dumps(source_files(), indent=1)
        if self._study_run.read(FOLDER, file) != text:
            with tempfile.TemporaryDirectory() as scratch:
                (Path(scratch) / file).write_text(text)
                self._study_run.publish(Path(scratch), FOLDER, {})

    def others(self, runs: Iterable[Run]) -> list[OtherOrigin]:
        """Return what made the cells of these runs, where it differs from what this process has."""
        now = code_and_libraries()
        commits: dict[str, str] = {}
        cells: defaultdict[str, Counter[str]] = defaultdict(Counter)  # tag -> value -> number of cells
        for run in runs:
            tags = run.data.tags
            for tag in (tag for tag in now if tag == SOURCE_TAG or tag.startswith(VERSION_TAG)):
                for value in values_of_arms(tags.get(tag, "unknown")):
                    cells[tag][value] += value != now[tag]
            commits.setdefault(tags.get(SOURCE_TAG, "unknown"), _short(tags.get("git_sha", "unknown")))
        others = []
        for tag, counts in cells.items():
            for value, count in (+counts).items():
                if tag != SOURCE_TAG:
                    others.append(OtherOrigin(count, tag.removeprefix(VERSION_TAG), value, now[tag]))
                    continue
                files = self._differing_files(value)
                if files is None or files:
                    commit = commits.get(value, "unknown")
                    others.append(OtherOrigin(count, "code", commit, "", tuple(files or ())))
        return others

    def _differing_files(self, source: str) -> list[str] | None:
        """Return the files that can change numbers and differ from those of `source`; None if not known."""
        text = self._study_run.read(FOLDER, f"{source}.json")
        if not text:
            return None
        before: Mapping[str, str] = json.loads(text)
        now = source_files()
        return [
            path
            for path in sorted({*before, *now})
            if path.startswith(MAKES_NUMBERS) and before.get(path) != now.get(path)
        ]


def _short(git_sha: str) -> str:
    """Return seven digits of a commit, and whether the code had changes that are in no commit."""
    commit, plus, changes = git_sha.partition("+")
    return commit[:7] + plus + changes

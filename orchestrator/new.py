"""Write a study file from a few answers or flags."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml
from rich.prompt import Prompt

from orchestrator import cli
from orchestrator.study.files import load
from orchestrator.study.template import study_file
from training.data.files import is_local
from training.errors import StudyError
from training.spec import Checks
from training.table_data import TableData

if TYPE_CHECKING:
    from training.data.propose_splits import Proposal


@dataclass(frozen=True)
class Question:
    """Something that a new study needs. It is asked on a terminal if its flag is not given."""

    flag: str
    text: str
    default: str


QUESTIONS = (
    Question("study", "name of the study", "mine"),
    Question("data", "data: twin, a file or folder of preferences, or a hub id of PRISM's tables", "twin"),
    Question("model", "model: tiny, a folder, a .gguf file, or a hub id", "tiny"),
    Question("methods", "methods, the reference first: dpo, wpo, wpo_greedy, or any loss of TRL", "dpo,wpo"),
    Question("seeds", "seeds", "42,123,456"),
    Question("language", "language of the report: en or ko", "en"),
    Question("out", "file to write", "study.yaml"),
)


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.new") -> int:
    """Ask what no flag answers, write and check the file, and print the next command; the exit code is 0."""
    flags = cli.Flags(prog=program, description=__doc__)
    for question in QUESTIONS:
        flags.add_argument(f"--{question.flag}", help=f"{question.text} (default: {question.default})")
    flags.add_argument(
        "--splits", type=Path, help="file with a splits: block, such as one from orchestrator.predict --write"
    )
    flags.add_argument(
        "--dry-run", action="store_true", help="say what the data hold and print the file, but write nothing"
    )
    args = flags.parse_args(argv)
    answers = {question.flag: getattr(args, question.flag) or _ask(question) for question in QUESTIONS}
    out = Path(answers["out"])
    if out.exists() and not args.dry_run:
        raise StudyError(f"--out: {out} exists; give another name, or remove it")
    splits = _splits(args.splits) if args.splits else None
    data, share = None, 0.2
    if is_local(answers["data"]):
        data, proposed = _looked_at(answers["data"])
        splits = splits or proposed.splits
        share = proposed.held_out_share
    text = study_file(answers, splits, data, share)
    _check(text, out)
    if args.dry_run:
        print(text)
        return 0
    cli.write(out, text, "--out")
    print(f"{out}\nto see the plan: python -m orchestrator.sweep --config {out} --dry-run")
    return 0


def _check(text: str, out: Path) -> None:
    """Refuse a study with a mistake before it is written.

    Raises:
        StudyError: The text of the study file has a mistake; the message names the file that it is for.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            load(file)
        except StudyError as error:
            raise StudyError(str(error).replace(str(file), str(out))) from error


def _looked_at(path: str) -> "tuple[dict[str, Any], Proposal]":
    """Return the `data:` block and the splits proposed for a file or folder, and print what it holds."""
    from training.data.checks import checked  # pandas, which only this needs
    from training.data.propose import proposed
    from training.data.propose_splits import proposed_splits
    from training.data.sources import load_corpus
    from training.data.summary import summary

    block = proposed(path)
    data = TableData.model_validate(block)
    corpus = checked(load_corpus(data), Checks())  # as a sweep reads it under the defaults
    print("\n".join(summary(corpus)))
    return block, proposed_splits(data, corpus)


def _ask(question: Question) -> str:
    """Return the answer to a question, or its default if nobody sits at a terminal."""
    if not sys.stdin.isatty():
        return question.default
    return Prompt.ask(question.text, default=question.default)


def _splits(path: Path) -> dict[str, Any]:
    """Return the splits: block of a file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise StudyError(f"--splits: {path}: {error}") from error
    if not isinstance(content, dict) or not content.get("splits"):
        raise StudyError(f"--splits: {path} has no splits: block; orchestrator.predict --write makes one")
    splits: dict[str, Any] = content["splits"]
    return splits


if __name__ == "__main__":
    cli.exit_with(main)

"""What the commands share: the flags that name a study, and how a command ends."""

import argparse
import contextlib
import io
import logging
import os
import re
import select
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import yaml

from orchestrator.plan.interrupted import Interrupted
from orchestrator.record.places import home, without_passwords
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study
from training.errors import StudyError
from training.hints import suggestion

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"  # what word processors and web pages make of - and --


class Flags(argparse.ArgumentParser):
    """A parser that answers a mistake in one line, as everything else does."""

    def error(self, message: str) -> NoReturn:
        raise StudyError(f"{message.removeprefix('argument ')}; {self.prog} --help lists the flags")


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags that name a study.

    Args:
        program: The command as the user types it, for the usage line.
        description: What the command does, for its help.
    """
    flags = Flags(prog=program, description=description, allow_abbrev=False)
    flags.add_argument(
        "--config",
        type=Path,
        default=CONFIGS / "demo.yaml",
        help="study file, or the name of a shipped one (default: demo)",
    )
    flags.add_argument("--seeds", metavar="42,43", help="use these seeds for every method")
    flags.add_argument("--model", metavar="PATH", help="use this model instead of the study's")
    flags.add_argument(
        "--set", dest="overrides", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
        help="override any key of the study by its dotted path; --KEY=VALUE and KEY=VALUE alone work too",
    )  # fmt: skip
    flags.add_argument("--print-config", action="store_true", help="print the resolved study and stop")
    return flags


def add_only(flags: argparse.ArgumentParser) -> None:
    """Add the flag that chooses some of a study's cells."""
    flags.add_argument(
        "--only",
        metavar="GLOB",
        action="append",
        default=[],
        help="only cells whose name, method/split/seed, matches, such as 'wpo/S4_safety/*'; repeatable",
    )


def study_of(flags: argparse.ArgumentParser, argv: Sequence[str] | None) -> tuple[Study, argparse.Namespace]:
    """Return the checked study that a command line names, and the parsed flags.

    With `--print-config`, print the study and end the process.

    Args:
        flags: The command's parser, as `parser` returns it.
        argv: The words after the command; None takes them from `sys.argv`.

    Raises:
        StudyError: The study file or an override has a mistake.
    """
    args, other_words = flags.parse_known_args(argv)
    for word in [*other_words, *args.overrides]:
        if "=" not in word:
            raise StudyError(_neither(word, flags))
    overrides = [word.removeprefix("--") for word in [*other_words, *args.overrides]]
    if args.model:
        overrides.append(f"model.path={args.model}")
    study = load(args.config, overrides, None if args.seeds is None else _seeds(args.seeds))
    if args.print_config:
        print(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")
        sys.exit(0)
    return study, args


def _neither(word: str, flags: argparse.ArgumentParser) -> str:
    """Return the answer to a word that is neither a flag nor KEY=VALUE."""
    if word.lstrip("-")[:1] in DASHES:
        typed = f"--{word.lstrip(f'-{DASHES}')}"
        raise StudyError(f"{word}: its dash is not the one of the keyboard; did you mean {typed!r}?")
    if not word.startswith("-"):
        meant = word.replace(":", "=", 1) if ":" in word else "training.max_steps=100"
        return f"{word}: neither a flag nor KEY=VALUE, such as {meant}"
    known = re.findall(r"--[a-z-]+", flags.format_usage())
    return f"{word}: no such flag; {suggestion(word, known)}"


def _seeds(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise StudyError(f"--seeds {text!r}: not a list of seeds; write it like 42,123") from error


def write(path: Path, text: str, flag: str) -> None:
    """Write a file that a flag names, and create its folder.

    Args:
        path: The file to write.
        text: The content of the file.
        flag: The flag that names the file, for the error message.

    Raises:
        StudyError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{flag}: {path} cannot be written ({error.strerror}); name another file") from error


def answer(main: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    An interrupted sweep has the exit code that a shell gives a process ended by that signal. A user's mistake
    is printed as one line on stderr, and the exit code is 2. Its traceback goes to
    runs/errors.log. What the terminal's encoding lacks is printed as `?`. Where nobody reads the output any
    more, the exit code is that of a process ended by SIGPIPE.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return main()
    except StudyError as error:
        print(f"error: {without_passwords(str(error))}", file=sys.stderr)
        _log(error)
        return 2
    except Interrupted as interruption:
        print(f"interrupted by {interruption}; the same command goes on from here", file=sys.stderr)
        return interruption.exit_code
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return 128 + signal.SIGPIPE


def _reader_has_gone() -> bool:
    """Return whether what reads the output, such as `head`, has stopped reading."""
    pipe = select.poll()
    pipe.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in pipe.poll(0))


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run a command and end this process with its exit code."""
    code = answer(main)
    logging.shutdown()
    with contextlib.suppress(BrokenPipeError):  # the reader of a pipe may have stopped reading
        for stream in (sys.stdout, sys.stderr):
            if stream:  # None if it was closed before Python started
                stream.flush()
    # While Python shuts down, Ray's threads may outlive what they use. A complete study would then end with a
    # segmentation fault, and its caller would take it for a failed one.
    os._exit(code)


def _log(error: StudyError) -> None:
    """Append the command line and the whole traceback to runs/errors.log if it can be written."""
    with contextlib.suppress(OSError, StudyError):
        log = home() / "runs" / "errors.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="replace") as stream:
            command_line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {shlex.join(sys.argv)}\n"
            stream.write(without_passwords(command_line + "".join(traceback.format_exception(error))))

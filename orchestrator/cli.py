"""What the commands share: the study's flags, and one line instead of a traceback for a user's mistake."""

import argparse
import contextlib
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import yaml

from orchestrator.record.places import home, without_passwords
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study
from training.errors import StudyError


def parser(command: str, description: str) -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog=f"python -m orchestrator.{command}", description=description, allow_abbrev=False
    )
    flags.add_argument(
        "--config",
        type=Path,
        default=CONFIGS / "demo.yaml",
        help="study file, or the name of a shipped one (default: demo)",
    )
    flags.add_argument("--seeds", metavar="42,43", help="seeds instead of the study's")
    flags.add_argument("--model", metavar="PATH", help="model instead of the study's")
    flags.add_argument(
        "--set", dest="overrides", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
        help="override any key of the study file by its dotted path; also as KEY=VALUE alone or --KEY=VALUE",
    )  # fmt: skip
    flags.add_argument("--print-config", action="store_true", help="print the resolved study and stop")
    return flags


def study_of(flags: argparse.ArgumentParser, argv: Sequence[str] | None) -> tuple[Study, argparse.Namespace]:
    """The study that a command line names, checked, and the other arguments."""
    args, rest = flags.parse_known_args(argv)
    overrides = [word.removeprefix("--") for word in rest]
    for word in [*overrides, *args.overrides]:
        if "=" not in word:
            flags.error(f"{word!r} is neither a flag nor KEY=VALUE; see --help")
    overrides += args.overrides
    if args.seeds:
        overrides.append(f"seeds=[{args.seeds}]")
    if args.model:
        overrides.append(f"model.path={args.model}")
    study = load(args.config, overrides)
    if args.print_config:
        print(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")
        sys.exit(0)
    return study, args


def write(path: Path, text: str, flag: str) -> None:
    """Write a file that a flag names, its folder too; raises StudyError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{flag}: {path} cannot be written ({error.strerror}); name another file") from error


def answer(main: Callable[[], int]) -> int:
    """A command's exit code; a user's mistake is one line on stderr and 2, its traceback in a log."""
    try:
        return main()
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        _log(error)
        return 2


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run a command and end this process with what it answers."""
    code = answer(main)
    logging.shutdown()
    with contextlib.suppress(BrokenPipeError):  # whoever read has seen enough
        sys.stdout.flush()
    sys.stderr.flush()
    # At Python's own end Ray's threads may outlive what they use: a complete study then ends with a
    # segmentation fault, and whoever started it takes it for failed.
    os._exit(code)


def _log(error: StudyError) -> None:
    """Add the whole traceback to runs/errors.log, where that can be written."""
    log = home() / "runs" / "errors.log"
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            typed = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {shlex.join(sys.argv)}\n"
            stream.write(without_passwords(typed + "".join(traceback.format_exception(error))))

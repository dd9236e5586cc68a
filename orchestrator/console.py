"""Run preference-tuning studies, tables of (method, split, seed) cells, on Ray."""

import argparse
import ast
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator import cli
from training.hints import suggestion

PROGRAM = "preference-orchestrator"
COMMANDS = (
    "new", "predict", "groups", "seal", "sweep", "watch", "status", "report", "ui", "export", "weights",
    "doctor", "tidy", "drill", "schema",
)  # fmt: skip


def main(argv: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command that the first word names, pass it the other words, and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        command, *arguments = words
        # Only the chosen command is imported: the others need libraries that take seconds to load.
        command_main: Callable[..., int] = importlib.import_module(f"orchestrator.{command}").main
        return command_main(arguments, f"{program} {command}")
    flags = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} COMMAND ...",
        description=__doc__,
        epilog="commands:\n" + "\n".join(f"  {name:<10}{purpose(name)}" for name in COMMANDS)
        + f"\n\n{program} COMMAND --help lists the flags of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    if not words:
        flags.print_help()
        return 2
    flags.add_argument("command", metavar="COMMAND", help="one of the commands below")
    unknown = flags.parse_known_args(words)[0].command
    return flags.error(f"no command {unknown!r}; {suggestion(unknown, COMMANDS)}")


def purpose(command: str) -> str:
    """Return the first line of a command's docstring, without importing the command."""
    source = Path(__file__).with_name(f"{command}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def run() -> NoReturn:
    """Run the `preference-orchestrator` script."""
    cli.exit_with(main)

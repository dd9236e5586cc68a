"""How a command ends: with its own exit code, whatever the libraries do while the process is taken down."""

import subprocess
import sys

import pytest

COMMAND = """
import atexit, os, signal
from orchestrator.cli import exit_with
from training.errors import StudyError

atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))

def main():
    print("the study is complete")
    {end}

exit_with(main)
"""


@pytest.mark.parametrize(
    ("end", "code", "error"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise StudyError('no')", 2, "error: no\n"),
    ],
)
def test_a_crash_at_a_librarys_end_does_not_change_the_exit_code(end: str, code: int, error: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", COMMAND.format(end=end)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (code, "the study is complete\n", error)

"""Draw a sweep's live table: run the demo in a real terminal (tmux), and save its screen as SVG.

ORCHESTRATOR_HOME=... python -m bench.live_table docs/live-table.svg
"""

import argparse
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

TMUX_SESSION = "live-table"
SCREEN_COLUMNS, SCREEN_ROWS = 84, 40
HALFWAY = re.compile(r"([5-9]|1\d) of 16 cells")  # some are done, some run, some wait
SWEEP_TIMEOUT_S = 900


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of the sweep."""
    flags = argparse.ArgumentParser(prog="python -m bench.live_table", description=__doc__)
    flags.add_argument("out", type=Path, help="the SVG file to write")
    out = flags.parse_args(argv).out
    sweep = f"{sys.executable} -m orchestrator.sweep; echo exit=$?; sleep 1000"
    _tmux("new-session", "-d", "-s", TMUX_SESSION, "-x", str(SCREEN_COLUMNS), "-y", str(SCREEN_ROWS), sweep)
    try:
        screen = _wait_until(lambda page: bool(HALFWAY.search(page)) and page.count("◐") > 1)
        out.write_text(svg(screen.replace(os.environ["ORCHESTRATOR_HOME"], "~")), encoding="utf-8")
        exit_code = re.search(r"exit=(\d+)", _wait_until(lambda page: "exit=" in page))
        assert exit_code
        return int(exit_code[1])
    finally:
        _tmux("kill-server")


def svg(screen: str) -> str:
    """Return, as SVG, the live table at the end of a terminal's screen, whose colours are escape codes."""
    lines = screen.rstrip().splitlines()
    table_heads = [number for number, line in enumerate(lines) if "method" in line and "seeds" in line]
    console = Console(record=True, width=SCREEN_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines[table_heads[-1] :])))
    picture = console.export_svg(title="python -m orchestrator.sweep")
    return re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # otherwise a viewer would load fonts


def _wait_until(condition: Callable[[str], bool]) -> str:
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    while not condition(screen := _tmux("capture-pane", "-e", "-p", "-t", TMUX_SESSION)):
        assert time.monotonic() < deadline, screen
        time.sleep(0.5)
    return screen


def _tmux(*words: str) -> str:
    command = ["tmux", "-L", TMUX_SESSION, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())

"""A picture of a sweep's live table: the demo runs in a real terminal (tmux), whose screen is kept as SVG:
ORCHESTRATOR_HOME=... python -m bench.live_table docs/live-table.svg.
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

SESSION = "live-table"
COLUMNS, ROWS = 84, 40
SEEN = re.compile(r"([5-9]|1\d) of 16 cells")  # some are done, some run, some wait
WAIT_S = 900


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: that of the sweep."""
    flags = argparse.ArgumentParser(prog="python -m bench.live_table", description=__doc__)
    flags.add_argument("out", type=Path)
    out = flags.parse_args(argv).out
    sweep = f"{sys.executable} -m orchestrator.sweep; echo exit=$?; sleep 1000"
    _tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(ROWS), sweep)
    try:
        screen = _until(lambda page: bool(SEEN.search(page)) and page.count("◐") > 1)
        out.write_text(svg(screen.replace(os.environ["ORCHESTRATOR_HOME"], "~")), encoding="utf-8")
        ended = re.search(r"exit=(\d+)", _until(lambda page: "exit=" in page))
        assert ended
        return int(ended[1])
    finally:
        _tmux("kill-server")


def svg(screen: str) -> str:
    """The live table at the end of a terminal's screen (with its colours as escape codes), as SVG."""
    lines = screen.rstrip().splitlines()
    heads = [number for number, line in enumerate(lines) if "method" in line and "seeds" in line]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines[heads[-1] :])))
    picture = console.export_svg(title="python -m orchestrator.sweep")
    return re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # would be fetched from elsewhere


def _until(seen: Callable[[str], bool]) -> str:
    end = time.monotonic() + WAIT_S
    while not seen(screen := _tmux("capture-pane", "-e", "-p", "-t", SESSION)):
        assert time.monotonic() < end, screen
        time.sleep(0.5)
    return screen


def _tmux(*words: str) -> str:
    return subprocess.run(["tmux", "-L", SESSION, *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())

"""Tables as large as PRISM's, where nothing else is timed beside them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.data import twin
from training.spec import TwinData

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]


def test_prisms_size_is_read_and_paired_in_a_few_plain_passes_and_a_gigabyte(tmp_path: Path) -> None:
    """Validated, with ids and conversations, in at most eight times what plain pandas takes for the same
    tables in the same process; the seconds themselves are held by `make bench-size`."""
    twin.write(TwinData(users=1500), tmp_path)
    command = [sys.executable, "-m", "bench.prism_size", "--json", "--folder", str(tmp_path)]
    told = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert told["pairs"] == told["plain pairs"] > 18_000
    assert told["seconds"] < 8 * told["plain"]
    assert told["bytes"] < 1e9

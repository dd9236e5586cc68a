"""Tables of PRISM's size are read and paired fast enough."""

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
    """Reading with validation, ids and conversations takes at most eight times as long as plain pandas
    does for the same tables in the same process. `make bench-size` holds the seconds themselves."""
    twin.write(TwinData(users=1500), tmp_path)
    command = [sys.executable, "-m", "bench.prism_size", "--json", "--folder", str(tmp_path)]
    measured = json.loads(
        subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    )
    assert measured["pairs"] == measured["plain pairs"] > 18_000
    assert measured["seconds"] < 8 * measured["plain"]
    assert measured["bytes"] < 1e9

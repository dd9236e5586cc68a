"""Tables as large as PRISM's are read and paired fast enough."""

import subprocess
import sys
from pathlib import Path

import pytest

from training.data import twin
from training.spec import TwinData

pytestmark = pytest.mark.integration


def test_prisms_size_is_read_and_paired_in_five_seconds_and_a_gigabyte(tmp_path: Path) -> None:
    """Measures processor time, since the machine may be busy, in a process of its own.

    The peak is not getrusage's maximum, which starts at what the forking process (pytest) has resident.
    """
    twin.write(TwinData(users=1500), tmp_path)
    script = (
        "import re, sys, time\n"
        "from training.data.sources import load_corpus\n"
        "from training.spec import PrismData\n"
        "start = time.process_time()\n"
        "pairs = load_corpus(PrismData(path=sys.argv[1])).pairs\n"
        "spent = time.process_time() - start\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read()).group(1)\n"
        "print(len(pairs), spent, int(peak) * 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    pairs, seconds, memory = map(float, done.stdout.split())
    assert pairs > 18_000
    assert seconds < 5
    assert memory < 1e9

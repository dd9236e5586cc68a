"""Two workers of one arm under ZeRO-2: each keeps its own part of a checkpoint, and they stop as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent


def test_two_workers_resume_to_the_same_bits_and_stop_at_the_same_step(
    scored, tiny_folder: Path, tmp_path: Path
) -> None:
    table = Path(scored.cache_files[0]["filename"]).parent
    torchrun = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2"]
    torchrun_process = subprocess.run(
        [*torchrun, HERE / "two_workers.py", table, tiny_folder, tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert torchrun_process.returncode == 0, torchrun_process.stderr[-3000:]
    lines = [line for line in torchrun_process.stdout.splitlines() if line.startswith("RESULT")]
    assert [json.loads(line.removeprefix("RESULT ")) for line in lines] == [
        {
            "same": True,
            "notes": ["resumed from checkpoint-3"],
            # only the second worker was asked to stop; they agree at the next point of the curve
            "stopped": "test: asked to stop, saved at step 4",
        }
    ] * 2

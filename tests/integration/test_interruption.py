"""A sweep that Ctrl-C interrupts ends as well as a terminated one (`test_sweep`), and goes on afterwards."""

import signal
from pathlib import Path

import pytest
from test_sweep import Sweep, check_interruption

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2700)]  # CI has its unit test


def test_an_interrupted_sweep_ends_well(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    check_interruption(sweep, signal.SIGINT)
    assert "4 of 4 cells finished" in sweep.run()

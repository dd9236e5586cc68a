"""A whole sweep, with its data, scores and report, whose driver dies outside of training."""

from pathlib import Path

import pandas as pd
import pytest
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record

from orchestrator.drill import FaultRow
from orchestrator.record.ledger import Ledger
from orchestrator.run.sweep_process import SweepProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2700)]

STUDY = """
study: whole
data: {source: twin, users: 60, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
training: {max_steps: 6, batch_size: 4, max_length: 96, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 0.9, lanes: 1, deepspeed: zero2}
"""
CELLS = 2


def numbers(sweep: SweepProcess) -> pd.DataFrame:
    table = Ledger(sweep.places).cells.table(sweep.trials).set_index(["method", "split", "seed"])
    return table.select_dtypes("number")


@pytest.mark.parametrize(
    ("moment", "printed"),
    [
        pytest.param("scoring", "scoring the pairs", id="scoring"),
        pytest.param("its report", f": done ({CELLS}, 0 to go)", id="report"),
    ],
)
def test_a_driver_killed_outside_of_training(
    tmp_path: Path, record: Record, moment: str, printed: str
) -> None:
    config = tmp_path / "whole.yaml"
    config.write_text(STUDY)
    homes = [tmp_path / name for name in ("calm", "hit")]  # apart, since scores are kept for all of a home
    for home in homes:
        home.mkdir()
    calm, hit = (SweepProcess(home, config, home.name) for home in homes)
    calm.start().finish()
    hit.start().wait_until(lambda: hit.has_printed(printed))
    hit.kill_driver()
    assert not (hit.places.report / "report.html").exists()
    hit.start().finish()
    expected = numbers(calm)
    pd.testing.assert_frame_equal(numbers(hit)[expected.columns], expected, check_exact=True)
    ledger = Ledger(hit.places)
    assert len(ledger.cells.finished()) == CELLS
    assert not ledger.cells.doubled()
    assert not ledger.claims.all()
    for sweep in (calm, hit):
        assert f"{CELLS} of {CELLS} cells finished" in (sweep.places.report / "report.md").read_text()
    record(FaultRow(f"kill -9 of the driver during {moment}, then the same command", 1, 0, 0, 0.0))

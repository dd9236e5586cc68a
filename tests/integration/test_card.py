"""The commands that measure a GPU, run on a CPU: a made-up cell runs, and projections are plain sums."""

from pathlib import Path

import pytest

from bench import card_check
from bench.card import V5B_STEPS, CellTime, cell
from bench.card_job import make_job
from training import packed_row

pytestmark = pytest.mark.integration


def test_a_made_up_cell_runs(tmp_path: Path) -> None:
    job = make_job(tmp_path, small=True, method="wpo", steps=2)
    row = cell(job, peak_tflops=989).iloc[0]
    assert row["method"] == "wpo"
    assert 0 < float(row["inside steps"].rstrip("%")) < 100
    assert float(row["s/step"]) > 0


def test_the_check_of_packed_rows_passes_the_right_mask_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--home", str(tmp_path), "--small"]
    assert card_check.main(options) == 0
    right_mask = packed_row.block_mask
    monkeypatch.setattr(
        packed_row, "block_mask", lambda *args, **kwargs: right_mask(*args, **kwargs).fill_(0)
    )  # each token sees its whole block
    assert card_check.main(options) == 1


def test_an_arm_is_half_a_cell_at_full_length() -> None:
    """Two arms of 50 steps take 100 s, so 1 s per step and 2,000 s per arm; half of the rest is added."""
    assert CellTime(steps=100.0, outside=12.0, peak=0).arm(50) == V5B_STEPS + 6

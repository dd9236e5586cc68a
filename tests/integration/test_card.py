"""The commands that measure a GPU, run on a CPU: a made-up cell runs, and projections are plain sums."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import card_all, card_check
from bench.card import V5B_STEPS, CellTime, cell, main
from bench.card_job import make_job
from bench.card_steps import DEFAULT_ENGINE
from bench.steps import STOCK
from training import packed_row

pytestmark = pytest.mark.integration


def test_a_made_up_cell_runs(tmp_path: Path) -> None:
    job = make_job(tmp_path, small=True, method="wpo", steps=2)
    row = cell(job, peak_tflops=989).iloc[0]
    assert row["method"] == "wpo"
    assert 0 < float(row["inside steps"].rstrip("%")) < 100
    assert float(row["s/step"]) > 0


NEITHER_RAY_NOR_MLFLOW = """
import importlib.metadata as metadata, sys

ABSENT = {"ray", "mlflow", "sqlalchemy"}
version = metadata.version

def only_installed(name):
    if name in ABSENT:
        raise metadata.PackageNotFoundError(name)
    return version(name)

metadata.version = only_installed
sys.modules.update(dict.fromkeys(ABSENT))  # importing one of them raises ImportError
from bench.card import main
main(["cell", "--small", "--steps", "2", "--home", sys.argv[1], "--out", sys.argv[1] + "/rows.json"])
"""


def test_a_cell_is_measured_where_neither_ray_nor_mlflow_is_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NEITHER_RAY_NOR_MLFLOW, str(tmp_path)]
    subprocess.run(command, cwd=card_all.ROOT, check=True)
    assert json.loads((tmp_path / "rows.json").read_text())[0]["method"] == "dpo"


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


def test_one_call_measures_everything_and_the_page_takes_it(tmp_path: Path) -> None:
    """On a CPU, where no MPS daemon can run: that part fails, and the others do not."""
    main(["all", "--small", "--home", str(tmp_path)])
    results = json.loads((tmp_path / "results.json").read_text())
    failed = {name: part["error"] for name, part in results.items() if "error" in part}
    assert failed == {"lanes, MPS": "exit code 1: no MPS daemon can run here"}
    assert [part for part in results if not results[part]["rows"]] == ["lanes, MPS"]
    assert all(row["measured"] != "not measured" for row in card_all.targets(results))
    variants = [row["variant"] for row in results["steps"]["rows"]]
    assert variants == ["dpo", "wpo", DEFAULT_ENGINE, STOCK]
    copy = tmp_path / "speed.md"
    copy.write_text(card_all.SPEED_PAGE.read_text())
    card_all.write_page(results, copy)
    assert "no MPS daemon can run here" in copy.read_text()
    assert "not measured" not in copy.read_text().split(card_all.BEGIN)[1].split(card_all.END)[0]


def test_a_part_that_fails_or_has_no_time_is_kept_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [card_all.Part("bad", ("nonsense",), 600), card_all.Part("long", ("make",), 0.01)]
    monkeypatch.setattr(card_all, "parts", lambda small: parts)
    assert "invalid choice: 'nonsense'" in card_all.run_all(tmp_path, True, ())["bad"]["error"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["long"]["error"] == "stopped after 0 s"
    late = card_all.run_all(tmp_path, True, (), limit_s=0)
    assert late["bad"]["error"] == "not started: no time was left"


def test_an_arm_is_half_a_cell_at_full_length() -> None:
    """Two arms of 50 steps take 100 s, so 1 s per step and 2,000 s per arm; half of the rest is added."""
    assert CellTime(steps=100.0, outside=12.0, peak=0).arm(50) == V5B_STEPS + 6

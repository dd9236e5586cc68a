"""Two workers of one arm: each keeps its part of a checkpoint; stages and workers change no result."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from two_workers import cut, numbers, train

from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
ROUNDING = {"curve": 1e-4, "margins": 1e-3, "weights": 1e-4}  # of float32; margins are of up to 5 nats


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, tolerance in ROUNDING.items():
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.fixture(scope="module")
def table(scored: Any) -> str:
    return str(Path(scored.cache_files[0]["filename"]).parent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two workers")


@pytest.fixture(scope="module")
def results(table: str, tiny_folder: Path, folder: Path) -> list[dict[str, Any]]:
    """What each of the two workers found, after one worker has cut two arms."""
    for name in ("zero2", "zero3"):
        store = CheckpointStore(str(folder / f"zero0 of one, for {name}"))
        with pytest.raises(ConnectionError):
            train(table, str(tiny_folder), "zero0", checkpoints=Checkpoints(store, 3), on_step=cut(5))
    torchrun = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2"]
    torchrun_process = subprocess.run(
        [*torchrun, HERE / "two_workers.py", table, tiny_folder, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert torchrun_process.returncode == 0, torchrun_process.stderr[-3000:]
    return [json.loads((folder / f"result-{rank}.json").read_text()) for rank in (0, 1)]


def test_two_workers_resume_to_the_same_bits_and_stop_at_the_same_step(results: list[dict[str, Any]]) -> None:
    for found in results:
        assert found["same"]
        assert found["notes"] == ["resumed from checkpoint-3"]
        # only the second worker was asked to stop; they agree at the next point of the curve
        assert found["stopped"] == "test: asked to stop, saved at step 4"


def test_stage_3_gives_the_numbers_of_stage_0(results: list[dict[str, Any]]) -> None:
    """Greedy weights, the held-out curve and the margins at the end read weights outside of the engine."""
    for found in results:
        same(found["stages"]["zero3"], found["stages"]["zero0"])
    assert results[0]["stages"] == results[1]["stages"]


def test_two_workers_continue_what_one_has_begun(results: list[dict[str, Any]]) -> None:
    for found in results:
        for arm in found["taken"].values():
            assert arm["notes"] == ["resumed from checkpoint-3 of ZeRO stage 0"]
            same(arm, found["whole"])


@pytest.mark.parametrize(("saved", "now"), [("zero2", "zero2"), ("zero2", "zero0"), ("zero3", "zero2")])
def test_one_worker_continues_what_two_have_begun(
    results: list[dict[str, Any]], table: str, tiny_folder: Path, folder: Path, saved: str, now: str
) -> None:
    checkpoints = Checkpoints(CheckpointStore(str(folder / f"{saved} of two")), None)
    arm = train(table, str(tiny_folder), now, checkpoints=checkpoints)
    assert arm.notes == (f"resumed from checkpoint-3 of ZeRO stage {saved[-1]}, 2 workers",)
    same(numbers(table, arm), results[0]["whole"])

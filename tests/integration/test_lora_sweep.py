"""A real sweep that trains four adapters side by side: two cells with two arms each, in one process.

The outcomes are those of one arm after another, also if the worker is killed, and what is kept loads again.
"""

from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoModelForCausalLM

from orchestrator import export
from orchestrator.record.experiment import RunKind
from orchestrator.record.ledger import Ledger
from orchestrator.run.sweep_process import SweepProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

STUDY = """
study: adapters
data: {source: twin, users: 40, history: none}
model: {path: tiny, lora: {r: 4, alpha: 8}}
splits: {S1: {by: random, predicted: A = B}}
methods:  # no baselines: only these two cells
  dpo: {seeds: {S1: [42]}}
  wpo: {use_weighting: true, seeds: {S1: [42]}}
reference: wpo
seeds: [42]
training:
  {max_steps: 40, batch_size: 4, learning_rate: 1.0e-3, max_length: 96, dtype: float32, logging_steps: 10}
resources:
  {cpus_per_worker: 0.9, lanes: 1, deepspeed: zero2, activation_checkpointing: true, cells_together: 2}
keep: {models: final}
faults: {backoff_s: 1, checkpoint_every: 5}
"""


def numbers(sweep: SweepProcess) -> pd.DataFrame:
    table = Ledger(sweep.places).cells.table(sweep.trials).set_index(["method", "split", "seed"])
    return table.select_dtypes("number")


def arms_with_a_checkpoint(sweep: SweepProcess) -> set[str]:
    """Return the folders of the arms that are not finished and have saved themselves."""
    return {str(file.parents[1]) for file in Path(sweep.places.work).glob("*/*-unfinished/*/part-0.json")}


def test_a_killed_worker_changes_no_outcome_of_four_adapters_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, one_by_one = tmp_path / "adapters.yaml", tmp_path / "one_by_one.yaml"
    config.write_text(STUDY)
    one_by_one.write_text(STUDY.replace(", cells_together: 2", ""))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    calm, hit = SweepProcess(tmp_path, one_by_one, "calm"), SweepProcess(tmp_path, config, "hit")
    calm.start().finish()
    hit.start().wait_until(lambda: len(arms_with_a_checkpoint(hit)) == 4)
    (checkpoint, *_) = (tmp_path / "runs").rglob("checkpoint-*/global_step*/mp_rank_00_model_states.pt")
    (base,) = (tmp_path / "runs").rglob("tiny-*/model.safetensors")
    assert checkpoint.stat().st_size < base.stat().st_size / 10
    hit.kill_worker()
    hit.finish()
    expected = numbers(calm)
    found = numbers(hit)[expected.columns]
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-4, atol=1e-4)
    assert expected["A/loss_step0"].dropna().tolist() == pytest.approx([0.6931] * 2, abs=1e-3)
    runs = list(Ledger(hit.places).experiment.runs(RunKind.CELL))
    assert sum("lost with its worker" in run.data.tags.get("attempt_1", "") for run in runs) == 2
    resumed = [run.data.tags.get(f"notes_{arm}", "") for run in runs for arm in "AB"]
    assert sum("resumed from checkpoint-" in note for note in resumed) == 4
    for method, other in (("dpo", "wpo"), ("wpo", "dpo")):  # each cell has a log of its own
        log = (hit.places.logs / f"{method}-S1-42.log").read_text()
        assert f"{method}/S1/42 arm A: resumed from" in log
        assert f"{other}/S1" not in log

    arm = ["wpo/S1/42/A", str(tmp_path / "kept")]
    assert export.main(["--config", str(config), "--study=hit", *arm]) == 0
    assert not (tmp_path / "kept" / "model.safetensors").exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "kept")
    trained = [weight for name, weight in model.named_parameters() if ".lora_B." in name]
    assert len(trained) == 4 * 7
    assert all(weight.abs().max() > 0 for weight in trained)

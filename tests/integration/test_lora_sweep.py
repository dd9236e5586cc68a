"""A real sweep that trains adapters, arms side by side.

A killed worker changes no outcome, and what is kept loads again.
"""

from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoModelForCausalLM

from orchestrator import export
from orchestrator.record.ledger import Ledger
from orchestrator.run.sweep_process import SweepProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

STUDY = """
study: adapters
data: {source: twin, users: 40, history: none}
model: {path: tiny, lora: {r: 4, alpha: 8}}
splits: {S1: {by: random, predicted: A = B}}
methods: {wpo: {use_weighting: true}}
reference: wpo
seeds: [42]
training:
  {max_steps: 40, batch_size: 4, learning_rate: 1.0e-3, max_length: 96, dtype: float32, logging_steps: 10}
resources: {cpus_per_worker: 0.9, lanes: 1, activation_checkpointing: true, arms_together: true}
keep: {models: final}
faults: {backoff_s: 1, checkpoint_every: 5}
"""


def numbers(sweep: SweepProcess) -> pd.DataFrame:
    table = Ledger(sweep.places).cells.table(sweep.trials).set_index(["method", "split", "seed"])
    return table.select_dtypes("number")


def test_a_killed_worker_changes_no_outcome_of_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "adapters.yaml"
    config.write_text(STUDY)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    calm, hit = (SweepProcess(tmp_path, config, name) for name in ("calm", "hit"))
    calm.start().finish()
    hit.start().wait_until(hit.is_in_the_middle_of_an_arm)
    (checkpoint, *_) = (tmp_path / "runs").rglob("checkpoint-*/global_step*/mp_rank_00_model_states.pt")
    (base,) = (tmp_path / "runs").rglob("tiny-*/model.safetensors")
    assert checkpoint.stat().st_size < base.stat().st_size / 10
    hit.kill_worker()
    hit.finish()
    expected = numbers(calm)
    found = numbers(hit)[expected.columns]
    alone = [column for column in expected if column.startswith("all/")]  # of the baseline, which has one arm
    pd.testing.assert_frame_equal(found[alone], expected[alone], check_exact=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-4, atol=1e-4)
    assert expected["A/loss_step0"].dropna().tolist() == pytest.approx([0.6931], abs=1e-3)

    arm = ["wpo/S1/42/A", str(tmp_path / "kept")]
    assert export.main(["--config", str(config), "--study=hit", *arm]) == 0
    assert not (tmp_path / "kept" / "model.safetensors").exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "kept")
    trained = [weight for name, weight in model.named_parameters() if ".lora_B." in name]
    assert len(trained) == 4 * 7
    assert all(weight.abs().max() > 0 for weight in trained)

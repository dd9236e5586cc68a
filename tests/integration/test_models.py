"""Sweeps over a model folder: models kept and exported, a folder that is not whole, one replaced midway.

The models are kept by a second training of the same cells, which two workers under ZeRO stage 3 begin and one
worker ends. A worker and the driver are killed meanwhile. The outcomes are those of the first training.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file, save_file
from test_sweep import ROOT, Sweep, ray_folder  # noqa: F401
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from orchestrator.run.sweep_process import SweepProcess
from training import tiny
from training.scoring import open_scored

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]


@pytest.fixture
def sweep(tmp_path: Path, ray_folder: Path) -> Sweep:  # noqa: F811
    """A study with one method, on a random Llama with dropout in `model/`."""
    sweep = Sweep(tmp_path, RAY_TMPDIR=str(ray_folder))
    study = sweep.config.read_text().replace("  wpo: {use_weighting: true}\n", "")
    sweep.config.write_text(f"{study}model: {{path: {tmp_path / 'model'}}}\n")
    chats = [[{"role": "user", "content": "a b c"}, {"role": "assistant", "content": "d e f"}]]
    tokenizer = tiny.train_tokenizer(chats)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, attention_dropout=0.1,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return sweep


def finished_runs(sweep: Sweep) -> list:
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    query = "tags.kind = 'cell' and attributes.status = 'FINISHED'"
    return list(client.search_runs([experiment.experiment_id], query)) if experiment else []


def change_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "new", metadata={"format": "pt"})
    (folder / "new").rename(folder / "model.safetensors")


def export(sweep: Sweep, arm: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.export", "--config", str(sweep.config), arm, str(folder)],
        cwd=ROOT,
        env=sweep.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def saved(sweep: SweepProcess) -> set[str]:
    """Return the checkpoints of unfinished arms of which both workers have saved their part."""
    folders = Path(sweep.places.work).glob("*/*-unfinished/*/")
    return {str(folder) for folder in folders if len(list(folder.glob("part-*.json"))) == 2}


def test_models_asked_for_later_are_trained_again_on_other_workers_and_exported(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = sweep.config.read_text().replace("max_steps: 4,", "max_steps: 40, learning_rate: 1.0e-3,")
    sweep.config.write_text(study.replace("backoff_s: 0.1", "backoff_s: 0.1, checkpoint_every: 5"))
    sweep.run()
    exported = sweep.home / "exported"
    refused = export(sweep, "dpo/S1_age/42/A", exported)
    assert refused.returncode == 2
    assert "its model was not kept; set keep: {models: final}" in refused.stderr
    sweep.config.write_text(sweep.config.read_text() + "keep: {models: final, where: registry}\n")
    plan = sweep.run("--dry-run")
    assert "2 finished cells without models, to be trained again" in plan
    assert "0 finished, 2 to train" in plan

    on_one, on_two = "lanes: 1, deepspeed: zero2}", "lanes: 1, workers: 2, deepspeed: zero3}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", sweep.environment["RAY_TMPDIR"])
    sweep.config.write_text(sweep.config.read_text().replace(on_one, on_two))
    divided = SweepProcess(sweep.home, sweep.config, "small").start()
    divided.wait_until(lambda: saved(divided))
    divided.kill_worker()
    before = saved(divided)
    divided.wait_until(lambda: saved(divided) - before)  # the lane goes on, with this cell or the next
    divided.kill_driver()
    sweep.config.write_text(sweep.config.read_text().replace(on_two, on_one))
    sweep.run()
    assert_trained_twice_alike(sweep)
    assert export(sweep, "dpo/S1_age/42/A", exported).returncode == 0

    cache, *runs = sweep.home / "runs" / ".cache", *finished_runs(sweep)
    (run,) = (run for run in runs if run.data.params["split"] == "S1_age" and "model_A" in run.data.tags)
    assert run.data.tags["layout"].startswith("packed; from plain logits: ")
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    outcomes = pd.read_parquet(client.download_artifacts(run.info.run_id, "outcomes.parquet"))
    (scored,) = (open_scored(folder) for folder in cache.glob("scores-*") if folder.is_dir())
    rows = {row["pair_id"]: row for row in scored}
    model = AutoModelForCausalLM.from_pretrained(exported)
    assert model.config.attention_dropout == 0.1  # as the model's own configuration has it
    assert AutoTokenizer.from_pretrained(exported).chat_template
    for outcome in outcomes[outcomes["arm"] == "A"].head(5).itertuples():
        row = rows[outcome.pair_id]
        sides = {side: logp(model, row, side) - row[f"ref_{side}_logps"] for side in ("chosen", "rejected")}
        assert outcome.margin == pytest.approx(sides["chosen"] - sides["rejected"], abs=1e-3)
    provenance = json.loads((exported / "provenance.json").read_text())
    assert (provenance["arm"], provenance["trial_id"]) == ("A", run.data.tags["trial_id"])
    versions = client.search_model_versions("name = 'small'")
    assert {version.tags["model_id"] for version in versions} >= {
        run.data.tags["model_A"],
        run.data.tags["model_B"],
    }
    again = export(sweep, "dpo/S1_age/42/A", exported)
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr


def assert_trained_twice_alike(sweep: Sweep) -> None:
    """Compare the outcomes of both trainings of each cell, of which the second was interrupted twice."""
    client = MlflowClient(f"sqlite:///{sweep.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = list(client.search_runs([experiment.experiment_id], "tags.kind = 'cell'"))
    assert any("lost with its worker" in run.data.tags.get("attempt_1", "") for run in runs)
    for split in ("S1_age", "baseline"):
        first, second = sorted(
            (run for run in finished_runs(sweep) if run.data.tags["mlflow.runName"] == f"dpo/{split}/42"),
            key=lambda run: run.info.start_time,
        )
        notes = " ".join(value for name, value in second.data.tags.items() if name.startswith("notes_"))
        if split == "S1_age":  # the longest cell is the first, and lost its worker
            assert "of ZeRO stage 3, 2 workers" in notes
        for name in ("A/train_loss_tail", "B/train_loss_tail", "all/train_loss_tail"):
            if name in first.data.metrics:
                assert second.data.metrics[name] == pytest.approx(first.data.metrics[name], abs=1e-4)
        tables = [
            pd.read_parquet(client.download_artifacts(run.info.run_id, "outcomes.parquet"))
            for run in (first, second)
        ]
        assert tables[0]["margin"].abs().max() > 0.05
        pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=1e-3, atol=1e-3)


def logp(model: torch.nn.Module, row: dict, side: str) -> float:
    ids = torch.tensor([(row["prompt_ids"] + row[f"{side}_ids"])[:52]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, row["prompt_tokens"] - 1 : -1]
    return float(logits.log_softmax(-1).gather(1, ids[0, row["prompt_tokens"] :, None]).sum())


def test_a_folder_that_lacks_a_key_ends_the_sweep_before_training(sweep: Sweep) -> None:
    change_weights(sweep.home / "model", lambda weights: weights.pop("lm_head.weight"))
    output = sweep.run(code=2)
    assert "its weights lack lm_head.weight, which would be drawn at random" in output
    assert not finished_runs(sweep)


def test_a_folder_that_is_replaced_midway_trains_nothing_more(sweep: Sweep) -> None:
    seeds = ",".join(map(str, range(40)))
    process = sweep.start("--seeds", seeds)
    deadline = time.monotonic() + 600
    # Two processes that open a new database at once may disturb each other.
    while not list((sweep.home / "runs/small/logs").glob("*.log")) or not finished_runs(sweep):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    change_weights(sweep.home / "model", lambda weights: weights["model.norm.weight"].add_(1))
    output, _ = process.communicate(timeout=1200)
    assert process.returncode != 0
    assert "its files have changed since the study was planned" in output
    runs = finished_runs(sweep)
    assert 0 < len(runs) < 80
    ends = np.sort([run.info.end_time for run in runs])
    assert len({run.data.tags["model_fingerprint"] for run in runs}) == 1
    assert ends[-1] < time.time() * 1000

"""The estimated memory of an arm against all tensors that a real arm allocates on the CPU."""

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import WORDS
from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, Qwen2ForCausalLM
from trl.kernels import chunked_logprob

from training import memory, tiny, zero_states
from training.arm import ArmTask, Execution, train_arm
from training.layout import LayoutCheck
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData

pytestmark = pytest.mark.integration
TRAINING = TrainingSpec(max_steps=3, max_length=48, dtype="bfloat16", logging_steps=1)
CONFIGS = Path(__file__).parents[2] / "configs/deepspeed"


class Living(TorchDispatchMode):
    """Count the bytes of all live storages that torch's operations have allocated: now, and at their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()  # the same object while the memory lives
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torch process few rows of logits at a time, as it copies them; Triton on a GPU works in place."""

    def by_rows(fold: Callable[..., None]) -> Callable[..., None]:
        def folded(*args: Any, **flags: Any) -> None:
            for start in range(0, len(args[0]), 16):
                rows = slice(start, start + 16)
                fold(*(arg[rows] if isinstance(arg, torch.Tensor) else arg for arg in args), **flags)

        return folded

    def add_product(sums: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        for i in range(0, len(left), 64):
            for k in range(0, len(right), 64):
                sums[i : i + 64].addmm_(left[i : i + 64, k : k + 64].float(), right[k : k + 64].float())

    for name in ("_forward_tile", "_backward_tile"):
        monkeypatch.setattr(chunked_logprob, name, by_rows(getattr(chunked_logprob, name)))
    monkeypatch.setattr(chunked_logprob, "_addmm_fp32", add_product)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, LayoutCheck]:
    """A model of 4.7 M parameters, in which every kind of memory matters, and scored pairs of max_length."""
    rng = np.random.default_rng(0)
    texts = [[" ".join(rng.choice(WORDS, size=size)) for size in (4, 90, 90)] for _ in range(24)]
    pairs = pd.DataFrame(
        {
            "pair_id": [str(k) for k in range(len(texts))],
            "prompt": [[{"role": "user", "content": prompt}] for prompt, _, _ in texts],
            "chosen": [chosen for _, chosen, _ in texts],
            "rejected": [rejected for _, _, rejected in texts],
        }
    )
    tokenizer = tiny.train_tokenizer([[{"role": "assistant", "content": text}] for text in pairs["chosen"]])
    config = tiny.configuration(tokenizer)
    config.update({"hidden_size": 256, "intermediate_size": 768, "vocab_size": 6000})
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    table = score(pairs, ModelSpec(path=str(folder)), TwinData(), TRAINING, tmp_path_factory.mktemp("scores"))
    return str(folder), open_scored(table.path).map(_short_prompt), table.check


def _short_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """Move all but one token of the prompt into the answers, since two answers share a prompt's memory."""
    first, rest = row["prompt_ids"][:1], row["prompt_ids"][1:]
    return {"prompt_ids": first} | {side: rest + row[side] for side in ("chosen_ids", "rejected_ids")}


@pytest.mark.parametrize(
    ("stage", "bucket", "lora", "checkpointing"),
    [
        pytest.param(None, 0, None, False, id="no DeepSpeed"),
        pytest.param(None, 0, LoraSpec(r=32), True, id="no DeepSpeed, adapters, checkpointing"),
        pytest.param(0, zero_states.BUCKET, None, False, id="0"),
        pytest.param(2, 4_000_000, None, False, id="2"),
        pytest.param(2, 40_000_000, None, False, id="2, wide bucket"),
        pytest.param(2, 4_000_000, None, True, id="2, checkpointing"),
        pytest.param(2, 40_000_000, LoraSpec(r=32), False, id="2, wide bucket, adapters"),
        pytest.param(0, zero_states.BUCKET, LoraSpec(r=32), True, id="0, adapters, checkpointing"),
        pytest.param(3, 4_000_000, None, False, id="3"),
    ],
)
def test_an_arm_takes_the_estimated_memory(
    stage: int | None,
    bucket: int,
    lora: LoraSpec | None,
    checkpointing: bool,
    model: tuple[str, Any, LayoutCheck],
    in_place: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "SCORED_LOGITS", 0)  # nothing is scored here
    folder, scored, check = model
    settings = None
    if stage is not None:
        settings = json.loads((CONFIGS / f"zero{stage}.json").read_text())
        settings["zero_optimization"]["reduce_bucket_size"] = bucket
    between: list[int] = []
    with Living() as living:
        train_arm(
            ArmTask("test", ModelFiles(folder), MethodSpec(), TRAINING, 0, np.arange(len(scored)), lora=lora),
            scored,
            Execution(4, settings, check, checkpointing),
            on_step=lambda *_: between.append(living.now),
        )
    config = AutoConfig.from_pretrained(folder)
    counted = memory.footprint(config, TRAINING, 4, 1, settings, lora, checkpointing)
    small = lora is not None or checkpointing  # what is not counted weighs more
    assert counted.states == pytest.approx(between[-1], rel=0.02 if small else 0.01)
    assert counted.worst == pytest.approx(
        living.most, rel=0.06 if small else 0.02
    )  # the rest is masks, which a GPU does not need


def test_the_default_sizes_are_deepspeeds() -> None:
    assert DeepSpeedZeroConfig().reduce_bucket_size == zero_states.BUCKET
    assert DeepSpeedZeroConfig().max_live_parameters == zero_states.LIVE
    assert DeepSpeedZeroConfig().sub_group_size == zero_states.SUB_GROUP

"""Make a cell of v5b's shape for `bench.card`, with random weights, words and groups."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bench.steps import make_pairs
from orchestrator.run.job import Job
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training import tiny
from training.model import ModelFiles
from training.scoring import score
from training.spec import MethodSpec, ModelSpec, RandomSplit, TrainingSpec, TwinData

ROOT = Path(__file__).resolve().parent.parent
CHAT_CHARACTERS = {"prompt": 200, "answer": 455}  # on average
PAIRS = 18_000  # as many as PRISM has
HELD_OUT = 0.2  # share of PRISM's pairs, of which a smaller table holds out as many
CARD_METHODS = {"dpo": MethodSpec(), "wpo": MethodSpec(use_weighting=True)}
QWEN_SIZES = {
    "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "vocab_size": 151_936,
}  # fmt: skip
# The initial weights are large, so that attention matters in so narrow a model.
SMALL_SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "initializer_range": 0.2}


def chats(small: bool, pairs: int = PAIRS) -> pd.DataFrame:
    """Return pairs with PRISM's 190 tokens per sequence; 80 shorter ones if `small`."""
    if small:
        return make_pairs(
            np.random.default_rng(0), 80, {part: mean // 5 for part, mean in CHAT_CHARACTERS.items()}
        )
    return make_pairs(np.random.default_rng(0), pairs, CHAT_CHARACTERS)


def make_job(home: Path, small: bool, method: str, steps: int, pair_count: int = PAIRS) -> Job:
    """Return a cell of two arms; its model, scores and groups are made in `home` unless they are there."""
    training = TrainingSpec(max_steps=steps, dtype="float32" if small else "bfloat16")
    pairs = chats(small, pair_count)
    model = home / "model"
    if not model.exists():
        make_model(pairs, model, SMALL_SIZES if small else QWEN_SIZES, training.dtype)
    start = time.monotonic()
    scored = score(pairs, ModelSpec(path=str(model)), TwinData(), training, home / "cache")
    if scored.computed:
        print(f"{scored.pairs} pairs tokenised and scored in {time.monotonic() - start:.1f} s", flush=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    rng = np.random.default_rng(1)
    held_out = HELD_OUT * (1 if small else PAIRS / len(pairs))
    users = rng.integers(len(pairs) // 13 + 2, size=len(pairs))
    groups = pairs[["pair_id"]].assign(
        user_id=users.astype(str),
        item=pairs["pair_id"],
        group=np.where(users % 2 == 0, "A", "B"),
        fold=np.where(rng.random(len(pairs)) < held_out, "heldout", "train"),
        source_model="made up",
        score_gap=1,
    )
    groups.to_parquet(home / "groups.parquet", index=False)
    split = RandomSplit(predicted="A = B")
    return Job(
        trial=Trial("card", method, "S", 0, "made up", "made up", {}, split, CARD_METHODS[method], training),
        model=ModelFiles(str(model)),
        scored=scored.path,
        groups=home / "groups.parquet",
        store="",
        log=home / f"{method}.log",
        micro_batch=training.batch_size,
        deepspeed=json.loads((ROOT / "configs/deepspeed/zero2.json").read_text()),
        shape=Shape(),
        checkpoint_every=500,
    )


def make_model(pairs: pd.DataFrame, out: Path, sizes: dict[str, float], dtype: str) -> None:
    """Save random weights and a tokenizer of the pairs' words in a folder that transformers can load."""
    from transformers import Qwen2ForCausalLM

    conversations = [
        [*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs[:800].itertuples()
    ]
    tokenizer = tiny.train_tokenizer(conversations)
    config = tiny.configuration(tokenizer)
    config.update(sizes)
    config.layer_types = ["full_attention"] * config.num_hidden_layers
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)

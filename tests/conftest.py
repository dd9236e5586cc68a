"""A tiny world for the tests that need a model: made-up chats, a tokenizer and random weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

WORDS = """the a cat dog rain sun why how is was runs sleeps says maybe never always you I we think know
because if then""".split()  # noqa: SIM905
MAX_LENGTH = 48
LONGEST = (
    "test_card", "test_lora_sweep", "test_sweep", "test_models", "test_job", "test_schedule", "test_chaos",
    "test_adaptive_sweep", "test_arm_memory",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the longest files to the front, so that the two workers of `pytest -n 2` end together."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def make_pairs(count: int, seed: int = 0) -> pd.DataFrame:
    """Return pairs of made-up chats: one or three messages, answers of one to thirty words."""
    rng = np.random.default_rng(seed)

    def words(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS, size=rng.integers(low, high)))

    def prompt() -> list[dict[str, str]]:
        roles = ["user", "assistant", "user"][: rng.choice([1, 3])]
        return [{"role": role, "content": words(1, 6)} for role in roles]

    return pd.DataFrame(
        {
            "pair_id": [f"p{k:03d}" for k in range(count)],
            "prompt": [prompt() for _ in range(count)],
            "chosen": [words(1, 31) for _ in range(count)],
            "rejected": [words(1, 31) for _ in range(count)],
        }
    )


@pytest.fixture(scope="module")
def without_figures() -> Iterator[None]:
    """Leave the figures out of reports, for tests that look at none: they take most of a report's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stats.page.report.draw", lambda *_: {})
        yield


@pytest.fixture(scope="session")
def pairs() -> pd.DataFrame:
    """64 made-up pairs."""
    return make_pairs(64)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, pairs: pd.DataFrame) -> Path:
    """A two-layer Qwen2 with random weights, spread enough that WPO products fall on both sides of 1."""
    import torch
    from transformers import Qwen2ForCausalLM

    from training import tiny

    tokenizer = tiny.train_tokenizer(
        [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()]
    )
    config = tiny.configuration(tokenizer)
    config.update(
        {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "initializer_range": 0.04}
    )
    config.layer_types = config.layer_types[:2]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory, pairs: pd.DataFrame, tiny_folder: Path):  # type: ignore[no-untyped-def]
    """The scored table of the pairs under the tiny model; some answers are truncated."""
    from training.scoring import open_scored, score
    from training.spec import ModelSpec, TrainingSpec, TwinData

    training = TrainingSpec(max_length=MAX_LENGTH, dtype="float32")
    table = score(
        pairs, ModelSpec(path=str(tiny_folder)), TwinData(), training, tmp_path_factory.mktemp("scores")
    )
    return open_scored(table.path)


def make_a_gradient_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the fourth loss that is computed give gradients that are not finite, while it is finite itself."""
    import torch

    from training.trainer import PairTrainer

    compute_loss, losses = PairTrainer.compute_loss, []

    def once_infinite(*args, **more):  # type: ignore[no-untyped-def]
        losses.append(compute_loss(*args, **more))
        if len(losses) == 4:  # of two micro-batches per step: the second of the second step
            losses[-1].register_hook(lambda gradient: gradient * torch.inf)
        return losses[-1]

    monkeypatch.setattr(PairTrainer, "compute_loss", once_infinite)

"""Check that packed rows give each answer the same results as alone, on this card and in half precision.

    python -m bench.card_check [--home FOLDER] [--pairs 8]

The kernel that packed rows use on a GPU does not exist on a CPU, so this is its test. It computes the
log-probabilities and gradients of a batch, once packed and once one sequence at a time, and compares both
with float32. The exit code is 0 if packing is at most twice as far from float32 as half precision is without
it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from bench.card_job import make_job
from stats.page.markdown import table
from training import packed
from training.hardware import hardware
from training.likelihood import Answers, padded
from training.model import ModelFiles, load_model
from training.packed_row import PackedRow
from training.scoring import open_scored

MOST_TIMES_FARTHER = 2.0  # packed rows may be this much farther from float32 than unpacked half precision
Logps = Callable[[PreTrainedModel, Answers], Tensor]


def alone(model: PreTrainedModel, answers: Answers) -> Tensor:
    """Return each answer's log-probability from its own forward pass: [B]."""
    answer_logps = []
    for ids, start in zip(answers.ids, answers.starts, strict=True):
        sequence = torch.tensor([ids], device=model.device)
        logps = model(input_ids=sequence).logits[0, start - 1 : -1].float().log_softmax(-1)
        answer_logps.append(logps.gather(1, sequence[0, start:, None]).sum())
    return torch.stack(answer_logps)


def together(model: PreTrainedModel, answers: Answers) -> Tensor:
    """Return the same log-probabilities from one packed row, as training computes them: [B]."""
    row = PackedRow.of(*padded(answers)).to(model.device)
    logps: Tensor = packed.fused_forward(model, model, row, fused_lm_head=True).log_probs.float().sum(1)
    return logps


def outcome(files: ModelFiles, dtype: str, logps: Logps, answers: Answers) -> tuple[Tensor, Tensor]:
    """Return log-probabilities [B] and the gradient [parameters] of their sum with fixed random weights."""
    model = load_model(files, dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    add_fused_lm_head(model)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=len(answers.ids)))
    values = logps(model, answers)
    (weights.to(values) @ values).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    gradient = torch.cat([part.float().flatten() for part in gradients])
    return values.detach().float(), gradient


def compare(files: ModelFiles, answers: Answers) -> pd.DataFrame:
    """Return relative distances from float32: one row per way of computing, one column per quantity."""
    exact = outcome(files, "float32", alone, answers)
    return pd.DataFrame(
        {
            way: {
                quantity: float((value - target).norm() / target.norm())
                for quantity, value, target in zip(
                    ("log-probabilities", "gradients"), values, exact, strict=True
                )
            }
            for way, values in (
                ("alone", outcome(files, "bfloat16", alone, answers)),
                ("packed", outcome(files, "bfloat16", together, answers)),
            )
        }
    ).T


def main(argv: Sequence[str] | None = None) -> int:
    """Print the distances; return 1 if packing adds too much."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--home",
        type=Path,
        default=Path(tempfile.gettempdir()) / "card",
        help="folder for the model, pairs and scores",
    )
    flags.add_argument("--pairs", type=int, default=8, help="pairs of the batch")
    flags.add_argument(
        "--small", action="store_true", help="use a small model and table, for a machine without a GPU"
    )
    args = flags.parse_args(argv)
    args.home.mkdir(parents=True, exist_ok=True)
    job = make_job(args.home, args.small, "dpo", 1)
    pairs = open_scored(job.scored)[: args.pairs]
    distances = compare(job.model, Answers.of_pairs(pairs, sys.maxsize))
    print(f"{hardware()}, torch {torch.__version__}; relative distance from float32:")
    print(table(distances.map("{:.2e}".format).rename_axis("bfloat16").reset_index()))
    return 0 if (distances.loc["packed"] <= MOST_TIMES_FARTHER * distances.loc["alone"]).all() else 1


if __name__ == "__main__":
    sys.exit(main())

"""Whether packed rows, on this card and in half precision, say what each answer says alone.

    python -m bench.card_check [--home FOLDER] [--pairs 8]

The kernel that packed rows use on a GPU exists on no CPU, so this is its test: log-probabilities and
gradients of a batch, packed and one sequence at a time without any packing, both against float32. Exit code:
0 where packing is at most twice as far from float32 as half precision is without it.
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
from training.scoring import open_scored

TIMES = 2.0  # as far from float32 as half precision alone
Logps = Callable[[PreTrainedModel, Answers], Tensor]


def alone(model: PreTrainedModel, answers: Answers) -> Tensor:
    """[B]: each answer's log-probability, from a forward pass of its own."""
    found = []
    for ids, start in zip(answers.ids, answers.starts, strict=True):
        row = torch.tensor([ids], device=model.device)
        logps = model(input_ids=row).logits[0, start - 1 : -1].float().log_softmax(-1)
        found.append(logps.gather(1, row[0, start:, None]).sum())
    return torch.stack(found)


def together(model: PreTrainedModel, answers: Answers) -> Tensor:
    """[B]: the same from one packed row, as training computes it."""
    row = packed.Row.of(*padded(answers, model.device))
    logps: Tensor = packed.fused_forward(model, model, row, fused_lm_head=True).log_probs.float().sum(1)
    return logps


def outcome(files: ModelFiles, dtype: str, logps: Logps, answers: Answers) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B], and the gradient [parameters] of their sum with fixed random weights."""
    model = load_model(files, dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    add_fused_lm_head(model)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=len(answers.ids)))
    found = logps(model, answers)
    (weights.to(found) @ found).backward()
    gradient = torch.cat([one.grad.float().flatten() for one in model.parameters() if one.grad is not None])
    return found.detach().float(), gradient


def compare(files: ModelFiles, answers: Answers) -> pd.DataFrame:
    """Relative distances from float32: a row a way of computing, columns log-probabilities and gradients."""
    truth = outcome(files, "float32", alone, answers)
    return pd.DataFrame(
        {
            way: {
                what: float((found - true).norm() / true.norm())
                for what, found, true in zip(("log-probabilities", "gradients"), parts, truth, strict=True)
            }
            for way, parts in (
                ("alone", outcome(files, "bfloat16", alone, answers)),
                ("packed", outcome(files, "bfloat16", together, answers)),
            )
        }
    ).T


def main(argv: Sequence[str] | None = None) -> int:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "card")
    flags.add_argument("--pairs", type=int, default=8)
    flags.add_argument("--small", action="store_true", help="a model and a table for a machine without a GPU")
    args = flags.parse_args(argv)
    args.home.mkdir(parents=True, exist_ok=True)
    job = make_job(args.home, args.small, "dpo", 1)
    part = open_scored(job.scored)[: args.pairs]
    sides = [part["chosen_ids"], part["rejected_ids"]]
    ids = [prompt + answer for side in sides for prompt, answer in zip(part["prompt_ids"], side, strict=True)]
    found = compare(job.model, Answers(ids, [len(prompt) for prompt in part["prompt_ids"]] * 2))
    print(f"{hardware()}, torch {torch.__version__}; relative distance from float32:")
    print(table(found.map("{:.2e}".format).rename_axis("bfloat16").reset_index()))
    return 0 if (found.loc["packed"] <= TIMES * found.loc["alone"]).all() else 1


if __name__ == "__main__":
    sys.exit(main())

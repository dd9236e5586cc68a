"""Read the WPO weights of pairs from a scored table."""

from pathlib import Path
from typing import Literal

import pandas as pd

from training.scoring import open_scored


def pair_weights(scored: Path, alignment: Literal["sampled", "greedy"] = "sampled") -> pd.DataFrame:
    """Return the WPO log-weight of every pair of a scored table under the reference model.

    The weights are those of Zhou et al. 2024 (arXiv 2406.11827; `training/losses.py`).

    Args:
        scored: The folder of a scored table (`training.scoring.Scored.path`).
        alignment: How tokens are compared with the model's own, as in the paper.

    Returns:
        One row per pair: pair_id; log_weight, which is log w_chosen + log w_rejected in nats, before the
        clamp; answer_tokens, the mean length of the two answers.
    """
    table = open_scored(scored)
    chosen, rejected = (table[f"log_weight_{side}_{alignment}"][:] for side in ("chosen", "rejected"))
    tokens = pd.DataFrame({side: table[f"{side}_tokens"][:] for side in ("chosen", "rejected")})
    return pd.DataFrame(
        {
            "pair_id": table["pair_id"][:],
            "log_weight": pd.Series(chosen) + pd.Series(rejected),
            "answer_tokens": tokens.mean(axis=1),
        }
    )

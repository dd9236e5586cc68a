"""WPO weights of pairs, read from a scored table."""

from pathlib import Path
from typing import Literal

import pandas as pd

from training.scoring import open_scored


def pair_weights(scored: Path, alignment: Literal["sampled", "greedy"] = "sampled") -> pd.DataFrame:
    """One row a scored pair: pair_id, log_weight (log w_chosen + log w_rejected under the reference model,
    nats, before the clamp), answer_tokens (mean of the two answers)."""
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

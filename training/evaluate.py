"""Measure how strongly a tuned model prefers the chosen answers of held-out pairs."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel

from training.arrays import IntArray
from training.errors import StudyError
from training.layout import Layout
from training.likelihood import Answers, answer_logps
from training.lora import causal_lm


def heldout_margins(
    model: PreTrainedModel | PeftModel,
    scored: Dataset,
    rows: IntArray,
    max_length: int,
    name: str,
    layout: Layout,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Return the implicit reward margins of some rows of a scored table.

    margin = (log pi - log pi_ref)(chosen) - (log pi - log pi_ref)(rejected), in nats, without beta.

    Args:
        model: The tuned model pi, or the one whose adapters were tuned.
        scored: A table that `training.scoring.open_scored` opened; it holds log pi_ref.
        rows: Row numbers of the pairs to evaluate: shape [pairs].
        max_length: Tokens of prompt and answer together; longer sequences are cut.
        name: The trial and arm, for error messages.
        layout: How batches are given to the model, as in training (`ArmResult.layout`).
        on_batch: `on_batch(done, total)` is called after each batch of answers.

    Returns:
        One row per pair: pair_id; margin; likelihood_gap, which is log pi / n (chosen) - log pi / n
        (rejected) of answers with n tokens, in nats: SimPO's reward gap, without beta.

    Raises:
        StudyError: A margin is not finite; the message names trial, arm and pairs.
    """
    pairs = scored.select(rows)[:]
    model.eval()
    answers = Answers.of_pairs(pairs, max_length)
    logps = answer_logps(causal_lm(model), layout, answers, on_batch)
    (chosen, rejected), per_token = logps.reshape(2, -1), (logps / answers.lengths).reshape(2, -1)
    reference_chosen, reference_rejected = (
        np.array(pairs[f"ref_{side}_logps"]) for side in ("chosen", "rejected")
    )
    margins = (chosen - reference_chosen) - (rejected - reference_rejected)
    table = pd.DataFrame(
        {"pair_id": pairs["pair_id"], "margin": margins, "likelihood_gap": per_token[0] - per_token[1]}
    )
    not_finite = table.loc[~np.isfinite(margins), "pair_id"]
    if len(not_finite):
        raise StudyError(
            f"{name}: margins of {len(not_finite)} held-out pairs are not finite, "
            f"first {', '.join(not_finite[:5])}"
        )
    return table

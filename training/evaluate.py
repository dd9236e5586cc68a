"""How a tuned model sees held-out pairs."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from datasets import Dataset
from transformers import PreTrainedModel

from training.errors import StudyError
from training.likelihood import Answers, answer_logps


def heldout(
    model: PreTrainedModel, scored: Dataset, rows: npt.NDArray[np.int64], max_length: int, name: str
) -> pd.DataFrame:
    """Implicit reward margins of `rows` of a scored table: columns pair_id and margin.

    margin = (log pi - log pi_ref)(chosen) - (log pi - log pi_ref)(rejected), in nats, without beta. Raises
    StudyError naming trial and arm (`name`) and the pairs if one is not finite.
    """
    part = scored.select(rows)[:]
    starts = [len(ids) for ids in part["prompt_ids"]]
    ids = [
        (prompt + answer)[:max_length]
        for side in ("chosen_ids", "rejected_ids")
        for prompt, answer in zip(part["prompt_ids"], part[side], strict=True)
    ]
    model.eval()
    chosen, rejected = answer_logps(model, Answers(ids, starts * 2)).reshape(2, -1)
    margin = (chosen - np.array(part["ref_chosen_logps"])) - (rejected - np.array(part["ref_rejected_logps"]))
    table = pd.DataFrame({"pair_id": part["pair_id"], "margin": margin})
    bad = table.loc[~np.isfinite(margin), "pair_id"]
    if len(bad):
        raise StudyError(
            f"{name}: margins of {len(bad)} held-out pairs are not finite, first {', '.join(bad[:5])}"
        )
    return table

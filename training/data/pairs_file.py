"""Read ready-made pairs from a jsonl file: user_id, interaction_id, prompt, chosen, rejected, kind."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from training.data.corpus import Corpus
from training.data.pairs import EMPTY_ANSWERS, content_ids
from training.errors import StudyError
from training.spec import PairsData


class PairRow(BaseModel):
    """One pair; its source model, scores and the user's survey are unknown."""

    user_id: str
    interaction_id: str
    prompt: str
    chosen: str
    rejected: str
    kind: Literal["within_model", "cross_model"]


CONTENT = ["user_id", "interaction_id", "prompt", "chosen", "rejected"]  # what makes two pairs the same


def read(data: PairsData) -> Corpus:
    """Return the pairs of the requested kind.

    The traits of a user are n_pairs and median_prompt_length (characters).

    Raises:
        StudyError: The file cannot be read, a line is broken, or no usable pair is left.
    """
    rows = pd.DataFrame(_lines(Path(data.path)), columns=list(PairRow.model_fields))
    if data.kind != "all":
        rows = rows[rows["kind"] == data.kind]
    if rows.empty:
        raise StudyError(
            f"data.kind: {data.path} holds no pair of kind {data.kind!r}; name another file or kind"
        )
    rows = _draw_users(rows, data)
    answers = rows[["chosen", "rejected"]].apply(lambda column: column.str.strip())
    empty = answers.isin(EMPTY_ANSWERS).any(axis=1)
    identical = ~empty & (answers["chosen"] == answers["rejected"])
    repeated = ~empty & ~identical & rows.duplicated(CONTENT)
    dropped = {"empty answer": empty, "identical answers": identical, "the same pair again": repeated}
    kept = rows[~(empty | identical | repeated)].reset_index(drop=True)
    if kept.empty:
        raise StudyError(
            f"data.path: {data.path} holds no usable pair of kind {data.kind!r}: all answers are "
            "empty or identical; name another file or kind"
        )
    unknown = pd.Series(pd.NA, index=kept.index, dtype="string")
    pairs = pd.DataFrame(
        {
            "pair_id": content_ids(kept[CONTENT]),
            "user_id": kept["user_id"],
            **dict.fromkeys(("source_model", "chosen_model", "rejected_model"), unknown),
            "score_gap": float("nan"),
            "turn": (kept["kind"] == "within_model").astype(int),  # models compete in turn 0
            "prompt": [[{"role": "user", "content": text}] for text in kept["prompt"]],
            "chosen": kept["chosen"],
            "rejected": kept["rejected"],
        }
    )
    lengths = kept["prompt"].str.len().groupby(kept["user_id"])
    users = pd.DataFrame({"n_pairs": lengths.size(), "median_prompt_length": lengths.median()}).reset_index()
    counts = {reason: int(rows_dropped.sum()) for reason, rows_dropped in dropped.items()}
    return Corpus(pairs, users, counts, generated=False)


def _draw_users(rows: pd.DataFrame, data: PairsData) -> pd.DataFrame:
    """Return the rows of as many users as requested, drawn by the seed; all rows if no number is given."""
    ids = np.sort(rows["user_id"].unique().astype(str))
    if data.users is None:
        return rows
    if data.users > len(ids):
        raise StudyError(
            f"data.users: {data.users} users are requested, but {data.path} has {len(ids)}; request fewer"
        )
    drawn = np.random.default_rng(data.seed).permutation(ids)[: data.users]
    return rows[rows["user_id"].isin(drawn)]


def _lines(path: Path) -> list[dict[str, str]]:
    rows = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    rows.append(PairRow.model_validate(json.loads(line)).model_dump())
                except ValidationError as error:
                    first = error.errors()[0]
                    column = ".".join(map(str, first["loc"]))
                    raise StudyError(f"{path}: line {number}, column {column}: {first['msg']}") from error
                except ValueError as error:
                    raise StudyError(
                        f"{path}: line {number} is not JSON ({error}); fix or remove it"
                    ) from error
    except OSError as error:
        raise StudyError(f"data.path: {path} cannot be read ({error.strerror}); name another file") from error
    return rows

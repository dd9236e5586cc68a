"""Ready-made pairs: jsonl rows of user_id, interaction_id, prompt, chosen, rejected, kind."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from training.data.corpus import Corpus
from training.data.pairs import EMPTY, identify
from training.errors import StudyError
from training.spec import PairsData


class PairRow(BaseModel):
    """One pair; neither model, score nor survey came with it."""

    user_id: str
    interaction_id: str
    prompt: str
    chosen: str
    rejected: str
    kind: Literal["within_model", "cross_model"]


def load(data: PairsData) -> Corpus:
    """Pairs of the asked kind; traits of a user are n_pairs and median_prompt_length (characters)."""
    rows = pd.DataFrame(_rows(Path(data.path)), columns=list(PairRow.model_fields))
    if data.kind != "all":
        rows = rows[rows["kind"] == data.kind]
    if rows.empty:
        raise StudyError(
            f"data.kind: {data.path} holds no pair of kind {data.kind!r}; name another file or kind"
        )
    rows = _sample(rows, data)
    answers = rows[["chosen", "rejected"]].apply(lambda column: column.str.strip())
    empty = answers.isin(EMPTY).any(axis=1)
    same = ~empty & (answers["chosen"] == answers["rejected"])
    repeated = ~empty & ~same & rows.duplicated(["user_id", "interaction_id", "prompt", "chosen", "rejected"])
    dropped = {"empty answer": empty, "identical answers": same, "the same pair again": repeated}
    kept = rows[~(empty | same | repeated)].reset_index(drop=True)
    if kept.empty:
        raise StudyError(
            f"data.path: {data.path} holds no usable pair of kind {data.kind!r}: all answers are "
            "empty or the same; name another file or kind"
        )
    unknown = pd.Series(pd.NA, index=kept.index, dtype="string")
    pairs = pd.DataFrame(
        {
            "pair_id": identify(kept[["user_id", "interaction_id", "prompt", "chosen", "rejected"]]),
            "user_id": kept["user_id"],
            **dict.fromkeys(("source_model", "chosen_model", "rejected_model"), unknown),
            "score_gap": float("nan"),
            "turn": (kept["kind"] == "within_model").astype(int),  # turn 0 is where models compete
            "prompt": [[{"role": "user", "content": text}] for text in kept["prompt"]],
            "chosen": kept["chosen"],
            "rejected": kept["rejected"],
        }
    )
    lengths = kept["prompt"].str.len().groupby(kept["user_id"])
    users = pd.DataFrame({"n_pairs": lengths.size(), "median_prompt_length": lengths.median()}).reset_index()
    return Corpus(pairs, users, {why: int(rows.sum()) for why, rows in dropped.items()}, generated=False)


def _sample(rows: pd.DataFrame, data: PairsData) -> pd.DataFrame:
    """Rows of the drawn users; of all where no number is asked for."""
    ids = np.sort(rows["user_id"].unique().astype(str))
    if data.users is None:
        return rows
    if data.users > len(ids):
        raise StudyError(
            f"data.users: {data.users} are asked for and {data.path} has {len(ids)}; ask for fewer"
        )
    drawn = np.random.default_rng(data.seed).permutation(ids)[: data.users]
    return rows[rows["user_id"].isin(drawn)]


def _rows(path: Path) -> list[dict[str, str]]:
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
                        f"{path}: line {number} is no JSON ({error}); mend or remove it"
                    ) from error
    except OSError as error:
        raise StudyError(f"data.path: {path} cannot be read ({error.strerror}); name another file") from error
    return rows

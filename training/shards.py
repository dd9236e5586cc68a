"""Cut a scoring pass into shards, each scored in any process and written whole or not at all."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from training.arrays import FloatArray, IntArray
from training.layout import LayoutCheck
from training.model import ModelFiles, load_model

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

SCORE_COLUMNS = (
    "ref_chosen_logps",
    "ref_rejected_logps",
    "ref_chosen_shared_logps",  # of as many tokens as the shorter answer of the pair has
    "ref_rejected_shared_logps",
    "log_weight_chosen_sampled",
    "log_weight_rejected_sampled",
    "log_weight_chosen_greedy",
    "log_weight_rejected_greedy",
)


@dataclass(frozen=True)
class Shard:
    """A picklable part of a scoring pass.

    tokens: The folder of the tokenised pairs.
    model: The reference model's files.
    rows: The row numbers of the pairs that it scores.
    out: The file that `score_shard` writes.
    """

    tokens: Path
    model: ModelFiles
    dtype: str
    max_length: int
    rows: tuple[int, ...]
    out: Path

    @property
    def pairs(self) -> int:
        """The number of its pairs."""
        return len(self.rows)

    @property
    def key(self) -> str:
        """The name of this piece of work."""
        return str(self.out)


RunShards = Callable[[Sequence[Shard]], object]  # returns once `score_shard` has run for each shard


def serial(shards: Sequence[Shard]) -> None:
    """Score the shards one after another, in this process."""
    for shard in shards:
        score_shard(shard)


def score_shard(shard: Shard, on_batch: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Score one shard and write it, whole or not at all; return its file.

    `on_batch(done, total)` is called after each batch.

    Raises:
        StudyError: The model cannot be loaded whole, cannot take the sequences (`training/limits.py`), or
            cannot be computed (`training/layout_check.py`).
    """
    import torch
    from datasets import Dataset

    from training.layout_check import check_layout
    from training.likelihood import Answers, score_answers
    from training.limits import refuse_sequences

    pairs = Dataset.load_from_disk(str(shard.tokens)).select(shard.rows)
    answers = Answers.of_pairs(pairs[:], shard.max_length)
    model = load_model(shard.model, shard.dtype)
    refuse_sequences(model, answers, shard.max_length)
    check = check_layout(model, "cuda" if torch.cuda.is_available() else "cpu")
    shorter = np.tile(answers.lengths.reshape(2, -1).min(axis=0), 2)
    scores = score_answers(model, check.layout, answers, shorter, on_batch)
    kinds = (scores.logp, scores.logp_shared, scores.log_weight_sampled, scores.log_weight_greedy)
    values = np.concatenate([kind.reshape(2, -1) for kind in kinds])  # rows in the order of SCORE_COLUMNS
    with tempfile.NamedTemporaryFile(dir=shard.out.parent, suffix=".tmp", delete=False) as unfinished:
        np.savez(unfinished, rows=np.array(shard.rows), values=values, check=json.dumps(check.to_json()))
    return Path(unfinished.name).rename(shard.out)


def cut(pairs: "Dataset", count: int) -> list[tuple[int, ...]]:
    """Cut the rows of tokenised pairs into at most `count` parts of about equally many tokens; none is empty.

    The pairs of a prompt are in one part, or in consecutive ones where they do not fit: a prompt, and an
    answer that stands in several of its pairs, is computed once per part.
    """
    from training.batches import packed_lengths

    prompts = pairs.with_format("numpy")["prompt_ids"]
    digests = np.array([hashlib.blake2b(ids.tobytes(), digest_size=16).hexdigest() for ids in prompts])
    order = np.argsort(digests, kind="stable")
    tokens = packed_lengths(pairs)[order]
    before = np.cumsum(tokens) - tokens / 2  # up to the middle of each pair
    bounds = np.searchsorted(before, np.arange(1, count) * tokens.sum() / count)
    return [tuple(part.tolist()) for part in np.split(order, bounds) if len(part)]


@dataclass(frozen=True)
class ScoredShard:
    """A finished shard: its rows, their values [columns, rows], and how the model was computed."""

    rows: IntArray
    values: FloatArray
    check: LayoutCheck


def read_shard(shard: Shard) -> ScoredShard | None:
    """Return what a shard holds once it is finished; None if its file is absent, damaged or of other rows."""
    try:
        with np.load(shard.out, allow_pickle=False) as file:
            check = LayoutCheck.from_json(json.loads(str(file["check"])))
            finished = ScoredShard(file["rows"], file["values"], check)
    except FileNotFoundError:
        return None
    except (BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
        log.warning("%s: damaged (%s); it will be scored again", shard.out, error)
        return None
    return finished if tuple(finished.rows.tolist()) == shard.rows else None

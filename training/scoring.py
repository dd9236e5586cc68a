"""Score once: what the reference model makes of every pair, computed once and read by every trial.

The table is cached by content (model, tokenizer and template, dtype, pairs, max_length, and not the method),
written under a lock to a temporary name and renamed; its checksum is verified whenever it is opened. The pass
is cut into shards that `run_shards` may send anywhere; a pass cut short goes on with the shards it lacks.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock

from training.errors import StudyError
from training.model import ModelFiles, fingerprint, load_model, load_tokenizer, resolve
from training.spec import DataSource, ModelSpec, TrainingSpec
from training.store import DamagedScores, save, verify

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

RECIPE = "scores-3"  # raised with every change of what a score is
SHARD_PAIRS = 2000
COLUMNS = (
    "ref_chosen_logps",
    "ref_rejected_logps",
    "log_weight_chosen_sampled",
    "log_weight_rejected_sampled",
    "log_weight_chosen_greedy",
    "log_weight_rejected_greedy",
)


@dataclass(frozen=True)
class Scored:
    """A scored table: its folder, its rows, and the pairs it lacks because their prompt fills max_length."""

    path: Path
    pairs: int
    dropped: tuple[str, ...]
    truncated: int
    computed: bool


@dataclass(frozen=True)
class Shard:
    """A picklable part of a scoring pass: rows index, index + count, ... of the tokenised pairs by length."""

    tokens: Path
    files: ModelFiles
    dtype: str
    max_length: int
    index: int
    count: int
    out: Path

    @property
    def key(self) -> str:
        return str(self.out)


def serial(shards: Sequence[Shard]) -> None:
    """Score the shards one after another, here."""
    for shard in shards:
        score_shard(shard)


def score(
    pairs: pd.DataFrame,
    model: ModelSpec,
    data: DataSource,
    training: TrainingSpec,
    cache: Path,
    run_shards: Callable[[Sequence[Shard]], object] = serial,
) -> Scored:
    """Score `pairs` (columns pair_id, prompt, chosen, rejected) under the reference model, once.

    `run_shards` receives the shards not yet on disk and returns when `score_shard` has run for each. Raises
    StudyError with the pair ids where a log-probability is not finite.
    """
    identity = _identity(pairs, fingerprint(model, data), training)
    folder = cache.resolve() / f"scores-{_digest(json.dumps(identity, sort_keys=True))}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            try:
                return _describe(folder, identity, computed=False)
            except DamagedScores as damage:
                log.warning("%s; scored anew", damage)
                shutil.rmtree(folder)
        _compute(pairs, resolve(model, data, cache), training, identity, folder, run_shards)
        return _describe(folder, identity, computed=True)


def open_scored(path: Path) -> "Dataset":
    """The scored table, memory-mapped: one row a pair, columns of `training.tokenise.FEATURES` and `COLUMNS`.

    Raises DamagedScores if the files are not the ones that were written.
    """
    from datasets import Dataset

    verify(path)
    return Dataset.load_from_disk(str(path))


def score_shard(shard: Shard, on_batch: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Score one shard and write it, whole or not at all; returns its file. `on_batch(done, total)` is told of
    each batch."""
    import torch
    from datasets import Dataset

    from training.likelihood import Answers, score_answers

    tokens = Dataset.load_from_disk(str(shard.tokens))
    rows = _longest_first(tokens)[shard.index :: shard.count]
    part = tokens.select(rows)[:]
    starts = [len(ids) for ids in part["prompt_ids"]]
    ids = [
        (prompt + answer)[: shard.max_length]
        for side in ("chosen_ids", "rejected_ids")
        for prompt, answer in zip(part["prompt_ids"], part[side], strict=True)
    ]
    model = load_model(shard.files, shard.dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    scores = score_answers(model, Answers(ids, starts * 2), on_batch)
    both = (scores.logp, scores.log_weight_sampled, scores.log_weight_greedy)
    values = np.concatenate([values.reshape(2, -1) for values in both])  # rows in the order of COLUMNS
    with tempfile.NamedTemporaryFile(dir=shard.out.parent, suffix=".tmp", delete=False) as unfinished:
        np.savez(unfinished, rows=rows, values=values)
    return Path(unfinished.name).rename(shard.out)


def _compute(
    pairs: pd.DataFrame,
    files: ModelFiles,
    training: TrainingSpec,
    identity: dict[str, str],
    folder: Path,
    run_shards: Callable[[Sequence[Shard]], object],
) -> None:
    from datasets import Dataset, concatenate_datasets

    from training.tokenise import tokenise

    work = folder.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    try:
        tokenizer = load_tokenizer(files)
    except OSError as error:  # of transformers: not found, no access, no network
        why = " ".join(str(error).split())[:200]
        raise StudyError(
            f"model.path: {files.path} cannot be loaded ({why}); mend the name, or give a folder"
        ) from error
    tokenised = tokenise(pairs, tokenizer, training.max_length)
    if not len(tokenised.rows):
        raise StudyError(
            f"max_length: {training.max_length} leaves no answer of any of {len(pairs)} pairs; raise it"
        )
    save(tokenised.rows, work / "tokens")
    count = -(-len(tokenised.rows) // SHARD_PAIRS)
    shards = [
        Shard(
            work / "tokens",
            files,
            training.dtype,
            training.max_length,
            k,
            count,
            work / f"{k:04d}-of-{count:04d}.npz",
        )
        for k in range(count)
    ]
    run_shards([shard for shard in shards if _read_part(shard.out) is None])

    values = np.full((len(COLUMNS), len(tokenised.rows)), np.nan)
    filled = np.zeros(len(tokenised.rows), dtype=bool)
    for shard in shards:
        part = _read_part(shard.out)
        if part is not None:
            rows, part_values = part
            values[:, rows], filled[rows] = part_values, True
    pair_ids = np.array(tokenised.rows["pair_id"][:])
    if not filled.all():
        raise RuntimeError(
            f"{work}: {(~filled).sum()} pairs were never scored, first {_some(pair_ids[~filled])}"
        )
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        raise StudyError(
            f"model {files.path}: log-probabilities of {(~finite).sum()} pairs are not finite, "
            f"first {_some(pair_ids[~finite])}"
        )
    scores = Dataset.from_dict(dict(zip(COLUMNS, values, strict=True)))
    truncated = np.array(tokenised.rows["chosen_truncated"][:]) | tokenised.rows["rejected_truncated"][:]
    counts = {"pairs": len(pair_ids), "dropped": list(tokenised.dropped), "truncated": int(truncated.sum())}
    save(concatenate_datasets([tokenised.rows, scores], axis=1), folder, {"identity": identity, **counts})
    shutil.rmtree(work)


def _longest_first(tokens: "Dataset") -> npt.NDArray[np.int64]:
    prompt, chosen, rejected = (
        np.array(tokens[f"{part}_tokens"][:]) for part in ("prompt", "chosen", "rejected")
    )
    order: npt.NDArray[np.int64] = np.argsort(-(prompt + np.maximum(chosen, rejected)), kind="stable")
    return order


def _describe(folder: Path, identity: dict[str, str], computed: bool) -> Scored:
    about = verify(folder)
    if about["identity"] != identity:
        differs = [key for key in identity if about["identity"].get(key) != identity[key]]
        raise DamagedScores(f"{folder}: scored with another {', '.join(differs)}")
    return Scored(folder, about["pairs"], tuple(about["dropped"]), about["truncated"], computed)


def _read_part(file: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Rows and values of a finished shard; None if it is not there or was cut short."""
    try:
        with np.load(file, allow_pickle=False) as part:
            return part["rows"], part["values"]
    except FileNotFoundError:
        return None
    except (BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
        log.warning("%s: damaged (%s); scored anew", file, error)
        return None


def _identity(pairs: pd.DataFrame, model: str, training: TrainingSpec) -> dict[str, str]:
    text = pairs[["pair_id", "prompt", "chosen", "rejected"]].to_json(orient="values")
    return {
        "recipe": RECIPE,
        "model": model,
        "dtype": training.dtype,
        "max_length": str(training.max_length),
        "pairs": _digest(text),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _some(pair_ids: npt.NDArray[np.str_]) -> str:
    return ", ".join(pair_ids[:5])

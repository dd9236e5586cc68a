"""Score every pair under the reference model once, for every trial to read.

The table is cached by content (model, tokenizer and template, dtype, pairs and max_length, but not the
method). It is written under a lock to a temporary name, then renamed, and its checksum is verified whenever
it is opened. The pass is cut into shards that `run_shards` may send anywhere; an interrupted pass continues
with the shards it lacks.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock

from training.arrays import FloatArray
from training.errors import StudyError
from training.layout import Layout, LayoutCheck
from training.model import ModelFiles, load_tokenizer
from training.model_path import fingerprint, resolve_model
from training.scored_folder import DamagedScores, save, verify
from training.shards import SCORE_COLUMNS, RunShards, Shard, read_shard, serial
from training.spec import DataSource, ModelSpec, TrainingSpec

if TYPE_CHECKING:
    from datasets import Dataset

    from training.tokenise import Tokenised

log = logging.getLogger(__name__)

SCORE_RECIPE = "scores-4"  # raised with every change to what a score is
SHARD_PAIRS = 2000


@dataclass(frozen=True)
class Scored:
    """A scored table on disk.

    path: Its folder, for `open_scored`.
    pairs: Its number of rows.
    dropped: Ids of the pairs that it lacks because their prompt fills max_length.
    truncated: How many of its pairs have an answer that max_length cuts.
    check: How the model may be computed, as measured when the table was scored.
    computed: Whether this call computed it; otherwise it was in the cache.
    """

    path: Path
    pairs: int
    dropped: tuple[str, ...]
    truncated: int
    check: LayoutCheck
    computed: bool


def score(
    pairs: pd.DataFrame,
    model: ModelSpec,
    data: DataSource,
    training: TrainingSpec,
    cache: Path,
    run_shards: RunShards = serial,
) -> Scored:
    """Score pairs under the reference model, unless `cache` holds their scores already.

    Args:
        pairs: Columns pair_id, prompt (chat messages), chosen, rejected.
        model: The reference model.
        data: The source of the pairs; the tiny model is built from it.
        training: Its dtype and max_length apply.
        cache: The folder of scored tables and of the tiny model.
        run_shards: Receives the shards that are not on disk yet, and returns when `score_shard` has run for
            each of them.

    Returns:
        Where the table is, and how many pairs it holds, lacks and truncates.

    Raises:
        StudyError: The model cannot be loaded, max_length leaves no room for an answer in any pair, or a
            log-probability is not finite (the message names the pairs).
        RuntimeError: `run_shards` returned before every pair was scored.
    """
    identity = _identity(pairs, fingerprint(model, data), training)
    folder = cache.resolve() / f"scores-{_digest(json.dumps(identity, sort_keys=True))}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            try:
                return _describe(folder, identity, computed=False)
            except DamagedScores as damage:
                log.warning("%s; scoring again", damage)
                shutil.rmtree(folder)
        _compute(pairs, resolve_model(model, data, cache), training, identity, folder, run_shards)
        return _describe(folder, identity, computed=True)


def open_scored(path: Path) -> "Dataset":
    """Open a scored table, memory-mapped.

    Returns:
        One row per pair, with the columns of `training.tokenise.TOKEN_FEATURES` and
        `training.shards.SCORE_COLUMNS`.

    Raises:
        DamagedScores: The files are not the ones that were written.
    """
    from datasets import Dataset

    verify(path)
    return Dataset.load_from_disk(str(path))


def _compute(
    pairs: pd.DataFrame,
    model: ModelFiles,
    training: TrainingSpec,
    identity: dict[str, str],
    folder: Path,
    run_shards: RunShards,
) -> None:
    """Tokenise the pairs, have the missing shards scored, and write the table."""
    from datasets import Dataset, concatenate_datasets

    work = folder.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    tokenised = _tokenise(pairs, model, training.max_length)
    save(tokenised.rows, work / "tokens")
    count = -(-len(tokenised.rows) // SHARD_PAIRS)
    shards = [
        Shard(
            tokens=work / "tokens",
            model=model,
            dtype=training.dtype,
            max_length=training.max_length,
            index=index,
            count=count,
            out=work / f"{index:04d}-of-{count:04d}.npz",
        )
        for index in range(count)
    ]
    run_shards([shard for shard in shards if read_shard(shard.out) is None])
    values, check = _collect(shards, np.array(tokenised.rows["pair_id"][:]), model, work)
    scores = Dataset.from_dict(dict(zip(SCORE_COLUMNS, values, strict=True)))
    truncated = np.array(tokenised.rows["chosen_truncated"][:]) | tokenised.rows["rejected_truncated"][:]
    counts = {
        "pairs": len(tokenised.rows),
        "dropped": list(tokenised.dropped),
        "truncated": int(truncated.sum()),
        "check": check.to_json(),
    }
    save(concatenate_datasets([tokenised.rows, scores], axis=1), folder, {"identity": identity, **counts})
    shutil.rmtree(work)


def _tokenise(pairs: pd.DataFrame, model: ModelFiles, max_length: int) -> "Tokenised":
    from training.tokenise import tokenise

    try:
        tokenizer = load_tokenizer(model)
    except OSError as error:  # from transformers: not found, no access, no network
        reason = " ".join(str(error).split())[:200]
        raise StudyError(
            f"model.path: {model.path} cannot be loaded ({reason}); correct the name, or give a folder"
        ) from error
    tokenised = tokenise(pairs, tokenizer, max_length)
    if not len(tokenised.rows):
        raise StudyError(
            f"max_length: {max_length} leaves no room for an answer in any of {len(pairs)} pairs; raise it"
        )
    return tokenised


def _collect(
    shards: Sequence[Shard], pair_ids: npt.NDArray[np.str_], model: ModelFiles, work: Path
) -> tuple[FloatArray, LayoutCheck]:
    """Return the values of all shards in the order of the pairs, [columns, pairs], and the model's check.

    Where shards found different layouts, on different devices, the check is one that found padding.
    """
    values = np.full((len(SCORE_COLUMNS), len(pair_ids)), np.nan)
    filled = np.zeros(len(pair_ids), dtype=bool)
    checks: dict[Layout, LayoutCheck] = {}
    for shard in shards:
        finished = read_shard(shard.out)
        if finished is not None:
            values[:, finished.rows], filled[finished.rows] = finished.values, True
            checks.setdefault(finished.check.layout, finished.check)
    if not filled.all():
        raise RuntimeError(
            f"{work}: {(~filled).sum()} pairs were never scored, first {_first_ids(pair_ids[~filled])}"
        )
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        raise StudyError(
            f"model {model.path}: log-probabilities of {(~finite).sum()} pairs are not finite, "
            f"first {_first_ids(pair_ids[~finite])}"
        )
    return values, checks.get(Layout.PADDED) or checks[Layout.PACKED]


def _describe(folder: Path, identity: dict[str, str], computed: bool) -> Scored:
    description = verify(folder)
    if description["identity"] != identity:
        differing = [key for key in identity if description["identity"].get(key) != identity[key]]
        raise DamagedScores(f"{folder}: scored with another {', '.join(differing)}")
    return Scored(
        path=folder,
        pairs=description["pairs"],
        dropped=tuple(description["dropped"]),
        truncated=description["truncated"],
        check=LayoutCheck.from_json(description["check"]),
        computed=computed,
    )


def _identity(pairs: pd.DataFrame, model: str, training: TrainingSpec) -> dict[str, str]:
    """Return everything that a score depends on."""
    text = pairs[["pair_id", "prompt", "chosen", "rejected"]].to_json(orient="values")
    return {
        "recipe": SCORE_RECIPE,
        "model": model,
        "dtype": training.dtype,
        "max_length": str(training.max_length),
        "pairs": _digest(text),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _first_ids(pair_ids: npt.NDArray[np.str_]) -> str:
    return ", ".join(pair_ids[:5])

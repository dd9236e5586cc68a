"""Score every pair under the reference model once, for every trial to read.

The table is cached by content (model, dtype and token ids, but not the method). It is written under a lock
to a temporary name, then renamed, and its checksum is verified whenever it is opened. The pass is cut into
shards that `run_shards` may send anywhere; an interrupted pass continues with the shards it lacks.
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
from training.model import ModelFiles
from training.model_path import resolve_model, weights_fingerprint
from training.rendering import Rendered, render
from training.scored_folder import DamagedScores, save, verify
from training.shards import SCORE_COLUMNS, RunShards, Shard, cut, read_shard, serial
from training.spec import DataSource, ModelSpec, TrainingSpec

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

SCORE_RECIPE = "scores-6"  # raised with every change to what a score is
SHARD_PAIRS = 2000  # on average


@dataclass(frozen=True)
class Scored:
    """A scored table on disk.

    path: Its folder, for `open_scored`.
    rendered: The token ids that it holds, and which pairs it lacks.
    check: How the model may be computed, as measured when the table was scored.
    computed: Whether this call computed it; otherwise it was in the cache.
    """

    path: Path
    rendered: Rendered
    check: LayoutCheck
    computed: bool

    @property
    def pairs(self) -> int:
        """Its number of rows."""
        return self.rendered.pairs


def score(
    pairs: pd.DataFrame | Rendered,
    model: ModelSpec,
    data: DataSource,
    training: TrainingSpec,
    cache: Path,
    run_shards: RunShards = serial,
) -> Scored:
    """Score pairs under the reference model, unless `cache` holds their scores already.

    Args:
        pairs: Columns pair_id, prompt (chat messages), chosen, rejected; or the table that
            `training.rendering.render` made of them.
        model: The reference model.
        data: The source of the pairs; the tiny model is built from it.
        training: Its dtype, max_length and truncation apply.
        cache: The folder of rendered and scored tables and of the tiny model.
        run_shards: Receives the shards that are not on disk yet, and returns when `score_shard` has run for
            each of them.

    Returns:
        Where the table is, and how many pairs it holds, lacks and truncates.

    Raises:
        StudyError: The model cannot be loaded, no pair can be used (`render`), or a log-probability is not
            finite (the message names the pairs).
        RuntimeError: `run_shards` returned before every pair was scored.
    """
    rendered = pairs if isinstance(pairs, Rendered) else render(pairs, model, data, training, cache)
    identity = {
        "recipe": SCORE_RECIPE,
        "model": weights_fingerprint(model, data),
        "dtype": training.dtype,
        "tokens": rendered.tokens,
    }
    if model.lora and model.lora.quantise:  # adapters leave the reference as it is, and fewer bits do not
        identity["quantised"] = model.lora.quantise
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache.resolve() / f"scores-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            try:
                return Scored(folder, rendered, _check(folder, identity), computed=False)
            except DamagedScores as damage:
                log.warning("%s; scoring again", damage)
                shutil.rmtree(folder)
        _compute(rendered, resolve_model(model, data, cache), training, identity, folder, run_shards)
        return Scored(folder, rendered, _check(folder, identity), computed=True)


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
    rendered: Rendered,
    model: ModelFiles,
    training: TrainingSpec,
    identity: dict[str, str],
    folder: Path,
    run_shards: RunShards,
) -> None:
    """Have the missing shards scored, and write the table."""
    from datasets import Dataset, concatenate_datasets

    work = folder.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    rows = Dataset.load_from_disk(str(rendered.path))
    parts = cut(rows, -(-rendered.pairs // SHARD_PAIRS))
    shards = [
        Shard(
            tokens=rendered.path,
            model=model,
            dtype=training.dtype,
            max_length=training.max_length,
            rows=part,
            out=work / f"{index:04d}-of-{len(parts):04d}.npz",
        )
        for index, part in enumerate(parts)
    ]
    run_shards([shard for shard in shards if read_shard(shard) is None])
    values, check = _collect(shards, np.array(rows["pair_id"][:]), model, work)
    scores = Dataset.from_dict(dict(zip(SCORE_COLUMNS, values, strict=True)))
    description: dict[str, object] = {"identity": identity, "check": check.to_json()}
    save(concatenate_datasets([rows, scores], axis=1), folder, description)
    shutil.rmtree(work)


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
        finished = read_shard(shard)
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


def _check(folder: Path, identity: dict[str, str]) -> LayoutCheck:
    """Return the model's check; raise DamagedScores if a folder lacks the scores of this identity."""
    description = verify(folder)
    if description["identity"] != identity:
        differing = [key for key in identity if description["identity"].get(key) != identity[key]]
        raise DamagedScores(f"{folder}: scored with another {', '.join(differing)}")
    return LayoutCheck.from_json(description["check"])


def _first_ids(pair_ids: npt.NDArray[np.str_]) -> str:
    return ", ".join(pair_ids[:5])

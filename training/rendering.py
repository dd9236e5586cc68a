"""Render a study's pairs as the token ids that the loss sees, once, for every trial and for their identity.

The table is cached by what it depends on: pairs, tokenizer and template, length limit and date.
"""

import datetime
import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from training.errors import StudyError
from training.importing import importing
from training.model import ModelFiles, load_tokenizer
from training.model_path import fingerprint, resolve_model
from training.scored_folder import DamagedScores, save, verify
from training.spec import Checks, DataSource, ModelSpec, Prompt, TrainingSpec

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

RENDERING_RECIPE = "tokens-1"  # raised with every change to how a pair becomes token ids


@dataclass(frozen=True)
class Rendered:
    """A table of token ids on disk.

    path: Its folder.
    tokens: A hash of its pair ids and token ids.
    pairs: Its number of rows.
    truncated: How many of its pairs have an answer that max_length cuts.
    dropped: Why pairs are missing from it -> their ids.
    noted: What is unusual about pairs that it holds -> the number of these pairs.
    written_on: The date (ISO 8601) that the chat template wrote into it; None if it writes none.
    random: Whether the chat template writes a random value.
    """

    path: Path
    tokens: str
    pairs: int
    truncated: int
    dropped: dict[str, tuple[str, ...]]
    noted: dict[str, int]
    written_on: str | None
    random: bool


def render(
    pairs: "pd.DataFrame",
    model: ModelSpec,
    data: DataSource,
    training: TrainingSpec,
    cache: Path,
    prompt: Prompt | None = None,
    checks: Checks | None = None,
) -> Rendered:
    """Render pairs with the model's tokenizer and chat template, unless `cache` holds the result already.

    Args:
        pairs: Columns pair_id, prompt (chat messages), chosen, rejected.
        model: The model whose tokenizer and template are used.
        data: The source of the pairs; the tiny model is built from it.
        training: Its max_length and truncation apply.
        cache: The folder of rendered tables and of the tiny model.
        prompt: Its date applies; by default, today's.
        checks: Its control_tokens apply.

    Raises:
        StudyError: The tokenizer cannot be loaded, the template refuses a pair, or no pair is left because
            max_length leaves no room for an answer, or because both answers of a pair are the same tokens.
    """
    checks = checks or Checks()
    today = (prompt and prompt.date) or datetime.date.today()
    text = pairs[["pair_id", "prompt", "chosen", "rejected"]].to_json(orient="values")
    settings = {
        "recipe": RENDERING_RECIPE,
        "model": fingerprint(model, data),
        "pairs": hashlib.sha256(text.encode()).hexdigest(),
        "max_length": training.max_length,
        "truncation": training.truncation,
        "control_tokens": checks.control_tokens,
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache.resolve() / f"tokens-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    files = resolve_model(model, data, cache)
    with FileLock(f"{folder}.lock"):
        known = _described(folder)
        if known is None or known.written_on not in (None, today.isoformat()):
            _write(folder, pairs, files, training, checks, today)
            known = _described(folder)
            assert known is not None
        return known


def _write(
    folder: Path,
    pairs: "pd.DataFrame",
    model: ModelFiles,
    training: TrainingSpec,
    checks: Checks,
    today: datetime.date,
) -> None:
    with importing():
        from training.tokenise import tokenise

    try:
        tokenizer = load_tokenizer(model)
    except OSError as error:  # from transformers: not found, no access, no network
        reason = " ".join(str(error).split())[:200]
        raise StudyError(
            f"model.path: {model.path} cannot be loaded ({reason}); correct the name, or give a folder"
        ) from error
    tokenised = tokenise(
        pairs, tokenizer, training.max_length, training.truncation, checks.control_tokens, today
    )
    if not len(tokenised.rows):
        _refuse_all(tokenised.dropped, len(pairs), training)
    rows = tokenised.rows
    truncated = sum(a or b for a, b in zip(rows["chosen_truncated"], rows["rejected_truncated"], strict=True))
    description: dict[str, Any] = asdict(
        Rendered(
            path=folder,
            tokens=tokenised.tokens,
            pairs=len(rows),
            truncated=truncated,
            dropped=tokenised.dropped,
            noted=tokenised.noted,
            written_on=today.isoformat() if tokenised.dated else None,
            random=tokenised.random,
        )
    )
    save(rows, folder, {key: value for key, value in description.items() if key != "path"})


def _described(folder: Path) -> Rendered | None:
    """Return the table in a folder; None if there is none or its files are damaged."""
    if not folder.exists():
        return None
    try:
        description = verify(folder)
    except DamagedScores as damage:
        log.warning("%s; rendering again", damage)
        shutil.rmtree(folder)
        return None
    dropped = {reason: tuple(ids) for reason, ids in description.pop("dropped").items()}
    description.pop("sha256")
    return Rendered(path=folder, dropped=dropped, **description)


def _refuse_all(dropped: dict[str, tuple[str, ...]], pairs: int, training: TrainingSpec) -> None:
    """Raise StudyError because no pair is left; the message names the most frequent reason."""
    from training.tokenise import IDENTICAL, NO_ROOM

    counts = ", ".join(f"{len(ids)} {reason}" for reason, ids in dropped.items())
    reason = max(dropped, key=lambda reason: len(dropped[reason]))
    if reason == NO_ROOM:
        raise StudyError(
            f"training.max_length: {training.max_length} leaves no room for an answer in any of {pairs} "
            f"pairs ({counts}); raise it"
        )
    if reason == IDENTICAL:
        raise StudyError(
            f"training.max_length: {training.max_length}, after the chat template, makes both answers the "
            f"same tokens in every one of {pairs} pairs ({counts}); raise it, or use a model whose template "
            "keeps the text"
        )
    raise StudyError(f"data: none of {pairs} pairs is left after the chat template ({counts}); see `checks`")

"""A study's data, whatever it comes from: pairs, users, and what was dropped on the way."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from training.errors import StudyError
from training.spec import DataSource, PairsData, PrismData, TwinData


@dataclass(frozen=True)
class Corpus:
    """Preference pairs and the people they come from.

    pairs: pair_id (stable, unique), user_id, source_model (of both answers; missing where unknown or where
        two models wrote them), chosen_model, rejected_model, score_gap (missing where unknown), turn,
        prompt (chat messages, the last one the user's), chosen, rejected.
    users: user_id and one column a trait; users of pairs only.
    dropped: reason -> how many answers or pairs were dropped for it.
    generated: True for a twin, whose reports say so.
    """

    pairs: pd.DataFrame
    users: pd.DataFrame
    dropped: dict[str, int]
    generated: bool


def load(data: DataSource) -> Corpus:
    """The corpus of a study's `data:` block; raises StudyError for unreadable or invalid data."""
    from training.data import pairs, prism, ready, twin

    if isinstance(data, PairsData):
        return ready.load(data)
    tables = twin.tables(data) if isinstance(data, TwinData) else prism.read(data)
    return pairs.corpus(tables, data)


@lru_cache
def fingerprint(data: DataSource) -> str:
    """What the data is, as 16 hex digits: the content of local files, a hub id with its revision, or the
    twin's recipe. Cheap: no hub, no torch."""
    from training.data.twin import RECIPE

    digest = hashlib.sha256(data.model_dump_json(exclude={"path"}).encode())
    if isinstance(data, TwinData):
        digest.update(RECIPE.encode())
    elif isinstance(data, PairsData):
        _add_file(digest, Path(data.path), "data.path")
    elif is_local(data):
        for name in ("survey.jsonl", "utterances.jsonl"):
            _add_file(digest, Path(data.path) / name, "data.path")
    else:
        digest.update(data.path.encode())
    return digest.hexdigest()[:16]


def is_local(data: PrismData) -> bool:
    """A path that is a folder here, or is written like one, is local; anything else names the hub."""
    return Path(data.path).exists() or data.path.startswith((".", "/", "~"))


def _add_file(digest: "hashlib._Hash", path: Path, place: str) -> None:
    try:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise StudyError(
            f"{place}: {path} cannot be read ({error.strerror}); give the file's path"
        ) from error

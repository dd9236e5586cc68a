"""Where a study's data comes from: one reader per kind of source."""

from training.data import pairs, prism, ready, twin
from training.data.corpus import Corpus
from training.spec import DataSource, PairsData, TwinData


def load(data: DataSource) -> Corpus:
    """The corpus of a study's `data:` block; raises StudyError for unreadable or invalid data."""
    if isinstance(data, PairsData):
        return ready.load(data)
    tables = twin.tables(data) if isinstance(data, TwinData) else prism.read(data)
    return pairs.corpus(tables, data)

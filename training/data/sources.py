"""Load a study's data, with one reader per kind of source."""

from training.data import pairs, pairs_file, prism, twin
from training.data.corpus import Corpus
from training.spec import DataSource, PairsData, TwinData


def load_corpus(data: DataSource) -> Corpus:
    """Return the corpus of a study's `data:` block; raise StudyError for unreadable or invalid data."""
    if isinstance(data, PairsData):
        return pairs_file.read(data)
    tables = twin.tables(data) if isinstance(data, TwinData) else prism.read(data)
    return pairs.from_ratings(tables, data)

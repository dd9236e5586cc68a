"""Load a study's data: rows of a table, or of a twin, become pairs and people."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.data import compared, rated, twin
from training.data.annotations import exploded
from training.data.conversions import names, without_missing
from training.data.corpus import Corpus
from training.data.pairs import content_ids, prompt_texts, usable_pairs
from training.data.tables import Table, of_frame, read_table
from training.data.user_traits import known_users, people_users, traits_of
from training.errors import StudyError
from training.spec import DataSource, TwinData
from training.table_data import ANNOTATION, TableData, level_text

SHAPE_READERS = {
    "pairs": compared.from_pairs,
    "choices": compared.from_choices,
    "ratings": rated.candidates,
}


@dataclass(frozen=True)
class Rows:
    """The rows that a description names, and the people of its second table; None if there is none."""

    judged: Table
    people: Table | None


def load_corpus(data: DataSource) -> Corpus:
    """Return the corpus of a study's `data:` block; raise StudyError for unreadable or invalid data."""
    if isinstance(data, TwinData):
        table = twin.described(data)
        tables = twin.tables(data)
        rows = Rows(
            of_frame(tables.utterances, _judged_names(table), "utterances"),
            of_frame(twin.nested(tables.survey), _people_names(table), "survey"),
        )
        return corpus_of(table, rows, generated=True)
    return corpus_of(data, read_rows(data))


def read_rows(data: TableData) -> Rows:
    """Read the rows of a table, and of its people, in the columns that the description names."""
    wanted = _judged_names(data)
    inner = {ours: theirs for ours, theirs in wanted.items() if theirs.startswith(ANNOTATION)}
    lists = {f"annotations_{position}": name for position, name in enumerate(data.annotations)}
    if inner and not lists:
        raise StudyError(
            f"data.annotations: {next(iter(inner.values()))} is named, but no list; name the column"
        )
    outer = {ours: theirs for ours, theirs in wanted.items() if ours not in inner} | lists
    judged = read_table(data.path, outer, "data.path", data.table, data.revision, data.split)
    if lists:
        judged = exploded(judged, lists, inner)
    people = None
    if data.people:
        path, place = (data.people.path, "data.people.path") if data.people.path else (data.path, "data.path")
        people = read_table(path, _people_names(data), place, data.people.table, data.revision, data.split)
    return Rows(judged, people)


def corpus_of(data: TableData, rows: Rows, generated: bool = False) -> Corpus:
    """Return the pairs and the people of rows, as a description reads them.

    Raises:
        StudyError: A value has no place in its column, a trait differs between rows of one user, more users
            are requested than there are, or no usable pair is left.
    """
    judged = _known(_where(rows.judged, data), data)
    asked = _known(rows.people, data) if rows.people else None
    shape = data.columns.shape
    assert shape is not None
    users = pd.Series("", index=judged.frame.index, dtype="str") if data.anonymous else names(judged, "user")
    judged, users = _drawn(judged, users, data)
    candidates = SHAPE_READERS[shape](judged, users, data)
    if data.anonymous:  # whose pairs belong together is decided by the prompt
        texts = pd.Series(prompt_texts(candidates.frame["prompt"]), dtype="str")
        prompts = content_ids(texts)
        candidates.frame["user_id"] = pd.Series(prompts, index=candidates.frame.index, dtype="str")
    pairs, dropped = usable_pairs(candidates, data)
    traits = None
    if data.traits and asked:
        traits = traits_of(asked, people_users(asked), data.trait_columns)
    elif data.traits and not data.anonymous:
        traits = traits_of(judged, users, data.trait_columns)
    people = known_users(pairs, traits, asked.origins[0].name if asked else data.path)
    return Corpus(pairs, people, dropped, generated, data.anonymous)


def _judged_names(data: TableData) -> dict[str, str]:
    """Our name -> the file's name, of the columns of the table of judgements."""
    here = (
        {} if data.people else {f"trait:{name}": trait.column for name, trait in data.trait_columns.items()}
    )
    return data.columns.named | here | {f"where:{column}": column for column in data.where}


def _people_names(data: TableData) -> dict[str, str]:
    """Our name -> the file's name, of the columns of the table of people."""
    assert data.people
    return {"user": data.people.user} | {
        f"trait:{name}": trait.column for name, trait in data.trait_columns.items()
    }


def _where(table: Table, data: TableData) -> Table:
    """Return the rows that satisfy `data.where`."""
    kept = np.ones(len(table.frame), dtype=bool)
    for column, values in data.where.items():
        found = table.frame[f"where:{column}"].map(level_text)
        found = found.where(found.map(lambda value: isinstance(value, str)), None)  # a list has no text
        kept &= found.isin(values).to_numpy()
        if not kept.any():
            present = sorted(set(found.dropna()))[:20]
            raise StudyError(
                f"data.where.{column}: no row of {data.path} has {', '.join(values)}; "
                f"found: {', '.join(present)}"
            )
    return table if kept.all() else table.take(np.flatnonzero(kept), table.frame[kept])


def _known(table: Table, data: TableData) -> Table:
    """Return the table without what stands for a missing trait, score or preference."""
    columns = [str(name) for name in table.frame if str(name).startswith(("trait:", "score", "preference"))]
    return without_missing(table, columns, data.missing_values)


def _drawn(table: Table, users: pd.Series, data: TableData) -> tuple[Table, pd.Series]:
    """Return the rows of as many users as requested, drawn by the seed; all rows if no number is given."""
    if data.users is None:
        return table, users
    ids = np.sort(users.unique().astype(str))
    if data.users > len(ids):
        raise StudyError(
            f"data.users: {data.users} users are requested, but {data.path} has {len(ids)}; request fewer"
        )
    drawn = np.random.default_rng(data.seed).permutation(ids)[: data.users]
    kept = users.isin(drawn)
    rows = np.flatnonzero(kept)
    return table.take(rows, table.frame[kept.to_numpy()]), users[kept].reset_index(drop=True)

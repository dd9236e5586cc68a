"""Look at a table and propose how to read it: which column is which, and what is known of its people.

A proposal is a guess from names and values. It is written into a study file, where a person checks it.
"""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from training.data.conversions import is_missing, without_missing
from training.data.files import known
from training.data.tables import first_rows, read_table
from training.errors import StudyError
from training.table_data import (
    MISSING_VALUES,
    RESPONSES,
    SHAPES,
    Shape,
    TableData,
    level_text,
    shipped,
    shipped_names,
)

LOOKED_AT = 1000  # rows from which column names and preference values are taken
MOST_LEVELS = 20  # a text column with more values than this is not proposed as a trait

# What columns of each meaning are called, the likeliest name first; case and separators do not matter.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "user": (
        "user_id", "user", "annotator_id", "annotator", "worker_id", "worker", "rater_id", "rater",
        "evaluator", "judge", "participant_id", "participant", "person_id", "person", "respondent",
    ),
    "prompt": ("prompt", "user_prompt", "question", "instruction", "query", "context", "input"),
    "chosen": ("chosen", "preferred", "chosen_response", "better", "winner_response"),
    "rejected": ("rejected", "dispreferred", "rejected_response", "worse", "loser_response"),
    "response_a": ("response_a", "answer_a", "completion_a", "output_a", "conversation_a", "response_1",
                   "response1", "answer_1", "answer1", "a"),
    "response_b": ("response_b", "answer_b", "completion_b", "output_b", "conversation_b", "response_2",
                   "response2", "answer_2", "answer2", "b"),
    "response_c": ("response_c", "answer_c", "completion_c", "output_c", "response_3", "response3", "c"),
    "response_d": ("response_d", "answer_d", "completion_d", "output_d", "response_4", "response4", "d"),
    "preference": ("preference", "choice", "winner", "vote", "overall_preference", "preferred_response",
                   "label"),
    "response": ("response", "model_response", "answer", "completion", "output"),
    "score": ("score", "rating", "stars", "points"),
    "response_id": ("response_id", "utterance_id", "answer_id"),
    "item": ("item_id", "item", "interaction_id", "comparison_id", "prompt_id", "question_id"),
    "conversation": ("conversation_id", "conversation", "dialogue_id", "session_id"),
    "turn": ("turn",),
    "continued": ("if_chosen", "continued"),
}  # fmt: skip
OF_RATINGS = ("response", "score", "response_id", "conversation", "turn", "continued")
MODELS = {
    "pairs": (("chosen_model", "rejected_model"), ("model_name",), ("source_model",), ("model",)),
    "choices": (("model_a", "model_b"), ("model_1", "model_2"), ("model_name",), ("source_model",),
                ("model",)),
    "ratings": (("model_name",), ("source_model",), ("model",)),
}  # fmt: skip
GAPS = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"), ("score_gap",))
SIDES = {
    "A": ("a", "1", "left", "first", "model_a", "response_a", "answer_a", "response_1", "model_1"),
    "B": ("b", "2", "right", "second", "model_b", "response_b", "answer_b", "response_2", "model_2"),
    "C": ("c", "3", "third", "response_c", "answer_c", "response_3"),
    "D": ("d", "4", "fourth", "response_d", "answer_d", "response_4"),
    "tie": ("tie", "same", "equal", "both", "neither", "draw", "tie (bothbad)", "0"),
}


def proposed(path: str) -> dict[str, Any]:
    """Return a `data:` block for a local file, or for a folder with a table of judgements and one of people.

    Raises:
        StudyError: The file cannot be read, or no shape of preferences is recognised in its columns.
    """
    tables = _tables(path)
    for name in shipped_names():
        as_shipped = _as_shipped(name, path, tables)
        if as_shipped is not None:
            return as_shipped
    failures = []
    if not any(tables.values()):
        raise StudyError(f"--data: {path} has no row")
    for table, columns in tables.items():
        found = _columns(columns)
        if found is None:
            failures.append(f"{table or path} has {', '.join(columns)}")
            continue
        block: dict[str, Any] = {"source": "table", "path": path}
        if table is not None:
            block["table"] = table
        block["columns"] = found
        if "user" not in found:
            block["anonymous"] = True
        if "preference" in found:
            block |= _preference_values(path, table, found)
        if "chosen" in found and "prompt" not in found and _marks_speakers(path, table, found["chosen"]):
            block["format"] = "human_assistant"
        return block | _traits(path, table, block, tables)
    ways = "; ".join(", ".join(needed) for needed in SHAPES.values())
    raise StudyError(
        f"--data: no preferences are recognised ({'; '.join(failures)}); write data.columns by hand: one of "
        f"{ways}, and user"
    )


def _tables(path: str) -> dict[str | None, list[str]]:
    """Return the columns of each table: of a folder by the names of its files; otherwise of the one table."""
    root = Path(path).expanduser()
    if not root.is_dir():
        return {None: _names(first_rows(path, None, LOOKED_AT))}
    stems = sorted({file.name.split(".")[0] for file in root.iterdir() if file.is_file() and known(file)})
    tables: dict[str | None, list[str]] = {}
    unreadable: list[StudyError] = []
    for stem in stems:
        try:
            tables[stem] = _names(first_rows(path, stem, LOOKED_AT))
        except StudyError as error:  # a file beside the tables, such as one of settings
            unreadable.append(error)
    if stems and not tables:
        raise unreadable[0]
    if len({tuple(columns) for columns in tables.values()}) > 1:
        return tables
    return {None: _names(first_rows(path, None, LOOKED_AT))}  # parts of one table


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names in rows; those inside an object with a dot."""
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            inner = value if isinstance(value, Mapping) else {}
            found |= dict.fromkeys([f"{name}.{key}" for key in inner] or [name])
    return list(found)


def _as_shipped(name: str, path: str, tables: Mapping[str | None, list[str]]) -> dict[str, Any] | None:
    """Return the block that uses a shipped description, if the tables have all columns that it names."""
    description = shipped(name)
    if "people" in description and set(tables) < {description["table"], description["people"]["table"]}:
        return None
    table = description.get("table") if description.get("table") in tables else None
    present = tables.get(table)
    if present is None or name == "pairs" or ("people" in description and table is None):
        return None
    block = {"source": name, "path": path}
    data = TableData.model_validate(block | ({} if table else {"table": None}))
    needed = [column for column in data.columns.named.values() if not column.startswith("annotation.")]
    needed += data.annotations
    everything = {column.split(".")[0] for column in present} | set(present)
    if not set(needed) <= everything or len(needed) < 3:
        return None
    return block | ({} if table or not description.get("table") else {"table": None})


def _columns(present: list[str]) -> dict[str, Any] | None:
    """Return our names -> the file's names; None if they make no shape."""
    found: dict[str, Any] = {}
    for ours, usual in USUAL_NAMES.items():
        if (name := _named(usual, present, found.values())) is not None:
            found[ours] = name
    shape = next((shape for shape, needed in SHAPES.items() if set(needed) <= set(found)), None)
    if shape is None:
        return None
    unused: set[str] = {name for other, needed in SHAPES.items() if other != shape for name in needed}
    if shape != "choices":
        unused |= {*RESPONSES}
    if shape != "ratings":
        unused |= {*OF_RATINGS}
    found = {ours: name for ours, name in found.items() if ours not in unused}
    return found | _listed(shape, present)


def _listed(shape: Shape, present: list[str]) -> dict[str, Any]:
    lists: dict[str, tuple[tuple[str, ...], ...]] = {"source_model": MODELS[shape]}
    if shape == "pairs":
        lists["score_gap"] = GAPS
    found: dict[str, Any] = {}
    for ours, ways in lists.items():
        for way in ways:
            names = [_named((usual,), present, ()) for usual in way]
            if all(names):
                found[ours] = names if len(names) > 1 else names[0]
                break
    return found


def _named(usual: tuple[str, ...], present: list[str], taken: Iterable[Any]) -> str | None:
    """Return the column with one of the usual names, the likeliest first."""
    by_plain = {_plain(name): name for name in reversed(present) if name not in set(taken)}
    return next((by_plain[_plain(name)] for name in usual if _plain(name) in by_plain), None)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _preference_values(path: str, table: str | None, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preference_values: block; nothing if the preference is a signed number."""
    rows = read_table(path, {"preference": columns["preference"]}, "--data", table)
    given = without_missing(rows, ["preference"], MISSING_VALUES).frame["preference"]
    words = sorted({str(level_text(value)) for value in given if not is_missing(value)})
    if len(words) > MOST_LEVELS or any(_negative(word) for word in words):
        return {}
    sides = {"tie": [*SIDES["tie"]]}
    for letter, ours in zip("ABCD", RESPONSES, strict=True):
        if ours in columns:
            sides[letter] = [*SIDES[letter], str(columns[ours])]
    values: dict[str, list[str]] = {}
    for word in words:
        side = next((side for side, usual in sides.items() if word.lower().strip() in usual), None)
        if side is None or {*words} == {"0", "1"}:  # 0 may be the first answer, or a tie
            raise StudyError(
                f"--data: {word!r} in {columns['preference']} is not clear as a preference; write "
                "data.preference_values by hand: {A: [...], B: [...], tie: [...]}"
            )
        values.setdefault(side, []).append(word)
    return {"preference_values": {side: values[side] for side in SIDES if side in values}}


def _marks_speakers(path: str, table: str | None, column: str) -> bool:
    """Return whether the answers are conversations as `Human:` and `Assistant:` text."""
    return all(str(row[column]).lstrip().startswith("Human:") for row in first_rows(path, table, 10))


def _negative(word: str) -> bool:
    try:
        return float(word) < 0
    except ValueError:
        return False


def _traits(
    path: str, table: str | None, block: Mapping[str, Any], tables: Mapping[str | None, list[str]]
) -> dict[str, Any]:
    """Return the traits: and people: blocks: of the rows, or of a second table with the same users."""
    columns = block["columns"]
    if "user" not in columns:
        return {}
    for other, names in tables.items():
        if other == table:
            continue
        user = _named((columns["user"], *USUAL_NAMES["user"]), names, ())
        if user is not None:
            traits = _constant(path, other, user, [name for name in names if name != user])
            return {"people": {"table": other, "user": user}, "traits": traits} if traits else {}
    used = set(itertools.chain.from_iterable([n] if isinstance(n, str) else n for n in columns.values()))
    rest = [name for name in tables[table] if name not in used]
    traits = _constant(path, table, columns["user"], rest)
    return {"traits": traits} if traits else {}


def _constant(path: str, table: str | None, user: str, names: list[str]) -> dict[str, str]:
    """Return the columns that are the same in all rows of a user and differ between users."""
    if not names:
        return {}
    columns = {f"trait:{name}": name for name in names}
    rows = read_table(path, {"user": user} | columns, "--data", table)
    frame = without_missing(rows, columns, MISSING_VALUES).frame
    traits = {}
    for name in names:
        values = frame[f"trait:{name}"]
        if any(isinstance(value, list | dict) for value in values.head(LOOKED_AT)):
            continue
        values = values.where(values != "", None)
        levels = values.dropna()
        numeric = pd.to_numeric(levels, errors="coerce").notna().all() and len(levels)
        per_user = values.groupby(frame["user"]).nunique().max() <= 1
        if per_user and levels.nunique() > 1 and (numeric or levels.nunique() <= MOST_LEVELS):
            short = name.rsplit(".", 1)[-1]
            key = "".join(letter if letter.isalnum() else "_" for letter in short).strip("_") or "trait"
            traits[key] = name
    return traits

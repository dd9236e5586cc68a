"""Describe a table of preferences: where it is, what its columns mean, and what is known of its people.

This module imports neither torch nor pandas, because a plan needs neither.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BeforeValidator, Field, model_validator

from training.values import Name, Seed, Spec

Shape = Literal["pairs", "choices", "ratings"]

SHAPES: dict[Shape, tuple[str, ...]] = {
    "pairs": ("chosen", "rejected"),
    "choices": ("response_a", "response_b", "preference"),
    "ratings": ("response", "score"),
}
RESPONSES = ("response_a", "response_b", "response_c", "response_d")
BEHAVIOUR = ("n_pairs", "mean_score_gap", "median_prompt_length")  # traits that are counted, not asked
ANNOTATION = "annotation."  # before the name of a field of a list's entry
# How spreadsheets, R and pandas write an absent value, and what surveys offer to those who do not answer.
MISSING_VALUES = ("NA", "N/A", "NaN", "null", "Prefer not to say")
_WHOLE = re.compile(r"(-?\d+)\.0+")
_BOOLEANS = ("True", "False", "TRUE", "FALSE")


def level_text(value: Any) -> Any:
    """Return a number or a boolean as the text of a level, such as `3`, `2.5` or `true`; what is none stays.

    A text that is one of these is written likewise: a csv holds whole numbers as `3.0` where other rows of
    the column are empty, and booleans as `True`.
    """
    if isinstance(value, str):
        whole = _WHOLE.fullmatch(value)
        return whole[1] if whole else value.lower() if value in _BOOLEANS else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        if value != value:  # not a number: no level
            return value
        if float(value).is_integer():
            return str(int(value))
    return str(value) if isinstance(value, int | float | Decimal) else value


Level = Annotated[str, BeforeValidator(level_text)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ColumnNames = Annotated[list[str], BeforeValidator(_listed), Field(max_length=4)]


class Columns(Spec):
    """What the columns of a file are called. A name inside another is written with a dot: `scores.helpful`.

    The columns that are named decide how the rows are read: `chosen` and `rejected` make pairs; `response_a`,
    `response_b` and `preference` make answers and a choice; `response` and `score` make rated answers.
    """

    user: str | None = Field(None, description="Who chose or rated: a number or a text.")
    item: str | None = Field(None, description="What was judged; several people may judge one item.")
    conversation: str | None = Field(None, description="The conversation of a rated answer.")
    turn: str | None = Field(None, description="The turn of the conversation, counted from 0.")
    prompt: str | None = Field(None, description="The prompt: a text, or a list of chat messages.")
    chosen: str | None = Field(None, description="The preferred answer: a text, or chat messages.")
    rejected: str | None = Field(None, description="The other answer: a text, or chat messages.")
    response_a: str | None = Field(None, description="The first answer of a choice.")
    response_b: str | None = Field(None, description="The second answer of a choice.")
    response_c: str | None = Field(None, description="The third answer of a choice, if there is one.")
    response_d: str | None = Field(None, description="The fourth answer of a choice, if there is one.")
    preference: str | None = Field(
        None, description="Which answer was preferred: a word (`preference_values`), or a signed number."
    )
    response: str | None = Field(None, description="A rated answer; one row per answer.")
    score: str | None = Field(None, description="The score of a rated answer.")
    response_id: str | None = Field(None, description="A unique name of a rated answer.")
    continued: str | None = Field(
        None, description="Whether the conversation went on with this answer; the best one if absent."
    )
    source_model: ColumnNames = Field(
        [], description="Who wrote the answers: one column for all of them, or one per answer."
    )
    score_gap: ColumnNames = Field(
        [], description="How clearly the chosen answer is better: one column, or two scores to subtract."
    )

    @property
    def shape(self) -> Shape | None:
        """Which of the shapes the named columns make; None for none of them, or for more than one."""
        found = [shape for shape, needed in SHAPES.items() if all(getattr(self, name) for name in needed)]
        return found[0] if len(found) == 1 else None

    @property
    def named(self) -> dict[str, str]:
        """Our names -> the file's names; those of a list get a number: source_model_0."""
        plain = {name: value for name, value in self if isinstance(value, str)}
        listed = {
            f"{name}_{position}": column
            for name in ("source_model", "score_gap")
            for position, column in enumerate(getattr(self, name))
        }
        return plain | listed


class Trait(Spec):
    """A trait whose column needs more than a name."""

    column: str = Field(description="The column; a name inside another is written with a dot.")
    between: tuple[float, float] | None = Field(
        None, description="Lowest and highest number that is possible; another one is an error."
    )
    age_on: date | None = Field(
        None, description="The column is a date of birth; the trait is the age in years on this day."
    )


class People(Spec):
    """A second table, with one row per person, that holds the traits."""

    path: str | None = Field(None, description="File, folder, glob or hub id; `data.path` if absent.")
    table: str | None = Field(None, description="Hub configuration, or the file's name in the folder.")
    user: str = Field("user_id", description="Column with the names that `columns.user` holds, too.")


PREFERENCE = Literal["A", "B", "C", "D", "tie"]
SHIPPED = Literal[
    "prism", "pairs", "multipref", "community_alignment", "helpsteer3", "chatbot_arena", "ultrafeedback",
    "hh_rlhf",
]  # fmt: skip


class TableData(Spec):
    """Any table of preferences, as its columns are described here.

    `source` is `table`, or the name of a shipped description (`training/data/shipped/`). A key that stands in
    the study file replaces that of the description.
    """

    source: Literal["table", SHIPPED] = Field(
        "table", description="`table`, or a shipped description of a public data set."
    )
    path: str = Field("", description="File, folder, glob or hub id.")
    table: str | None = Field(None, description="Hub configuration, or the file's name in the folder.")
    revision: str = Field("main", description="Hub revision; give a commit if the study must be repeatable.")
    split: str = Field("train", description="Hub split.")
    format: Literal["human_assistant"] | None = Field(
        None, description="human_assistant: the answers are conversations as `Human:` and `Assistant:` text."
    )
    columns: Columns = Field(Columns(), description="What the file's columns are called.")
    annotations: ColumnNames = Field(
        [],
        description="Columns that hold a list with one entry per person; each entry becomes a row, whose "
        "fields are called annotation.NAME, and annotation.list says which column it came from.",
    )
    preference_values: dict[PREFERENCE, list[Level]] = Field(
        {},
        description="The words of the preference that mean A, B, C, D or a tie. Without it, the preference "
        "is a number: below 0 for A, above 0 for B, and its size is the score gap.",
    )
    traits: dict[Name, str | Trait] = Field(
        {}, description="What is known of a person: a name of your choice -> its column."
    )
    missing_values: list[Level] = Field(
        list(MISSING_VALUES),
        description="Words and numbers that mean, like an empty field, that a trait, score or preference is "
        "missing. Case and surrounding space do not count; [] takes each as a value of its own.",
    )
    people: People | None = Field(
        None, description="A second table that holds the traits; absent if the rows hold them."
    )
    anonymous: bool = Field(
        False, description="Nobody is named; the pairs of a prompt then count as one person's."
    )
    where: dict[str, list[Level]] = Field(
        {}, description="Column -> values; only rows with one of the values are read."
    )
    models: Literal["same", "different", "any"] = Field(
        "any", description="Which pairs are used: both answers by one model, by two models, or any."
    )
    history: Literal["full", "none"] = Field(
        "full", description="Whether the prompt includes the conversation before the rated turn."
    )
    min_gap: float = Field(0, ge=0, description="A pair with a smaller score gap is left out.")
    score_range: tuple[float, float] | None = Field(
        None, description="Lowest and highest score that is possible; another one is an error."
    )
    users: int | None = Field(None, ge=4, description="Number of users to draw; all users if absent.")
    seed: Seed = Field(0, description="Seed for drawing the users.")

    @model_validator(mode="before")
    @classmethod
    def _described(cls, value: Any) -> Any:
        """Put the keys of a shipped description under those of the study file."""
        if isinstance(value, Mapping) and value.get("source") in shipped_names():
            return _merged(shipped(value["source"]), value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "TableData":
        columns = self.columns
        if not self.path:
            raise ValueError("path: missing; name a file, a folder, a glob or a hub id")
        if columns.shape is None:
            ways = "; ".join(f"{shape}: {', '.join(needed)}" for shape, needed in SHAPES.items())
            raise ValueError(f"columns: name the columns of exactly one shape ({ways})")
        if bool(columns.user) == self.anonymous:
            raise ValueError(
                "columns.user: names who chose, because groups of people are compared; name the column, or "
                "set anonymous: true if the file does not say (either, not both)"
            )
        words = [word for meant in self.preference_values.values() for word in meant]
        for word in words:
            if words.count(word) > 1:
                raise ValueError(f"preference_values: {word!r} has two meanings; leave one")
            if word.strip().casefold() in {missing.strip().casefold() for missing in self.missing_values}:
                raise ValueError(
                    f"preference_values: {word!r} stands in missing_values, too; leave one of them out"
                )
        for name in self.traits:
            if name in (*BEHAVIOUR, "user_id"):
                raise ValueError(f"traits.{name}: the name is taken; choose another")
        if self.people and not self.traits:
            raise ValueError("people: no trait is named; add traits: {name: column}")
        if columns.shape == "ratings" and self.models != "any" and not columns.source_model:
            raise ValueError(f"models: {self.models} needs columns.source_model")
        return self

    @property
    def largest_gap(self) -> float | None:
        """The largest score gap that `score_range` allows; None if it is not given."""
        if self.score_range is None:
            return None
        low, high = self.score_range
        return high - low if self.columns.shape == "ratings" else max(-low, high)

    @property
    def trait_columns(self) -> dict[str, Trait]:
        """The traits, each with all that is said of it."""
        return {
            name: Trait(column=trait) if isinstance(trait, str) else trait
            for name, trait in self.traits.items()
        }


def shipped_names() -> tuple[str, ...]:
    """Return the names of the shipped descriptions."""
    return get_args(SHIPPED)


@cache
def shipped(name: str) -> dict[str, Any]:
    """Return a shipped description, as its file in `training/data/shipped/` holds it."""
    text = files("training.data").joinpath("shipped", f"{name}.yaml").read_text(encoding="utf-8")
    description: dict[str, Any] = yaml.safe_load(text)
    return description


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of both; those of `over` win, block by block."""
    both = dict(under)
    for key, value in over.items():
        block = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = _merged(both[key], value) if block else value
    return both

"""PRISM's survey and utterances as validated tables (Kirk et al. 2024, arXiv 2404.16019)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from training.data.fingerprint import is_local
from training.errors import StudyError
from training.spec import PrismData

SLIDERS = (
    "values",
    "creativity",
    "fluency",
    "factuality",
    "diversity",
    "safety",
    "personalisation",
    "helpfulness",
)


class StatedPrefs(BaseModel):
    """Sliders, 0 to 100."""

    values: float | None = Field(None, ge=0, le=100)
    creativity: float | None = Field(None, ge=0, le=100)
    fluency: float | None = Field(None, ge=0, le=100)
    factuality: float | None = Field(None, ge=0, le=100)
    diversity: float | None = Field(None, ge=0, le=100)
    safety: float | None = Field(None, ge=0, le=100)
    personalisation: float | None = Field(None, ge=0, le=100)
    helpfulness: float | None = Field(None, ge=0, le=100)


class Location(BaseModel):
    """Where a person was born and lives; more keys are there and not used."""

    birth_region: str | None = None
    reside_region: str | None = None


class SurveyRow(BaseModel):
    """One row a person."""

    user_id: str
    lm_familiarity: str | None
    stated_prefs: StatedPrefs
    age: str | None
    gender: str | None
    education: str | None
    employment_status: str | None
    marital_status: str | None
    english_proficiency: str | None
    location: Location


class UtteranceRow(BaseModel):
    """One row an answer that a person rated."""

    utterance_id: str
    interaction_id: str
    conversation_id: str
    user_id: str
    turn: int = Field(ge=0)
    within_turn_id: int
    model_name: str
    user_prompt: str
    model_response: str
    score: Annotated[int, Field(ge=1, le=100)]
    if_chosen: bool


@dataclass(frozen=True)
class PrismTables:
    """survey: user_id and one column a trait (`prefs_*` are the sliders). utterances: one row an answer, the
    columns of `UtteranceRow`. generated: made by `twin.py`."""

    survey: pd.DataFrame
    utterances: pd.DataFrame
    generated: bool = False


def read(data: PrismData) -> PrismTables:
    """PRISM from the hub, or from a folder with survey.jsonl and utterances.jsonl.

    Raises:
        StudyError: a file that cannot be read, a broken line, a missing column, a value outside its range or
            a duplicate id, by file, row and column.
    """
    if is_local(data):
        folder = Path(data.path).expanduser()
        rows = {name: list(_lines(folder / f"{name}.jsonl")) for name in ("survey", "utterances")}
    else:
        rows = {name: _from_hub(data, name) for name in ("survey", "utterances")}
    survey = _checked(SurveyRow, rows["survey"], f"{data.path}: survey", "user_id")
    utterances = _checked(UtteranceRow, rows["utterances"], f"{data.path}: utterances", "utterance_id")
    return PrismTables(flatten(pd.DataFrame(survey)), pd.DataFrame(utterances))


def flatten(survey: pd.DataFrame) -> pd.DataFrame:
    """Sliders and regions as columns of their own: prefs_values ..., birth_region, reside_region."""
    prefs = pd.DataFrame(survey["stated_prefs"].tolist(), index=survey.index)[list(SLIDERS)].add_prefix(
        "prefs_"
    )
    location = pd.DataFrame(survey["location"].tolist(), index=survey.index)[
        ["birth_region", "reside_region"]
    ]
    return pd.concat([survey.drop(columns=["stated_prefs", "location"]), prefs, location], axis=1)


def nested(survey: pd.DataFrame) -> pd.DataFrame:
    """The survey as PRISM stores it: the inverse of `flatten`."""
    prefs = survey[[f"prefs_{name}" for name in SLIDERS]].set_axis(list(SLIDERS), axis=1)
    location = survey[["birth_region", "reside_region"]]
    rest = survey.drop(columns=[*prefs.add_prefix("prefs_").columns, *location.columns])
    inside = {"stated_prefs": prefs, "location": location}
    columns = {name: pd.Series(part.to_dict(orient="records")) for name, part in inside.items()}
    return rest.reset_index(drop=True).assign(**columns)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise StudyError(
                        f"{path}: line {number} is no JSON ({error}); mend or remove it"
                    ) from error
    except OSError as error:
        raise StudyError(
            f"data.path: {path} cannot be read ({error.strerror}); name a folder with survey.jsonl and "
            "utterances.jsonl, or a hub id"
        ) from error


def _from_hub(data: PrismData, name: str) -> list[dict[str, Any]]:
    from datasets import load_dataset

    try:
        rows: list[dict[str, Any]] = load_dataset(
            data.path, name, split="train", revision=data.revision
        ).to_list()
    except (OSError, ValueError) as error:  # of `datasets`: not found, no access, no network
        raise StudyError(
            f"data.path: {name} of {data.path!r} at revision {data.revision!r} cannot be had from the hub "
            f"({' '.join(str(error).split())[:200]}); mend the name, or give a folder"
        ) from error
    return rows


def _checked(row: type[BaseModel], rows: list[dict[str, Any]], place: str, key: str) -> list[dict[str, Any]]:
    """Rows as plain dicts of the schema's columns; the first that does not fit is named."""
    try:
        parsed: list[BaseModel] = TypeAdapter(list[row]).validate_python(rows)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors()[0]
        number, *column = first["loc"]
        where = f"{place} row {int(number) + 1}, column {'.'.join(map(str, column))}"
        raise StudyError(f"{where}: {first['msg']} (found {first['input']!r:.80})") from error
    seen: set[str] = set()
    for number, item in enumerate(parsed, start=1):
        identity = getattr(item, key)
        if identity in seen:
            raise StudyError(f"{place} row {number}, column {key}: {identity!r} stands twice; remove one")
        seen.add(identity)
    return [item.model_dump() for item in parsed]

"""Read PRISM's survey and utterances as validated tables (Kirk et al. 2024, arXiv 2404.16019)."""

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


class StatedPrefs(BaseModel):
    """The sliders of stated preferences, 0 to 100."""

    values: float | None = Field(None, ge=0, le=100)
    creativity: float | None = Field(None, ge=0, le=100)
    fluency: float | None = Field(None, ge=0, le=100)
    factuality: float | None = Field(None, ge=0, le=100)
    diversity: float | None = Field(None, ge=0, le=100)
    safety: float | None = Field(None, ge=0, le=100)
    personalisation: float | None = Field(None, ge=0, le=100)
    helpfulness: float | None = Field(None, ge=0, le=100)


SLIDER_NAMES = list(StatedPrefs.model_fields)


class Location(BaseModel):
    """The regions where a person was born and lives; PRISM's other keys are not used."""

    birth_region: str | None = None
    reside_region: str | None = None


class SurveyRow(BaseModel):
    """A row of the survey: one person."""

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
    """A row of the utterances: one answer that a person rated."""

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
    """PRISM's two tables.

    survey: One row per person: user_id and one column per trait (`prefs_*` are the sliders).
    utterances: One row per answer, in the columns of `UtteranceRow`.
    generated: Whether `training/data/twin.py` generated them.
    """

    survey: pd.DataFrame
    utterances: pd.DataFrame
    generated: bool = False


def read(data: PrismData) -> PrismTables:
    """Read PRISM from the hub, or from a folder with survey.jsonl and utterances.jsonl.

    Raises:
        StudyError: A file cannot be read, a line is broken, a column is missing, a value is outside its
            range, or an id appears twice. The message names file, row and column.
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
    """Turn the sliders and the regions into columns: prefs_values, ..., birth_region, reside_region."""
    sliders = pd.DataFrame(survey["stated_prefs"].tolist(), index=survey.index)
    regions = pd.DataFrame(survey["location"].tolist(), index=survey.index)
    return pd.concat(
        [
            survey.drop(columns=["stated_prefs", "location"]),
            sliders[SLIDER_NAMES].add_prefix("prefs_"),
            regions[["birth_region", "reside_region"]],
        ],
        axis=1,
    )


def nested(survey: pd.DataFrame) -> pd.DataFrame:
    """Return the survey as PRISM stores it: the inverse of `flatten`."""
    sliders = survey[[f"prefs_{name}" for name in SLIDER_NAMES]].set_axis(SLIDER_NAMES, axis=1)
    regions = survey[["birth_region", "reside_region"]]
    rest = survey.drop(columns=[*sliders.add_prefix("prefs_").columns, *regions.columns])
    inner = {"stated_prefs": sliders, "location": regions}
    columns = {name: pd.Series(table.to_dict(orient="records")) for name, table in inner.items()}
    return rest.reset_index(drop=True).assign(**columns)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise StudyError(
                        f"{path}: line {number} is not JSON ({error}); fix or remove it"
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
    except (OSError, ValueError) as error:  # from `datasets`: not found, no access, no network
        raise StudyError(
            f"data.path: {name} of {data.path!r} at revision {data.revision!r} cannot be loaded from the hub "
            f"({' '.join(str(error).split())[:200]}); correct the name, or give a folder"
        ) from error
    return rows


def _checked(row: type[BaseModel], rows: list[dict[str, Any]], place: str, key: str) -> list[dict[str, Any]]:
    """Return rows as dicts of the schema's columns; raise StudyError for the first row that does not fit."""
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
            raise StudyError(f"{place} row {number}, column {key}: {identity!r} appears twice; remove one")
        seen.add(identity)
    return [item.model_dump() for item in parsed]

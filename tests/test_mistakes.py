"""A mistake in a study file is placed by the keys as they are written, whatever their names."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from orchestrator.study.files import load
from training.errors import StudyError

RANDOM_SPLIT = {"by": "random", "predicted": "A = B"}
MINIMAL_STUDY: dict[str, Any] = {
    "study": "s",
    "splits": {"S1": RANDOM_SPLIT},
    "methods": {"dpo": {}},
    "seeds": [42],
}


def mistake(tmp_path: Path, block: dict[str, Any]) -> str:
    """Return the answer to a study with this block, behind the file's name."""
    path = tmp_path / "study.yaml"
    OmegaConf.save(OmegaConf.create(MINIMAL_STUDY | block), path)
    with pytest.raises(StudyError) as error:
        load(path)
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "split", ["random", "category", "median", "pairs", "twin", "prism", "listed", "adaptive", "literal"]
)
def test_a_split_may_have_the_name_of_a_kind(tmp_path: Path, split: str) -> None:
    line = mistake(tmp_path, {"splits": {split: RANDOM_SPLIT | {"colum": 1}}})
    assert line.startswith(f"splits.{split}.colum: unknown key 'colum'; ")
    assert "predicted" in line
    line = mistake(tmp_path, {"splits": {split: {"by": "category", "predicted": "A = B"}}})
    assert line.startswith(f"splits.{split}.column: missing; ")
    line = mistake(tmp_path, {"splits": {split: RANDOM_SPLIT | {"by": "mood"}}})
    assert line == f"splits.{split}.by: unknown value 'mood'; valid: category, median, quantile, random"
    line = mistake(tmp_path, {"splits": {split: {"predicted": "A = B"}}})
    assert line == f"splits.{split}.by: missing; valid: category, median, quantile, random"


@pytest.mark.parametrize("method", ["listed", "adaptive", "literal", "random", "twin"])
def test_a_method_may_have_the_name_of_a_kind(tmp_path: Path, method: str) -> None:
    line = mistake(tmp_path, {"methods": {"dpo": {}, method: {"betta": 1}}})
    assert line.startswith(f"methods.{method}.betta: unknown key 'betta'; did you mean 'beta'? ")
    line = mistake(tmp_path, {"methods": {"dpo": {}, method: {"seeds": ["x"]}}})
    assert line.startswith(f"methods.{method}.seeds.0: ")
    line = mistake(tmp_path, {"methods": {"dpo": {}, method: {"resources": {"gpus_per_worker": "many"}}}})
    assert line.startswith(f"methods.{method}.resources.gpus_per_worker: ")


@pytest.mark.parametrize("condition", ["adaptive", "random"])
def test_a_condition_may_have_the_name_of_a_kind(tmp_path: Path, condition: str) -> None:
    line = mistake(tmp_path, {"conditions": {condition: {"x": 1}}})
    assert (
        line
        == f"conditions.{condition}.x: unknown key 'x'; valid: match_source_models, source_models, splits"
    )


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"data": {"source": "twin", "pth": "x"}}, "data.pth: unknown key 'pth'; "),
        ({"data": {"source": "twin", "users": "many"}}, "data.users: "),
        ({"data": {"source": "csv"}}, "data.source: unknown value 'csv'; valid: chatbot_arena, "),
        ({"data": {"users": 20}}, "data.source: missing; valid: chatbot_arena, "),
        ({"seeds": [1, "x"]}, "seeds.1: "),
        ({"seeds": []}, "seeds: "),
        ({"seeds": {"begin": 3}}, "seeds.begin: unknown key 'begin'; "),
        ({"seeds": {"first": ["x"]}}, "seeds.first.0: "),
        ({"methods": {"dpo": {"loss_type": {"sigmoid": 1}}}}, "methods.dpo.loss_type: "),
        ({"verdicts": {"x": 1}}, "verdicts.x: unknown key 'x'; valid: lean_share, "),
        ({"reference": "ppo"}, "reference: no method is named 'ppo'; "),
    ],
    ids=str,
)
def test_a_kind_is_no_part_of_a_place(tmp_path: Path, block: dict[str, Any], place: str) -> None:
    assert mistake(tmp_path, block).startswith(place)


@pytest.mark.parametrize("name", ["a b", "../out", "[key]", "-x", ""])
@pytest.mark.parametrize(("block", "value"), [("splits", RANDOM_SPLIT), ("methods", {}), ("conditions", {})])
def test_a_bad_name_is_answered_at_its_place(
    tmp_path: Path, block: str, value: dict[str, Any], name: str
) -> None:
    known = MINIMAL_STUDY.get(block, {})
    line = mistake(tmp_path, {block: known | {name: value}})
    assert line.startswith(f"{block}.{name}: not a valid name: ")
    assert line.endswith(f"(found {name!r})")


def test_a_key_with_the_name_of_pydantics_marker_is_a_key(tmp_path: Path) -> None:
    line = mistake(tmp_path, {"methods": {"dpo": {"[key]": 1}}})
    assert line.startswith("methods.dpo.[key]: unknown key '[key]'; ")
    line = mistake(tmp_path, {"survey": {"traits": {"[key]": [1]}}})
    assert line.startswith("survey.traits.[key]: ")
    assert "name" not in line

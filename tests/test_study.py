"""Study files: what they may say, and that the shipped ones and their schema are today's."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator import sweep
from orchestrator.record import published
from orchestrator.schema import PATH, schema
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.grid import expand
from orchestrator.study.study import Study
from training.errors import StudyError

SHIPPED = sorted(CONFIGS.glob("*.yaml"))
MINIMAL = """
study: s
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
"""


def study(tmp_path: Path, text: str = MINIMAL, *overrides: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load(path, overrides)


def test_yaml_that_would_run_code_does_not(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(StudyError):
        study(tmp_path, f"study: !!python/object/apply:os.mkdir ['{mark}']")
    assert not mark.exists()


def test_overrides_reach_any_depth_and_a_new_method_needs_no_code(tmp_path: Path) -> None:
    read = study(
        tmp_path, MINIMAL, "methods.ipo={loss_type: ipo, beta: 0.2}", "training.max_steps=7", "seeds=[1,2]"
    )
    assert read.methods["ipo"].objective.beta == 0.2
    assert (read.training.max_steps, read.seeds) == (7, [1, 2])


def test_a_method_can_have_seeds_of_its_own(tmp_path: Path) -> None:
    read = study(tmp_path, MINIMAL, "methods.wpo={use_weighting: true, seeds: [7]}")
    assert (read.seeds_of("dpo"), read.seeds_of("wpo")) == ([42], [7])


def test_a_condition_repeats_every_split_under_a_name_of_its_own(tmp_path: Path) -> None:
    read = study(tmp_path, MINIMAL, "conditions.one={source_models: [plain-0]}")
    assert list(read.grid_splits) == ["S1", "S1@one"]
    assert read.grid_splits["S1@one"].source_models == ["plain-0"]
    assert read.grid_splits["S1"].source_models is None


def test_the_shipped_schema_is_todays() -> None:
    """Mended by `make schema`."""
    assert PATH.read_text() == schema()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_is_valid_in_an_editor_too(path: Path) -> None:
    assert load(path).study == path.stem
    as_typed = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.validate(as_typed, json.loads(schema()))
    with pytest.raises(jsonschema.ValidationError, match="trainning"):
        jsonschema.validate(as_typed | {"trainning": {}}, json.loads(schema()))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_study_is_explained(path: Path) -> None:
    assert unexplained(path) == set()


def unexplained(path: Path) -> set[str]:
    """Keys of a study file, methods' names aside, that stand on no line with a comment and in no comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = " ".join(line.split("#", 1)[1] for line in lines if "#" in line)
    keys = re.compile(r"(?:^|[{,]) *([a-z_]+):")
    explained = {key for line in lines if "#" in line for key in keys.findall(line)}
    said = {key for line in lines for key in keys.findall(line.split("#")[0])} - set(load(path).methods)
    return {key for key in said - explained if not re.search(rf"\b{key}\b", comments)}


def test_every_key_of_the_schema_says_what_it_is() -> None:
    found = json.loads(schema())
    for name, part in [("Study", found), *found["$defs"].items()]:
        for key, value in part.get("properties", {}).items():
            block = found["$defs"].get(value.get("$ref", "").rsplit("/", 1)[-1], {})
            said = value.get("description") or block.get("description") or part.get("description")
            assert said, f"{name}.{key}"
            if name not in ("Study", "PublishedRule") and key not in ("by", "source"):
                assert value.get("description"), f"{name}.{key}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_printed_config_is_the_same_study(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--set` applied, every default filled in, and each cell keeping its identity."""
    words = ["--config", str(path), "--set", "seeds=[7,8]", "methods.ipo={loss_type: ipo, beta: 0.2}"]
    with pytest.raises(SystemExit) as left:
        sweep.main([*words, "--print-config"])
    assert left.value.code == 0
    printed = tmp_path / path.name
    printed.write_text(capsys.readouterr().out)
    again = load(printed)
    assert again == load(path, words[3:])
    assert again.seeds == [7, 8]
    assert set(yaml.safe_load(printed.read_text())) == set(Study.model_fields)


def test_a_method_with_published_numbers_is_not_trained_and_its_file_is_checked_first(tmp_path: Path) -> None:
    file = CONFIGS / "reference" / "v5b_diffs.csv"
    study = load(CONFIGS / "v5b.yaml", ["methods.dpo.published=reference/v5b_diffs.csv"])
    assert {trial.method for trial in expand(study)} == {"wpo"}
    (diffs,) = published.tables(study).values()
    assert len(diffs) == 35
    assert set(diffs["study"]) == {"v5b"}
    assert diffs["diff_pp"].iloc[0] == 1.5625  # published as 1.56: 2 of 128
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(file.read_text().replace("dpo", "ipo"))
    with pytest.raises(StudyError, match=r"methods\.dpo\.published.*wrong\.csv.*ipo S1_age"):
        published.tables(load(CONFIGS / "v5b.yaml", [f"methods.dpo.published={wrong}"]))

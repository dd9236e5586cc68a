"""Study files: what they may contain, and that the shipped files and their schema are valid and complete."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator import sweep
from orchestrator.record.published import published_diffs
from orchestrator.schema import SCHEMA_FILE, main, schema
from orchestrator.study.engine import engine_in_words
from orchestrator.study.files import CONFIGS, deepspeed_config, load
from orchestrator.study.grid import expand
from orchestrator.study.study import Study
from training.errors import StudyError

SHIPPED_STUDIES = sorted(CONFIGS.glob("*.yaml"))
MINIMAL_STUDY = """
study: s
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
"""


def load_text(tmp_path: Path, text: str = MINIMAL_STUDY, *overrides: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load(path, overrides)


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(StudyError):
        load_text(tmp_path, f"study: !!python/object/apply:os.mkdir ['{mark}']")
    assert not mark.exists()


def test_overrides_reach_any_depth_and_a_new_method_needs_no_code(tmp_path: Path) -> None:
    study = load_text(
        tmp_path,
        MINIMAL_STUDY,
        "methods.ipo={loss_type: ipo, beta: 0.2}",
        "training.max_steps=7",
        "seeds=[1,2]",
    )
    assert study.methods["ipo"].objective.beta == 0.2
    assert (study.training.max_steps, study.seeds) == (7, [1, 2])


@pytest.mark.parametrize(
    ("overrides", "engine"),
    [
        ([], "no DeepSpeed"),
        (["resources.deepspeed=zero2"], "DeepSpeed zero2"),
        (["training.dtype=float32", "resources.gpus_per_worker=auto"], "no DeepSpeed"),
        (["resources.workers=2"], "DeepSpeed zero2"),
        (["training.optimizer=adamw_8bit"], "DeepSpeed zero2"),
        (["training.dtype=float16", "resources.gpus_per_worker=1"], "DeepSpeed zero2"),
    ],
)
def test_deepspeed_is_taken_where_one_worker_with_adamw_is_not_enough(tmp_path, overrides, engine) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, *overrides)
    shape = study.shape_of("dpo")
    assert engine_in_words(shape, study.training) == engine
    settings = deepspeed_config(shape, study.training)
    assert (settings is None) == (engine == "no DeepSpeed")


def test_a_method_can_have_seeds_of_its_own(tmp_path: Path) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, "methods.wpo={use_weighting: true, seeds: [7]}")
    assert (study.seeds_of("dpo"), study.seeds_of("wpo")) == ([42], [7])


def test_a_condition_repeats_every_split_under_a_name_of_its_own(tmp_path: Path) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, "conditions.one={source_models: [plain-0]}")
    assert list(study.grid_splits) == ["S1", "S1@one"]
    assert study.grid_splits["S1@one"].source_models == ["plain-0"]
    assert study.grid_splits["S1"].source_models is None


def test_the_shipped_schema_is_up_to_date() -> None:
    """If it is not, run `make schema`."""
    assert SCHEMA_FILE.read_text() == schema()


@pytest.mark.parametrize("path", SHIPPED_STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_is_valid_and_an_editor_agrees(path: Path) -> None:
    assert load(path).study == path.stem
    as_typed = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.validate(as_typed, json.loads(schema()))
    with pytest.raises(jsonschema.ValidationError, match="trainning"):
        jsonschema.validate(as_typed | {"trainning": {}}, json.loads(schema()))


@pytest.mark.parametrize("path", SHIPPED_STUDIES, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_study_is_explained(path: Path) -> None:
    assert unexplained(path) == set()


def unexplained(path: Path) -> set[str]:
    """Return the keys of a study file, without the methods' names, that no comment mentions or follows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = " ".join(line.split("#", 1)[1] for line in lines if "#" in line)
    keys = re.compile(r"(?:^|[{,]) *([a-z_]+):")
    explained = {key for line in lines if "#" in line for key in keys.findall(line)}
    used = {key for line in lines for key in keys.findall(line.split("#")[0])} - set(load(path).methods)
    return {key for key in used - explained if not re.search(rf"\b{key}\b", comments)}


def test_every_key_of_the_schema_has_a_description() -> None:
    """`by` and `source` name the kind of their block, which is described instead."""
    described = json.loads(schema())
    for name, block in [("Study", described), *described["$defs"].items()]:
        assert block.get("description"), name
        for key, value in block.get("properties", {}).items():
            if name != "PublishedRule" and key not in ("by", "source"):
                # A key with the same description as its block gets it by reference.
                referred = described["$defs"].get(value.get("$ref", "").rsplit("/", 1)[-1], {})
                assert value.get("description") or referred.get("description"), f"{name}.{key}"


def test_the_schema_can_be_written_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "editor" / "schema.json"
    assert main(["--out", str(out)]) == 0
    assert out.read_text() == SCHEMA_FILE.read_text()
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize("path", SHIPPED_STUDIES, ids=lambda path: path.stem)
def test_a_printed_config_is_the_same_study(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed study has `--set` applied and every default filled in."""
    words = ["--config", str(path), "--set", "seeds=[7,8]", "methods.ipo={loss_type: ipo, beta: 0.2}"]
    with pytest.raises(SystemExit) as end:
        sweep.main([*words, "--print-config"])
    assert end.value.code == 0
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
    (diffs,) = published_diffs(study).values()
    assert len(diffs) == 35
    assert set(diffs["study"]) == {"v5b"}
    assert diffs["diff_pp"].iloc[0] == 1.5625  # published as 1.56: 2 of 128
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(file.read_text().replace("dpo", "ipo"))
    with pytest.raises(StudyError, match=r"methods\.dpo\.published.*wrong\.csv.*ipo S1_age"):
        published_diffs(load(CONFIGS / "v5b.yaml", [f"methods.dpo.published={wrong}"]))


def test_a_method_trained_otherwise_has_other_cells_and_the_rest_keep_theirs(tmp_path: Path) -> None:
    def ids(*overrides: str) -> dict[str, str]:
        study = load_text(tmp_path, MINIMAL_STUDY, "methods.other={beta: 0.2}", *overrides)
        return {trial.name: trial.trial_id for trial in expand(study)}

    plain = ids()
    for change in ("learning_rate: 1.0e-3", "warmup_steps: 3", "max_steps: 7", "epochs: 2"):
        changed = ids(f"methods.other.training={{{change}}}")
        differing = {name for name, trial_id in changed.items() if plain[name] != trial_id}
        assert differing == {name for name in plain if name.startswith("other/")}, change
    assert ids("methods.other.training={}") == plain

    by_epochs = load_text(
        tmp_path,
        MINIMAL_STUDY,
        "training={epochs: 2}",
        "methods.other={training: {max_steps: 7}}",
        "methods.third={training: {epochs: 1}}",
    )
    lengths = {
        trial.method: {key: trial.identity["training"].get(key) for key in ("max_steps", "epochs")}
        for trial in expand(by_epochs)
    }
    assert lengths == {
        "dpo": {"max_steps": None, "epochs": 2},
        "other": {"max_steps": 7, "epochs": None},
        "third": {"max_steps": None, "epochs": 1},
    }

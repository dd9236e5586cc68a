"""A study file that says only what is different from another one."""

from pathlib import Path

import pytest

from orchestrator.study.files import load
from training.errors import StudyError

BASE = """
study: base
splits:
  S1: {by: random, predicted: A = B}
  S2: {by: random, seed: 1, predicted: A = B}
methods: {dpo: {beta: 0.1}, wpo: {use_weighting: true, seeds: [42]}}
seeds: [42, 123]
training: {max_steps: 7, batch_size: 4}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def extended(folder: Path, text: str, base: str = "base.yaml") -> Path:
    path = folder / "more.yaml"
    path.write_text(f"extends: {base}\n{text}")
    return path


def test_what_is_different_replaces_what_was_there(folder: Path) -> None:
    study = load(extended(folder, "study: more\nseeds: [7]\ntraining: {max_steps: 9}\nsplits: {S2: null}\n"))
    assert (study.study, study.seeds, study.training.max_steps, study.training.batch_size) == (
        "more",
        [7],
        9,
        4,
    )
    assert list(study.splits) == ["S1"]
    assert study.methods == load(folder / "base.yaml").methods


def test_a_method_is_merged_and_the_command_line_comes_last(folder: Path) -> None:
    path = extended(folder, "methods: {dpo: {beta: 0.3}, ipo: {loss_type: ipo}}\n")
    study = load(path, ["methods.dpo.beta=0.5"])
    assert list(study.methods) == ["dpo", "wpo", "ipo"]
    assert study.methods["dpo"].beta == 0.5
    assert load(path).methods["dpo"].beta == 0.3


def test_a_file_may_extend_one_that_extends_another_or_a_shipped_one(folder: Path) -> None:
    first = extended(folder, "study: first\n").rename(folder / "first.yaml")
    second = extended(folder, "seeds: [1]\n", first.name)
    assert (load(second).study, load(second).seeds) == ("first", [1])
    shipped = load(extended(folder, "study: mine\n", "v5b"))
    assert shipped.splits == load(Path("v5b")).splits


def test_a_mistake_in_the_base_is_found_there(folder: Path) -> None:
    (folder / "base.yaml").write_text("study: [unclosed")
    with pytest.raises(StudyError, match=r"base\.yaml: not readable"):
        load(extended(folder, "study: more\n"))

"""A study file made of flags or answers: it loads, holds what was given, and overwrites nothing."""

from pathlib import Path

import pytest

from orchestrator import new
from orchestrator.study.files import load
from tests.test_study import unexplained
from training.errors import StudyError
from training.spec import MedianSplit, PairsData, PrismData


def test_the_file_holds_what_the_flags_give(tmp_path: Path) -> None:
    out = tmp_path / "studies" / "x.yaml"
    words = ["--study", "x", "--data", "some/folder", "--model", "Qwen/Qwen2.5-0.5B-Instruct"]
    assert (
        new.main([*words, "--methods", "wpo_greedy,dpo,ipo,robust", "--seeds", "1,2", "--out", str(out)]) == 0
    )
    study = load(out)
    assert study.study == "x"
    assert isinstance(study.data, PrismData)
    assert study.data.path == "some/folder"
    assert study.reference == "wpo_greedy"
    assert study.methods["wpo_greedy"].wpo_alignment == "greedy"
    assert study.methods["ipo"].loss_type == "ipo"
    assert study.seeds == [1, 2]
    assert study.training.max_steps == 2000
    assert study.resources.gpus_per_worker == "auto"
    schema = out.read_text().splitlines()[0].split("$schema=")[1]
    assert (out.parent / schema).exists()


def test_the_defaults_make_a_study_that_runs_without_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    assert new.main(["--out", str(out)]) == 0
    study = load(out)
    assert (study.model.path, study.resources.gpus_per_worker) == ("tiny", 0)
    assert set(study.methods) == {"dpo", "wpo"}
    assert unexplained(out) == set()


def test_on_a_terminal_the_user_is_asked_for_what_no_flag_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "study.yaml"
    answers = iter(["mine", "twin", "tiny", "dpo,ipo", "7,8", "ko", str(out)])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt="": next(answers))
    assert new.main([]) == 0
    study = load(out)
    assert (study.study, set(study.methods), study.seeds) == ("mine", {"dpo", "ipo"}, [7, 8])
    assert study.language == "ko"
    assert unexplained(out) == set()


def test_pairs_and_splits_can_come_from_files(tmp_path: Path) -> None:
    out, splits = tmp_path / "study.yaml", tmp_path / "splits.yaml"
    splits.write_text("splits:\n  P1: {by: median, column: n_pairs, predicted: A < B}\n")
    assert new.main(["--data", "rows.jsonl", "--splits", str(splits), "--out", str(out)]) == 0
    study = load(out)
    assert isinstance(study.data, PairsData)
    assert unexplained(out) == set()
    assert study.splits == {"P1": MedianSplit(column="n_pairs", predicted="A < B")}


def test_a_mistake_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    with pytest.raises(StudyError, match="wpp"):
        new.main(["--methods", "dpo,wpp", "--out", str(out)])
    assert not out.exists()


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "study.yaml"
    out.write_text("mine")
    with pytest.raises(StudyError, match="exists"):
        new.main(["--out", str(out)])
    assert out.read_text() == "mine"

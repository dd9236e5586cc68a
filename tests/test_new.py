"""A study file made of flags or answers: it loads, holds what was given, and overwrites nothing."""

import json
from pathlib import Path

import pytest

from orchestrator import new
from orchestrator.study.files import load
from tests.test_study import unexplained
from training.data import twin
from training.data.sources import load_corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import MedianSplit, TwinData
from training.table_data import People, TableData


def test_the_file_holds_what_the_flags_give(tmp_path: Path) -> None:
    out = tmp_path / "studies" / "x.yaml"
    words = ["--study", "x", "--data", "some/folder", "--model", "Qwen/Qwen2.5-0.5B-Instruct"]
    assert (
        new.main([*words, "--methods", "wpo_greedy,dpo,ipo,robust", "--seeds", "1,2", "--out", str(out)]) == 0
    )
    study = load(out)
    assert study.study == "x"
    assert isinstance(study.data, TableData)
    assert study.data.source == "prism"
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


OWN_CSV = (
    "rater,age,town,question,answer_a,answer_b,vote\n"
    + "".join(
        f"{number % 6},{20 + number % 6},{'Rome' if number % 2 else 'Oslo'},why {number} ?,so,"
        f"{'no' * number}x,{'A' if number % 5 else 'B'}\n"
        for number in range(60)
    )
)  # fmt: skip


def test_a_file_of_ones_own_becomes_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numeric user ids, two traits: the proposal names all columns, and what the file holds is printed."""
    rows, out = tmp_path / "own.csv", tmp_path / "study.yaml"
    rows.write_text(OWN_CSV)
    assert new.main(["--data", str(rows), "--dry-run", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert not out.exists()
    assert new.main(["--data", str(rows), "--out", str(out)]) == 0
    held = capsys.readouterr().out.splitlines()[:-2]
    assert said.splitlines()[: len(held)] == held
    assert held == [
        "60 pairs of 6 users",
        "pairs per user: 10 (median), 10 to 10",
        "dropped: nothing",
        "items: 60, of which 0 were judged by several users",
        "trait age: 20 to 25, median 22.5",
        "trait town: Oslo 3, Rome 3",
    ]
    study = load(out)
    assert isinstance(study.data, TableData)
    assert study.data.columns.named == {
        "user": "rater", "prompt": "question", "response_a": "answer_a", "response_b": "answer_b",
        "preference": "vote",
    }  # fmt: skip
    assert study.data.preference_values == {"A": ["A"], "B": ["B"]}
    assert study.data.traits == {"age": "age", "town": "town"}
    assert list(study.splits) == ["S1_age", "S2_town", "S3_random"]
    assert unexplained(out) == set()
    tables = load_corpus(study.data)
    for split in study.splits.values():  # with the proposed share, each can be trained and evaluated
        sizes = assign(tables, study.held_out, split).groupby(["group", "fold"]).size()
        assert set(sizes.index) == {(group, fold) for group in "AB" for fold in ("train", "heldout")}
        assert sizes.xs("train", level="fold").min() >= study.training.batch_size


def test_what_the_checks_of_a_study_drop_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "own.csv"
    repeated = "".join(f"{OWN_CSV.splitlines()[number]}\n" for number in (1, 2))
    rows.write_text(OWN_CSV + repeated + "1,21,Rome,why not ?,n/a,N/A,A\n")
    assert new.main(["--data", str(rows), "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "61 pairs of 6 users"
    assert said[2] == "dropped: 2 the same pair again"


def test_a_folder_with_people_in_a_second_table_is_recognised(tmp_path: Path) -> None:
    folder, out = tmp_path / "study", tmp_path / "study.yaml"
    folder.mkdir()
    (folder / "ratings.jsonl").write_text(
        "".join(
            json.dumps({"worker_id": who, "prompt": "why ?", "response": answer, "rating": rating}) + "\n"
            for who in range(4)
            for rating, answer in enumerate(("no", "so", "yes"))
        )
    )
    (folder / "workers.csv").write_text(
        "worker_id,age,id\n" + "".join(f"{n},{n % 2},x{n}\n" for n in range(9))
    )
    assert new.main(["--data", str(folder), "--out", str(out)]) == 0
    data = load(out).data
    assert isinstance(data, TableData)
    assert data.columns.shape == "ratings"
    assert data.people == People(table="workers", user="worker_id")
    assert data.traits == {"age": "age", "id": "id"}
    assert load_corpus(data).users["age"].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_a_file_of_a_known_data_set_is_read_by_its_description(tmp_path: Path) -> None:
    twin.write(TwinData(users=30), tmp_path / "prism")
    out = tmp_path / "study.yaml"
    assert new.main(["--data", str(tmp_path / "prism"), "--out", str(out)]) == 0
    data = load(out).data
    assert data == TableData.model_validate({"source": "prism", "path": str(tmp_path / "prism")})


def test_a_file_without_preferences_is_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,c\n1,2\n")
    with pytest.raises(StudyError, match=r"--data: no preferences.*has a, c.*chosen, rejected"):
        new.main(["--data", str(rows), "--out", str(tmp_path / "study.yaml")])


def test_splits_can_come_from_a_file(tmp_path: Path) -> None:
    out, splits, rows = (tmp_path / name for name in ("study.yaml", "splits.yaml", "own.csv"))
    rows.write_text(OWN_CSV)
    splits.write_text("splits:\n  P1: {by: median, column: n_pairs, predicted: A < B}\n")
    assert new.main(["--data", str(rows), "--splits", str(splits), "--out", str(out)]) == 0
    study = load(out)
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


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (("0", "1"), r"'0' in vote is not clear as a preference; write data\.preference_values by hand"),
        (("1", "4"), r"'4' in vote is not clear"),
        ((), r"own\.csv has no row"),
    ],
    ids=["0 may be a tie", "no fourth answer", "no row"],
)
def test_a_file_that_is_not_clear_is_not_guessed(
    tmp_path: Path, votes: tuple[str, ...], message: str
) -> None:
    rows = tmp_path / "own.csv"
    lines = [f"{n % 6},why {n} ?,so,no{n},{votes[n % 2]}\n" for n in range(12 if votes else 0)]
    rows.write_text("rater,question,answer_a,answer_b,vote\n" + "".join(lines))
    with pytest.raises(StudyError, match=message):
        new.main(["--data", str(rows), "--dry-run"])

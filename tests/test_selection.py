"""Some cells of a study: chosen for a command, or planned for some splits only."""

from pathlib import Path

import pytest
from test_study import MINIMAL_STUDY, load_text

from orchestrator.plan.agenda import Chosen, Listed
from orchestrator.plan.plan import Plan
from orchestrator.record.places import Places
from orchestrator.status import main as status
from orchestrator.study import grid
from orchestrator.study.judging import added_seeds, judging_of
from orchestrator.study.selection import selection
from orchestrator.study.study import Study
from training.errors import StudyError

SPLITS = [
    "splits.S2={by: random, seed: 1, predicted: A = B}",
    "splits.S3={by: random, seed: 2, predicted: A = B}",
]
CONDITION = "conditions.one={match_source_models: true"
PER_SPLIT = "methods.wpo={use_weighting: true, seeds: {S2: [42, 456, 789], '*': [42]}}"


def names(study: Study) -> set[str]:
    return {trial.name for trial in grid.expand(study)}


def test_two_more_seeds_of_one_split_are_two_more_cells(tmp_path: Path) -> None:
    before = load_text(tmp_path, MINIMAL_STUDY, *SPLITS, "methods.wpo={use_weighting: true, seeds: [42]}")
    after = load_text(tmp_path, MINIMAL_STUDY, *SPLITS, PER_SPLIT)
    assert names(after) - names(before) == {"wpo/S2/456", "wpo/S2/789"}
    assert names(before) <= names(after)
    sealed = judging_of(before)
    assert added_seeds(sealed, after, "wpo", "S2") == {456, 789}
    assert (
        added_seeds(sealed, after, "wpo", "S3") == added_seeds(judging_of(after), after, "wpo", "S2") == set()
    )


@pytest.mark.parametrize(
    ("seeds", "line"),
    [
        ("{S2: [42], baseline: [42]}", "methods.wpo.seeds: no seeds for S1; "),
        ("{S4: [1], '*': [42]}", "methods.wpo.seeds: no split has a name like 'S4'; "),
        ("{S2: [1, 1], '*': [42]}", "methods.wpo.seeds.S2: "),
        ("7", "methods.wpo.seeds: give a list such as"),
    ],
)
def test_a_split_without_seeds_is_a_mistake(tmp_path: Path, seeds: str, line: str) -> None:
    with pytest.raises(StudyError, match="wpo") as error:
        load_text(tmp_path, MINIMAL_STUDY, *SPLITS, f"methods.wpo={{use_weighting: true, seeds: {seeds}}}")
    assert line in str(error.value)


def test_a_condition_may_concern_some_splits(tmp_path: Path) -> None:
    study = load_text(
        tmp_path, MINIMAL_STUDY, *SPLITS, "conditions.one={match_source_models: true, splits: [S2]}"
    )
    assert [name for name in study.grid_splits if "@" in name] == ["S2@one"]
    every = load_text(tmp_path, MINIMAL_STUDY, *SPLITS, f"{CONDITION}}}")
    assert {t.trial_id for t in grid.expand(study)} < {t.trial_id for t in grid.expand(every)}
    with pytest.raises(StudyError, match=r"conditions\.one\.splits: no split is named 'S9'"):
        load_text(
            tmp_path, MINIMAL_STUDY, *SPLITS, "conditions.one={match_source_models: true, splits: [S9]}"
        )


def test_null_takes_an_entry_out(tmp_path: Path) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, *SPLITS, "splits.S2=null")
    assert "S2" not in study.splits
    assert "S3" in study.splits
    with pytest.raises(StudyError, match="S9"):  # nothing there to take out
        load_text(tmp_path, MINIMAL_STUDY, *SPLITS, "splits.S9=null")


def test_only_the_chosen_cells_are_handed_out_and_the_plan_stays_whole(tmp_path: Path) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, *SPLITS)
    trials = grid.expand(study)
    chosen = selection(["*/S2/*", "dpo/S3/42"], trials)
    assert chosen
    agenda = Chosen(Listed(trials, {}), chosen)
    handed_out = set()
    while trial := agenda.next(lambda trial: True):
        handed_out.add(trial.name)
        agenda.ended(trial, None, 0.0)
    assert handed_out == {name for name in names(study) if name.split("/")[1] == "S2" or name == "dpo/S3/42"}
    assert not agenda.open
    assert len(agenda.planned) == len(trials)


def test_a_glob_that_matches_nothing_is_a_mistake(tmp_path: Path) -> None:
    study = load_text(tmp_path, MINIMAL_STUDY, *SPLITS)
    places = Places(study.study, tmp_path)
    with pytest.raises(
        StudyError, match=r"--only dpo/S2/43: matches no cell of the study; did you mean dpo/S2/42"
    ):
        Plan.from_record(study, places, ["dpo/S2/43"])


def test_status_shows_the_chosen_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    assert status(["--only", "wpo/S1_age/*", "--only", "dpo/S2_safety/42"]) == 1
    out = capsys.readouterr().out
    assert "16 cells, 0 finished, 3 to train" in out
    assert "S3_region" not in out


def test_seeds_on_the_command_line_are_those_of_every_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    assert status(["--config", "v5b", "--seeds", "1,2"]) == 1
    assert "study v5b: 36 cells" in capsys.readouterr().out
    for wrong in ("x", "", "1,,2"):
        with pytest.raises(StudyError, match="--seeds"):
            status([f"--seeds={wrong}"])

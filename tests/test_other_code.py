"""Cells that other code or libraries made are counted, and the plan and the report say so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_record import fill

from orchestrator import report, sweep
from orchestrator.plan.plan import Plan
from orchestrator.record import provenance
from orchestrator.record.places import Places
from orchestrator.record.result import facts_of_arms, values_of_arms
from orchestrator.study.files import load
from training.errors import StudyError
from training.origin import in_turn

pytestmark = pytest.mark.usefixtures("without_figures")

STUDY = """
study: code
data: {source: twin, users: 60, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [1, 2]
training: {max_steps: 50, batch_size: 4, logging_steps: 1}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished study, with its file."""
    home = tmp_path_factory.mktemp("home")
    (home / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        fill(load(home / "study.yaml"), home)
    return home


Change = Callable[[str, str, str], None]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """Change a text of a source file, in a copy of the code that counts as the running one."""
    root = tmp_path / "code"
    for package in ("orchestrator", "stats", "training"):
        shutil.copytree(
            provenance.CODE_ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )

    def replace(file: str, old: str, new: str) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))
        monkeypatch.setattr(provenance, "CODE_ROOT", root)
        provenance.code_and_libraries.cache_clear()

    yield replace
    provenance.code_and_libraries.cache_clear()


@pytest.fixture
def words(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(home))
    return ["--config", str(home / "study.yaml")]


def plan(home: Path) -> str:
    study = load(home / "study.yaml")
    return str(Plan.from_record(study, Places("code", home)))


def test_a_changed_line_of_the_trainer_is_said(
    home: Path, words: list[str], change: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "other code" not in plan(home)
    change("training/trainer.py", "clamp_min(1)", "clamp_min(2)")
    commit = provenance._git("rev-parse", "HEAD")[:7]
    said = plan(home)
    assert f"code: 4 cells were made by other code (since commit {commit}" in said
    assert "files: training/trainer.py)" in said
    assert report.main(words) == 0
    page = (home / "runs" / "code" / "report" / "report.md").read_text()
    assert "made with other code" in page
    assert "files: training/trainer.py): 4 cells" in page
    # strict_code refuses such cells, unless they are accepted.
    strict = [*words, "strict_code=true"]
    with pytest.raises(StudyError, match=r"strict_code: 4 cells .*--accept-code"):
        sweep.main(strict)
    assert sweep.main([*strict, "--accept-code"]) == 0
    assert "4 of 4 cells finished" in capsys.readouterr().out


def test_a_change_that_can_change_no_number_is_not_said(home: Path, words: list[str], change: Change) -> None:
    change("stats/page/report.py", "Setup", "The setup")
    assert "other code" not in plan(home)


def test_another_version_of_a_library_is_said(
    home: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, version = provenance.version("trl"), provenance.version
    monkeypatch.setattr(provenance, "version", lambda name: "99" if name == "trl" else version(name))
    provenance.code_and_libraries.cache_clear()
    said = plan(home)
    provenance.code_and_libraries.cache_clear()
    assert f"code: 4 cells were made with trl {installed}, which is 99 now" in said


def test_arms_that_were_made_differently_are_told_apart() -> None:
    origins = {"A": {"geometry": "x4", "torch": "2"}, "B": {"geometry": "x1", "torch": "2"}}
    facts = facts_of_arms(origins)
    assert facts == {"geometry": "A: x4; B: x1", "torch": "2"}
    assert values_of_arms(facts["geometry"]) == ["x4", "x1"]
    assert values_of_arms(facts["torch"]) == ["2"]


def test_an_arm_that_was_resumed_by_others_names_them_in_turn() -> None:
    one, two = {"torch": "1", "geometry": "x"}, {"torch": "2", "geometry": "x"}
    both = in_turn(one, two)
    assert both == {"torch": "1, then 2", "geometry": "x"}
    assert in_turn(both, two) == both
    facts = facts_of_arms({"A": in_turn(both, one), "B": two})
    assert facts["torch"] == "A: 1, then 2, then 1; B: 2"
    assert values_of_arms(facts["torch"]) == ["1", "2"]

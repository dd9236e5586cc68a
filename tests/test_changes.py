"""The plan says which key of the study file made finished cells count no longer."""

from pathlib import Path
from typing import Any

import pytest
from made_record import fill

from orchestrator.plan.plan import Plan
from orchestrator.record.places import Places
from orchestrator.study.study import Study

pytestmark = pytest.mark.usefixtures("without_figures")

STUDY: dict[str, Any] = {
    "study": "changes",
    "data": {"source": "twin", "users": 60, "history": "none"},
    "splits": {"S1": {"by": "random", "predicted": "A = B"}},
    "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
    "seeds": [1, 2],
    "training": {"max_steps": 50, "batch_size": 4, "logging_steps": 1},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a record in which all 8 cells of the study are finished."""
    home = tmp_path_factory.mktemp("changes")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        fill(Study.model_validate(STUDY), home)
    return home


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, []),
        ({"resources": {"workers": 2}, "seeds": [1, 2, 3]}, []),
        (
            {"training": STUDY["training"] | {"logging_steps": 7}},
            ["training.logging_steps 1 -> 7: 8 finished cells no longer count"],
        ),
        (
            {"methods": {"dpo": {"beta": 0.2}, "wpo": {"use_weighting": True}}},
            ["methods.dpo.beta 0.1 -> 0.2: 4 finished cells no longer count"],
        ),
        (
            {"splits": {"S1": {"by": "random", "seed": 5, "predicted": "A > B"}}, "seeds": [2]},
            ["splits.S1.seed 0 -> 5: 2 finished cells no longer count"],
        ),
        (
            {
                "splits": {"S1": {"by": "median", "column": "prefs_safety", "predicted": "A = B"}},
                "seeds": [2],
            },
            [
                "splits.S1.by random -> median, splits.S1.column (absent) -> prefs_safety, "
                "splits.S1.seed 0 -> (absent): 2 finished cells no longer count"
            ],
        ),
    ],
)
def test_the_plan_names_the_key_and_counts_the_cells(
    home: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], lines: list[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study = Study.model_validate(STUDY | change)
    plan = Plan.from_record(study, Places("changes", home))
    assert plan.changes == lines
    assert all(f"changed: {line}" in str(plan) for line in lines)

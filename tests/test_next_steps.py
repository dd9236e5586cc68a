"""The study files of docs/next-steps.md plan what the page says."""

import re
from pathlib import Path

import pytest

from orchestrator.study import grid
from orchestrator.study.files import CONFIGS, load

PAGE = (CONFIGS.parent / "docs" / "next-steps.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .* \| `(configs/next/\S+)` \| (\d+) \((\d+)\)", PAGE, flags=re.MULTILINE)


def test_every_file_is_on_the_page() -> None:
    assert {row[0] for row in ROWS} == {
        f"configs/next/{file.name}" for file in (CONFIGS / "next").glob("*.yaml")
    }


@pytest.mark.parametrize(("file", "cells", "arms"), ROWS)
def test_a_file_plans_the_cells_on_the_page(file: str, cells: str, arms: str) -> None:
    study = load(Path(CONFIGS.parent / file))
    assert study.study.removeprefix("v5b_").lower() in file.lower()
    first = study.adaptive.start if study.adaptive else None
    trials = [
        trial
        for trial in grid.expand(study)
        if first is None or trial.seed in study.seeds_of(trial.method, trial.split)[:first]
    ]
    assert (len(trials), sum(len(trial.arms) for trial in trials)) == (int(cells), int(arms))


def test_two_more_seeds_of_one_split_are_two_cells_beside_the_published_design() -> None:
    more = load(Path("v5b"), ['methods.wpo.seeds={S4_safety: [42, 456, 789], "*": [42]}'])
    assert len(grid.expand(more)) == len(grid.expand(load(Path("v5b")))) + 2

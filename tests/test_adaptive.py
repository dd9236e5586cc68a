"""Seeds where they decide something: which cells an adaptive agenda plans, given planted evidence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.plan.adaptive import Adaptive
from orchestrator.plan.agenda import Agenda, Listed
from orchestrator.plan.grid_table import as_text
from orchestrator.plan.plan import make_agenda
from orchestrator.plan.verdicts_table import verdicts_table
from orchestrator.record.result import TrialResult
from orchestrator.run.searcher import CellSearcher
from orchestrator.study import grid
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus

# How much more often A is right than B, by split: a large effect, none, and a small one.
EFFECTS = {"clear": 0.3, "nothing": 0.0, "open": 0.06}
WPO_EFFECTS = {"clear": 0.3, "nothing": 0.3, "open": 0.06}  # it changes what dpo does in one split
PREDICTED = {"clear": "A > B", "nothing": "A = B", "open": "A > B"}
USERS, PAIRS = 60, 5
DIVERGED: set[int] = set()  # seeds whose cells end with an exploded loss


def study(gpus: float = 0, **seeds: Any) -> Study:
    """A study of one method; `seeds` are further keys of its adaptive seeds."""
    return Study.model_validate(
        {
            "study": "s",
            "splits": {
                name: {"by": "random", "seed": number, "predicted": predicted}
                for number, (name, predicted) in enumerate(PREDICTED.items())
            },
            "methods": {"dpo": {}},
            "seeds": {"start": 3, "max": 8, **seeds},
            "resources": {"gpus_per_worker": gpus},
        }
    )


def train(trial: Trial) -> TrialResult:
    """A result with the planted effect in its held-out outcomes; the same trial gets the same ones."""
    of_wpo = trial.method == "wpo"
    effect = (WPO_EFFECTS if of_wpo else EFFECTS).get(trial.split, 0)
    rng = np.random.default_rng([trial.seed, *trial.split.encode(), *([1] if of_wpo else [])])
    users_rng = np.random.default_rng(list(trial.split.encode()))
    tables = []
    for group, sign in (("A", 1), ("B", -1)):
        of_user = users_rng.normal(0, 0.1, USERS).repeat(PAIRS)
        correct = rng.random(USERS * PAIRS) < 0.6 + sign * effect / 2 + of_user
        tables.append(
            pd.DataFrame(
                {
                    "arm": group,
                    "eval_group": group,
                    "user_id": [f"{group}{user}" for user in np.arange(USERS).repeat(PAIRS)],
                    "pair_id": [f"{group}{pair}" for pair in range(USERS * PAIRS)],
                    "item": None,
                    "margin": np.where(correct, 1.0, -1.0),
                    "correct": correct,
                }
            )
        )
    loss = 5.0 if trial.seed in DIVERGED else 0.5
    metrics = {"A/loss_step0": 0.69, "A/loss_tail": loss}
    return TrialResult(trial.trial_id, metrics, pd.DataFrame(), pd.concat(tables), {})


class FinishedCells:
    """The part of a record that an agenda reads: the cells that finished before."""

    def __init__(self, trials: list[Trial]) -> None:
        self.trials = {trial.trial_id: trial for trial in trials}

    def outcomes(self, trials: list[Trial], columns: list[str]) -> list[pd.DataFrame]:
        finished = [trial for trial in trials if trial.trial_id in self.trials]
        return [train(trial).outcomes[columns].assign(**trial.labels) for trial in finished]

    def metrics(self) -> dict[str, dict[str, float]]:
        return {trial_id: train(trial).metrics for trial_id, trial in self.trials.items()}

    def gpu_seconds(self) -> dict[str, float]:
        return dict.fromkeys(self.trials, 360.0)


def run(agenda: Agenda, width: int = 1, fails: Callable[[Trial], bool] = lambda trial: False) -> list[Trial]:
    """Run an agenda's cells, `width` at once; returns them in the order in which they were handed out."""
    handed_out: list[Trial] = []
    running: list[Trial] = []
    while agenda.open:
        while len(running) < width and (trial := agenda.next(lambda _: True)):
            running.append(trial)
            handed_out.append(trial)
        trial = running.pop(0)
        agenda.ended(trial, None if fails(trial) else train(trial), 360.0)
    return handed_out


def adaptive(of_study: Study, finished: list[Trial] | None = None) -> Adaptive:
    """The agenda of a study in whose record these cells have finished."""
    recorded = FinishedCells(finished or [])
    statuses = dict.fromkeys(recorded.trials, CellStatus.FINISHED)
    agenda = make_agenda(of_study, grid.expand(of_study), statuses, recorded)  # type: ignore[arg-type]
    assert isinstance(agenda, Adaptive)
    return agenda


def seeds_by_split(cells: list[Trial]) -> dict[str, list[int]]:
    return pd.DataFrame([cell.labels for cell in cells]).groupby("split")["seed"].agg(list).to_dict()


def test_a_settled_split_gets_no_more_seeds_and_an_open_one_does() -> None:
    agenda = adaptive(study())
    cells = run(agenda)
    spent = {split: len(seeds) for split, seeds in seeds_by_split(cells).items()}
    verdicts = agenda.verdicts.set_index("split")
    assert spent["baseline"] == 3
    assert spent["clear"] < 8
    assert verdicts.loc["clear", "state"] == "supported"
    assert (verdicts["seeds"] == verdicts.index.map(spent)).all()
    assert len({cell.trial_id for cell in cells}) == len(cells)
    for seeds in seeds_by_split(cells).values():
        assert seeds == study().seeds_of("dpo")[: len(seeds)]
    assert not set(verdicts["state"]) & {"open"}


@pytest.mark.parametrize("width", [1, 3, 50])
def test_the_verdicts_do_not_depend_on_how_many_cells_run_at_once(width: int) -> None:
    one, many = adaptive(study()), adaptive(study())
    run(one)
    cells = run(many, width)
    settled = one.verdicts["state"] != "undecided"
    columns = ["split", "state", "look", "estimate", "low", "high"]
    pd.testing.assert_frame_equal(
        one.verdicts.loc[settled, columns], many.verdicts.loc[settled, columns], check_dtype=False
    )
    assert len(cells) <= len(grid.expand(study()))


def test_a_resumed_sweep_makes_the_same_decisions() -> None:
    whole = adaptive(study())
    cells = run(whole)
    for cut in range(0, len(cells), 3):
        resumed = adaptive(study(), cells[:cut])
        assert cells[:cut] + run(resumed) == cells
        pd.testing.assert_frame_equal(resumed.verdicts, whole.verdicts)
    assert not adaptive(study(), cells).open
    assert {trial.trial_id for trial in adaptive(study(), cells).planned} == {cell.trial_id for cell in cells}


def test_a_person_sees_the_verdicts_so_far_and_what_would_decide_the_open_ones() -> None:
    agenda = adaptive(study())
    run(agenda)
    table = agenda.verdicts.set_index("split")
    shown = as_text(verdicts_table(agenda.verdicts), 200).splitlines()
    lines = {line.split()[1]: line for line in shown}
    methods = {split: line.split()[0] for split, line in lines.items() if split in EFFECTS}
    assert methods == dict.fromkeys(EFFECTS, "dpo")
    for split, row in table.iterrows():
        assert f"{row['state']}  " in lines[str(split)]
        for unit in ("seeds", "pairs"):
            needed = row[f"needed_{unit}"]
            assert (f"{needed:.0f} {unit}" in lines[str(split)]) == np.isfinite(needed)
    unsettled = table[table["cheaper"] != ""]
    assert len(unsettled)
    for split, row in unsettled.iterrows():
        assert f"{row['cheaper']} (cheaper)" in lines[str(split)]


def test_a_budget_of_cells_counts_those_in_the_record() -> None:
    cells = run(adaptive(study(budget_cells=14)))
    assert len(cells) == 14
    agenda = adaptive(study(budget_cells=14), cells[:12])
    assert len(run(agenda)) == 2
    assert "the budget is spent" in set(agenda.verdicts["note"])
    assert not set(agenda.verdicts["state"]) & {"open"}


def test_a_budget_of_gpu_hours_counts_what_cells_cost() -> None:
    assert len(run(adaptive(study(gpus=1, budget_gpu_hours=1.5)))) == 15  # each cell costs 0.1 hours


def test_a_failed_seed_is_not_passed_over() -> None:
    bad = study().seeds_of("dpo")[3]
    agenda = adaptive(study())
    cells = run(agenda, fails=lambda trial: trial.split == "open" and trial.seed == bad)
    assert seeds_by_split(cells)["open"] == study().seeds_of("dpo")[:4]
    row = agenda.verdicts.set_index("split").loc["open"]
    assert (row["state"], row["note"]) == ("undecided", f"its cell of seed {bad} failed or diverged")
    assert any(trial.seed == bad and trial.split == "open" for trial in agenda.planned)


def with_wpo(**keys: Any) -> Study:
    fields = study().model_dump() | keys
    fields["methods"]["wpo"] = {"use_weighting": True}
    return Study.model_validate(fields)


def test_a_change_from_the_reference_gets_the_seeds_that_it_needs_from_both_methods() -> None:
    agenda = adaptive(with_wpo())
    cells = run(agenda)
    table = agenda.verdicts.set_index(["method", "quantity", "split"])
    assert (
        table.loc[("wpo", "change", "nothing"), "state"] == "contradicted"
    )  # a change where none was expected
    assert ("dpo", "change") not in table.index.droplevel("split")
    spent = pd.DataFrame([cell.labels for cell in cells]).groupby(["method", "split"])["seed"].agg(list)
    for split in EFFECTS:
        common = min(len(spent["dpo", split]), len(spent["wpo", split]))
        assert table.loc[("wpo", "change", split), "seeds"] == common
    # wpo's own diff is settled, and only its change asks for the further seed
    assert len(spent["wpo", "nothing"]) > table.loc[("wpo", "A minus B", "nothing"), "look"]
    half = len(cells) // 2
    resumed = adaptive(with_wpo(), cells[:half])
    run(resumed)
    pd.testing.assert_frame_equal(resumed.verdicts, agenda.verdicts)


@pytest.mark.parametrize("count", ["as_they_are", "as_missing"])
def test_a_diverged_seed_is_treated_as_the_study_says(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = study().seeds_of("dpo")[3]
    monkeypatch.setitem(globals(), "DIVERGED", {bad})
    of_study = Study.model_validate(study().model_dump() | {"divergence": {"count": count}})
    agenda = adaptive(of_study)
    cells = run(agenda)
    row = agenda.verdicts.set_index("split").loc["open"]
    goes_on = count == "as_they_are"
    assert (len(seeds_by_split(cells)["open"]) > 4) == goes_on
    assert (row["note"] == f"its cell of seed {bad} failed or diverged") != goes_on
    resumed = adaptive(of_study, cells)
    assert not resumed.open
    pd.testing.assert_frame_equal(resumed.verdicts, agenda.verdicts)


def test_methods_with_seeds_of_their_own_get_all_of_them() -> None:
    fields = study().model_dump()
    fields["methods"]["wpo"] = {"use_weighting": True, "seeds": [1, 2]}
    cells = run(adaptive(Study.model_validate(fields)))
    own = [(cell.split, cell.seed) for cell in cells if cell.method == "wpo"]
    assert sorted(own) == sorted((split, seed) for split in ["baseline", *EFFECTS] for seed in (1, 2))


def test_the_searcher_keeps_to_its_room_and_restores_what_was_under_way(tmp_path: Any) -> None:
    trials = grid.expand(with_wpo())
    shapes = {"dpo": Shape(), "wpo": Shape(workers=2)}
    rooms = {shapes["dpo"]: 2, shapes["wpo"]: 1}

    def searcher() -> CellSearcher:
        return CellSearcher(Listed(trials, {}), shapes, lambda shape: rooms[shape])

    first = searcher()
    suggested = [first.suggest(str(number)) for number in range(5)]
    methods = {trial.trial_id: trial.method for trial in trials}
    cells = [suggestion["cell"] for suggestion in suggested if isinstance(suggestion, dict)]
    assert sorted(methods[cell] for cell in cells) == ["dpo", "dpo", "wpo"]
    assert suggested[3:] == [None, None]
    first.on_trial_complete("0")
    first.save(str(tmp_path / "state"))
    again = searcher()
    again.restore(str(tmp_path / "state"))
    (resumed,) = [new for number in range(5, 8) if (new := again.suggest(str(number)))]
    assert resumed not in suggested[1:3]

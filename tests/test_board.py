"""The table that a person sees: a mark a seed, where running cells are, and how long it still takes."""

import io

import pytest
from rich.console import Console

from orchestrator.plan.display import Event, Screen, span, text
from orchestrator.plan.display import grid as table
from orchestrator.plan.progress import Progress
from orchestrator.study import grid
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial

STUDY = Study.model_validate(
    {
        "study": "board",
        "splits": {"S": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
        "seeds": [1, 2],
        "training": {"max_steps": 10},
    }
)
TRIALS = {trial.name: trial for trial in grid.expand(STUDY)}


NOW = [0.0]


def screen(**status: str) -> Screen:
    known = {trial.trial_id: status.get(name, "missing") for name, trial in TRIALS.items()}
    console = Console(file=io.StringIO(), force_terminal=True)
    return Screen(STUDY, list(TRIALS.values()), known, console, "logs: here", lambda: NOW[0])


def shown(view: Screen) -> str:
    return text(view.render())


def told(view: Screen, name: str, status: str) -> Trial:
    view.tell(Event(TRIALS[name], status, "attempt 1 failed: boom" if status == "retried" else status))
    return TRIALS[name]


def row(page: str, method: str, split: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.split()[:2] == [method, split]]
    return line.split(maxsplit=3)[2:]


def test_each_cell_has_its_mark_in_the_order_of_the_seeds() -> None:
    view = screen(**{"dpo/S/1": "finished", "dpo/S/2": "failed"})
    told(view, "wpo/S/2", "started")
    assert row(shown(view), "dpo", "S") == ["●✗"]
    assert row(shown(view), "wpo", "S") == ["·◐"]
    assert "1 of 8 cells" in shown(view)


def test_a_running_cell_says_where_it_is_until_it_is_done() -> None:
    view = screen()
    cell = told(view, "dpo/S/2", "started")
    view.running({cell.trial_id: Progress("B", 4, 10)})
    assert row(shown(view), "dpo", "S") == ["·◐", "2: B 4/10"]
    told(view, "dpo/S/2", "finished")  # before the next look at what runs
    assert row(shown(view), "dpo", "S") == ["·●"]


def test_a_running_cell_says_how_long_it_still_takes_at_its_own_pace() -> None:
    view = screen()
    cell = told(view, "dpo/S/2", "started")
    for NOW[0], arm, step in ((100.0, "A", 2), (130.0, "A", 8), (150.0, "B", 2)):
        view.running({cell.trial_id: Progress(arm, step, 10)})
    # 10 of its 20 steps in the 50 s since it was first seen at step 2; 8 are left.
    assert row(shown(view), "dpo", "S") == ["·◐", "2: B 2/10, 40 s left"]
    view.running({cell.trial_id: Progress("A", 5, 10)})  # tried again, from a checkpoint
    NOW[0] = 160.0
    view.running({cell.trial_id: Progress("A", 10, 10)})
    assert row(shown(view), "dpo", "S") == ["·◐", "2: A 10/10, 20 s left"]
    assert "logs: here" in shown(view)


def test_a_cell_tried_again_keeps_its_mark_and_its_reason_stays_on_the_screen() -> None:
    view = screen()
    for status in ("started", "retried", "started"):
        told(view, "dpo/S/1", status)
    assert row(shown(view), "dpo", "S") == ["↻·"]
    assert "boom" in view.console.file.getvalue()  # type: ignore[attr-defined]


def test_time_left_is_that_of_the_steps_left_at_the_pace_so_far() -> None:
    view = screen(**{"dpo/baseline/1": "finished"})  # before this sweep: no measure of its pace
    assert view.left_s(100) is None
    cell = told(view, "dpo/S/1", "started")
    view.running({cell.trial_id: Progress("B", 5, 10)})
    # 120 steps in all (4 baselines x 10, 4 cells x 20); 10 were there, 15 took 30 s, 95 are left.
    assert view.left_s(30) == pytest.approx(190)


def test_published_methods_have_no_cells() -> None:
    study = STUDY.model_copy(
        update={"methods": {"dpo": STUDY.methods["dpo"].model_copy(update={"published": "d.csv"})}}
    )
    assert "published numbers of d.csv" in text(table(study, [], {}, {}))


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said

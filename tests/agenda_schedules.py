"""Explore schedules of agenda and searcher: cells end, fail, and are lost with a driver or its desk."""

import os
import random
import tempfile
from pathlib import Path

from ray.tune.search import Searcher

from orchestrator.plan.agenda import Listed
from orchestrator.plan.progress import steps_in_all
from orchestrator.run.searcher import CellSearcher
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from training.spec import MethodSpec, RandomSplit, TrainingSpec

METHODS = {"dpo": Shape(), "wpo": Shape(), "wide": Shape(workers=2)}
TRIALS = [
    Trial(
        "s", method, split, seed, "m", "d", {}, groups, MethodSpec(beta=beta), TrainingSpec(max_steps=steps)
    )
    for method, beta in (("dpo", 0.1), ("wpo", 0.2), ("wide", 0.3))
    for split, groups in (("S", RandomSplit(predicted="A = B")), ("baseline", None))
    for seed, steps in ((1, 10), (2, 10), (3, 30))
]
IDS = {trial.trial_id: trial for trial in TRIALS}
assert len(IDS) == len(TRIALS)


class Driver:
    """One driver's agenda, and the cells that its Tune trials have under way, by Tune's own id."""

    def __init__(self, draw: random.Random, trials: list[Trial], finished: set[str], limit: int) -> None:
        self.draw, self.trials, self.limit = draw, trials, limit
        statuses = dict.fromkeys(finished, CellStatus.FINISHED)
        statuses |= {
            trial.trial_id: draw.choice((CellStatus.FAILED, CellStatus.STARTED))
            for trial in trials
            if trial.trial_id not in finished and draw.random() < 0.3
        }
        self.agenda = Listed(trials, statuses)
        self.to_do = {trial.trial_id for trial in trials} - finished
        self.under_way: dict[str, str] = {}
        self.numbers = 0
        self.has_stopped = False
        self.new_searcher()

    def new_searcher(self) -> None:
        self.searcher = CellSearcher(self.agenda, METHODS, lambda shape: self.limit, lambda: self.has_stopped)

    def ask(self) -> bool:
        """Ask for a cell as Tune does, and return whether there may be another one."""
        self.numbers += 1
        tune_id = f"t{self.numbers}"
        answer = self.searcher.suggest(tune_id)
        shapes = [METHODS[IDS[cell].method] for cell in self.under_way.values()]
        waiting = [IDS[cell] for cell in self.to_do - set(self.under_way.values())]
        has_room = any(shapes.count(METHODS[trial.method]) < self.limit for trial in waiting)
        if answer == Searcher.FINISHED:
            assert self.has_stopped or not self.to_do, "the sweep ends although cells are open"
        elif answer is None:
            assert not has_room, "a cell waits although there is room for it"
        else:
            cell = answer["cell"]
            assert not self.has_stopped, "a cell was handed out after the sweep had stopped"
            assert cell in self.to_do, "a cell was handed out that has ended"
            assert cell not in self.under_way.values(), "a cell was handed out twice"
            assert shapes.count(METHODS[IDS[cell].method]) < self.limit, "there was no room for this cell"
            longer = [trial for trial in waiting if steps_in_all(trial) > steps_in_all(IDS[cell])]
            assert all(shapes.count(METHODS[trial.method]) >= self.limit for trial in longer), (
                "a short cell went before a long one"
            )
            self.under_way[tune_id] = cell
        return isinstance(answer, dict)

    def end(self, tune_id: str, finished: set[str]) -> None:
        """End a cell, finished or failed, in the record first and then in Tune."""
        cell = self.under_way.pop(tune_id)
        if self.draw.random() < 0.8:
            assert cell not in finished, "a cell was finished twice"
            finished.add(cell)
        self.to_do.remove(cell)
        self.agenda.ended(IDS[cell], None, 1.0)
        self.searcher.on_trial_complete(tune_id)

    def lose_desk(self) -> None:
        self.under_way.clear()
        self.agenda.give_back()
        self.new_searcher()

    def restore(self, path: Path) -> None:
        """Have Tune save its searcher and restore it into another one, as after a restart of Tune alone."""
        self.searcher.save(str(path))
        self.agenda.give_back()
        self.new_searcher()
        self.searcher.restore(str(path))


def explore(seed: int) -> str:
    """Play the schedule of a seed; raise AssertionError if it broke a rule."""
    draw = random.Random(seed)
    trials = draw.sample(TRIALS, draw.randint(1, len(TRIALS)))
    finished: set[str] = set()
    try:
        for life in range(4):
            driver = Driver(draw, trials, finished, draw.randint(1, 3))
            assert {trial.trial_id for trial in driver.agenda.open} == driver.to_do, "a cell is lost"
            survives = life == 3 or draw.random() < 0.3
            play(driver, finished, survives)
            if not survives:
                continue
            assert driver.has_stopped or not driver.agenda.open
            if not driver.has_stopped:
                assert not driver.to_do, "a cell never ended"
                assert [trial.trial_id for trial in driver.agenda.planned] == [
                    trial.trial_id for trial in trials
                ]
    except BaseException as error:
        error.add_note(
            f"agenda schedule {seed}; replay it with tests/schedules.py agenda --first {seed} --count 1"
        )
        raise
    return "agenda"


def play(driver: Driver, finished: set[str], survives: bool) -> None:
    """Play a driver's life: to its end, or until it is killed."""
    draw = driver.draw
    for move in range(400):
        if not survives and draw.random() < 0.05:
            return
        if not driver.to_do and not driver.ask():
            return
        what = draw.random()
        if what < 0.45:
            driver.ask()
        elif what < 0.9 and driver.under_way:
            driver.end(draw.choice(list(driver.under_way)), finished)
        elif what < 0.92 and move < 200:
            driver.lose_desk()
        elif what < 0.93 and move < 200:
            driver.restore(_FOLDER / str(os.getpid()))
        elif what < 0.932:
            driver.has_stopped = True
        if driver.has_stopped and not driver.under_way:
            return
    raise AssertionError("the sweep did not end")


_FOLDER = Path(tempfile.mkdtemp())  # each process has a file of its own there

"""The driver of a chaos study: what `orchestrator.sweep` does, without reading a study file or data."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import fake_study
from ray import cloudpickle

from orchestrator.plan.agenda import Listed
from orchestrator.plan.log_lines import LogLines
from orchestrator.plan.tally import Tally
from orchestrator.record.lease import lease
from orchestrator.record.ledger import Ledger
from orchestrator.record.lock import sole_driver
from orchestrator.run import schedule
from orchestrator.run.cluster import cluster
from orchestrator.run.job import Job
from orchestrator.run.schedule import Prepared
from orchestrator.study.trial import Trial

cloudpickle.register_pickle_by_value(fake_study)  # workers cannot import it


def die_as_told(setting: fake_study.Setting) -> None:
    """Have this process killed in the function that `driver dies in` names, as `module:Class.function`."""
    fault = setting.faults / "driver dies in"
    if not fault.exists():
        return
    module, path = fault.read_text().split(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)

    def die(*_: object, **__: object) -> None:
        fault.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, die)


def main(setting: fake_study.Setting) -> int:
    """Return 0 if every cell is finished, 1 if one is not."""
    die_as_told(setting)
    places, study, trials = setting.places, setting.study, setting.trials

    def jobs(cells: Sequence[Trial], _desk: object) -> list[Job]:
        return [setting.job(trial) for trial in cells]

    with sole_driver(places), lease(ledger := Ledger(places, study.faults.record_timeout_s)):
        ledger.close_abandoned()
        finished = ledger.cells.finished()
        unfinished = [trial for trial in trials if trial.trial_id not in finished]
        if unfinished:
            agenda, run_work = Listed(unfinished, {}), fake_study.fake_trainer(setting)
            prepared = Prepared(agenda, unfinished, jobs, LogLines(Tally.of_untrained(unfinished)))
            with cluster():
                schedule.run(study, places, agenda, lambda: prepared, ledger, {}, run_work)
        return 0 if len(ledger.cells.finished()) == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main(fake_study.Setting.load(Path(sys.argv[1]))))

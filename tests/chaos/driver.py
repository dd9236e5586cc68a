"""The driver of a chaos study: `sweep.main` less what reads study files and data."""

import sys
from collections.abc import Sequence
from pathlib import Path

import harness
from ray import cloudpickle

from orchestrator.plan.agenda import Listed
from orchestrator.plan.display import Lines
from orchestrator.record.lease import lease
from orchestrator.record.ledger import Ledger
from orchestrator.record.lock import sole_driver
from orchestrator.run import schedule
from orchestrator.run.cluster import cluster
from orchestrator.run.job import Job
from orchestrator.study.trial import Trial

cloudpickle.register_pickle_by_value(harness)  # workers cannot import it


def main(setting: harness.Setting) -> int:
    here, study, trials = setting.places, setting.study, setting.trials

    def job(cells: Sequence[Trial], _desk: object) -> list[Job]:
        return [setting.job(trial) for trial in cells]

    with sole_driver(here), lease(ledger := Ledger(here, study.faults.record_timeout_s)):
        ledger.close_abandoned()
        done = ledger.finished()
        left = [trial for trial in trials if trial.trial_id not in done]
        if left:
            with cluster():
                schedule.run(
                    study, here, Listed(left, {}), job, left, ledger, {}, Lines(), harness.trainer(setting)
                )
        return 0 if len(ledger.finished()) == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main(harness.Setting.load(Path(sys.argv[1]))))

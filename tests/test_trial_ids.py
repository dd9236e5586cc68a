"""The shipped studies keep their cells: a cell finished yesterday has to be found in the record today.

`trial_ids.json` holds every cell's id, with the data's and the model's fingerprints fixed. An id may only
change on purpose: raise `TRAINING_RECIPE`, then write the file again with `python tests/test_trial_ids.py`.
"""

import dataclasses
import json
from pathlib import Path

import pytest

from orchestrator.study.files import load
from orchestrator.study.grid import expand

GOLDEN = Path(__file__).with_name("trial_ids.json")
STUDIES = ("demo", "v5", "v5b")


def trial_ids(study: str) -> dict[str, str]:
    """Cell name -> trial_id of a shipped study."""
    fixed = [
        dataclasses.replace(trial, data="data", model="model", tokens="tokens")
        for trial in expand(load(Path(study)))
    ]
    return {trial.name: trial.trial_id for trial in fixed}


@pytest.mark.parametrize("study", STUDIES)
def test_the_cells_of_a_shipped_study_keep_their_ids(study: str) -> None:
    assert trial_ids(study) == json.loads(GOLDEN.read_text())[study]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({study: trial_ids(study) for study in STUDIES}, indent=1) + "\n")

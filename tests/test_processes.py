"""The processor time of a sweep's processes, by kind and by part of the sweep (`bench/processes.py`)."""

import pandas as pd

from bench.processes import PARTS, by_part, kind_of


def test_each_second_counts_once_in_the_part_in_which_it_was_spent() -> None:
    samples = pd.DataFrame(
        [
            ("driver", 1, 0.0, 1.0),
            ("driver", 1, 9.0, 4.0),  # the first cell begins at 10
            ("driver", 1, 19.0, 6.0),  # the last one ends at 20
            ("driver", 1, 23.0, 9.0),  # the report is written at 23
            ("driver", 1, 25.0, 9.5),
            ("lane", 2, 5.0, 2.0),  # it had ended by the first cell
            ("lane", 3, 12.0, 3.0),  # it was not there before
            ("lane", 3, 18.0, 8.0),
        ],
        columns=["kind", "id", "time", "cpu"],
    )
    parts = by_part(samples, first=10.0, last=20.0, report=23.0)
    assert parts.loc["driver", list(PARTS)].tolist() == [4.0, 2.0, 3.0, 0.5]
    assert parts.loc["lane", list(PARTS)].tolist() == [2.0, 8.0, 0.0, 0.0]
    assert parts["processes"].to_dict() == {"driver": 1, "lane": 2}


def test_a_process_is_known_by_its_command() -> None:
    assert kind_of("python -m orchestrator.sweep --config demo.yaml") == "the driver"
    assert kind_of("ray::RayTrainWorker.run") == "the lanes' workers"
    assert kind_of("ray/core/src/ray/gcs/gcs_server --log_dir=x") == "Ray itself"

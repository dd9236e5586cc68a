"""What `import training` offers: the example in its docstring runs, and every public name is there."""

import doctest
import importlib
import subprocess
import sys

import training


def test_the_example_runs() -> None:
    importlib.import_module("deepspeed")  # its import prints a line, which the example does not expect
    results = doctest.testmod(training)
    assert results.attempted > 10
    assert results.failed == 0


def test_every_public_name_is_there_and_documented() -> None:
    for name in training.__all__:
        assert getattr(training, name).__doc__, name
    assert set(dir(training)) == set(training.__all__)


def test_a_name_is_loaded_when_it_is_used() -> None:
    script = "import sys, training; training.TrainingSpec; print('torch' in sys.modules); training.train_arm"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

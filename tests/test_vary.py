"""`vary` in a study file: each combination of values is a method of its own, trained and judged as one."""

from pathlib import Path

import pytest

from orchestrator.study import grid
from orchestrator.study.files import load
from training.errors import StudyError

METHODS = "{dpo: {}, wpo: {use_weighting: true, beta: 0.3}}"
STUDY = f"""
study: s
splits: {{S1: {{by: random, predicted: A = B}}}}
methods: {METHODS}
seeds: [1, 2]
training: {{max_steps: 7, batch_size: 4, learning_rate: 1.0e-5}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "s.yaml"


def test_each_combination_is_a_method_with_the_cells_that_it_would_have_if_written_out(file: Path) -> None:
    keys = "{methods.wpo.beta: [0.05, 0.1], methods.wpo.training.max_steps: [7, 9]}"
    file.write_text(f"{STUDY}vary: {keys}\n")
    short = {"wpo_beta0.05_max_steps7": 0.05, "wpo_beta0.1_max_steps7": 0.1}
    long = {"wpo_beta0.05_max_steps9": 0.05, "wpo_beta0.1_max_steps9": 0.1}
    study = load(file)
    assert set(study.methods) == {"dpo", *short, *long}
    written = file.with_name("written.yaml")
    methods = {
        name: f"{{use_weighting: true, beta: {beta}, training: {{max_steps: {steps}}}}}"
        for names, steps in ((short, 7), (long, 9))
        for name, beta in names.items()
    }
    lines = "".join(f"  {name}: {method}\n" for name, method in methods.items())
    written.write_text(STUDY.replace(METHODS, f"\n  dpo: {{}}\n{lines}"))
    as_written = {trial.name: trial.trial_id for trial in grid.expand(load(written))}
    assert {trial.name: trial.trial_id for trial in grid.expand(study)} == as_written


def test_the_studys_training_varies_every_method_that_is_trained(file: Path) -> None:
    rates = "{training: {learning_rate: [1.0e-6, 5.0e-6]}}"  # nested, as an override writes it
    published = STUDY.replace("dpo: {}", "dpo: {published: d.csv}")
    file.write_text(f"{published}vary: {rates}\n")
    study = load(file)
    names = ["dpo", "wpo_learning_rate1e-06", "wpo_learning_rate5e-06"]
    assert list(study.methods) == names
    assert [study.training_of(name).learning_rate for name in names[1:]] == [1e-6, 5e-6]
    file.write_text(f"{STUDY}vary: {rates}\nreference: dpo_learning_rate1e-06\n")
    assert len(load(file).methods) == 4


def test_an_override_varies_or_takes_a_grid_out(file: Path) -> None:
    file.write_text(STUDY)
    study = load(file, ["vary.methods.wpo.beta=[0.05,0.1]"])
    assert list(study.methods) == ["dpo", "wpo_beta0.05", "wpo_beta0.1"]
    file.write_text(f"{STUDY}vary: {{methods.wpo.beta: [0.05, 0.1]}}\n")
    assert list(load(file, ["vary.methods.wpo.beta=null"]).methods) == ["dpo", "wpo"]
    more = file.with_name("more.yaml")
    more.write_text("extends: s.yaml\nvary: {methods.wpo.beta: [0.2]}\n")
    assert list(load(more).methods) == ["dpo", "wpo_beta0.2"]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("{methods.wpo.beta: 0.1}", "vary.methods.wpo.beta: 0.1 is not a list of values; write it like"),
        ("{methods.wpo.beta: []}", "vary.methods.wpo.beta: .. is not a list"),
        ("[1, 2]", r"vary: \[1, 2\] is not a list of values; write it like"),
        ("{methods.wpo.beta: [0.1, 0.10]}", "vary.methods.wpo.beta: 0.1 is listed twice"),
        ("{methods.wop.beta: [0.1]}", "vary.methods.wop.beta: no key of a method; did you mean 'wpo'"),
        ("{methods.wpo: [1]}", "vary.methods.wpo: no key of a method; name a key of it"),
        (
            "{methods.wpo.betta: [0.1]}",
            "methods.wpo_betta0.1.betta: unknown key 'betta'; did you mean",
        ),
        ("{splits.S1.by: [random]}", "vary.splits.S1.by: only methods.<name>.<key> and training.<key>"),
        ("{training.max_length: [64]}", "vary.training.max_length: the same for all methods.* learning_rate"),
        (
            "{training.learning_rate: [1.0e-6, 5.0e-6]}",
            "reference: dpo is varied.* dpo_learning_rate1e-06 or dpo_l",
        ),
        (
            "{training.max_steps: [5], methods.wpo.training.max_steps: [6]}",
            "vary.methods.wpo.training.max_steps: vary.training.max_steps varies it, too",
        ),
        ("{methods.wpo.beta: [a/b]}", "methods.*wpo_betaa/b"),
    ],
)
def test_a_conflict_is_named_with_the_way_out(file: Path, vary: str, message: str) -> None:
    file.write_text(f"{STUDY}vary: {vary}\n")
    with pytest.raises(StudyError, match=message):
        load(file)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            "{dpo: {}, wpo: {training: {max_steps: 3}}}",
            "methods.wpo.training.max_steps: vary.training.max_steps",
        ),
        ("{dpo: {}, wpo: {published: d.csv}}", "vary.methods.wpo: its numbers are published"),
        ("{dpo: {}, wpo: {}, wpo_beta0.1_max_steps5: {}}", "the name wpo_beta0.1_max_steps5 is taken"),
    ],
)
def test_a_method_that_stands_in_the_way_is_named(file: Path, methods: str, message: str) -> None:
    text = STUDY.replace(METHODS, methods)
    grid_of_two = "vary: {methods.wpo.beta: [0.1], training.max_steps: [5]}"
    file.write_text(f"{text}{grid_of_two}\nreference: dpo_max_steps5\n")
    with pytest.raises(StudyError, match=message):
        load(file)

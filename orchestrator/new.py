"""Write a study file from a few answers or flags: python -m orchestrator.new."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.prompt import Prompt

from orchestrator import cli
from orchestrator.study.files import CONFIGS, load
from training.errors import StudyError


@dataclass(frozen=True)
class Question:
    """What a study needs to be told; asked on a terminal where no flag tells it."""

    flag: str
    text: str
    default: str


QUESTIONS = (
    Question("study", "name of the study", "mine"),
    Question("data", "data: twin, a .jsonl of ready pairs, a folder of PRISM's tables, or a hub id", "twin"),
    Question("model", "model: tiny, a folder, a .gguf file, or a hub id", "tiny"),
    Question("methods", "methods, the reference first: dpo, wpo, wpo_greedy, or any loss of TRL", "dpo,wpo"),
    Question("seeds", "seeds", "42,123,456"),
    Question("language", "language of the report: en or ko", "en"),
    Question("out", "file", "study.yaml"),
)
WPO = {"loss_type": "sigmoid", "beta": 0.1, "use_weighting": True, "wpo_clamp": "authors"}
METHODS: dict[str, dict[str, Any]] = {
    "dpo": {"loss_type": "sigmoid", "beta": 0.1},
    "wpo": WPO,
    "wpo_greedy": WPO | {"wpo_alignment": "greedy"},
    "robust": {"loss_type": "robust", "beta": 0.1, "label_smoothing": 0.1},
    "exo_pair": {"loss_type": "exo_pair", "beta": 0.1, "label_smoothing": 0.1},
}
RANDOM = {"by": "random", "seed": 0, "predicted": "A = B"}
AGE = {
    "by": "category",
    "column": "age",
    "a": ["18-24 years old", "25-34 years old"],
    "b": ["35-44 years old", "45-54 years old", "55-64 years old", "65+ years old"],
    "predicted": "exploratory",
}
DATA_NOTES = {
    "source": "twin | prism | pairs",
    "path": "a jsonl file of ready pairs, a folder of PRISM's tables, or a hub id",
    "users": "generated people",
    "history": "conversation before the rated turn: none | full",
    "kind": "within_model | cross_model | all",
}
LENGTH = {"by": "median", "column": "median_prompt_length", "predicted": "exploratory"}

FILE = """\
# yaml-language-server: $schema={schema}
study: {study}                    # also the MLflow experiment's name
language: {language}              # of the report: en | ko

data:                             # where people and their preferences come from
{data}
held_out:                         # people no arm trains on, the same for every method, split and seed
  share: 0.2                      # of the users
  seed: 0                         # of that draw

model:                            # the model that is tuned; untouched, it is the reference of the losses
  path: {model}                   # tiny, a folder of safetensors, a .gguf file, or a hub id

# A split says who is in A and who in B, by: category | median | random, of the column that holds the trait;
# predicted: A > B | A < B | A = B | exploratory, of A minus B. From the survey:
# python -m orchestrator.predict --config {out} --write splits.yaml
splits:                           # a, b: the categories; users of neither are left out
{splits}
reference: {reference}            # the method the others are compared with
# TRL's arguments: loss_type, beta, label_smoothing; use_weighting, wpo_clamp and wpo_alignment make it WPO
methods:                          # losses and papers in training/objectives.py
{methods}
seeds: [{seeds}]                  # a cell of every method and split is trained once a seed

training:                         # part of a cell's identity: a change trains anew
  max_steps: {steps}              # optimiser steps an arm
  batch_size: 8                   # pairs a step, over all workers
  learning_rate: {rate}           # of AdamW
  max_length: {length}            # tokens of prompt and answer
  dtype: {dtype}                  # float32 | bfloat16
  logging_steps: {logging}        # a point of the curves every so many steps

resources:                        # where cells run; changes no answer
  gpus_per_worker: {gpus}         # a number, a fraction, or auto: as many cells a card as it holds
  cpus_per_worker: {cpus}         # CPU cores
  deepspeed: zero2                # a file of configs/deepspeed/
"""
# A model of half a billion parameters or more, as the published study trained it; the tiny one on two cores.
LARGE = {
    "steps": 2000, "rate": "5.0e-6", "length": 1024, "dtype": "bfloat16", "logging": 25, "gpus": "auto",
    "cpus": 2,
}  # fmt: skip
TINY = {
    "steps": 60, "rate": "1.0e-3", "length": 256, "dtype": "float32", "logging": 1, "gpus": 0, "cpus": 0.9,
}  # fmt: skip
COMMENTS = 34  # column that comments behind a value start in


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, write, check what was written, and say what to do with it."""
    flags = argparse.ArgumentParser(prog="python -m orchestrator.new", description=__doc__)
    for question in QUESTIONS:
        flags.add_argument(f"--{question.flag}", help=f"{question.text} (default: {question.default})")
    flags.add_argument(
        "--splits", type=Path, help="file with a splits: block, as orchestrator.predict writes"
    )
    args = flags.parse_args(argv)
    answers = {question.flag: getattr(args, question.flag) or _ask(question) for question in QUESTIONS}
    out = Path(answers["out"])
    if out.exists():
        raise StudyError(f"--out: {out} exists; give another name, or remove it")
    cli.write(out, study_file(answers, args.splits), "--out")
    try:
        load(out)
    except StudyError:
        out.unlink()
        raise
    print(f"{out}\nthe plan: python -m orchestrator.sweep --config {out} --dry-run")
    return 0


def study_file(answers: dict[str, str], splits: Path | None) -> str:
    """The text of a study file, every key with a comment."""
    data = _data(answers["data"])
    names = [name.strip() for name in answers["methods"].split(",") if name.strip()]
    methods = {name: METHODS.get(name, {"loss_type": name, "beta": 0.1}) for name in names}
    default = {"L1_prompt_length": LENGTH} if data["source"] == "pairs" else {"S1_age": AGE}
    block = default | {"S2_random": RANDOM} if splits is None else _splits(splits)
    text = FILE.format(
        schema=os.path.relpath(CONFIGS / "study.schema.json", Path(answers["out"]).parent),
        study=answers["study"],
        language=answers["language"],
        data="".join(
            f"  {yaml.safe_dump({key: value}).strip()}  # {DATA_NOTES[key]}\n" for key, value in data.items()
        ),
        model=answers["model"],
        splits=_block(block),
        reference=names[0] if names else "dpo",
        methods=_block(methods),
        seeds=answers["seeds"],
        out=answers["out"],
        **(TINY if answers["model"] == "tiny" else LARGE),
    )
    return re.sub(r"^(.*\S) +# ", lambda line: f"{line[1]:<{COMMENTS}}# ", text, flags=re.MULTILINE)


def _data(answer: str) -> dict[str, Any]:
    if answer == "twin":
        return {"source": "twin", "users": 300, "history": "none"}
    if answer.endswith(".jsonl"):
        return {"source": "pairs", "path": answer, "kind": "within_model"}
    return {"source": "prism", "path": answer, "history": "full"}


def _splits(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise StudyError(f"--splits: {path}: {error}") from error
    if not isinstance(found, dict) or not found.get("splits"):
        raise StudyError(f"--splits: {path} has no splits: block; orchestrator.predict --write makes one")
    splits: dict[str, Any] = found["splits"]
    return splits


def _block(value: dict[str, Any]) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    return "".join(f"  {line}\n" for line in text.splitlines())


def _ask(question: Question) -> str:
    if not sys.stdin.isatty():
        return question.default
    return Prompt.ask(question.text, default=question.default)


if __name__ == "__main__":
    cli.exit_with(main)

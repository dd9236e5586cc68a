"""The text of a new study file: every key with a comment, filled in from a few answers."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.study.files import CONFIGS
from training.errors import StudyError
from training.hints import suggestion
from training.losses import LOSSES
from training.table_data import Columns, People

_WPO = {"loss_type": "sigmoid", "beta": 0.1, "use_weighting": True, "wpo_clamp": "authors"}
KNOWN_METHODS: dict[str, dict[str, Any]] = {
    "dpo": {"loss_type": "sigmoid", "beta": 0.1},
    "wpo": _WPO,
    "wpo_greedy": _WPO | {"wpo_alignment": "greedy"},
    "robust": {"loss_type": "robust", "beta": 0.1, "label_smoothing": 0.1},
    "exo_pair": {"loss_type": "exo_pair", "beta": 0.1, "label_smoothing": 0.1},
}
AGE_SPLIT = {
    "by": "category",
    "column": "age",
    "a": ["18-24 years old", "25-34 years old"],
    "b": ["35-44 years old", "45-54 years old", "55-64 years old", "65+ years old"],
    "predicted": "exploratory",
}
NULL_SPLIT = {"by": "random", "seed": 0, "predicted": "A = B"}
DATA_COMMENTS = {
    "source": "twin, table, or a shipped description such as prism (docs/data.md)",
    "path": "file, folder, glob or hub id",
    "table": "hub configuration, or name of the files in the folder",
    "users": "number of generated people",
    "history": "conversation before the rated turn in the prompt: none | full",
    "columns": "our names, such as user, item and prompt, and the file's",
    "anonymous": "nobody is named, so each prompt counts as one user",
    "preference_values": "words of the preference that mean A, B or a tie",
    "format": "human_assistant: the answers are conversations as Human: and Assistant: text",
    "people": "second table, with one row per user, that holds the traits",
    "traits": "what is known of a user: a name and its column",
}
# Training and resources of a model with half a billion parameters or more, as in the published study.
LARGE_MODEL = {
    "steps": 2000, "rate": "5.0e-6", "length": 1024, "dtype": "bfloat16", "logging": 25, "gpus": "auto",
    "cpus": 2,
}  # fmt: skip
# Training and resources of the tiny model on two cores.
TINY_MODEL = {
    "steps": 60, "rate": "1.0e-3", "length": 256, "dtype": "float32", "logging": 1, "gpus": 0, "cpus": 0.9,
}  # fmt: skip
COMMENT_COLUMN = 34  # where the comment after a value starts

STUDY_TEMPLATE = """\
# yaml-language-server: $schema={schema}
study: {study}                    # name of the study and of its MLflow experiment
language: {language}              # language of the report: en | ko

data:                             # where people and their preferences come from
{data}
held_out:                         # users that no model trains on; the same for every method, split and seed
  share: {share}                      # share of the users
  seed: 0                         # seed of the draw

model:                            # the model to tune; its untouched copy is the reference of the losses
  path: {model}                   # tiny, a folder of safetensors, a .gguf file, or a hub id

# A split says who is in A and who in B, by: category | median | quantile | random; column: the trait.
# predicted: A > B | A < B | A = B | exploratory, the sign of A minus B. To derive the splits from the survey:
# python -m orchestrator.predict --config {out} --write splits.yaml
splits:                           # a, b: the categories; users in neither group are left out
{splits}
reference: {reference}            # the method with which the others are compared
# TRL's arguments: loss_type, beta, label_smoothing; use_weighting, wpo_clamp and wpo_alignment make it WPO
methods:                          # losses and papers: training/losses.py
{methods}
seeds: [{seeds}]                  # every method and split is trained once per seed

training:                         # how an arm is trained; a change trains every cell again
  max_steps: {steps}              # optimiser steps per arm
  batch_size: 8                   # pairs per step, over all workers
  learning_rate: {rate}           # peak learning rate of AdamW
  max_length: {length}            # tokens of prompt and answer
  dtype: {dtype}                  # float32 | bfloat16 | float16
  logging_steps: {logging}        # steps between two points of the curves

resources:                        # what cells run on; changes no answer
  gpus_per_worker: {gpus}         # a number, a fraction, or auto: as many cells share a card as it holds
  cpus_per_worker: {cpus}         # CPU cores per worker
  deepspeed: auto                 # none on one worker, else zero2; or a name of a file in configs/deepspeed/
"""


def study_file(
    answers: Mapping[str, str],
    splits: Mapping[str, Any] | None,
    data: Mapping[str, Any] | None = None,
    held_out_share: float = 0.2,
) -> str:
    """Return the text of a study file, with a comment on every key.

    Args:
        answers: study, data, model, methods, seeds, language and out (the file to write), as the user
            typed them.
        splits: The `splits:` block; None chooses two that fit PRISM and its twin.
        held_out_share: The share of held-out users.
        data: The `data:` block; None makes one of `answers["data"]`.

    Raises:
        StudyError: A method is neither known here nor a loss of TRL.
    """
    data = data or data_block(answers["data"])
    methods = [name.strip() for name in answers["methods"].split(",") if name.strip()]
    known = {**KNOWN_METHODS, **dict.fromkeys(LOSSES)}
    for method in methods:
        if method not in known:
            raise StudyError(f"--methods {method}: no such method or loss; {suggestion(method, known)}")
    if splits is None:
        splits = {"S1_age": AGE_SPLIT, "S2_random": NULL_SPLIT}
    text = STUDY_TEMPLATE.format(
        schema=os.path.relpath(CONFIGS / "study.schema.json", Path(answers["out"]).parent),
        study=answers["study"],
        language=answers["language"],
        data="".join(_explained(key, value) for key, value in data.items()),
        share=f"{held_out_share:g}",
        model=answers["model"],
        splits=_yaml(splits),
        reference=methods[0] if methods else "dpo",
        methods=_yaml({name: KNOWN_METHODS.get(name, {"loss_type": name, "beta": 0.1}) for name in methods}),
        seeds=", ".join(seed.strip() for seed in answers["seeds"].split(",")),
        out=answers["out"],
        **(TINY_MODEL if answers["model"] == "tiny" else LARGE_MODEL),
    )
    return re.sub(
        r"^(.*\S) +# ", lambda line: f"{line[1]:<{COMMENT_COLUMN - 1}} # ", text, flags=re.MULTILINE
    )


def data_block(source: str) -> dict[str, Any]:
    """Return the `data:` block of the twin, or of PRISM from the hub."""
    if source == "twin":
        return {"source": "twin", "users": 300, "history": "none"}
    return {"source": "prism", "path": source, "history": "full"}


def _explained(key: str, value: Any) -> str:
    """Return a key of the `data:` block as YAML, with its comment."""
    if not isinstance(value, Mapping):
        return f"  {yaml.safe_dump({key: value}, allow_unicode=True).strip()}  # {DATA_COMMENTS[key]}\n"
    lines = [f"  {key}:  # {DATA_COMMENTS[key]}\n"]
    for name, inner in value.items():
        text = yaml.safe_dump([inner], allow_unicode=True, width=10_000, default_flow_style=True).strip()
        lines.append(f"    {name}: {text[1:-1]}  # {_inner_comment(key, name)}\n")
    return "".join(lines)


def _inner_comment(key: str, name: str) -> str:
    """Return the comment on a key inside a block of `data:`."""
    fields = {"columns": Columns.model_fields, "people": People.model_fields}.get(key, {})
    if name in fields:
        sentence = str(fields[name].description).split(". ")[0].rstrip(".")
        return sentence[0].lower() + sentence[1:]
    return "a trait, and its column" if key == "traits" else f"the words that mean {name}"


def _yaml(block: Mapping[str, Any]) -> str:
    """Return a block as YAML, indented under its key."""
    text = yaml.safe_dump(
        dict(block), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return "".join(f"  {line}\n" for line in text.splitlines())

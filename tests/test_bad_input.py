"""Everything that a user can get wrong, with the one line that answers it.

Each answer names the thing, the place and the way out. The traceback is in the log alone.
"""

import importlib
import json
import shlex
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator import cli
from training.data.people import SLIDER_MOMENTS

TWIN_STUDY = """
study: s
data: {source: twin, users: 40}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
"""
PRISM_STUDY = TWIN_STUDY.replace("{source: twin, users: 40}", "{source: prism}")
PAIRS_STUDY = TWIN_STUDY.replace("{source: twin, users: 40}", "{source: pairs, path: none.jsonl}")
READY_PAIR = {"user_id": "u", "interaction_id": "i", "prompt": "p", "chosen": "a", "rejected": "b"}
PRISM_USER = {
    "user_id": "u1", "lm_familiarity": None, "stated_prefs": dict.fromkeys(SLIDER_MOMENTS), "age": None,
    "gender": None, "education": None, "employment_status": None, "marital_status": None,
    "english_proficiency": None, "location": {"birth_region": None, "reside_region": None},
}  # fmt: skip
PRISM_ANSWER = {
    "utterance_id": "t", "interaction_id": "i", "conversation_id": "c", "user_id": "u1", "turn": 0,
    "within_turn_id": 0, "model_name": "m", "user_prompt": "p", "model_response": "r", "score": 50,
    "if_chosen": True,
}  # fmt: skip
DIFFS_CSV = "study,method,split,seed,diff_pp\ns,dpo,S1,42,1.5\n"
PREDICTIONS_CSV = "study,split,predicted\ns,S1,A > B\n"

INPUT_FILES = {
    "study.yaml": TWIN_STUDY,
    "prism.yaml": PRISM_STUDY,
    "pairs.yaml": PAIRS_STUDY,
    "torn.yaml": "study: [unclosed",
    "one.jsonl": json.dumps(READY_PAIR) + "\n",
    "list.yaml": "- a list\n",
    "torn.jsonl": json.dumps(READY_PAIR) + "\n{torn\n",
    "short.jsonl": json.dumps({"user_id": "u", "prompt": "p", "chosen": "a"}) + "\n",
    "empty.jsonl": "",
    "empty.yaml": "",
    "metods.yaml": TWIN_STUDY.replace("methods:", "metods:"),
    "itself.yaml": "extends: itself.yaml\n",
    "orphan.yaml": "extends: nowhere.yaml\n",
    "blank.jsonl": json.dumps(READY_PAIR | {"chosen": " "}) + "\n",
    "torn_prism/survey.jsonl": "{torn\n",
    "torn_prism/utterances.jsonl": "",
    "prism/survey.jsonl": json.dumps(PRISM_USER) + "\n",
    "prism/utterances.jsonl": json.dumps(PRISM_ANSWER | {"score": 101}) + "\n",
    "stranger/survey.jsonl": json.dumps(PRISM_USER) + "\n",
    "stranger/utterances.jsonl": "".join(
        json.dumps(
            PRISM_ANSWER
            | {"user_id": "u2", "turn": 1, "utterance_id": name, "score": score}
            | {"model_response": name}
        )
        + "\n"
        for name, score in (("x", 9), ("y", 1))
    ),
    "twice/survey.jsonl": "".join(json.dumps(PRISM_USER | {"age": age}) + "\n" for age in ("young", "old")),
    "twice/utterances.jsonl": "".join(
        json.dumps(PRISM_ANSWER | {"utterance_id": name, "score": score, "model_response": name}) + "\n"
        for name, score in (("x", 9), ("y", 1))
    ),
    "pickled/pytorch_model.bin": "",
    "half/model.safetensors": "",
    "half/config.json": "{}",
    "notes.txt": "no model",
    "diffs.csv": DIFFS_CSV,
    "predicted.csv": PREDICTIONS_CSV,
    "no_seed.csv": "study,method,split,diff_pp\ns,dpo,S1,1.5\n",
    "twice.csv": DIFFS_CSV + "s,dpo,S1,42,2.5\n",
    "no_verdict.csv": "split\nS1\n",
    "others.csv": DIFFS_CSV.replace("S1", "S9"),
    "no_splits.yaml": "study: s\n",
}

SWEEP_TWIN = "sweep --config {tmp}/study.yaml "
SWEEP_PRISM = "sweep --config {tmp}/prism.yaml data.path={tmp}/"
SWEEP_PAIRS = "sweep --config {tmp}/pairs.yaml data.path={tmp}/"
REPORT_DIFFS = "report --reference dpo --out {tmp}/out --diffs {tmp}/"
MISTAKES = [
    # command lines
    (SWEEP_TWIN + "--on pbs", ["--on", "'pbs'", "slurm", "--help"]),
    (SWEEP_TWIN + "–-dry-run", ["–-dry-run", "did you mean '--dry-run'?"]),
    (SWEEP_TWIN + "—dry-run", ["—dry-run", "did you mean '--dry-run'?"]),
    ("new --sedes 3", ["--sedes", "--help"]),
    # study files
    (f"sweep --config {'a' * 300}", ["--config aaa", "too long", "name a study file"]),
    (SWEEP_TWIN + "splits=null", ["splits=null", "a block of names", "(found null)"]),
    (SWEEP_TWIN + "splits={}", ["splits={}", "changes nothing", "splits.KEY=null"]),
    (SWEEP_TWIN + "methods.dpo=null", ["methods.dpo=null", "at least 1 needed, 0 given"]),
    (
        SWEEP_TWIN + "'model.path=${oc.env:HOME}'",
        ["model.path=${oc.env:HOME}: ", "may not read", "ORCHESTRATOR_STUDY_VARIABLES"],
    ),
    ("sweep --config {tmp}/nowhere.yaml", ["nowhere.yaml", "no such study file", "demo", "v5b"]),
    ("sweep --config {tmp}/v5b", ["--config", "/v5b", "no such study file"]),
    ("sweep --config {tmp}/prism", ["--config", "prism", "a folder"]),
    ("sweep --config {tmp}/empty.yaml", ["empty.yaml", "mapping of keys", "orchestrator.new"]),
    ("sweep --config {tmp}/metods.yaml", ["metods.yaml", "'metods'", "did you mean 'methods'?"]),
    ("sweep --config {tmp}/itself.yaml", ["itself.yaml", "extends", "itself"]),
    ("sweep --config {tmp}/orphan.yaml", ["orphan.yaml: extends: nowhere.yaml: no such study file"]),
    ("sweep --config {tmp}/torn.yaml", ["torn.yaml", "not readable"]),
    (SWEEP_TWIN + "--sedes 3", ["--sedes", "no such flag", "did you mean '--seeds'?"]),
    (SWEEP_TWIN + "study:demo", ["study:demo", "neither a flag nor KEY=VALUE", "study=demo"]),
    (SWEEP_TWIN + "nonsense", ["nonsense", "neither a flag nor KEY=VALUE"]),
    (SWEEP_TWIN + "'study=what?'", ["study=what?", "letters and digits"]),
    (SWEEP_TWIN + "methods.dpo.beta=1e39", ["methods.dpo.beta=1e39", "1000000"]),
    (SWEEP_TWIN + "--only dpo/S1/43", ["--only dpo/S1/43", "did you mean dpo/S1/42?"]),
    ("report --config {tmp}/study.yaml study=typo", ["study typo", "nothing is recorded", "sweep"]),
    ("report --config {tmp}/study.yaml --reference dpoo", ["--reference", "--diffs", "--set reference="]),
    ("sweep --config {tmp}/list.yaml", ["list.yaml", "mapping of keys"]),
    (
        SWEEP_TWIN + "trainning.max_steps=5",
        ["trainning.max_steps=5", "'trainning'", "did you mean 'training'?"],
    ),
    (
        SWEEP_TWIN + "--set training.maxsteps=5",
        ["training.maxsteps", "did you mean 'max_steps'?", "batch_size"],
    ),
    (SWEEP_TWIN + "training.max_steps=5 training.epochs=2", ["training", "max_steps", "remove one"]),
    (SWEEP_TWIN + "training.num_train_epochs=2", ["training.num_train_epochs", "set epochs"]),
    (SWEEP_TWIN + "training.gradient_accumulation_steps=2", ["set resources.micro_batch"]),
    (SWEEP_TWIN + "methods.dpo.rpo_alpha=1", ["rpo_alpha", "set loss_type: [sigmoid, sft]"]),
    (SWEEP_TWIN + "methods.dpo.training.max_length=5", ["methods.dpo.training.max_length", "valid: epochs"]),
    (
        SWEEP_TWIN + "methods.dpo.training.max_steps=5 methods.dpo.training.epochs=2",
        ["methods.dpo.training", "epochs and max_steps", "remove one"],
    ),
    (SWEEP_TWIN + "methods.dpo.loss_type=simpo", ["methods.dpo.gamma", "SimPO needs its target margin"]),
    (
        SWEEP_PAIRS + "one.jsonl methods.dpo.margin_from=score_gap",
        ["methods.dpo", "1 of 1 pairs have no score"],
    ),
    (SWEEP_TWIN + "keep.where=registry", ["keep", "models: final"]),
    (SWEEP_TWIN + "--training.max_steps=many", ["training.max_steps", "'many'"]),
    (SWEEP_TWIN + "methods.dpo.betta=0.1", ["methods.dpo.betta", "did you mean 'beta'?"]),
    (SWEEP_TWIN + "methods.dpo.beta=-1", ["methods.dpo.beta", "-1"]),
    (SWEEP_TWIN + "methods.dpo.beta=high", ["methods.dpo.beta", "'high'"]),
    (SWEEP_TWIN + "methods.dpo.loss_type=sigmoyd", ["loss_type=sigmoyd: no loss 'sigmoyd'", "'sigmoid'"]),
    (SWEEP_TWIN + "methods.dpo.loss_type=[]", ["methods.dpo.loss_type", "empty", "sigmoid"]),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=[sigmoid,sft] methods.dpo.loss_weights=[1]",
        ["methods.dpo.loss_weights", "1 weights for 2 losses"],
    ),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=aot methods.dpo.use_weighting=true",
        ["methods.dpo.use_weighting", "aot", "another loss_type"],
    ),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=ipo methods.dpo.label_smoothing=0.1",
        ["methods.dpo.label_smoothing", "0.1", "needs"],
    ),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=robust methods.dpo.label_smoothing=0.6",
        ["methods.dpo.label_smoothing", "0.6"],
    ),
    (SWEEP_TWIN + "methods.dpo.loss_type=exo_pair", ["methods.dpo.label_smoothing", "1e-3"]),
    (
        SWEEP_TWIN + "methods.dpo.published={tmp}/others.csv",
        ["methods.dpo.published", "others.csv", "dpo S9"],
    ),
    (SWEEP_TWIN + "methods.dpo.published={tmp}/no_seed.csv", ["methods.dpo.published", "'seed'"]),
    (SWEEP_TWIN + "seeds=[42,42]", ["seeds", "42", "twice"]),
    (SWEEP_TWIN + "seeds=[]", ["seeds"]),
    (SWEEP_TWIN + "--seeds 1,x", ["--seeds '1,x'", "42,123"]),
    (SWEEP_TWIN + "--seeds ''", ["--seeds ''", "42,123"]),
    (SWEEP_TWIN + "--seeds 1,1", ["--seeds 1,1", "twice"]),
    (SWEEP_TWIN + "seeds=x", ["seeds", "'x'", "[42, 123]", "{start: 2, max: 20}"]),
    (SWEEP_TWIN + "'seeds={start: 9, max: 5}'", ["seeds", "start 9", "max 5", "lower it"]),
    (SWEEP_TWIN + "'seeds={start: 1}'", ["seeds.start", "2", "found 1"]),
    (SWEEP_TWIN + "'seeds={begin: 3}'", ["seeds.begin", "unknown key", "start", "budget_cells"]),
    (SWEEP_TWIN + "'seeds={until: done}'", ["seeds.until", "'done'", "'resolved'"]),
    (SWEEP_TWIN + "'seeds={budget_gpu_hours: 2}'", ["seeds.budget_gpu_hours 2", "no GPU", "budget_cells"]),
    (SWEEP_TWIN + "reference=ppo", ["reference", "'ppo'", "dpo"]),
    (SWEEP_TWIN + "splits.S1.by=mood", ["splits.S1.by", "'mood'", "category", "median", "random"]),
    (SWEEP_TWIN + "splits.S1.predicted=A", ["splits.S1.predicted", "A > B", "exploratory"]),
    (SWEEP_TWIN + "'splits.S2={by: random, predicted: A<B}'", ["splits.S2.predicted", "'A<B'", "A < B"]),
    (SWEEP_TWIN + "'data={source: twin, path: x}'", ["data.path", "unknown key", "users"]),
    (SWEEP_TWIN + "'data={source: pairs, path: null}'", ["data.path"]),
    (
        SWEEP_TWIN + "splits.S2.by=random",
        ["splits.S2.predicted", "missing", "What the survey model predicts"],
    ),
    (SWEEP_TWIN + "methods.dpo=[", ["methods.dpo=[", "not readable", "fix the YAML"]),
    (SWEEP_TWIN + "seeds.3=1", ["seeds.3=1", "no such place", "--print-config"]),
    (SWEEP_TWIN + "seeds.x=1", ["seeds.x=1", "no such place", "--print-config"]),
    (SWEEP_TWIN + "splits.baseline.by=random splits.baseline.predicted=exploratory", ["baseline", "rename"]),
    (SWEEP_TWIN + "data.source=csv", ["data.source", "'csv'", "twin", "prism", "table", "multipref"]),
    (SWEEP_TWIN + "'data={source: table, columns: {user: u}}'", ["data", "path", "missing"]),
    (SWEEP_TWIN + "'data={source: table, path: x.csv, columns: {usr: u}}'", ["data.columns.usr", "'user'"]),
    (SWEEP_TWIN + "'data={source: table, path: x.csv}'", ["data", "columns", "exactly one shape", "ratings"]),
    (
        SWEEP_TWIN + "'data={source: table, path: x.csv, columns: {prompt: p, chosen: c, rejected: r}}'",
        ["data", "columns.user", "who chose", "anonymous"],
    ),
    (SWEEP_TWIN + "training.batch_size=6 resources.micro_batch=4", ["training.batch_size", "6", "4"]),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=aot resources.micro_batch=2",
        ["resources", "micro_batch 2", "aot of methods.dpo", "micro_batch: 8"],
    ),
    (
        SWEEP_TWIN + "methods.dpo.loss_type=[sigmoid,sft] resources.workers=2",
        ["resources", "workers 2", "sft of methods.dpo", "workers: 1"],
    ),
    (SWEEP_TWIN + "resources.deepspeed=zero9", ["resources.deepspeed", "zero9", "zero2"]),
    (
        SWEEP_TWIN + "resources.deepspeed=none resources.workers=2",
        ["resources.deepspeed", "not none", "2 workers", "set zero2"],
    ),
    (
        SWEEP_TWIN + "resources.deepspeed=none training.optimizer=adamw_8bit",
        ["resources.deepspeed", "not none", "adamw_8bit", "training.optimizer: adamw"],
    ),
    (
        SWEEP_TWIN + "resources.deepspeed=none resources.gpus_per_worker=1 training.dtype=float16",
        ["resources.deepspeed", "not none", "float16", "training.dtype: bfloat16"],
    ),
    (
        SWEEP_TWIN + "model.lora.r=2 methods.dpo.resources.deepspeed=zero3 resources.cells_together=1",
        ["methods.dpo.resources.deepspeed", "not zero3", "cells side by side share", "remove cells_together"],
    ),
    (
        SWEEP_TWIN + "model.lora.quantise=4bit resources.deepspeed=zero3",
        ["resources.deepspeed", "not zero3", "weights of 4bit", "set zero2"],
    ),
    (
        SWEEP_TWIN + "training.optimizer=adamw_8bit resources.deepspeed=zero3_offload_optimizer",
        ["resources.deepspeed", "not zero3_offload_optimizer", "adamw_8bit", "training.optimizer: adamw"],
    ),
    (
        SWEEP_TWIN + "model.lora.r=2 resources.compile=true methods.dpo.resources.cells_together=1",
        ["methods.dpo.resources.compile", "not with cells_together", "remove one of the two"],
    ),
    (
        SWEEP_TWIN + "resources.compile=true resources.deepspeed=zero3",
        ["resources.compile", "not with zero3", "set deepspeed: zero2"],
    ),
    (
        SWEEP_TWIN + "resources.compile=true model.lora.dropout=0.1",
        ["resources.compile", "adapters' dropout", "model.lora.dropout: 0"],
    ),
    (SWEEP_TWIN + "training.learning_rate=.inf", ["training.learning_rate", "finite number", "inf"]),
    (SWEEP_TWIN + "faults.backoff_s=.inf", ["faults.backoff_s", "finite number"]),
    (SWEEP_TWIN + "--seeds -1", ["seeds.0", "greater than or equal to 0", "-1"]),
    (SWEEP_TWIN + "seeds=[4294967296]", ["seeds.0", "less than 4294967296"]),
    (SWEEP_TWIN + "seeds=[true]", ["seeds.0", "True"]),
    (SWEEP_TWIN + "held_out.seed=-1", ["held_out.seed", "-1"]),
    (SWEEP_TWIN + "resources.gpus_per_worker=many", ["resources.gpus_per_worker", "'many'", "auto"]),
    (SWEEP_TWIN + "resources.gpus_per_worker=true", ["resources.gpus_per_worker", "True", "auto"]),
    (
        SWEEP_TWIN + "methods.dpo.resources.workrs=2",
        ["methods.dpo.resources.workrs", "did you mean 'workers'?"],
    ),
    (
        SWEEP_TWIN + "methods.dpo.resources.workers=3",
        ["batch_size 8", "methods.dpo.resources.workers", "3 x 1"],
    ),
    (SWEEP_TWIN + "methods.dpo.resources.deepspeed=zero9", ["methods.dpo.resources.deepspeed", "zero2"]),
    (SWEEP_TWIN + "curve_window=[800,200]", ["curve_window", "200", "800", "swap"]),
    (SWEEP_TWIN + "stated_diffs_pp=[0]", ["stated_diffs_pp", "0"]),
    (SWEEP_TWIN + "study=../../etc", ["study", "../../etc"]),
    (SWEEP_TWIN + "storage=/etc", ["storage", "unknown key"]),
    (SWEEP_TWIN + "methods.again.beta=0.1", ["dpo/", "again/", "same cell"]),
    # people, pairs and groups
    (SWEEP_TWIN + "training.batch_size=300", ["splits.S1", "fewer than one batch", "batch_size 300"]),
    (SWEEP_TWIN + "held_out.share=0.01", ["splits.S1", "no held-out pair", "0.01", "raise it"]),
    (
        SWEEP_TWIN + "splits.S1.by=median splits.S1.column=hight",
        ["splits.S1.column", "'hight'", "prefs_safety"],
    ),
    (SWEEP_TWIN + "splits.S1.by=median splits.S1.column=age", ["splits.S1.column", "'age'", "by: category"]),
    (
        SWEEP_TWIN
        + "splits.S1.by=category splits.S1.column=reside_region splits.S1.a=[Europ] splits.S1.b=[Asia]",
        ["splits.S1.a", "'Europ'", "Europe"],
    ),
    (
        SWEEP_TWIN
        + "splits.S1.by=category splits.S1.column=reside_region splits.S1.a=[Europe] splits.S1.b=[Europe]",
        ["splits.S1", "'Europe'", "one group"],
    ),
    (SWEEP_TWIN + "splits.S1.source_models=[gpt-x]", ["splits.S1.source_models", "'gpt-x'"]),
    (SWEEP_PAIRS + "none.jsonl", ["data.path", "none.jsonl", "cannot be read"]),
    (SWEEP_PAIRS + "torn.jsonl", ["torn.jsonl", "line 2", "not JSON"]),
    (SWEEP_PAIRS + "short.jsonl", ["short.jsonl", "no column 'interaction_id'", "user_id"]),
    (SWEEP_PAIRS + "empty.jsonl", ["data", "empty.jsonl", "no usable pair", "no row"]),
    (SWEEP_PAIRS + "blank.jsonl", ["data", "blank.jsonl", "no usable pair", "1 empty answer"]),
    (SWEEP_PRISM + "gone/", ["data.path", "gone", "cannot be read"]),
    (SWEEP_PRISM + "torn_prism", ["survey.jsonl", "line 1", "not JSON"]),
    (SWEEP_PRISM + "prism", ["utterances.jsonl: line 1", "score", "101"]),
    (SWEEP_PRISM + "stranger", ["data.people", "'u2'", "no row in", "survey.jsonl", "add the row"]),
    (SWEEP_PRISM + "twice", ["survey.jsonl: line 2", "age", "'u1'", "'old'", "'young'", "line 1"]),
    # models and places
    (SWEEP_TWIN + "--model {tmp}/no/where", ["model.path", "nothing at", "'tiny'", ".gguf"]),
    (SWEEP_TWIN + "--model {tmp}/notes.txt", ["model.path", "notes.txt", "safetensors"]),
    (SWEEP_TWIN + "--model {tmp}/pickled", ["model.path", "pickled weights are not loaded"]),
    (SWEEP_TWIN + "--model {tmp}/half", ["model.path", "no tokenizer_config.json", "save the model"]),
    # reports of tables
    ("report --config {tmp}/study.yaml --out {tmp}/x", ["--out", "--diffs", "runs"]),
    (REPORT_DIFFS + "diffs.csv", ["--predictions", "needed"]),
    (REPORT_DIFFS + "none.csv --predictions {tmp}/predicted.csv", ["none.csv", "not readable"]),
    (REPORT_DIFFS + "no_seed.csv --predictions {tmp}/predicted.csv", ["diffs", "'seed'"]),
    (REPORT_DIFFS + "twice.csv --predictions {tmp}/predicted.csv", ["seed 42", "twice"]),
    (REPORT_DIFFS + "others.csv --predictions {tmp}/predicted.csv", ["predictions", "'S9'", "add a row"]),
    (
        REPORT_DIFFS + "diffs.csv --predictions {tmp}/predicted.csv --reference ipo",
        ["reference", "'ipo'", "methods: dpo"],
    ),
    (
        REPORT_DIFFS + "diffs.csv --predictions {tmp}/predicted.csv --crosscheck {tmp}/no_verdict.csv",
        ["crosscheck", "verdicts.csv"],
    ),
    (
        "report --diffs {tmp}/diffs.csv --predictions {tmp}/predicted.csv --out {tmp}/notes.txt/x",
        ["--out", "notes.txt", "name a folder"],
    ),
    # the other commands
    ("predict --config {tmp}/study.yaml survey.traits.shoe=null", ["survey.traits", "'shoe'", "age"]),
    ("predict --config {tmp}/study.yaml survey.cuts=[29,14]", ["survey: cuts", "29, 14", "sort them"]),
    (
        "predict --config {tmp}/study.yaml data.source=pairs data.path={tmp}/short.jsonl",
        ["short.jsonl", "interaction_id"],
    ),
    ("groups --config {tmp}/study.yaml --published {tmp}/diffs.csv", ["--published", "diffs.csv", "columns"]),
    ("new --out {tmp}/study.yaml --study x", ["--out", "study.yaml", "exists", "another name"]),
    ("new --out {tmp}/notes.txt/x.yaml", ["--out", "x.yaml", "another file"]),
    ("new --out {tmp}/x.yaml --methods dpo,wop", ["--methods wop", "did you mean 'wpo'?", "aot"]),
    ("drill --home {tmp}/notes.txt/x", ["--home", "notes.txt", "cannot be written"]),
    (
        "export --config {tmp}/study.yaml dpo/S1/42/A {tmp}/model",
        ["study s", "nothing is recorded under this name", "models: final"],
    ),
    ("new --out {tmp}/x.yaml --seeds 1,1", ["x.yaml", "seeds", "twice"]),
    ("new --out {tmp}/x.yaml --seeds one --dry-run", ["x.yaml: seeds", "whole number"]),
    ("new --out {tmp}/x.yaml --splits {tmp}/no_splits.yaml", ["--splits", "no_splits.yaml", "splits: block"]),
    ("new --out {tmp}/x.yaml --splits {tmp}/none.yaml", ["--splits", "none.yaml"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in INPUT_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def answer(typed: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command that has to fail prints on stderr."""
    command, *words = shlex.split(typed)
    main = importlib.import_module(f"orchestrator.{command}").main
    try:
        code = cli.answer(lambda: main(words))
    except SystemExit as end:  # raised by argparse
        code = end.code
    assert code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "parts"), MISTAKES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_mistake_is_answered_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: str, parts: list[str]
) -> None:
    line = answer(typed.replace("{tmp}", str(folder)), capsys)
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    for part in parts:
        assert part in line
    log = (folder / "home/runs/errors.log").read_text()
    assert "Traceback" in log
    assert line.removeprefix("error: ") in log


def test_a_second_sweep_of_a_study_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "home" / "runs" / "s"
    out.mkdir(parents=True)
    with FileLock(out / "sweep.lock"):
        line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert "study s: another sweep of it is running" in line
    assert "orchestrator.watch" in line


def test_unreachable_storage_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STORAGE", f"{folder}/notes.txt/inside")
    line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert "storage" in line
    assert "s3://bucket/folder" in line


def test_a_home_that_cannot_be_written_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in ("notes.txt/inside", "notes.txt"):
        monkeypatch.setenv("ORCHESTRATOR_HOME", f"{folder}/{home}")
        for command in ("sweep", "groups", "weights", "predict"):
            line = answer(f"{command} --config {folder}/study.yaml", capsys)
            assert line.startswith(f"error: home {folder}/{home}: ")
            assert "set ORCHESTRATOR_HOME to a folder that you may write" in line
            assert line.count("\n") == 1


def test_a_working_folder_that_was_deleted_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_HOME")
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert line == "error: home: the working folder was deleted; change to another folder (cd)\n"


def test_a_record_that_is_no_database_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "mlflow.db").write_text("no database, however long this text is made" * 9)
    line = answer(f"status --config {folder}/study.yaml", capsys)
    assert "its database is damaged, or no database; restore it" in line
    assert line.count("\n") == 1


def test_the_address_of_a_job_server_is_refused_before_anything_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert "RAY_ADDRESS http://127.0.0.1:8265: Ray's job server" in line
    assert "--on ray" in line


@pytest.mark.parametrize("uri", ["http://someone:secret@127.0.0.1:1", "htp://127.0.0.1"])
def test_an_unreachable_record_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    line = answer(f"status --config {folder}/study.yaml", capsys)
    assert line.startswith("error: MLFLOW_TRACKING_URI: no record at ")
    assert "127.0.0.1" in line
    assert "secret" not in line + (folder / "home/runs/errors.log").read_text()

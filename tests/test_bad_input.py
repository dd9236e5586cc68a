"""Everything a person can type wrong: what was typed, and the one line that answers it.

Each answer names the thing, the place and the way out; none is a traceback, which is in the log.
"""

import importlib
import json
import shlex
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator import cli

STUDY = """
study: s
data: {source: twin, users: 40}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
"""
PRISM = STUDY.replace("{source: twin, users: 40}", "{source: prism}")
PAIRS = STUDY.replace("{source: twin, users: 40}", "{source: pairs, path: none.jsonl}")
PAIR = {"user_id": "u", "interaction_id": "i", "prompt": "p", "chosen": "a", "rejected": "b"}
USER = {
    "user_id": "u1", "lm_familiarity": None, "stated_prefs": {}, "age": None, "gender": None,
    "education": None, "employment_status": None, "marital_status": None, "english_proficiency": None,
    "location": {},
}  # fmt: skip
ANSWER = {
    "utterance_id": "t", "interaction_id": "i", "conversation_id": "c", "user_id": "u1", "turn": 0,
    "within_turn_id": 0, "model_name": "m", "user_prompt": "p", "model_response": "r", "score": 50,
    "if_chosen": True,
}  # fmt: skip
DIFFS = "study,method,split,seed,diff_pp\ns,dpo,S1,42,1.5\n"
PREDICTED = "study,split,predicted\ns,S1,A > B\n"

FILES = {
    "study.yaml": STUDY,
    "prism.yaml": PRISM,
    "pairs.yaml": PAIRS,
    "torn.yaml": "study: [unclosed",
    "list.yaml": "- a list\n",
    "torn.jsonl": json.dumps(PAIR | {"kind": "cross_model"}) + "\n{torn\n",
    "short.jsonl": json.dumps(PAIR) + "\n",
    "empty.jsonl": "",
    "blank.jsonl": json.dumps(PAIR | {"kind": "within_model", "chosen": " "}) + "\n",
    "torn_prism/survey.jsonl": "{torn\n",
    "torn_prism/utterances.jsonl": "",
    "prism/survey.jsonl": json.dumps(USER) + "\n",
    "prism/utterances.jsonl": json.dumps(ANSWER | {"score": 101}) + "\n",
    "stranger/survey.jsonl": json.dumps(USER) + "\n",
    "stranger/utterances.jsonl": "".join(
        json.dumps(
            ANSWER
            | {"user_id": "u2", "turn": 1, "utterance_id": name, "score": score}
            | {"model_response": name}
        )
        + "\n"
        for name, score in (("x", 9), ("y", 1))
    ),
    "twice/survey.jsonl": 2 * (json.dumps(USER) + "\n"),
    "twice/utterances.jsonl": json.dumps(ANSWER) + "\n",
    "pickled/pytorch_model.bin": "",
    "half/model.safetensors": "",
    "half/config.json": "{}",
    "notes.txt": "no model",
    "diffs.csv": DIFFS,
    "predicted.csv": PREDICTED,
    "no_seed.csv": "study,method,split,diff_pp\ns,dpo,S1,1.5\n",
    "twice.csv": DIFFS + "s,dpo,S1,42,2.5\n",
    "no_verdict.csv": "split\nS1\n",
    "others.csv": DIFFS.replace("S1", "S9"),
    "no_splits.yaml": "study: s\n",
}

SWEEP = "sweep --config {tmp}/study.yaml "
ON_PRISM = "sweep --config {tmp}/prism.yaml data.path={tmp}/"
ON_PAIRS = "sweep --config {tmp}/pairs.yaml data.path={tmp}/"
REPORT = "report --reference dpo --out {tmp}/out --diffs {tmp}/"
ANSWERS = [
    # study files
    ("sweep --config {tmp}/nowhere.yaml", ["nowhere.yaml", "no such study file", "demo", "v5b"]),
    ("sweep --config {tmp}/torn.yaml", ["torn.yaml", "not readable"]),
    ("sweep --config {tmp}/list.yaml", ["list.yaml", "mapping of keys"]),
    (SWEEP + "trainning.max_steps=5", ["study.yaml", "trainning", "did you mean 'training'?"]),
    (SWEEP + "--set training.maxsteps=5", ["training.maxsteps", "did you mean 'max_steps'?", "batch_size"]),
    (SWEEP + "--training.max_steps=many", ["training.max_steps", "'many'"]),
    (SWEEP + "methods.dpo.betta=0.1", ["methods.dpo.betta", "did you mean 'beta'?"]),
    (SWEEP + "methods.dpo.beta=-1", ["methods.dpo.beta", "-1"]),
    (SWEEP + "methods.dpo.beta=high", ["methods.dpo.beta", "'high'"]),
    (SWEEP + "methods.dpo.loss_type=sigmoyd", ["methods.dpo.loss_type", "'sigmoyd'", "'sigmoid'"]),
    (SWEEP + "methods.dpo.loss_type=[]", ["methods.dpo.loss_type", "empty", "sigmoid"]),
    (
        SWEEP + "methods.dpo.loss_type=[sigmoid,sft] methods.dpo.loss_weights=[1]",
        ["methods.dpo.loss_weights", "1 weights for 2 losses"],
    ),
    (
        SWEEP + "methods.dpo.loss_type=aot methods.dpo.use_weighting=true",
        ["methods.dpo.use_weighting", "aot", "another loss_type"],
    ),
    (
        SWEEP + "methods.dpo.loss_type=ipo methods.dpo.label_smoothing=0.1",
        ["methods.dpo.label_smoothing", "0.1", "needs"],
    ),
    (
        SWEEP + "methods.dpo.loss_type=robust methods.dpo.label_smoothing=0.6",
        ["methods.dpo.label_smoothing", "0.6"],
    ),
    (SWEEP + "methods.dpo.loss_type=exo_pair", ["methods.dpo.label_smoothing", "1e-3"]),
    (SWEEP + "methods.dpo.published={tmp}/others.csv", ["methods.dpo.published", "others.csv", "dpo S9"]),
    (SWEEP + "methods.dpo.published={tmp}/no_seed.csv", ["methods.dpo.published", "'seed'"]),
    (SWEEP + "seeds=[42,42]", ["seeds", "42", "twice"]),
    (SWEEP + "seeds=[]", ["seeds"]),
    (SWEEP + "--seeds 1,x", ["seeds", "'x'"]),
    (SWEEP + "seeds=x", ["seeds", "'x'", "[42, 123]", "{start: 2, max: 20}"]),
    (SWEEP + "'seeds={start: 9, max: 5}'", ["seeds", "start 9", "max 5", "lower it"]),
    (SWEEP + "'seeds={start: 1}'", ["seeds.start", "2", "found 1"]),
    (SWEEP + "'seeds={begin: 3}'", ["seeds.begin", "unknown key", "start", "budget_cells"]),
    (SWEEP + "'seeds={until: done}'", ["seeds.until", "'done'", "'resolved'"]),
    (SWEEP + "'seeds={budget_gpu_hours: 2}'", ["seeds.budget_gpu_hours 2", "no GPU", "budget_cells"]),
    (SWEEP + "reference=ppo", ["'ppo'", "dpo"]),
    (SWEEP + "splits.S1.by=mood", ["splits.S1", "category", "median", "random"]),
    (SWEEP + "splits.S1.predicted=A", ["splits.S1.predicted", "A > B", "exploratory"]),
    (SWEEP + "'splits.S2={by: random, predicted: A<B}'", ["splits.S2.predicted", "'A<B'", "A < B"]),
    (SWEEP + "'data={source: twin, path: x}'", ["data.path", "unknown key", "users"]),
    (SWEEP + "'data={source: pairs, path: null}'", ["data.path"]),
    (SWEEP + "splits.S2.by=random", ["splits.S2.predicted", "missing", "What the survey model predicts"]),
    (SWEEP + "methods.dpo=[", ["methods.dpo=[", "not readable", "mend it"]),
    (SWEEP + "seeds.3=1", ["seeds.3=1", "not readable"]),
    (SWEEP + "seeds.x=1", ["seeds.x=1", "no such place", "--print-config"]),
    (SWEEP + "splits.baseline.by=random splits.baseline.predicted=exploratory", ["baseline", "rename"]),
    (SWEEP + "data.source=csv", ["data", "twin", "prism", "pairs"]),
    (SWEEP + "training.batch_size=6 resources.micro_batch=4", ["training.batch_size", "6", "4"]),
    (SWEEP + "resources.deepspeed=zero9", ["resources.deepspeed", "zero9", "zero2"]),
    (SWEEP + "resources.gpus_per_worker=many", ["resources.gpus_per_worker", "'many'", "auto"]),
    (SWEEP + "methods.dpo.resources.workrs=2", ["methods.dpo.resources.workrs", "did you mean 'workers'?"]),
    (SWEEP + "methods.dpo.resources.workers=3", ["batch_size 8", "methods.dpo.resources.workers", "3 x 1"]),
    (SWEEP + "methods.dpo.resources.deepspeed=zero9", ["methods.dpo.resources.deepspeed", "zero2"]),
    (SWEEP + "curve_window=[800,200]", ["curve_window", "200", "800", "swap"]),
    (SWEEP + "stated_diffs_pp=[0]", ["stated_diffs_pp", "0"]),
    (SWEEP + "study=../../etc", ["study", "../../etc"]),
    (SWEEP + "storage=/etc", ["storage", "unknown key"]),
    (SWEEP + "methods.again.beta=0.1", ["dpo/", "again/", "same cell"]),
    # people, pairs and groups
    (SWEEP + "training.batch_size=300", ["splits.S1", "fewer than one batch", "batch_size 300"]),
    (SWEEP + "held_out.share=0.01", ["splits.S1", "no held-out pair", "0.01", "raise it"]),
    (
        SWEEP + "splits.S1.by=median splits.S1.column=hight",
        ["splits.S1.column", "'hight'", "prefs_safety"],
    ),
    (SWEEP + "splits.S1.by=median splits.S1.column=age", ["splits.S1.column", "'age'", "by: category"]),
    (
        SWEEP + "splits.S1.by=category splits.S1.column=reside_region splits.S1.a=[Europ] splits.S1.b=[Asia]",
        ["splits.S1.a", "'Europ'", "Europe"],
    ),
    (
        SWEEP
        + "splits.S1.by=category splits.S1.column=reside_region splits.S1.a=[Europe] splits.S1.b=[Europe]",
        ["splits.S1", "'Europe'", "one group"],
    ),
    (SWEEP + "splits.S1.source_models=[gpt-x]", ["splits.S1.source_models", "'gpt-x'"]),
    (ON_PAIRS + "none.jsonl", ["data.path", "none.jsonl", "cannot be read"]),
    (ON_PAIRS + "torn.jsonl", ["torn.jsonl", "line 2", "no JSON"]),
    (ON_PAIRS + "short.jsonl", ["short.jsonl", "line 1", "kind"]),
    (ON_PAIRS + "empty.jsonl", ["data.kind", "empty.jsonl", "no pair of kind 'within_model'"]),
    (ON_PAIRS + "blank.jsonl", ["data.path", "blank.jsonl", "no usable pair", "empty"]),
    (ON_PRISM + "gone/", ["data.path", "gone", "cannot be read"]),
    (ON_PRISM + "torn_prism", ["survey.jsonl", "line 1", "no JSON"]),
    (ON_PRISM + "prism", ["utterances row 1", "score", "101"]),
    (ON_PRISM + "stranger", ["data.path", "'u2'", "no row of survey", "add the row"]),
    (ON_PRISM + "twice", ["survey row 2", "user_id", "'u1'", "twice"]),
    # models and places
    (SWEEP + "--model {tmp}/no/where", ["model.path", "nothing at", "'tiny'", ".gguf"]),
    (SWEEP + "--model {tmp}/notes.txt", ["model.path", "notes.txt", "safetensors"]),
    (SWEEP + "--model {tmp}/pickled", ["model.path", "pickled weights are not loaded"]),
    (SWEEP + "--model {tmp}/half", ["model.path", "no tokenizer_config.json", "save the model"]),
    # reports of tables
    (REPORT + "diffs.csv", ["--predictions", "needed"]),
    (REPORT + "none.csv --predictions {tmp}/predicted.csv", ["none.csv", "not readable"]),
    (REPORT + "no_seed.csv --predictions {tmp}/predicted.csv", ["diffs", "'seed'"]),
    (REPORT + "twice.csv --predictions {tmp}/predicted.csv", ["seed 42", "twice"]),
    (REPORT + "others.csv --predictions {tmp}/predicted.csv", ["predictions", "'S9'", "add a row"]),
    (
        REPORT + "diffs.csv --predictions {tmp}/predicted.csv --reference ipo",
        ["reference", "'ipo'", "methods: dpo"],
    ),
    (
        REPORT + "diffs.csv --predictions {tmp}/predicted.csv --crosscheck {tmp}/no_verdict.csv",
        ["crosscheck", "verdicts.csv"],
    ),
    (
        "report --diffs {tmp}/diffs.csv --predictions {tmp}/predicted.csv --out {tmp}/notes.txt/x",
        ["--out", "notes.txt", "name a folder"],
    ),
    # the other commands
    ("predict --config {tmp}/study.yaml survey.traits.shoe=null", ["survey.traits", "'shoe'", "age"]),
    (
        "predict --config {tmp}/study.yaml data.source=pairs data.path={tmp}/short.jsonl",
        ["short.jsonl", "kind"],
    ),
    ("groups --config {tmp}/study.yaml --published {tmp}/diffs.csv", ["--published", "diffs.csv", "columns"]),
    ("new --out {tmp}/study.yaml --study x", ["--out", "study.yaml", "exists", "another name"]),
    ("new --out {tmp}/notes.txt/x.yaml", ["--out", "x.yaml", "another file"]),
    ("new --out {tmp}/x.yaml --methods dpo,wpp", ["x.yaml", "methods.wpp", "'wpp'", "nearest"]),
    ("new --out {tmp}/x.yaml --seeds 1,1", ["x.yaml", "seeds", "twice"]),
    ("new --out {tmp}/x.yaml --splits {tmp}/no_splits.yaml", ["--splits", "no_splits.yaml", "splits: block"]),
    ("new --out {tmp}/x.yaml --splits {tmp}/none.yaml", ["--splits", "none.yaml"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def answer(typed: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on stderr after a command that had to fail."""
    command, *words = shlex.split(typed)
    main = importlib.import_module(f"orchestrator.{command}").main
    try:
        code = cli.answer(lambda: main(words))
    except SystemExit as left:  # argparse's own
        code = left.code
    assert code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "named"), ANSWERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_mistake_is_answered_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], typed: str, named: list[str]
) -> None:
    line = answer(typed.replace("{tmp}", str(folder)), capsys)
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    for part in named:
        assert part in line
    log = (folder / "home/runs/errors.log").read_text()
    assert "Traceback" in log
    assert line.removeprefix("error: ") in log


def test_a_word_that_is_no_flag_is_answered_with_the_usage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answer(f"sweep --config {folder}/study.yaml nonsense", capsys)
    assert "'nonsense' is neither a flag nor KEY=VALUE" in said


def test_a_second_sweep_of_a_study_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "home" / "runs" / "s"
    out.mkdir(parents=True)
    with FileLock(out / "sweep.lock"):
        line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert "study s: another sweep of it is at work" in line
    assert "orchestrator.status" in line


def test_storage_that_cannot_be_reached_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STORAGE", f"{folder}/notes.txt/inside")
    line = answer(f"sweep --config {folder}/study.yaml", capsys)
    assert "storage" in line
    assert "s3://bucket/folder" in line


@pytest.mark.parametrize("uri", ["http://someone:secret@127.0.0.1:1", "htp://127.0.0.1"])
def test_a_record_that_cannot_be_reached_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    line = answer(f"status --config {folder}/study.yaml", capsys)
    assert line.startswith("error: MLFLOW_TRACKING_URI: no record at ")
    assert "127.0.0.1" in line
    assert "secret" not in line + (folder / "home/runs/errors.log").read_text()

"""What a study file, a model, a store or an environment must not be able to do."""

import ast
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from orchestrator.record.places import Places, without_passwords
from orchestrator.run.exposure import exposed, exposed_session, newest_session
from orchestrator.study.files import load
from training.errors import StudyError
from training.model_path import check
from training.spec import ModelSpec

ROOT = Path(__file__).resolve().parent.parent
SOURCE_FILES = [
    path for room in ("orchestrator", "training", "stats", "bench") for path in (ROOT / room).rglob("*.py")
]
STUDY_TEMPLATE = """
study: {study}
splits: {{{split}: {{by: random, predicted: A = B}}}}
methods: {{dpo: {{}}, {method}: {{beta: 0.2}}}}
seeds: [42]
resources: {{deepspeed: {deepspeed}}}
"""
SAFE_NAMES = {"study": "s", "split": "S1", "method": "m", "deepspeed": "zero2"}


@pytest.mark.parametrize("key", SAFE_NAMES)
@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", ".", "a\\b", "$(touch x)"])
def test_a_study_file_names_nothing_outside_its_folder(tmp_path: Path, key: str, name: str) -> None:
    """These names become folders, files and tags."""
    path = tmp_path / "study.yaml"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES))
    load(path)
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES | {key: f"'{name}'"}))
    with pytest.raises(StudyError):
        load(path)


def test_a_study_file_cannot_choose_where_unfinished_cells_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES) + "storage: /etc\n")
    with pytest.raises(StudyError, match="unknown key 'storage'"):
        load(path)
    places = Places("s", tmp_path)
    for place in (places.work, places.logs, places.report, places.ray):
        assert Path(place).is_relative_to(places.out)


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system ['touch {mark}']", "!!python/object/new:type [x, [], {{}}]"]
)
def test_yaml_cannot_run_code(tmp_path: Path, value: str) -> None:
    path, mark = tmp_path / "study.yaml", tmp_path / "it ran"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES) + f"data: {value.format(mark=mark)}\n")
    with pytest.raises(StudyError):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:AWS_SECRET_ACCESS_KEY}",
        "x-${oc.env:AWS_SECRET_ACCESS_KEY,default}",
        "${oc.env:${oc.env:POINTER}}",
    ],
)
def test_a_study_file_reads_no_variable_that_was_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("POINTER", "AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("ORCHESTRATOR_STUDY_VARIABLES", "POINTER,DATA_SET")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES) + f'reference: "{value}"\n')
    with pytest.raises(StudyError, match=r"AWS_SECRET_ACCESS_KEY.*ORCHESTRATOR_STUDY_VARIABLES") as refusal:
        load(path)
    assert "hunter2" not in str(refusal.value)


def test_a_study_file_reads_the_variables_that_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES | {"study": "${oc.env:STUDY_NAME,s}"}))
    monkeypatch.setenv("ORCHESTRATOR_STUDY_VARIABLES", "STUDY_NAME")
    assert load(path).study == "s"
    monkeypatch.setenv("STUDY_NAME", "named")
    assert load(path).study == "named"


def test_yaml_that_is_nested_too_deeply_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY_TEMPLATE.format(**SAFE_NAMES) + f"data: {'[' * 5000}{']' * 5000}\n")
    with pytest.raises(StudyError, match=r"study\.yaml: not readable"):
        load(path)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("https://user:secret@host/db", "https://host/db"),
        ("postgresql://user:se/cr@et@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://user:s:e@c?ret@host/db?sslmode=require", "postgresql://host/db"),
        ("s3://bucket/folder?access_key=secret&region=x", "s3://bucket/folder"),
        ("https://token@host", "https://host"),
        ("no (http://127.0.0.1:5000/api?token=secret) and 'http://h?a=secret'",
         "no (http://127.0.0.1:5000/api) and 'http://h'"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)  # fmt: skip
def test_secrets_of_a_uri_are_not_printed(text: str, printed: str) -> None:
    assert without_passwords(text) == printed


def test_files_of_ray_that_are_open_to_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are closed to others
    try:
        token, session = room / "auth_token", room / "ray" / "session_latest"
        token.touch()
        session.mkdir(parents=True)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        monkeypatch.setenv("RAY_TMPDIR", str(room))
        for path, mode in ((token, 0o644), (session, 0o777), (room, 0o755)):
            path.chmod(mode)
        said = exposed(newest_session())
        assert [str(path) in line for path, line in zip((token, session), said, strict=True)] == [True, True]
        assert f"chmod 600 {token}" in said[0]
        room.chmod(0o700)  # nobody else gets there
        assert exposed(session) == []
        room.chmod(0o755)
        token.chmod(0o600)
        session.chmod(0o700)
        assert exposed(session) == []
        session.rmdir()
        session.symlink_to("deleted_by_a_cleaner")
        assert exposed_session(newest_session()) == ""
    finally:
        shutil.rmtree(room)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(StudyError, match="pickled weights are not loaded"):
        check(ModelSpec(path=str(tmp_path)), "model")


FORBIDDEN_ARGUMENTS = {"trust_remote_code": True, "weights_only": False, "allow_pickle": True, "shell": True}
UNSAFE_CALLS = {
    "pickle.load",
    "pickle.loads",
    "cloudpickle.load",
    "cloudpickle.loads",
    "joblib.load",
    "yaml.load",
}
UNSAFE_CALLS |= {"yaml.unsafe_load", "eval", "exec", "os.system"}


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_runs_foreign_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in UNSAFE_CALLS, ast.unparse(node)
            for keyword in node.keywords:
                if keyword.arg in FORBIDDEN_ARGUMENTS and isinstance(keyword.value, ast.Constant):
                    assert keyword.value.value is not FORBIDDEN_ARGUMENTS[keyword.arg], ast.unparse(node)


def test_servers_listen_on_loopback_only() -> None:
    """MLflow and Ray's dashboard, wherever the Makefile, cluster files, README or sources start them."""
    files = [ROOT / "Makefile", ROOT / "README.md", ROOT / "ray_cluster.yaml", *SOURCE_FILES]
    files += [path for path in (ROOT / "configs" / "clusters").iterdir() if path.is_file()]
    for path in files:
        text = path.read_text()
        assert "0.0.0.0" not in text.replace("127.0.0.1", ""), path
        for line in text.splitlines():
            if re.search(r"mlflow (ui|server)\b", line) and not line.lstrip().startswith(("#", "`", "*")):
                assert "--host 127.0.0.1" in line, f"{path}: {line}"


def test_token_authentication_is_never_turned_off() -> None:
    assert "export RAY_AUTH_MODE=token" in (ROOT / "README.md").read_text()
    for path in [*SOURCE_FILES, ROOT / "Makefile", ROOT / "ray_cluster.yaml"]:
        assert not re.search(r"RAY_AUTH_MODE\W+(disabled|none|\"\")", path.read_text()), path

"""Where a number comes from: code, libraries and user. It is recorded with every run, and in no trial_id."""

import getpass
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

RECORDED_LIBRARIES = (
    "ray",
    "torch",
    "transformers",
    "trl",
    "deepspeed",
    "accelerate",
    "datasets",
    "mlflow",
    "statsmodels",
)
SOURCE_TAG = "source_sha256"
CHANGED = "+changes"  # follows the commit of code with changes that are in no commit
CODE_ROOT = Path(__file__).resolve().parents[2]


def provenance() -> dict[str, str]:
    """Return MLflow tags that identify the code, the libraries and the user of this driver."""
    tags = {"mlflow.source.name": "orchestrator.sweep", "mlflow.user": getpass.getuser()}
    if commit := code_and_libraries().get("git_sha"):
        tags["mlflow.source.git.commit"] = commit.removesuffix(CHANGED)
    return {**code_and_libraries(), **tags}


@cache
def code_and_libraries() -> Mapping[str, str]:
    """Return tags that identify the code and the libraries of this process, the same for all its life."""
    tags = {f"version.{name}": _version(name) for name in RECORDED_LIBRARIES}
    tags |= {"version.python": platform.python_version(), SOURCE_TAG: source_sha256(source_files())}
    commit = _git("rev-parse", "HEAD")
    if commit:  # a wheel or a job's upload has no repository; the source's hash still identifies the code
        tags["git_sha"] = commit + (CHANGED if _git("status", "--porcelain", "--untracked-files=no") else "")
    return MappingProxyType(tags)


def _version(library: str) -> str:
    """Return the version of a library. A cell that `bench.card` times needs neither Ray nor MLflow."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def source_files() -> dict[str, str]:
    """Return path -> SHA-256 (16 hexadecimal digits) of each source file."""
    paths = (
        path
        for package in ("orchestrator", "stats", "training")
        for path in sorted((CODE_ROOT / package).rglob("*.py"))
    )
    return {str(path.relative_to(CODE_ROOT)): _sha256(path.read_bytes()) for path in paths}


def source_sha256(files: Mapping[str, str]) -> str:
    """Return a hash (16 hexadecimal digits) of what `source_files` returns."""
    return _sha256(json.dumps(files, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _git(*arguments: str) -> str:
    """Return what git prints about this code; empty if there is no git or no repository."""
    command = ["git", "-C", str(CODE_ROOT), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""

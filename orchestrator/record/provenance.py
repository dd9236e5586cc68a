"""Where a number comes from: code, libraries and user. It is recorded with every run, and in no trial_id."""

import getpass
import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

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
CODE_ROOT = Path(__file__).resolve().parents[2]


def provenance() -> dict[str, str]:
    """Return MLflow tags that identify the code, the libraries and the user of this driver."""
    tags = {f"version.{name}": version(name) for name in RECORDED_LIBRARIES}
    tags |= {"version.python": platform.python_version(), "source_sha256": _source_sha256()}
    tags |= {"mlflow.source.name": "orchestrator.sweep", "mlflow.user": getpass.getuser()}
    commit = _git("rev-parse", "HEAD")
    if commit:  # a wheel or a job's upload has no repository; source_sha256 still identifies the code
        changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
        tags |= {"git_sha": commit + ("+changes" if changed else ""), "mlflow.source.git.commit": commit}
    return tags


def _source_sha256() -> str:
    """Return the first 16 hexadecimal digits of a SHA-256 of all source files and their paths."""
    digest = hashlib.sha256()
    for package in ("orchestrator", "stats", "training"):
        for path in sorted((CODE_ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(CODE_ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    """Return what git prints about this code; empty if there is no git or no repository."""
    command = ["git", "-C", str(CODE_ROOT), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""

"""Where a number comes from: code, libraries, machine. Recorded with every run, never hashed."""

import getpass
import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
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
ROOT = Path(__file__).resolve().parents[2]


def provenance() -> dict[str, str]:
    """MLflow tags of the code and libraries of this driver."""
    tags = {f"version.{name}": version(name) for name in LIBRARIES}
    tags |= {"version.python": platform.python_version(), "source_sha256": _source_sha256()}
    tags |= {"mlflow.source.name": "orchestrator.sweep", "mlflow.user": getpass.getuser()}
    sha = _git("rev-parse", "HEAD")
    if sha:  # an installed wheel or a job's upload has no repository; source_sha256 still names the code
        dirty = bool(_git("status", "--porcelain", "--untracked-files=no"))
        tags |= {"git_sha": sha + ("+changes" if dirty else ""), "mlflow.source.git.commit": sha}
    return tags


def _source_sha256() -> str:
    digest = hashlib.sha256()
    for package in ("orchestrator", "stats", "training"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _git(*words: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""

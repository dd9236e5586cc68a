"""Who may know whom: the arrows of the design, followed through every import, lazy ones included."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("orchestrator", "training", "stats")
    for path in sorted((ROOT / package).rglob("*.py"))
}
# Rooms from the ground up: a room may know those before it in its own line, and the ground of the packages
# that its line names first.
LINES = (
    ("training", "stats", "orchestrator.study", "orchestrator.record", "orchestrator.plan",
     "orchestrator.run",
     "orchestrator"),
    ("stats.errors", "stats.names", "stats.status", "stats.text", "stats.survey", "stats.rule",
     "stats.evidence", "stats.comparison", "stats.page", "stats"),
    ("training.errors", "training.hints", "training.arrays", "training.spec", "training.data", "training"),
)  # fmt: skip
STRANGERS = {
    "stats": {"training", "orchestrator", "ray", "mlflow", "torch", "transformers", "trl", "datasets"},
    "training": {"stats", "orchestrator", "ray", "mlflow"},
    "orchestrator": {"torch", "transformers", "trl", "deepspeed", "accelerate", "datasets", "peft"},
}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that a module's text imports anywhere, our own in full: `stats.rule.verdicts`, `ray`."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in names}
    return frozenset(found)


def room(module: str, line: tuple[str, ...]) -> int | None:
    """The place in a line of the innermost room that holds a module."""
    inside = [name for name in line if module == name or module.startswith(f"{name}.")]
    return line.index(max(inside, key=len)) if inside else None


@pytest.mark.parametrize("module", FILES)
def test_no_arrow_points_backward(module: str) -> None:
    for line in LINES:
        here = room(module, line)
        for other in imports(module) & FILES.keys():
            there = room(other, line)
            assert here is None or there is None or there <= here, f"{module} imports {other}"


@pytest.mark.parametrize("module", FILES)
def test_a_package_imports_no_stranger(module: str) -> None:
    known = {name.split(".")[0] for name in imports(module)}
    assert not known & STRANGERS[module.split(".")[0]]
    assert "ray" not in known or module.startswith("orchestrator.run.")
    assert "mlflow" not in known or module.startswith("orchestrator.record.")


def circles(module: str, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of imports that lead from a module back to it."""
    for other in sorted(imports(module) & FILES.keys()):
        if other == (path or (module,))[0]:
            yield (*path, module, other)
        elif other not in path and other != module and _reaches(other, (path or (module,))[0]):
            yield from circles(other, (*path, module))


@cache
def _reaches(start: str, goal: str) -> bool:
    seen, line = {start}, [start]
    while line:
        for other in imports(line.pop()) & FILES.keys() - seen:
            seen.add(other)
            line.append(other)
    return goal in seen


@pytest.mark.parametrize("module", FILES)
def test_no_import_leads_back_to_where_it_came_from(module: str) -> None:
    assert next(circles(module), None) is None


HEAVY = {"pandas", "torch", "ray", "mlflow", "matplotlib", "scipy", "statsmodels", "transformers", "datasets"}
PUBLISHED = "methods.dpo.published=reference/v5b_diffs.csv"
DIFFS = [
    "--diffs",
    "configs/reference/v5b_diffs.csv",
    "--predictions",
    "configs/reference/v5b_predictions.csv",
]


@pytest.mark.parametrize(
    ("does", "without"),
    [
        ("from orchestrator.sweep import main; main(['--config', 'demo', '--dry-run'])", HEAVY),
        ("from orchestrator.sweep import main; main(['--config', 'v5b', '--dry-run'])", HEAVY),
        ("from orchestrator.status import main; main([])", HEAVY),
        (f"from orchestrator.report import main; main([*{DIFFS}, '--out', OUT])", {"ray", "mlflow", "torch"}),
        (
            "from pathlib import Path; from orchestrator.plan.tables import tables;"
            "from orchestrator.study.files import load;"
            f"tables(load(Path('demo'), [{PUBLISHED!r}]))",
            {"ray", "mlflow", "torch", "matplotlib"},
        ),
        ("import stats, training, orchestrator", HEAVY),
    ],
    ids=["plan of demo", "plan of v5b", "status", "report of published diffs", "data beside published",
    "packages"],
)  # fmt: skip
def test_what_a_command_never_loads(does: str, without: set[str], tmp_path: Path) -> None:
    """In a fresh interpreter, so that no other test has loaded it already."""
    ask = f"OUT = {str(tmp_path / 'out')!r}\n{does}\nimport sys; print('loaded', *sorted(sys.modules))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    told = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=ROOT,
        env=environment | {"ORCHESTRATOR_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not without & set(told.rsplit("loaded", 1)[1].split())

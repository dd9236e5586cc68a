"""Which module may import which: the arrows of the design, over every import, lazy ones included."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE_FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("orchestrator", "training", "stats")
    for path in sorted((ROOT / package).rglob("*.py"))
}
# Rooms from the ground up: a room may import only itself and the rooms before it in the same line.
ROOM_ORDERS = (
    ("training", "stats", "orchestrator.study", "orchestrator.record", "orchestrator.plan",
     "orchestrator.run", "orchestrator"),
    ("stats.errors", "stats.names", "stats.status", "stats.text", "stats.arrays", "stats.multiplicity",
     "stats.survey", "stats.rule", "stats.evidence", "stats.cells", "stats.comparison", "stats.selected",
     "stats.compare", "stats.notebook", "stats.page", "stats"),
    ("training.errors", "training.hints", "training.arrays", "training.values", "training.table_data",
     "training.lora_spec", "training.spec", "training.data", "training"),
)  # fmt: skip
FORBIDDEN_IMPORTS = {
    "stats": {"training", "orchestrator", "ray", "mlflow", "torch", "transformers", "trl", "datasets"},
    "training": {"stats", "orchestrator", "ray", "mlflow"},
    "orchestrator": {"torch", "transformers", "trl", "deepspeed", "accelerate", "datasets", "peft"},
}


@cache
def imports(module: str) -> frozenset[str]:
    """Return the names of all modules that a module imports anywhere: `stats.rule.verdicts`, `ray`."""
    imported = set()
    for node in ast.walk(ast.parse(MODULE_FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {name if name in MODULE_FILES else node.module for name in names}
    return frozenset(imported)


def rank(module: str, order: tuple[str, ...]) -> int | None:
    """Return the position of a module's innermost room in an order of rooms; None if no room holds it."""
    rooms = [room for room in order if module == room or module.startswith(f"{room}.")]
    return order.index(max(rooms, key=len)) if rooms else None


@pytest.mark.parametrize("module", MODULE_FILES)
def test_no_arrow_points_backward(module: str) -> None:
    for order in ROOM_ORDERS:
        own_rank = rank(module, order)
        for other in imports(module) & MODULE_FILES.keys():
            other_rank = rank(other, order)
            assert own_rank is None or other_rank is None or other_rank <= own_rank, (
                f"{module} imports {other}"
            )


@pytest.mark.parametrize("module", MODULE_FILES)
def test_a_package_imports_nothing_forbidden(module: str) -> None:
    imported = {name.split(".")[0] for name in imports(module)}
    assert not imported & FORBIDDEN_IMPORTS[module.split(".")[0]]
    assert "ray" not in imported or module.startswith("orchestrator.run.")
    assert "mlflow" not in imported or module.startswith("orchestrator.record.")


def import_circles(module: str, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of imports that lead from a module back to it."""
    for other in sorted(imports(module) & MODULE_FILES.keys()):
        if other == (path or (module,))[0]:
            yield (*path, module, other)
        elif other not in path and other != module and _reaches(other, (path or (module,))[0]):
            yield from import_circles(other, (*path, module))


@cache
def _reaches(start: str, goal: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for other in imports(waiting.pop()) & MODULE_FILES.keys() - seen:
            seen.add(other)
            waiting.append(other)
    return goal in seen


@pytest.mark.parametrize("module", MODULE_FILES)
def test_there_is_no_import_circle(module: str) -> None:
    assert next(import_circles(module), None) is None


HEAVY_LIBRARIES = {
    "pandas",
    "torch",
    "ray",
    "mlflow",
    "matplotlib",
    "scipy",
    "statsmodels",
    "transformers",
    "datasets",
}
PUBLISHED_DPO = "methods.dpo.published=reference/v5b_diffs.csv"
PUBLISHED_FLAGS = [
    "--diffs",
    "configs/reference/v5b_diffs.csv",
    "--predictions",
    "configs/reference/v5b_predictions.csv",
]


@pytest.mark.parametrize(
    ("code", "libraries"),
    [
        ("from orchestrator.sweep import main; main(['--config', 'demo', '--dry-run'])", HEAVY_LIBRARIES),
        ("from orchestrator.sweep import main; main(['--config', 'v5b', '--dry-run'])", HEAVY_LIBRARIES),
        ("from orchestrator.status import main; main([])", HEAVY_LIBRARIES),
        ("from orchestrator.console import main; main(['sweep', '--dry-run'])", HEAVY_LIBRARIES),
        (
            f"from orchestrator.report import main; main([*{PUBLISHED_FLAGS}, '--out', OUT])",
            {"ray", "mlflow", "torch"},
        ),
        (
            "from pathlib import Path; from orchestrator.plan.tables import load_tables;"
            "from orchestrator.study.files import load;"
            f"load_tables(load(Path('demo'), [{PUBLISHED_DPO!r}]))",
            {"ray", "mlflow", "torch", "matplotlib"},
        ),
        ("import orchestrator.run.jobs, orchestrator.run.schedule", {"torch", "transformers", "datasets"}),
        ("import stats, training, orchestrator", HEAVY_LIBRARIES),
    ],
    ids=[
        "plan of demo",
        "plan of v5b",
        "status",
        "console",
        "report of published diffs",
        "data beside published",
        "a sweep's driver",
        "packages",
    ],
)
def test_what_a_command_never_loads(code: str, libraries: set[str], tmp_path: Path) -> None:
    """This runs in a fresh interpreter, in which no other test has loaded anything."""
    script = f"OUT = {str(tmp_path / 'out')!r}\n{code}\nimport sys; print('\\nloaded', *sorted(sys.modules))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    output = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment | {"ORCHESTRATOR_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not libraries & set(output.rsplit("\nloaded ", 1)[1].split())

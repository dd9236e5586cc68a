"""Who may know whom: the arrows of the design, read from the code itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("orchestrator", "training", "stats")

FORBIDDEN = {
    "training": {"orchestrator", "stats", "ray", "mlflow"},
    "stats": {"orchestrator", "training", "ray", "mlflow", "torch", "transformers", "trl"},
    "orchestrator": {"transformers", "trl", "deepspeed", "accelerate", "torch"},
}
# MLflow has one reader and writer, and what plans a study answers without ray, mlflow or torch.
ONLY_LEDGER = {"mlflow"}
PLANNERS = ("study", "trial", "grid", "places", "plan", "cli", "sweep", "status")


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_arrow_points_the_wrong_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert not imports(path) & FORBIDDEN[room]
    if path.name != "ledger.py":
        assert not imports(path) & ONLY_LEDGER


@pytest.mark.parametrize("name", PLANNERS)
def test_planning_needs_no_heavy_library(name: str) -> None:
    path = ROOT / "orchestrator" / f"{name}.py"
    assert not imports(path, top_level_only=True) & {"ray", "mlflow", "torch", "statsmodels", "matplotlib"}

"""Write the JSON schema with which editors complete and check study files."""

import json
from collections.abc import Sequence
from pathlib import Path

from orchestrator import cli
from orchestrator.study.files import CONFIGS, EXTENDS
from orchestrator.study.study import Study
from orchestrator.study.vary import VARY

SCHEMA_FILE = CONFIGS / "study.schema.json"


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.schema") -> int:
    """Write the schema and print where it is; the exit code is 0."""
    flags = cli.Flags(prog=program, description=__doc__)
    flags.add_argument("--out", type=Path, default=SCHEMA_FILE, help=f"file (default: {SCHEMA_FILE})")
    out: Path = flags.parse_args(argv).out
    cli.write(out, schema(), "--out")
    print(out)
    return 0


def schema() -> str:
    """Return the text of the schema file."""
    described = Study.model_json_schema() | {"title": "A preference-tuning study"}
    described["properties"][EXTENDS] = {
        "description": "A study file, or the name of a shipped one, of which this file says only what is "
        "different; null takes a split, a method or a condition out.",
        "type": "string",
    }
    described["properties"][VARY] = {
        "description": "Values by the dotted path of a key, methods.<name>.<key> or training.<key>; each "
        "combination becomes a method of its own, such as wpo_beta0.05.",
        "type": "object",
        "examples": [{"methods.wpo.beta": [0.05, 0.1], "training.learning_rate": [1e-6, 5e-6]}],
    }
    described["anyOf"] = [{"required": [EXTENDS]}, {"required": described.pop("required")}]
    return json.dumps(described, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    cli.exit_with(main)

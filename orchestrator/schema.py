"""The study file's JSON schema, for editors: python -m orchestrator.schema writes it into configs/."""

import json

from orchestrator.study.files import CONFIGS
from orchestrator.study.study import Study

PATH = CONFIGS / "study.schema.json"


def schema() -> str:
    """The schema as the shipped file holds it."""
    described = Study.model_json_schema() | {"title": "A preference-tuning study"}
    return json.dumps(described, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")
    print(PATH)

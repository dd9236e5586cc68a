"""Look for what makes a chat template write other text on another day, in its text alone.

This module imports neither torch nor transformers, because a plan needs none.
"""

import re
from pathlib import Path

DATE = re.compile(r"strftime_now\(")
RANDOM = re.compile(r"\|\s*random\b")


def template_surprises(model_path: str) -> tuple[bool, bool]:
    """Return whether the chat template in a model's folder writes the date, and whether a random value.

    Where the model is no folder, its template is not known before it is loaded, and both are False.
    """
    folder = Path(model_path)
    files = [*folder.glob("*.jinja"), *folder.glob("tokenizer_config.json")] if folder.is_dir() else []
    text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    return bool(DATE.search(text)), bool(RANDOM.search(text))

"""Whether the installed libraries are those that this project is tested with."""

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from orchestrator.record.finding import Finding, problem
from orchestrator.record.provenance import CODE_ROOT
from stats.text import plural

DISTRIBUTION = "preference-orchestrator"
LOCK = CODE_ROOT / "requirements.lock"
SHOWN = 4  # versions that a line names


def check_versions() -> Finding:
    """Compare the installed versions with requirements.lock; an installed wheel has only the pinned ones."""
    locked = LOCK.exists()
    lines = LOCK.read_text(encoding="utf-8").splitlines() if locked else requires(DISTRIBUTION) or []
    pinned = (re.match(r"([\w.\-\[\],]+)==([\w.]+)", line) for line in lines)
    pins = {found[1]: found[2] for found in pinned if found}
    name = "requirements.lock" if locked else "this release's own pins"
    others = []
    for package, pin in pins.items():
        try:
            installed = version(re.sub(r"\[.*", "", package)).partition("+")[0]
        except PackageNotFoundError:  # an extra that is not installed
            continue
        if installed != pin:
            others.append(f"{package} {installed} ({pin})")
    python = f"Python {platform.python_version()}"
    if not others:
        return Finding("versions", f"{python}; all installed libraries are those of {name}")
    shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
    way_out = f"{sys.executable} -m pip install -c requirements.lock -e ." if locked else "reinstall it"
    count = plural(len(others), "package")
    return problem("versions", f"{count} of another version than in {name}: {shown}; {way_out}")

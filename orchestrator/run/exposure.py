"""What of a Ray cluster other users of this machine could read or change, by the modes of its files."""

import os
import stat
import tempfile
from pathlib import Path


def exposed() -> list[str]:
    """Return one line per file or folder of Ray's that is open to others, with the way out."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    # The place is Ray's documented one; Ray itself makes this folder writable for everybody.
    root = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    session = root / "ray" / "session_latest"
    lines = []
    if _reachable(token) and _mode(token) & (stat.S_IRWXG | stat.S_IRWXO):
        lines.append(
            f"{token} (Ray's token) is open to others (mode {_mode(token):o}): who reads it can run code as "
            f"you; chmod 600 {token}"
        )
    if _reachable(session) and _mode(session) & (stat.S_IWGRP | stat.S_IWOTH):
        lines.append(
            f"{session} (Ray's session) can be changed by others (mode {_mode(session):o}): if this machine "
            "has other users, set RAY_TMPDIR to a folder that only you can enter"
        )
    return lines


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _reachable(path: Path) -> bool:
    """Return whether a path exists and others may enter all folders on the way to it."""
    if not path.exists():
        return False
    folders = path.resolve().parents
    return all(_mode(folder) & (stat.S_IXGRP | stat.S_IXOTH) for folder in folders)

"""What of a Ray cluster other users of this machine could read or change, by the modes of its files."""

import os
import stat
import tempfile
from pathlib import Path


def exposed(session: Path) -> list[str]:
    """Return one line per file or folder of Ray's that is open to others, with the way out.

    Args:
        session: The folder of the cluster's session on this machine.
    """
    return [line for line in (exposed_token(), exposed_session(session)) if line]


def exposed_token() -> str:
    """Return a line about Ray's token if others may read it, otherwise an empty text."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if _reachable(token) and _mode(token) & (stat.S_IRWXG | stat.S_IRWXO):
        return (
            f"{token} (Ray's token) is open to others (mode {_mode(token):o}): who reads it can run code as "
            f"you; chmod 600 {token}"
        )
    return ""


def exposed_session(session: Path) -> str:
    """Return a line about Ray's session folder if others may change it, otherwise an empty text."""
    if _reachable(session) and _mode(session) & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"{session} (Ray's session) can be changed by others (mode {_mode(session):o}): if this machine "
            "has other users, set RAY_TMPDIR to a folder that only you can enter"
        )
    return ""


def newest_session() -> Path:
    """Return Ray's documented link to this machine's newest session, which may lead nowhere."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "session_latest"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _reachable(path: Path) -> bool:
    """Return whether a path exists and others may enter all folders on the way to it."""
    if not path.exists():
        return False
    folders = path.resolve().parents
    return all(_mode(folder) & (stat.S_IXGRP | stat.S_IXOTH) for folder in folders)

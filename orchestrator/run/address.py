"""Which Ray cluster a sweep runs on, as the environment says. Ray itself is not imported."""

import os

from training.errors import StudyError

LOCAL = "local"  # the address that has Ray start a cluster


def ray_address() -> str:
    """Return what RAY_ADDRESS names; without it, the address that has Ray start a cluster here.

    Raises:
        StudyError: It names a job server, to which a sweep is submitted; nothing can run on it from here.
    """
    address = os.environ.get("RAY_ADDRESS") or LOCAL
    if address.startswith(("http://", "https://")):
        raise StudyError(
            f"RAY_ADDRESS {address}: Ray's job server, where no sweep can run from here; unset RAY_ADDRESS "
            "to run on this machine, or give the sweep --on ray to submit it there"
        )
    return address

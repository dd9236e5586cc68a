"""Whether this machine has what a study's cells run on: cards, their driver, MPS, and a Ray to talk to."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from orchestrator.record.finding import Finding, Level, problem
from orchestrator.run.address import LOCAL, ray_address
from orchestrator.run.exposure import exposed_session, exposed_token, newest_session
from orchestrator.run.mps import CONTROL
from orchestrator.study.study import Study
from training.errors import StudyError
from training.hardware import cards_of_driver, device

TIMEOUT_S = 10.0


def check_cards(study: Study) -> Iterator[Finding]:
    """Look at this machine's cards, as the driver and as torch see them, and at MPS where cells share one."""
    shares = [shape.gpus_per_worker for shape in study.shapes.values()]
    cards, found = cards_of_driver(), device()
    if found == "cpu":
        if cards:
            yield problem(
                "cards",
                f"the driver sees {'; '.join(cards)}, but torch sees none; install torch for the driver's "
                "version of CUDA, or a newer driver, and unset CUDA_VISIBLE_DEVICES",
            )
        elif any(shares) and os.environ.get("RAY_ADDRESS", LOCAL) == LOCAL:
            yield problem(
                "cards",
                "none here, and the study's cells want one; set RAY_ADDRESS to a cluster that has cards, or "
                "resources.gpus_per_worker=0",
            )
        else:
            note = "" if any(shares) else ", and the study's cells need none"
            yield Finding("cards", f"none on this machine{note}")
        return
    yield Finding("cards", "; ".join(cards) or found)
    if not any(share == "auto" or 0 < share < 1 for share in shares):
        return
    if shutil.which(CONTROL):
        yield Finding("MPS", f"{CONTROL} is here for cells that share a card")
    else:
        text = "is missing, so cells that share a card take turns; it comes with NVIDIA's driver (package "
        yield problem("MPS", f"{CONTROL} {text}nvidia-compute-utils on Debian and Ubuntu)")


def check_ray() -> Iterator[Finding]:
    """Look at the address of Ray, at its token, and at what other users of this machine may do with it."""
    try:
        address = ray_address()
    except StudyError as error:
        yield problem("Ray", str(error))
        return
    yield _check_address(address)
    if address != LOCAL:
        yield _check_token()
    if line := exposed_token():
        yield problem("Ray", line)
    if line := exposed_session(newest_session()):  # as Ray makes it, which is harmless where nobody else is
        yield Finding("Ray", line, Level.NOTE)


def _check_address(address: str) -> Finding:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == LOCAL:
        return Finding("Ray", "RAY_ADDRESS is not set, so a sweep starts a Ray of its own here")
    if not port.isdigit():
        return Finding("Ray", f"RAY_ADDRESS is {address}, which Ray looks up itself")
    try:
        socket.create_connection((host, int(port)), TIMEOUT_S).close()
    except OSError as error:
        return problem(
            "Ray",
            f"nothing answers at RAY_ADDRESS {address} ({error}); start the head there (ray start --head), "
            "or unset RAY_ADDRESS to run on this machine",
        )
    return Finding("Ray", f"RAY_ADDRESS {address} answers")


def _check_token() -> Finding:
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return problem(
            "Ray",
            "RAY_AUTH_MODE is not `token`, so whoever reaches the cluster may use it; "
            "export RAY_AUTH_MODE=token here and where Ray is started",
        )
    if not token.exists() and not os.environ.get("RAY_AUTH_TOKEN"):
        text = f"no token at {token}; copy it from the head node, or make one there with"
        return problem("Ray", f"{text} `ray get-auth-token --generate`")
    return Finding("Ray", "the token is here")

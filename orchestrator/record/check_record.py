"""Whether MLflow can be reached and is of this version, and whether a study's record is whole."""

import time
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.error import HTTPError

from orchestrator.record.experiment import recorded_studies
from orchestrator.record.finding import MOST_SKEW_S, Finding, differing_clock, problem
from orchestrator.record.places import Places
from stats.text import plural
from training.errors import StudyError

TIMEOUT_S = 10.0


def check_mlflow(places: Places) -> Iterator[Finding]:
    """Ask the store for its studies, which is the first finding, and a server for its version and clock."""
    try:
        studies = recorded_studies(places)
    except StudyError as error:
        yield problem("MLflow", str(error))
        return
    yield Finding("MLflow", f"{places.record} answers; {plural(len(studies), 'experiment')}")
    if places.tracking_uri.startswith("http"):
        yield from _check_server(places)


def _check_server(places: Places) -> Iterator[Finding]:
    address = f"{places.record.rstrip('/')}/version"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            theirs, date = answer.read().decode().strip(), answer.headers["Date"]
    except HTTPError as error:
        yield Finding("MLflow", f"the server does not tell its version (HTTP {error.code})")
        return
    ours = version("mlflow")
    if theirs.split(".")[:2] == ours.split(".")[:2]:
        yield Finding("MLflow", f"the server has version {theirs}, this environment {ours}")
    else:
        text = f"the server has version {theirs}, this environment {ours}; install {ours} on the server"
        yield problem("MLflow", text)
    skew_s = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(skew_s) > MOST_SKEW_S:
        yield differing_clock(skew_s, "the MLflow server")

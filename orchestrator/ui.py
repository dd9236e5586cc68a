"""Open the record in a browser, on the verdicts of a study."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Sequence
from contextlib import suppress

from orchestrator import cli
from orchestrator.record.places import places_of
from training.errors import StudyError

STARTS_WITHIN_S = 120


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.ui") -> int:
    """Print the address of each study's verdicts, start MLflow's server where there is none, and open one.

    The server is on this machine only, and ends with this command.
    """
    flags = cli.parser(program, __doc__)
    flags.add_argument("--port", type=int, default=5000, help="port of the server (default: 5000)")
    flags.add_argument("--no-browser", action="store_true", help="print the addresses and open nothing")
    study, args = cli.study_of(flags, argv)

    from orchestrator.record.experiment import verdict_pages  # imports mlflow, which takes seconds

    places = places_of(study)
    served = places.tracking_uri.startswith("http")
    root = places.record.rstrip("/") if served else f"http://127.0.0.1:{args.port}"
    pages = {name: f"{root}/{link}" for name, link in verdict_pages(places).items()}
    if not pages:
        raise StudyError(f"no study is recorded at {places.record}; python -m orchestrator.sweep runs one")
    for name, address in pages.items():
        print(f"{name}: {address}", flush=True)
    first = pages.get(study.study, next(iter(pages.values())))
    if served:
        return _show(first, args.no_browser)
    words = ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(args.port), "--workers", "1"]
    store = ["--backend-store-uri", places.tracking_uri]
    # Without this, the server starts processes for jobs that a study does not have.
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    for number in (signal.SIGINT, signal.SIGTERM):  # of which a shell's background job ignores the first
        signal.signal(number, signal.default_int_handler)
    # A session of its own, so that the server's processes end with this command, and not before.
    server = subprocess.Popen([sys.executable, *words, *store], env=settings, start_new_session=True)
    try:
        _wait_for(server, root)
        _show(first, args.no_browser)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", root: str) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise StudyError(f"MLflow's server ended at once; is {root} taken? --port names another port")
        try:
            with urllib.request.urlopen(f"{root}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise StudyError(f"MLflow's server does not answer at {root} after {STARTS_WITHIN_S} s")


def _show(address: str, no_browser: bool) -> int:
    """Open an address in the browser of this machine, if it has one."""
    opened = not no_browser and webbrowser.open(address)
    print(f"open: {address}" if not opened else f"opened {address}", flush=True)
    return 0


if __name__ == "__main__":
    cli.exit_with(main)

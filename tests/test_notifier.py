"""A webhook hears of the end, of failures and of stalls; one that does not answer ends nothing."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from test_ledger import TRIAL

from orchestrator.plan.events import Event
from orchestrator.plan.log_lines import LogLines
from orchestrator.plan.notifier import notifying
from orchestrator.plan.tally import Tally
from orchestrator.study.study import Study
from stats.status import CellStatus
from training.errors import StudyError

STUDY: dict[str, Any] = {
    "study": "s",
    "splits": {"S1": {"by": "random", "predicted": "A = B"}},
    "methods": {"dpo": {}},
    "seeds": [42],
}


def study(url: str) -> Study:
    return Study.model_validate(STUDY | {"notify": {"url": url}})


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that keeps what is posted to it."""
    posted: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posted
    server.shutdown()
    server.server_close()


def run(of_study: Study, error: Exception | None = None) -> None:
    """What a sweep tells its watcher."""
    with notifying(of_study) as notifier:
        watcher = notifier.watch(LogLines(Tally.of_untrained([TRIAL])))
        watcher.tell(Event(TRIAL, CellStatus.STARTED, "started"))
        watcher.tell(Event(TRIAL, CellStatus.RETRIED, "attempt 1 failed, trying again: boom"))
        watcher.tell(Event(TRIAL, CellStatus.RETRIED, "attempt 2 failed, trying again: stalled: no step"))
        watcher.tell(Event(TRIAL, CellStatus.FAILED, "failed: http://user:secret@host/x does not answer"))
        watcher.note("a node is out")
        if error:
            raise error
        notifier.post("ended", "3 of 4 cells finished")


def test_the_end_a_failure_and_a_stall_are_posted(
    webhook: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("HOOK", url)
    run(study("$HOOK"))
    cell = {"study": "s", "cell": "dpo/S1/42"}
    assert posted == [
        cell | {"event": "stalled", "text": "attempt 2 failed, trying again: stalled: no step"},
        cell | {"event": "failed", "text": "failed: http://host/x does not answer"},
        {"study": "s", "event": "ended", "text": "3 of 4 cells finished"},
    ]


def test_what_stops_a_sweep_is_posted(webhook: tuple[str, list[dict[str, str]]]) -> None:
    url, posted = webhook
    with pytest.raises(StudyError):
        run(study(url), StudyError("the disk is full"))
    assert posted[-1] == {"study": "s", "event": "stopped", "text": "StudyError: the disk is full"}


def test_a_webhook_that_does_not_answer_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    run(study("http://127.0.0.1:9/secret-path"))
    assert "secret-path" not in caplog.text


def test_a_secret_is_not_written_into_a_study_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("https://user:secret@host", "https://host/?key=secret", "ftp://host", "$", "$not a name"):
        with pytest.raises(ValidationError, match="notify"):
            study(url)
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(StudyError, match=r"notify.url: the environment variable HOOK"):
        run(study("$HOOK"))

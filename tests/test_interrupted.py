"""A signal ends a sweep's block as Interrupted, whatever a library makes of it meanwhile."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from orchestrator import cli
from orchestrator.plan.interrupted import interruptible


def wait_as_ray_does() -> None:
    try:
        time.sleep(60)
    except BaseException:
        raise KeyboardInterrupt from None


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Keep the handlers of this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("wait", [lambda: time.sleep(60), wait_as_ray_does], ids=["Python", "Ray"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_the_exit_code_of_that_signal(
    number: signal.Signals, wait, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        with interruptible():
            os.kill(os.getpid(), number)
            wait()
        return 0

    assert cli.answer(command) == 128 + number
    assert f"interrupted by {number.name}; the same command goes on" in capsys.readouterr().err


def test_an_error_of_the_block_stays_one_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def fail() -> None:
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) != before
            raise KeyError("no signal")

    with pytest.raises(KeyError):
        fail()
    assert signal.getsignal(signal.SIGTERM) == before

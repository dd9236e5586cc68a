"""What all faults share: the table that is printed in the end, and an environment of their own."""

from collections.abc import Iterator

import pytest
from driver_process import DriverProcess
from judge import Record

from orchestrator.drill import FaultRow, fault_table

ROWS: list[FaultRow] = []  # of all files


@pytest.fixture(scope="module", name="record")
def table_of_faults(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Collect the rows of the table, which is printed at the end of each file, with the files before."""
    yield ROWS.append
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{fault_table(ROWS)}")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep this user's stores and clusters out, and end the sweeps that a failed test leaves behind."""
    for name in ("MLFLOW_TRACKING_URI", "ORCHESTRATOR_STORAGE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    yield
    while DriverProcess.instances:
        driver = DriverProcess.instances.pop()
        if driver.process and not driver.has_ended:
            driver.kill()

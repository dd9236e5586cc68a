"""MLflow's UI over a study's record, as a person in a browser sees it: filter, compare, curves, figures.

`make screenshots` runs it over the demo's record, and keeps what it sees for the README.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_record import fill
from mlflow.tracking import MlflowClient
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from services import free_port

from orchestrator.record import views
from orchestrator.record.places import places_of
from orchestrator.study import grid
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study

DRIVER = shutil.which("chromedriver")
SHOTS = Path(os.environ["SCREENSHOTS"]) if "SCREENSHOTS" in os.environ else None  # where pictures go

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(DRIVER is None, reason="chromium is not installed; `make services` installs it"),
]

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --hide-scrollbars --window-size=1360,960""".split()  # noqa: SIM905
WAIT_S = 300


class ExperimentPage:
    """The study's experiment in a browser."""

    def __init__(self, browser: webdriver.Chrome, server: str, experiment: str, link: str) -> None:
        self.browser, self.server, self.experiment, self.link = browser, server, experiment, link

    def open(self, address: str) -> None:
        self.browser.get("about:blank")  # addresses differ only after the #, which alone reloads nothing
        self.browser.get(f"{self.server}/{address}")

    def until(self, seen: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, WAIT_S).until(lambda _: seen())

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self) -> str:
        return self.all("body")[0].text

    def runs(self) -> set[str]:
        """Names of the runs in the table."""
        script = "return [...document.querySelectorAll('a[href*=\"/runs/\"]')].map(link => link.textContent)"
        return {name for name in self.browser.execute_script(script) if name.count("/") == 2}

    def filter(self, query: str, runs: set[str]) -> None:
        """Type a query into the search box and wait until the table shows exactly these runs."""
        (box,) = self.all("input[data-testid=search-box]")
        box.click()
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(query, Keys.ENTER)
        self.until(lambda: self.runs() == runs)

    def chart(self, title: str) -> tuple[list[str], int]:
        """Return the names in a chart's legend, and how many lines of two or more points it draws."""
        script = """
            const cards = [...document.querySelectorAll('[data-testid="experiment-view-compare-runs-card"]')];
            const card = cards.find(card => card.textContent.includes(arguments[0]));
            if (!card) return ["", 0];
            const lines = [...card.querySelectorAll('.scatterlayer path.js-line')];
            return [card.innerText, lines.filter(line => line.getAttribute('d').includes('L')).length];"""
        text, lines = self.browser.execute_script(script, title)
        return [line for line in text.splitlines() if line.endswith(")")], lines

    def keep(self, name: str) -> None:
        if SHOTS:
            for close in self.all("[data-component-id='mlflow.assistant.chat_panel.close']"):
                close.click()
            time.sleep(2)  # charts grow and notices fade
            picture = Image.open(io.BytesIO(self.browser.get_screenshot_as_png()))
            picture.convert("RGB").quantize(128).save(SHOTS / f"ui-{name}.png", optimize=True)


@pytest.fixture(scope="module")
def study() -> Study:
    return load(CONFIGS / "demo.yaml", [] if SHOTS else ["study=ui", "data.users=60"])


@pytest.fixture(scope="module")
def store(study: Study, tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """A record of made-up results; for pictures, the demo's own, which a sweep has written."""
    if SHOTS:
        return MlflowClient(places_of(study).tracking_uri)
    return MlflowClient(fill(study, tmp_path_factory.mktemp("record")).uri)


@pytest.fixture(scope="module")
def page(
    study: Study, store: MlflowClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExperimentPage]:
    folder = tmp_path_factory.mktemp("ui")
    experiment = store.get_experiment_by_name(study.study)
    assert experiment is not None
    options = Options()
    for flag in (*FLAGS, f"--user-data-dir={folder / 'browser'}"):
        options.add_argument(flag)
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": store.tracking_uri,
        "ORCHESTRATOR_HOME": str(folder),
    }
    port = str(free_port())
    command = [
        sys.executable,
        "-m",
        "orchestrator.ui",
        "--no-browser",
        "--port",
        port,
        f"study={study.study}",
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(line for line in server.stdout if line.startswith("open: ")).split()[1]
        root, _, link = address.partition("/#")
        browser = webdriver.Chrome(options, Driver(DRIVER))
        try:
            yield ExperimentPage(browser, root, experiment.experiment_id, f"#{link}")
        finally:
            browser.quit()
            server.send_signal(signal.SIGINT)


def test_the_printed_link_says_in_two_clicks_whether_wpo_differs_and_how_sure(
    page: ExperimentPage, store: MlflowClient, study: Study
) -> None:
    page.open(page.link)
    page.until(lambda: "wpo/S1_age" in page.text())
    (run,) = store.search_runs(
        [page.experiment], "tags.kind = 'verdict' and params.method = 'wpo' and params.split = 'S1_age'"
    )
    shown = page.until(page.text)
    assert run.data.tags["change_evidence"] in shown
    assert {trial.name for trial in grid.expand(study)}.isdisjoint(shown.splitlines())
    assert "baseline" not in shown
    page.keep("verdicts")
    (row,) = [link for link in page.all("a[href*='/runs/']") if link.text == "wpo/S1_age"]
    page.browser.execute_script("arguments[0].click()", row)
    numbers = [run.data.metrics[f"change/{name}"] for name in ("pp", "low", "high")]
    page.until(lambda: "change/high" in page.text())
    digits = page.text().replace("−", "-")
    for number in numbers:  # however many decimals the UI shows
        assert f"{number:.2f}"[:-1] in digits, (number, digits)
    assert run.data.tags["change_evidence"] in digits


def test_the_study_opens_by_method_and_split_and_is_filtered_by_method(
    page: ExperimentPage, study: Study
) -> None:
    cells = {trial.name for trial in grid.expand(study)}
    page.open(views.link(page.experiment, views.GROUPED_VIEW, charts=False))
    page.until(lambda: page.runs() == cells)
    assert "Group: method: dpo, split: S1_age" in page.until(page.text)
    page.keep("methods")
    page.filter("tags.kind = 'cell' and params.method = 'wpo'", {name for name in cells if "wpo" in name})


def test_two_seeds_are_compared_and_both_arms_curves_overlay(page: ExperimentPage, study: Study) -> None:
    seeds = {f"wpo/S1_age/{seed}" for seed in study.seeds}
    query = "tags.kind = 'cell' and params.method = 'wpo' and params.split = 'S1_age'"
    page.open(views.link(page.experiment, views.CELLS_VIEW, charts=False))
    page.until(page.runs)
    page.filter(query, seeds)
    page.browser.execute_script("arguments[0].click()", page.all("[aria-label='Select all runs']")[0])
    page.until(lambda: [button for button in page.all("button") if button.text == "Compare"])[0].click()
    page.until(lambda: "Comparing 2 Runs" in page.text())
    assert seeds <= set(page.text().splitlines())

    page.open(views.link(page.experiment, views.GROUPED_VIEW, charts=False))
    (link,) = page.until(lambda: [link for link in page.all("a") if "curves of arms" in link.text])
    link.click()
    page.browser.switch_to.window(page.browser.window_handles[-1])
    page.until(page.runs)
    page.filter(query, seeds)
    # The runs are in the order of the plan.
    wanted = [f"wpo/S1_age/{seed} ({arm}/loss)" for seed in sorted(study.seeds) for arm in ("A", "B")]
    page.until(lambda: page.chart("A/loss vs B/loss")[1] >= len(wanted))
    assert page.chart("A/loss vs B/loss")[0] == wanted
    page.keep("curves")


def test_the_study_run_shows_report_table_and_figure(page: ExperimentPage, store: MlflowClient) -> None:
    (run,) = store.search_runs([page.experiment], "tags.kind = 'study'")
    kept = f"#/experiments/{page.experiment}/runs/{run.info.run_id}/artifacts/report"
    page.open(f"{kept}/forest.png?workflowType=machine_learning")
    script = (
        "return [...document.querySelectorAll('img')].some(i => i.src.startsWith('blob:') && i.naturalWidth)"
    )
    assert page.until(lambda: page.browser.execute_script(script))
    page.open(f"{kept}/verdicts.csv?workflowType=machine_learning")
    assert page.until(lambda: "S1_age" in page.text())
    page.open(f"{kept}/report.html?workflowType=machine_learning")
    (frame,) = page.until(lambda: page.all("iframe"))
    page.browser.switch_to.frame(frame)
    assert page.until(lambda: "cells finished" in page.text())

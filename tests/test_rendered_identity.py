"""A cell is known by the token ids that it trains on, and a plan says when these change from day to day."""

import datetime
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.plan import Plan
from orchestrator.plan.tables import load_tables, render_tables
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.study.grid import expand, rendering_key
from orchestrator.study.study import Study


def this_day() -> str:
    """Return the date, asked for when it is used, since a run of all tests may pass midnight."""
    return datetime.date.today().isoformat()


DATED = "{{ '<|im_start|>system\\n' + strftime_now('%d %b %Y') + '<|im_end|>\\n' }}"


def study(model: Path, **keys: Any) -> Study:
    return Study.model_validate(
        {
            "study": "rendered",
            "data": {"source": "twin", "users": 40, "history": "none"},
            "model": {"path": str(model)},
            "splits": {"S1": {"by": "random", "predicted": "A = B"}},
            "methods": {"dpo": {}},
            "seeds": [1],
            "training": {"max_steps": 2, "batch_size": 4, "max_length": 256, "dtype": "float32"},
        }
        | keys
    )


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, which a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Places("rendered", tmp_path / "home")


def change_template(folder: Path, before: str) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(before + template.read_text())


def ids(of_study: Study, cache: Path) -> list[str]:
    rendered = render_tables(of_study, load_tables(of_study), cache).rendered
    assert rendered is not None
    return [trial.trial_id for trial in expand(of_study, rendered.tokens)]


def test_a_template_that_writes_the_same_ids_makes_the_same_cells(folder: Path, tmp_path: Path) -> None:
    before = ids(study(folder), tmp_path)
    change_template(folder, "{# a comment #}")
    assert ids(study(folder), tmp_path) == before
    change_template(folder, "always ")
    assert not set(ids(study(folder), tmp_path)) & set(before)


def test_a_date_in_the_template_makes_other_cells_each_day_unless_it_is_pinned(
    folder: Path, tmp_path: Path
) -> None:
    change_template(folder, DATED)
    first, second = (ids(study(folder, prompt={"date": f"2026-01-0{day}"}), tmp_path) for day in (1, 2))
    today, pinned = ids(study(folder), tmp_path), ids(study(folder, prompt={"date": this_day()}), tmp_path)
    assert not set(first) & set(second)
    assert today == pinned


def test_a_plan_counts_only_cells_of_the_token_ids_that_today_would_give(
    folder: Path, places: Places
) -> None:
    change_template(folder, DATED)
    of_study = study(folder)
    rendered = render_tables(of_study, load_tables(of_study), places.cache).rendered
    assert rendered is not None
    assert rendered.written_on == this_day()
    plan = Plan.from_record(of_study, places)  # there is no record yet
    assert {trial.tokens for trial in plan.trials} == {"not rendered"}
    assert f"set prompt.date, for example {this_day()}" in str(plan)

    renderings = Ledger(places).renderings
    renderings.add(rendering_key(of_study), rendered)
    assert {trial.tokens for trial in Plan.from_record(of_study, places).trials} == {rendered.tokens}

    yesterday = (datetime.date.today() - datetime.timedelta(days=1)).isoformat()
    renderings.add(rendering_key(of_study), _on(rendered, yesterday))
    plan = Plan.from_record(of_study, places)
    assert {trial.tokens for trial in plan.trials} == {"not rendered"}
    assert "cells of another day do not count" in str(plan)

    assert "prompt.date" not in str(Plan.from_record(study(folder, prompt={"date": this_day()}), places))


def _on(rendered: Any, day: str) -> Any:
    from dataclasses import replace

    return replace(rendered, written_on=day)


def test_a_plan_says_that_a_random_template_cannot_be_repeated(folder: Path, places: Places) -> None:
    assert "cannot be repeated" not in str(Plan.from_record(study(folder), places))
    change_template(folder, "{{ ['a', 'b'] | random }}")
    assert "draws a random value, so the study cannot be repeated" in str(
        Plan.from_record(study(folder), places)
    )


def test_a_plan_repeats_what_was_dropped(folder: Path, places: Places) -> None:
    short = study(folder, training={"max_length": 48, "batch_size": 4, "max_steps": 2})
    rendered = render_tables(short, load_tables(short), places.cache).rendered
    assert rendered is not None
    assert rendered.dropped
    Ledger(places).renderings.add(rendering_key(short), rendered)
    for reason, pair_ids in rendered.dropped.items():
        assert f"{len(pair_ids)} {reason}" in str(Plan.from_record(short, places))

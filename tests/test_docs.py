"""What the documents point at is there: links, modules, make targets, files."""

import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_commands_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (page.parent / link).exists(), link
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
        assert target in TARGETS, target
    for file in re.findall(r"\b((?:configs|docs|tests|bench|training|stats|orchestrator)/[\w./-]+\w)", text):
        assert (ROOT / file).exists() or "*" in file, file


def test_the_library_is_used_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/statistics.md", "exec"), names)
    assert set(names["comparison"].tail.changes["inside"]) == {True}
    assert names["evidence"].intervals["captures"].notna().all()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_study_commands_take_the_words_that_the_page_gives_them(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flags that are there, keys that a study has, values that they take; nothing is run."""
    monkeypatch.chdir(ROOT)
    text = page.read_text(encoding="utf-8").replace("\norchestrator.", " orchestrator.")
    for name, typed in re.findall(r"python -m (orchestrator\.(?:\w+))([^`\n#]*)", text):
        module = importlib.import_module(name)
        words = [word.strip("[]").replace("FILE", "demo") for word in shlex.split(typed.split("…")[0])]
        if "cli.parser" in Path(str(module.__file__)).read_text() and "--diffs" not in words:
            with pytest.raises(SystemExit) as left:
                module.main([*words, "--print-config"])
            assert left.value.code == 0, f"{name} {typed}"
            assert capsys.readouterr().out


def test_the_readme_shows_the_numbers_of_the_report_that_it_links_to() -> None:
    report = (ROOT / "docs/example/report.md").read_text(encoding="utf-8")
    changes = report.split("### Change from dpo")[1].split("!")[0]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\| FIXED \| (\S+) pp (\[[^]]+\]) \| (\w+) \|", readme)
    assert len(shown) == 2
    fixed = [line.split(" | ") for line in changes.splitlines() if "| FIXED |" in line]
    assert shown == [(row[7], row[8].removesuffix(" |"), row[5]) for row in fixed]

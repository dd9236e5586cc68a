"""The report in Korean: every text has an entry, only names and terms stay English, figures have a font."""

import ast
import logging
import re
import string
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from orchestrator import groups
from orchestrator import report as command
from stats.evidence.looks import Looks
from stats.evidence.sequential import decide
from stats.evidence.sums import user_sums
from stats.page import fonts, report, weight_report
from stats.page.korean import KOREAN, WITH_NUMBERS
from stats.page.page import FIGURE_TITLES
from stats.page.published_report import published_report
from stats.rule.published import read
from tests.finished_study import FinishedTables, finished_comparison, finished_tables
from tests.test_report import PUBLISHED_FILES
from tests.test_weights import planted

ROOT = Path(__file__).parent.parent
SAYING_FILES = [*(ROOT / "stats").rglob("*.py"), *(ROOT / "orchestrator" / "record").glob("*.py")]
# Terms that the study's author writes in English, units, and names.
ENGLISH_TERMS = """accuracy arm ANOVA batch baseline check cross diff dpo exploratory geometry held Holm
    implicit log loss margin mean method min nats null optimizer orchestrator out pair pairs pigeonhole
    published python reward Satterthwaite seed split step steps test token tokens TOST train weight
    weights wpo"""
PUBLISHED_LABELS = """MATCH MISMATCH LEAN WEAK OK NOT NULL FIXED IMPROVED STABLE UNCHANGED REGRESSED WEAKENED
    INCOMPLETE WITHHELD"""
KNOWN_WORDS = {word.lower() for word in f"{ENGLISH_TERMS} {PUBLISHED_LABELS}".split()}


def texts_said() -> set[str]:
    """Return every text that the sources say: first arguments of `say(...)`, and the keys of `say.plural`."""
    texts = set(FIGURE_TITLES.values())
    for path in SAYING_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func)
            if name in ("say", "page.say"):
                text = node.args[0]
                if isinstance(text, ast.Subscript):  # FIGURE_TITLES[name]
                    continue
                assert isinstance(text, ast.Constant), f"{path.name}:{node.lineno}: not a plain text"
                texts.add(text.value)
            elif name.endswith("say.plural"):
                texts.add(f"{{number}} {ast.literal_eval(node.args[1])}")
    return texts


def named_places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_has_an_entry_with_the_same_named_places() -> None:
    missing = sorted(texts_said() - set(KOREAN))
    assert not missing
    for english, korean in (KOREAN | WITH_NUMBERS).items():
        assert named_places(english) == named_places(korean), english


def test_every_entry_belongs_to_a_text_of_the_sources() -> None:
    """The sources hold a word of a table as a text, as a keyword, or as a text with places to fill."""
    texts = {text for text in texts_said() if text.startswith("{number} ")}
    notes = [ROOT / "orchestrator" / name for name in ("record/ledger.py", "plan/adaptive.py")]
    reasons = [*(ROOT / "training" / "data").glob("*.py"), ROOT / "training" / "tokenise.py"]
    for path in [*SAYING_FILES, *reasons, *notes]:
        if path.parent.name == "korean":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.keyword) and node.arg:
                texts.add(node.arg)
            elif isinstance(node, ast.JoinedStr):
                texts.add("".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values))
    unfilled = {re.sub(r"\{[^}]*\}", "{}", text) for text in WITH_NUMBERS}
    assert not sorted((set(KOREAN) | unfilled) - texts)


def foreign(page: Path, names: set[str]) -> set[str]:
    """Return the English words below a page's front matter that are not terms, labels, names or code."""
    body = page.read_text(encoding="utf-8").split("\n---\n", 1)[-1]
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", body)
    return {word for word in re.findall(r"[A-Za-z]{3,}", text) if word.lower() not in KNOWN_WORDS | names}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section: outcomes, curves, weights, another version, a failed cell, a cell that
    does not pass a gate, and verdicts settled seed by seed."""
    cells, outcomes, curves = finished_tables()
    cells.loc[cells.index[-1], ["status", "error"]] = ["failed", "XYZ"]
    unmoved = (cells["method"] == "wpo") & (cells["split"] == "S2") & (cells["seed"] == 0)
    cells.loc[unmoved, "A/margin_tail"] = 0.0
    comparison = FinishedTables(cells, outcomes, curves).compare()
    out = tmp_path_factory.mktemp("korean")
    looks = Looks(2, 4)
    predicted = {"S1": "A > B", "S2": "A = B", "S3": "exploratory"}
    decided = decide(user_sums(outcomes), predicted, looks, {"dpo": range(4), "wpo": range(4)}, "dpo")
    decided.loc[decided.index[:2], ["state", "note"]] = [
        ["undecided", "reached the limit of 4 seeds"],
        ["open", "its cell of seed 3 failed or diverged"],
    ]
    return report.write(
        comparison, {"study": "s"}, True, out, comparison.published.verdicts, "ko", (decided, looks)
    )


def test_a_whole_report_is_korean(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not foreign(page, {"did", "not", "move", "tail", "xyz"})
    assert "## 실험 설정" in text
    assert "평균 weight (A)" in text
    assert '<html lang="ko">' in page.with_suffix(".html").read_text(encoding="utf-8")


def test_the_published_report_is_korean_and_says_the_same_numbers(tmp_path: Path) -> None:
    files = [read(PUBLISHED_FILES / name) for name in ("v5b_diffs.csv", "v5b_predictions.csv")]
    other = read(PUBLISHED_FILES / "v5_verdicts.csv")
    korean, english = (
        published_report(*files, "dpo", tmp_path / language, other=other, language=language)
        for language in ("ko", "en")
    )
    assert not foreign(korean, set(re.findall("[a-z]+", " ".join(files[1]["split"]))))
    assert "dpo의 평균 7개 중 0과 다른 것은 1개이며, 가장 작은 보정 p는 0.038" in korean.read_text(
        encoding="utf-8"
    )

    def rows(page: Path) -> list[list[str]]:
        lines = page.read_text(encoding="utf-8").splitlines()
        return [re.findall(r"[+-]?\d+\.\d+", line) for line in lines if line.startswith("|")]

    assert rows(korean) == rows(english)
    for table in (tmp_path / "en").glob("*.csv"):
        assert table.read_bytes() == (tmp_path / "ko" / table.name).read_bytes()


def test_a_study_that_is_not_trained_yet_is_korean_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    published = "methods.dpo.published=reference/v5b_diffs.csv"
    assert command.main(["--language", "ko", "--config", "demo", "data.users=60", published]) == 1
    names = {"demo", "twin", "tiny", "float", "age", "safety", "region", "diffs", "csv"}
    assert not foreign(tmp_path / "runs" / "demo" / "report" / "report.md", names)


def test_the_pages_of_weights_and_groups_are_korean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert groups.main(["--config", "demo", "data.users=100", "language=ko"]) == 0
    page = tmp_path / "runs" / "demo" / "groups" / "groups.md"
    columns = {"measure", "heldout", "gap", "icc", "logit", "consistency", "preferred", "user", "differing"}
    features = {*pd.read_csv(page.with_name("features.csv"))["feature"].str.findall("[a-z]{3,}").explode()}
    assert not foreign(page, {"demo", "age", "safety", "region", "feature", *columns, *features})
    data = planted(400)
    sides = data[["pair_id"]].assign(split="S1", group=["A", "B"] * 200)
    page = weight_report.write(data, sides, "s", True, tmp_path, "ko")
    columns = {"term", "alone", "beyond", "median", "cap", "effective", "low", "high"}
    assert not foreign(
        page, {"sampled", "alignment", "chosen", "rejected", "sum", "source", "model", "reference", *columns}
    )


def test_without_a_korean_font_figures_are_english_and_a_warning_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "KOREAN_FONTS", ("no such font",))
    with caplog.at_level(logging.WARNING):
        report.write(finished_comparison(), {"study": "s"}, False, tmp_path / "ko", language="ko")
    assert "fonts-nanum" in caplog.text
    report.write(finished_comparison(), {"study": "s"}, False, tmp_path / "en")
    for figure in (tmp_path / "en").glob("*.png"):
        assert figure.read_bytes() == (tmp_path / "ko" / figure.name).read_bytes(), figure.name


def test_the_font_of_korean_figures_has_every_letter() -> None:
    """`make services` installs fonts-nanum; where that cannot be, figures are English."""
    families = fonts.font_families("ko")
    if families is None:
        pytest.skip("no Korean font is installed: make services, or apt-get install fonts-nanum")
    letters = set("".join([*KOREAN.values(), *WITH_NUMBERS.values()])) - set("\n")
    for family in families:
        path = font_manager.findfont(family, fallback_to_default=False)
        letters -= {chr(code) for code in FT2Font(path).get_charmap()}
    assert not letters

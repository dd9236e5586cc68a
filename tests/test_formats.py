"""A report in every format: the same numbers in CSV and JSON, documented columns, LaTeX that compiles."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from orchestrator import report as command
from stats.evidence.controls import RANK_COLUMNS, RATE_COLUMNS
from stats.evidence.pooled_arm import POOLED_COLUMNS
from stats.evidence.sequential import DECISION_COLUMNS
from stats.page import report
from stats.page.formats import ReportFormat
from stats.page.latex import escaped
from stats.rule.crosscheck import CROSSCHECK_COLUMNS
from tests.finished_study import finished_comparison
from training.errors import StudyError

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "report-files.md"
NASTY = r"50% of {a_b} & #1 \x ~ ^ $2 <z>"  # every letter that LaTeX reads otherwise


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report in all formats, of a study whose name has all special characters."""
    out = tmp_path_factory.mktemp("all")
    report.write(finished_comparison(), {"study": NASTY}, True, out, formats=list(ReportFormat))
    return out


def test_csv_and_json_hold_the_same_numbers(everything: Path) -> None:
    document = json.loads((everything / "report.json").read_text())
    assert (document["cells"], document["complete"], document["study"]) == (24, True, NASTY)
    files = {path.stem: pd.read_csv(path) for path in everything.glob("*.csv")}
    assert set(document["tables"]) == set(files)
    for name, table in files.items():
        as_json = pd.DataFrame(document["tables"][name], columns=list(table))
        for column in table.select_dtypes("number"):
            pd.testing.assert_series_equal(
                pd.to_numeric(as_json[column]), table[column], check_dtype=False, rtol=0, atol=0
            )
        texts = table.select_dtypes(exclude="number")
        assert (as_json[list(texts)].fillna("").astype(str) == texts.fillna("").astype(str)).all(axis=None)


def documented() -> dict[str, set[str]]:
    """Return CSV name -> the columns that its section names; those that many tables share are under ''."""
    shared, *sections = re.split(r"\n### ", DOCUMENTATION.read_text())
    columns = {"": set(re.findall(r"`(\w+)`", shared))}
    for section in sections:
        name, text = section.split(".csv\n", 1)
        columns[name] = set(re.findall(r"`(\w+)`", text))
    return columns


def test_every_column_of_every_csv_is_documented(everything: Path, tmp_path: Path) -> None:
    tables = {path.stem: list(pd.read_csv(path)) for path in everything.glob("*.csv")}
    tables |= {
        "control_rates": RATE_COLUMNS,
        "control_ranks": RANK_COLUMNS,
        "pooled_arm": POOLED_COLUMNS,
        "seeds": DECISION_COLUMNS,
        "crosscheck": CROSSCHECK_COLUMNS,
    }
    known = documented()
    along_the_run = "heldout_curves"  # only of studies that ask for it
    assert set(known) == {"", along_the_run, *tables}
    for name, columns in tables.items():
        without_metrics = {column for column in columns if "/" not in column}
        assert without_metrics <= known[""] | known[name], name


def test_latex_tables_have_the_cells_of_the_page(everything: Path) -> None:
    """Rules that hold without a TeX engine: groups close, and every row has as many cells as the head."""
    out = everything
    files = sorted((out / "latex").glob("*.tex"))
    page_rows = [line for line in (out / "report.md").read_text().splitlines() if line.startswith("| ")]
    rows = 0
    for file in files:
        text = file.read_text()
        bare = re.sub(r"\\[\\{}&%$#_]", "", text)  # escaped letters are not syntax
        assert bare.count("{") == bare.count("}"), file.name
        assert bare.count("$") % 2 == 0, file.name
        assert not re.search(r"[#~^]", re.sub(r"#1|%.*", "", bare)), file.name
        if file.name != "report.tex":
            lines = [line for line in text.splitlines() if line.endswith(r" \\")]
            assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1, file.name
            assert not any(line.startswith(("[", "*")) for line in lines)
            rows += len(lines)
    separators = sum("| --- |" in row for row in page_rows)
    pages = len(files) - 1 - separators  # a long table has its head on each page
    assert rows == len(page_rows) - separators + pages
    report_text = (out / "latex/report.tex").read_text()
    assert set(re.findall(r"\\fitted\{([^#}]+)\}", report_text)) == {
        file.stem for file in files if file.name != "report.tex"
    }
    for figure in re.findall(r"keepaspectratio\]\{(\w+)\}", report_text):
        assert (out / f"{figure}.pdf").read_bytes().startswith(b"%PDF")


def test_numbers_have_a_minus_sign_and_names_keep_their_hyphen() -> None:
    assert escaped("[-1.5, +2] at S1-2, 0.5-0.7 and --only") == (
        "{[}$-$1.5, +2{]} at S1-2, 0.5-0.7 and -{}-only"
    )


def compiled(engine: str, folder: Path) -> str:
    """Compile report.tex in a folder with a TeX engine, and return the engine's log."""
    packages = ["kpsewhich", "luaotfload.sty", "booktabs.sty"]  # Debian installs engines without them
    if shutil.which(engine) is None or subprocess.run(packages, capture_output=True).returncode:
        pytest.skip("LaTeX is not installed: make services")
    command_line = [engine, "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command_line, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "report.pdf").stat().st_size > 50_000
    return (folder / "report.log").read_text(errors="replace")


def test_the_latex_report_compiles(everything: Path) -> None:
    compiled("pdflatex", everything / "latex")


def test_the_korean_latex_report_compiles_and_lacks_no_letter(tmp_path: Path) -> None:
    study = {"study": "한국어 연구"}
    report.write(finished_comparison(), study, True, tmp_path, language="ko", formats=[ReportFormat.LATEX])
    assert "Missing character" not in compiled("lualatex", tmp_path / "latex")


def test_a_command_writes_the_formats_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diffs, predictions = tmp_path / "diffs.txt", tmp_path / "predictions.txt"
    diffs.write_text("study,method,split,seed,diff_pp\ns,dpo,S,1,1.1\ns,dpo,S,2,0.7\n")
    predictions.write_text("study,split,predicted\ns,S,A > B\n")
    out = tmp_path / "out"
    flags = ["--diffs", str(diffs), "--predictions", str(predictions), "--out", str(out)]
    for formats, kept in (
        (["--format", "json"], {".json"}),
        (["--format", "csv,json"], {".csv", ".json"}),
        (["--format", "html", "--format", "latex"], {".html", ".pdf", ""}),
        ([], {".md", ".html", ".csv", ".png", ".pdf"}),
    ):
        assert command.main([*flags, *formats]) == 0
        assert {path.suffix for path in out.iterdir()} == kept
        assert Path(capsys.readouterr().out.strip()).exists()
    with pytest.raises(StudyError, match=r"--format 'docx': .* md, html, latex, csv, json"):
        command.main([*flags, "--format", "docx"])


def test_details_fold_and_the_gates_say_of_which_cells(everything: Path) -> None:
    html = (everything / "report.html").read_text()
    folded = "".join(re.findall(r"<details>.*?</details>", html, flags=re.DOTALL))
    for table in ("counts without it", "SD of seeds pp", "label of", "captures"):
        assert f"<th>{table}</th>" in folded
    assert "Of the 18 finished cells with arms A and B, 18 passed all four validity gates" in html
    headings = re.findall(r"<th>(.*?)</th>", html)
    assert not [heading for heading in headings if re.search(r"\w_\w", heading)]

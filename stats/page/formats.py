"""The formats of a report, and the files that each one is."""

import shutil
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path


class ReportFormat(StrEnum):
    """A format of a report."""

    MARKDOWN = "md"  # report.md, with its figures beside it
    HTML = "html"  # report.html: one file, figures included
    LATEX = "latex"  # latex/report.tex and one file per table, figures as PDF
    CSV = "csv"  # one CSV per table
    JSON = "json"  # report.json: all tables in one file


USUAL_FORMATS = (ReportFormat.MARKDOWN, ReportFormat.HTML, ReportFormat.CSV)
# The file to open first. A report as CSV has many files, and the verdicts are always among them.
MAIN_FILES = {
    ReportFormat.MARKDOWN: "report.md",
    ReportFormat.HTML: "report.html",
    ReportFormat.LATEX: "latex/report.tex",
    ReportFormat.JSON: "report.json",
    ReportFormat.CSV: "verdicts.csv",
}
PICTURED = {ReportFormat.MARKDOWN: "*.p[nd][gf]", ReportFormat.LATEX: "*.pdf"}  # figures that a format needs


def main_file(out: Path, formats: Collection[ReportFormat]) -> Path:
    """Return the file of a report to open first."""
    return out / next(file for of, file in MAIN_FILES.items() if of in formats)


def discard_others(out: Path, formats: Collection[ReportFormat]) -> None:
    """Remove the files of a report that belong to none of these formats."""
    for of in set(ReportFormat) - set(formats):
        for file in out.glob("*.csv" if of == ReportFormat.CSV else MAIN_FILES[of]):
            file.unlink()
    if ReportFormat.LATEX not in formats:
        shutil.rmtree(out / "latex", ignore_errors=True)
    needed = {file for of, glob in PICTURED.items() if of in formats for file in out.glob(glob)}
    for file in {*out.glob("*.png"), *out.glob("*.pdf")} - needed:
        file.unlink()

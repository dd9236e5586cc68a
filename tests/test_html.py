"""A report as one HTML page that needs nothing beside it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from stats.page import html, markdown


class PageReader(HTMLParser):
    """Collects the text of a page, and the addresses that it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def test_tables_and_figures_are_inside_and_nothing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "forest.png").write_bytes(b"\x89PNG content")
    page = tmp_path / "report.md"
    page.write_text(
        "---\ntags: [a]\n---\n\n# A < B & more\n\n| split | pp |\n| --- | --- |\n| S1 | +1.5 |\n\n"
        "![f](forest.png)\n"
    )
    path = html.write(page, "study <x>")
    (tmp_path / "forest.png").unlink()
    text = path.read_text(encoding="utf-8")
    reader = PageReader()
    reader.feed(text)
    assert {"A < B & more", "split", "S1", "+1.5", "study <x>"} <= set(reader.text)
    assert "tags" not in "".join(reader.text)
    assert len(reader.addresses) == 1
    assert reader.addresses[0].startswith("data:image/png;base64,")
    assert not re.search(r"https?://", text)


def test_a_table_escapes_bars_and_shows_missing_values_of_every_type() -> None:
    frame = pd.DataFrame({"count": [1, 2], "pp": [1.5, None], "text": pd.Series(["x|y", None], dtype="str")})
    rows = ["| count | pp | text |", "| --- | --- | --- |", "| 1 | 1.5 | x\\|y |", "| 2 | - | - |"]
    assert markdown.table(frame).splitlines() == rows

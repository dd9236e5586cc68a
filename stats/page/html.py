"""A Markdown page as one self-contained HTML file: its figures are embedded, and it fetches nothing."""

import base64
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PAGE_CSS = """
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; font-size: 0.85rem }
th, td { border: 1px solid #ccc; padding: 0.25rem 0.5rem; text-align: left; white-space: nowrap }
th { background: #f4f4f4; position: sticky; top: 0 }
img { max-width: 100%; height: auto }
code { background: #f4f4f4; padding: 0 0.2em }
"""


def write(page: Path, title: str, language: str = "en") -> Path:
    """Write the Markdown file `page`, with the figures in its folder, as HTML under the same name.

    Returns:
        The path of the HTML file.
    """
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(without_front_matter(page.read_text(encoding="utf-8")))
    for token in tokens:
        for child in token.children or []:
            _embed_image(child, page.parent)
    body = markdown.renderer.render(tokens, markdown.options, {})
    path = page.with_suffix(".html")
    path.write_text(
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{PAGE_CSS}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        encoding="utf-8",
    )
    return path


def without_front_matter(text: str) -> str:
    """Return the text without its YAML front matter."""
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def _embed_image(token: Token, folder: Path) -> None:
    if token.type == "image":
        image = folder / str(token.attrs["src"])
        content = base64.b64encode(image.read_bytes()).decode()
        token.attrs["src"] = f"data:image/{image.suffix.removeprefix('.')};base64,{content}"

"""A Markdown page as LaTeX: one document, and one file per table that a paper can take in as it is.

The tables use booktabs. The document compiles with pdfLaTeX, XeLaTeX and LuaLaTeX. One with Korean letters
takes the font NanumGothic in XeLaTeX and LuaLaTeX; without this font, and in pdfLaTeX, it needs kotex.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from stats.page.html import without_front_matter

ROWS_PER_PAGE = 25
LONG_TEXT = 40  # characters; a column with a longer cell is set as a paragraph
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after \\, a bracket or a star would be read as an argument of it
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
}
HEADINGS = {"h1": "section", "h2": "subsection", "h3": "subsubsection", "h4": "paragraph"}
PREAMBLE = r"""% Compile in this folder: lualatex report.tex (or xelatex, or pdflatex for Latin letters).
\documentclass[10pt]{article}
\usepackage[a4paper,landscape,margin=2cm]{geometry}
\usepackage{iftex,booktabs,array,graphicx,textcomp}
\ifPDFTeX\usepackage[T1]{fontenc}\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}\else\usepackage{fontspec}\fi
\graphicspath{{../}}
\setlength{\parindent}{0pt}\setlength{\parskip}{6pt}
\newcommand{\fitted}[1]{\begin{center}\scriptsize
  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{\input{#1}}\end{center}}
"""
KOREAN = r"""\ifPDFTeX\usepackage{kotex}\else\IfFontExistsTF{NanumGothic}{\setmainfont{NanumGothic}
  \setmonofont{NanumGothicCoding}}{\usepackage{kotex}}\fi
"""
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


def write(page: Path) -> Path:
    """Write the Markdown file `page` as `latex/report.tex`, with one file per table beside it.

    A table file holds one `tabular` and needs the packages booktabs and array. It is named after the heading
    above it; further ones below the same heading, or further pages of one, are numbered from 2.

    Returns:
        The path of report.tex.
    """
    folder = page.parent / "latex"
    folder.mkdir(exist_ok=True)
    text = without_front_matter(page.read_text(encoding="utf-8"))
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
    preamble = PREAMBLE + (KOREAN if HANGUL.search(text) else "") + "\\begin{document}\n"
    parts, tables, heading = [], Counter[str](), "table"
    for node in tree.children:
        if node.type == "heading":
            heading = _file_name(node.children[0].content)
        if node.type != "table":
            parts.append(_block(node))
            continue
        for table in _tabulars(node):
            tables[heading] += 1
            name = heading if tables[heading] == 1 else f"{heading}-{tables[heading]}"
            (folder / f"{name}.tex").write_text(table, encoding="utf-8")
            parts.append(rf"\fitted{{{name}}}")
    path = folder / "report.tex"
    document = preamble + "\n\n".join(filter(None, parts)) + "\n\\end{document}\n"
    path.write_text(document, encoding="utf-8")
    return path


def escaped(text: str) -> str:
    """Return plain text as LaTeX prints it; a minus sign before a number is one, and names may be broken."""
    whole = "".join(SPECIAL.get(letter, letter) for letter in text)
    whole = whole.replace(r"\_", r"\_\allowbreak{}").replace("--", "-{}-")
    return re.sub(r"(?<![\w}-])-(?=\d)|(?<=\{\[\})-(?=\d)", "$-$", whole)


def _file_name(heading: str) -> str:
    words = re.findall(r"\w+", heading.lower())
    return "-".join(words) or "table"


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            return rf"\{HEADINGS[node.tag]}*{{{_inline(node)}}}"
        case "paragraph":
            return _inline(node)
        case "bullet_list":
            items = "\n".join(rf"\item {_blocks(item)}" for item in node.children)
            return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
        case "html_block":
            summary = re.search("<summary>(.*?)</summary>", node.content)
            return rf"\textbf{{{escaped(summary[1])}}}" if summary else ""
    return _blocks(node) or escaped(node.content)  # what only a name or an error of a user can hold


def _blocks(node: SyntaxTreeNode) -> str:
    return "\n".join(map(_block, node.children))


def _inline(block: SyntaxTreeNode) -> str:
    return _spans(block.children[0]) if block.children else ""


def _spans(node: SyntaxTreeNode) -> str:
    return "".join(map(_span, node.children))


def _span(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text":
            return escaped(node.content)
        case "code_inline":
            return rf"\texttt{{{escaped(node.content)}}}"
        case "strong":
            return rf"\textbf{{{_spans(node)}}}"
        case "em":
            return rf"\emph{{{_spans(node)}}}"
        case "softbreak":
            return "\n"
        case "image":
            figure = Path(str(node.attrs["src"])).stem
            return (
                rf"\begin{{center}}\includegraphics[height=0.7\textheight,width=\linewidth,keepaspectratio]"
                rf"{{{figure}}}\par {escaped(node.content)}\end{{center}}"
            )
    return _spans(node) or escaped(node.content)


def _tabulars(table: SyntaxTreeNode) -> Iterator[str]:
    """Yield a table as `tabular`s of at most `ROWS_PER_PAGE` rows, each with the head of the table."""
    head, *body = [
        [(cell.children[0].content, _inline(cell)) if cell.children else ("", "") for cell in row.children]
        for part in table.children
        for row in part.children
    ]
    columns = "".join(_alignment([row[index][0] for row in body]) for index in range(len(head)))
    for first in range(0, max(len(body), 1), ROWS_PER_PAGE):
        rows = [head, *body[first : first + ROWS_PER_PAGE]]
        lines = [" & ".join(text for _, text in row) + r" \\" for row in rows]
        body_lines = "\n".join(lines[1:])
        yield (
            f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]}\n\\midrule\n"
            f"{body_lines}\n\\bottomrule\n\\end{{tabular}}\n"
        )


def _alignment(cells: list[str]) -> str:
    """Return how a column is set: numbers to the right, long text as paragraphs, other text to the left."""
    if max(map(len, cells), default=0) > LONG_TEXT:
        return r">{\raggedright\arraybackslash}p{6cm}"
    numbers = [re.fullmatch(r"[+-]?[\d,.]+%?|-", cell) for cell in cells]
    return "r" if cells and all(numbers) else "l"

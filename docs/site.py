"""Build the site: docs/ and the pages at the top of the repository, with links that stay in the site.

python docs/site.py site     # what `make docs` does
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages at the top of the repository -> their place in the site.
TOP_PAGES = {"README.md": "index.md"} | {
    name: name for name in ("TESTING.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
}
ASSETS = (".png", ".svg", ".pdf")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def build(out: Path) -> None:
    """Build the site into a folder, which is replaced.

    Raises:
        subprocess.CalledProcessError: A page, a link or the settings have a mistake, which was printed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        gather(folder / "pages")
        shutil.copy(ROOT / "mkdocs.yml", folder)
        subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=folder, check=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder / "site", out)


def gather(folder: Path) -> None:
    """Write the pages of the site and their pictures into a folder."""
    sources = {ROOT / name: place for name, place in TOP_PAGES.items()}
    for file in sorted(DOCS.rglob("*")):
        if file.suffix in (".md", *ASSETS):
            sources[file] = file.relative_to(DOCS).as_posix()
    for file, place in sources.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            target.write_text(_relinked(file, place, sources), encoding="utf-8")
        else:
            shutil.copy(file, target)


def _relinked(file: Path, place: str, sources: dict[Path, str]) -> str:
    """Return a page whose links lead to where files are in the site; of a link elsewhere, keep the text."""

    def relinked(link: re.Match[str]) -> str:
        picture, text, target, anchor = link.groups(default="")
        there = sources.get((file.parent / target).resolve())
        if there is None:
            return text
        return f"{picture}[{text}]({posixpath.relpath(there, posixpath.dirname(place))}{anchor})"

    return LINK.sub(relinked, file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    build(Path(sys.argv[1]))

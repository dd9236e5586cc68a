"""Run every part of `bench.card` within a given time, keep what each gives, and make a table of it.

A part runs in its own process, so that an error of the card ends that part alone and its memory is free for
the next. What a part has found so far is on disk at any time: `results.json` in the folder of the run.
"""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.card_job import ROOT
from stats.page.markdown import table

SPEED_PAGE = ROOT / "docs/speed.md"
BEGIN, END = "<!-- measured by python -m bench.card all -->", "<!-- end of what was measured -->"
LIMIT_S = 480.0
PATIENCE_OF_SMALL = 20.0  # a small run measures nothing, and its limits only bound a hang
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """A call of `bench.card`: its name in the results, its arguments, and the most seconds it may take."""

    name: str
    arguments: tuple[str, ...]
    limit_s: float


def parts(small: bool) -> list[Part]:
    """Return the parts, the most wanted numbers first."""
    cell, lane, loop = ("4", "3", "4") if small else ("200", "30", "60")
    several = ("2",) if small else ("2", "3")
    lanes = several if small else ("1", *several)
    return [
        Part("make", ("make",), 150),
        Part("probe", ("probe",), 60),
        Part("steps", ("steps", "--steps", "4" if small else "40"), 110),
        Part("cell", ("cell", "--steps", cell), 120),
        Part("lanes", ("share", "--steps", lane, "--lanes", *lanes), 150),
        Part("lanes, MPS", ("share", "--mps", "--steps", lane, "--lanes", *several), 120),
        Part("loop", ("loop", "--steps", loop, "--lanes", *lanes), 120),
    ]


def run_all(home: Path, small: bool, more: tuple[str, ...], limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Run the parts one after another; return and keep their results: rows, seconds and an error, if any.

    Args:
        home: The folder of the run.
        more: Further arguments of every part.
        limit_s: Seconds for all parts together; a part for which none are left is not started.
    """
    home.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    patience = PATIENCE_OF_SMALL if small else 1.0
    end = time.monotonic() + patience * limit_s
    for part in parts(small):
        out = home / f"{part.name.replace(', ', '-')}.json"
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bench.card", *part.arguments, *more]
        command += ["--home", str(home), "--out", str(out), *(["--small"] if small else [])]
        start = time.monotonic()
        error = _run(command, min(patience * part.limit_s, end - start), out.with_suffix(".log"))
        results[part.name] = {
            "seconds": round(time.monotonic() - start, 1),
            "rows": json.loads(out.read_text()) if out.exists() else [],
            **({"error": error} if error else {}),
        }
        unfinished = home / "results.tmp"
        unfinished.write_text(json.dumps(results, indent=1))
        unfinished.rename(home / "results.json")
        print(f"{part.name}: {results[part.name]}", flush=True)
    return results


def _run(command: list[str], limit_s: float, log: Path) -> str:
    """Run a part, with what it prints in a file; return why it failed, "" if it did not."""
    if limit_s <= 0:
        return "not started: no time was left"
    with log.open("w") as printed:
        try:
            process = subprocess.run(
                command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            return f"stopped after {limit_s:.0f} s"
    if process.returncode == 0:
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"exit code {process.returncode}: {lines[-1][:300] if lines else ''}"


def page(results: dict[str, Any]) -> str:
    """Return the results as Markdown: the targets, then each part's rows, or its error."""
    texts = [table(pd.DataFrame(targets(results)))]
    for name, part in results.items():
        texts.append(f"**{name}**, {part['seconds']:.0f} s")
        if "error" in part:
            texts.append(f"failed: {part['error']}")
        kinds: dict[tuple[str, ...], Rows] = {}
        for row in part["rows"]:
            kinds.setdefault(tuple(row), []).append(row)
        texts += [table(pd.DataFrame(rows)) for rows in kinds.values()]
    return "\n\n".join(texts)


def targets(results: dict[str, Any]) -> Rows:
    """Return what issue and page ask for, and what was measured of it."""
    cell = _first(results, "cell")
    dpo = _first(results, "steps")
    lanes = [*_rows(results, "lanes"), *_rows(results, "lanes, MPS")]
    ours = min((float(row["102 arms, hours"]) for row in lanes), default=None)
    loop = min((float(row["102 arms, hours"]) for row in _rows(results, "loop")), default=None)
    memory = [f"{row['GiB counted']} against {row['GiB reserved']}" for row in lanes]
    measured = {
        ("share of a 2,000-step cell inside steps", "at least 95 %"): cell.get("inside 2,000 steps"),
        ("v5b's 102 arms, projected from cells that share the card", "at most 1.5 hours"): ours,
        ("the same against the loop on the same card, throughput", "at least 4"): (
            f"{loop / ours:.1f}" if loop and ours else None
        ),
        ("DPO step: seconds, tokens/s, MFU", "MFU at least 25 %"): (
            f"{dpo['s/step']}, {dpo['tokens/s']}, {dpo['MFU']}" if dpo else None
        ),
        ("scoring", "none"): _first(results, "make").get("scored"),
        ("GiB counted against GiB reserved", "the count is higher"): memory[0] if memory else None,
    }
    return [
        {"what": what, "target": target, "measured": "not measured" if value is None else value}
        for (what, target), value in measured.items()
    ]


def _rows(results: dict[str, Any], part: str) -> Rows:
    rows: Rows = results.get(part, {}).get("rows", [])
    return rows


def _first(results: dict[str, Any], part: str) -> dict[str, Any]:
    return next(iter(_rows(results, part)), {})


def write_page(results: dict[str, Any], file: Path = SPEED_PAGE) -> None:
    """Put the results between the two marks of the page."""
    text = file.read_text(encoding="utf-8")
    between = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    assert between.search(text), f"{file} has no marks"
    file.write_text(between.sub(lambda _: f"{BEGIN}\n\n{page(results)}\n\n{END}", text), encoding="utf-8")

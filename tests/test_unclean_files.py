"""Files that are not clean are read where that is safe; otherwise one line names the place and the value."""

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from training.data.corpus import Corpus
from training.data.sources import load_corpus
from training.errors import StudyError
from training.table_data import TableData

COLUMNS = {"user": "who", "prompt": "asked", "chosen": "good", "rejected": "bad"}
ROWS = [{"who": f"ü{n}", "asked": f"why {n} ?", "good": "so 👍\u2028…", "bad": "no"} for n in range(4)]
CSV = "who,asked,good,bad\r\n" + "".join(
    f"{row['who']},{row['asked']},{row['good']},{row['bad']}\r\n" for row in ROWS
)
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
JSONL = "\n".join(LINES)


def load(file: Path, **more: Any) -> Corpus:
    return load_corpus(TableData.model_validate({"path": str(file), "columns": COLUMNS} | more))


def line(**change: Any) -> str:
    return json.dumps(ROWS[0] | change)


READABLE = {
    "plain.jsonl": JSONL.encode(),
    "blank-last-line.jsonl": f"{JSONL}\n\n  \n".encode(),
    "blank-between.jsonl": JSONL.replace("\n", "\n\n").encode(),
    "crlf.jsonl": JSONL.replace("\n", "\r\n").encode(),
    "mark.jsonl": codecs.BOM_UTF8 + JSONL.encode(),
    "utf16.jsonl": JSONL.encode("utf-16"),
    "utf16-big.jsonl": codecs.BOM_UTF16_BE + JSONL.encode("utf-16-be"),
    "escaped.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "array.jsonl": json.dumps(ROWS).encode(),
    "array.json": json.dumps(ROWS, indent=2).encode(),
    "tab-in-text.jsonl": f"{JSONL}\n".replace('"no"', '"\tno"').encode(),
    "crlf.csv": CSV.encode(),
    "mark.csv": codecs.BOM_UTF8 + CSV.encode(),
    "utf16.csv": CSV.encode("utf-16"),
    "blank-lines.csv": f"\n{CSV}\n\n".encode(),
    "quoted.csv": CSV.replace("no", '"no"').encode(),
    "UPPER.CSV": CSV.encode(),
}


@pytest.mark.parametrize("name", READABLE)
def test_what_is_safe_to_read_is_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(READABLE[name])
    pairs = load(file).pairs
    found = {(row.user_id, row.prompt[0]["content"], row.chosen, row.rejected) for row in pairs.itertuples()}
    assert found == {tuple(row.values()) for row in ROWS}


UNREADABLE: dict[str, tuple[bytes, list[str]]] = {
    "latin.jsonl": (
        f"{LINES[0]}\n".encode() + LINES[1].encode()[:-2] + b'caf\xe9"}', ["line 2", "0xE9", "caf"],
    ),
    "latin.csv": (CSV.encode() + b"5,why,caf\xe9,no\r\n", ["line 6", "0xE9", "caf"]),
    "half-emoji.jsonl": (
        f'{line()}\n{{"who": 1, "good": "so \\ud83d"}}'.encode(), ["line 2", "column good", "\\ud83d", "so "],
    ),
    "nested-half.jsonl": (
        b'{"who": 1, "asked": [{"content": "\\udc4d x"}]}', ["line 1", "asked.0.content", "\\udc4d"],
    ),
    "nul.jsonl": (line().replace("so", "s\0").encode(), ["line 1", "NUL"]),
    "escaped-nul.jsonl": (line(good="s\0o").encode(), ["line 1", "column good", "NUL"]),
    "utf16-without-mark.jsonl": (JSONL.encode("utf-16-le"), ["line 1", "NUL", "UTF-8"]),
    "cut-utf16.jsonl": (JSONL.encode("utf-16")[:-1], ["UTF-16"]),
    "torn.jsonl": (f'{line()}\n{{"who": "x", '.encode(), ["line 2", "not JSON", "who"]),
    "torn-array.json": (b'[{"who": 1},\n{"who": ]', ["line 2", "not JSON"]),
    "list.jsonl": (f"{line()}\n7\n".encode(), ["line 2", "int", "7"]),
    "deep.jsonl": (b'{"who": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", ["line 1", "nested too deeply"]),
    "cut.jsonl.gz": (gzip.compress(f"{JSONL}\n".encode() * 50)[:-9], ["line ", "cut or damaged"]),
    "not-gzip.csv.gz": (CSV.encode(), ["damaged"]),
    "cut.csv.zst": (b"(\xb5/\xfd", ["cut.csv.zst"]),
    "cut-later.csv.zst": (
        pa.compress(CSV.encode() * 9000, codec="zstd", asbytes=True)[:-40], ["after line", "Truncated"],
    ),
    "text.parquet": (b"no parquet at all", ["cannot be read", "arquet"]),
    "text.arrow": (b"no arrow at all", ["cannot be read"]),
    "ragged.csv": (CSV.encode() + b"1,2,3\r\n", ["line 6", "3 columns", "4", "'3'"]),
    "comma.csv": (CSV.encode() + b"1,why,so, really,no\r\n", ["line 6", "5 columns", "'no'"]),
    "open-quote.csv": (CSV.encode() + b'1,why,"so,no\r\n', ["line 6", "fix the quotes"]),
    "twice.csv": (b"who,who,asked,good,bad\r\n", ["line 1", "'who'", "twice"]),
    "semicolons.csv": (CSV.replace(",", ";").encode(), ["line 1", "who;asked", "';'", "save it with commas"]),
    "tabs.csv": (CSV.replace(",", "\t").encode(), ["line 1", "'\\t'", "name it .tsv"]),
    "commas.tsv": (CSV.encode(), ["line 1", "','", "name the file .csv"]),
    "empty.csv": (b"", ["no row"]),
    "empty.jsonl": (b"", ["no row"]),
    "number.jsonl": (f"{line()}\n{line(good=4)}".encode(), ["line 2", "column good", "4"]),
    "no-user.jsonl": (f"{line()}\n{line(who=None)}".encode(), ["line 2", "column who", "None"]),
    "list-user.jsonl": (f"{line()}\n{line(who=[1])}".encode(), ["line 2", "column who", "[1]"]),
    "true-user.jsonl": (f"{line()}\n{line(who=True)}".encode(), ["line 2", "column who", "True"]),
    "no-role.jsonl": (line(good=[{"from": "gpt"}]).encode(), ["line 1", "column good", "role", "gpt"]),
    "no-text.jsonl": (
        line(good=[{"role": "assistant", "content": 3}]).encode(), ["column good", "content", "3"],
    ),
    "unknown.xlsx": (b"PK", ["unknown format", ".csv"]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    content, parts = UNREADABLE[name]
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(StudyError) as caught:
        load(file)
    for part in [name, *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()  # it can be printed


def test_a_folder_where_a_file_is_meant(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(StudyError, match=r"rows\.jsonl cannot be read \(no data file in it\).*\.jsonl, "):
        load(tmp_path / "rows.jsonl")


def test_a_score_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    columns = {"user": "who", "prompt": "asked", "response": "said", "score": "points"}
    file.write_text("who,asked,said,points\n1,why,so,3\n\n1,why,no,many\n")
    with pytest.raises(StudyError, match=r"rows\.csv: line 4, column points: a number.*'many'"):
        load(file, columns=columns)
    file.write_text("who,asked,said,points\n1,why,so,3\n1,why,no,\n")
    with pytest.raises(StudyError, match=r"no usable pair \(1 missing score\)"):
        load(file, columns=columns)
    file.write_text("who,asked,said,points\n1,why,so,3\n1,why,no,inf\n")
    with pytest.raises(StudyError, match=r"line 3, column points: a finite number.*inf"):
        load(file, columns=columns)


def test_an_unknown_preference_is_named_with_the_known_ones(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    columns = {"user": "who", "prompt": "p", "response_a": "a", "response_b": "b", "preference": "vote"}
    file.write_text("who,p,a,b,vote\n1,why,so,no,left\n2,why,so,no,lefd\n")
    with pytest.raises(StudyError, match=r"line 3, column vote: 'lefd'.*did you mean 'left'\?"):
        load(file, columns=columns, preference_values={"A": ["left"], "B": ["right"]})

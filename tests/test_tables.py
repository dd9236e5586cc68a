"""Tables of any shape become pairs: none lost, none doubled, in any order of rows and any format."""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.data.corpus import Corpus
from training.data.sources import load_corpus
from training.errors import StudyError
from training.table_data import TableData

Rows = list[dict[str, Any]]
PAIRS = {"user": "who", "prompt": "asked", "chosen": "good", "rejected": "bad"}
CHOICES = {"user": "who", "prompt": "asked", "response_a": "a", "response_b": "b", "preference": "vote"}
RATINGS = {"user": "who", "prompt": "asked", "response": "said", "score": "points"}
VOTES = {"A": ["left"], "B": ["right"], "tie": ["same"]}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, rows: Rows, columns: dict[str, Any], **more: Any) -> Corpus:
    file = write_jsonl(path / "rows.jsonl", rows)
    return load_corpus(TableData.model_validate({"path": str(file), "columns": columns} | more))


def made(corpus: Corpus) -> set[tuple[str, str, str, str]]:
    """Return who preferred which answer to which one, for which last message."""
    return {
        (row.user_id, row.prompt[-1]["content"], row.chosen, row.rejected)
        for row in corpus.pairs.itertuples()
    }


people = st.one_of(st.integers(0, 5), st.sampled_from(["ann", "bo", "7"]))
words = st.sampled_from(["yes", "no", "maybe", "it depends", "EMPTY STRING", " "])
asked = st.sampled_from(["why ?", "how ?"])


def expected_pairs(found: list[tuple[Any, str, str, str]]) -> set[tuple[str, str, str, str]]:
    """Return the usable ones of (user, prompt, chosen, rejected), by rules written down a second time."""
    empty = {"", "EMPTY STRING"}
    return {
        (str(who), prompt, chosen.strip(), rejected.strip())
        for who, prompt, chosen, rejected in found
        if chosen.strip() not in empty
        and rejected.strip() not in empty
        and chosen.strip() != rejected.strip()
    }


def same(first: Corpus, second: Corpus) -> None:
    pd.testing.assert_frame_equal(first.pairs, second.pairs)
    pd.testing.assert_frame_equal(first.users, second.users)
    assert first.dropped == second.dropped


def check(
    folder: Path, rows: Rows, columns: dict[str, Any], expected: set[tuple[str, str, str, str]], **more: Any
) -> None:
    """The pairs are those expected, once each, and the order of the rows does not matter."""
    if not expected:
        with pytest.raises(StudyError, match="no usable pair"):
            read(folder, rows, columns, **more)
        return
    corpus = read(folder, rows, columns, **more)
    assert made(corpus) == expected
    assert len(corpus.pairs) == len(expected)
    assert corpus.pairs["pair_id"].is_unique
    assert set(corpus.users["user_id"]) == {pair[0] for pair in expected}
    same(corpus, read(folder, rows[::-1], columns, **more))


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(people, asked, words, words), min_size=1, max_size=12))
def test_pairs_are_neither_lost_nor_doubled(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    table = [{"who": who, "asked": ask, "good": good, "bad": bad} for who, ask, good, bad in rows]
    check(folder, table, PAIRS, expected_pairs(rows))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.tuples(people, asked, words, words, st.sampled_from(["left", "right", "same", None])),
        min_size=1,
        max_size=12,
    )
)
def test_choices_are_neither_lost_nor_doubled(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, str, str, str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("choices")
    table = [{"who": who, "asked": ask, "a": a, "b": b, "vote": vote} for who, ask, a, b, vote in rows]
    found = [
        (who, ask, a, b) if vote == "left" else (who, ask, b, a)
        for who, ask, a, b, vote in rows
        if vote in ("left", "right")
    ]
    check(folder, table, CHOICES, expected_pairs(found), preference_values=VOTES)
    signed = [row | {"vote": {"left": -2, "right": 2, "same": 0, None: None}[row["vote"]]} for row in table]
    check(folder, signed, CHOICES, expected_pairs(found))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(people, asked, words, st.integers(1, 5)), min_size=2, max_size=14),
    gap=st.integers(0, 3),
)
def test_ratings_are_neither_lost_nor_doubled(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, str, str, int]], gap: int
) -> None:
    folder = tmp_path_factory.mktemp("ratings")
    table = [{"who": who, "asked": ask, "said": said, "points": points} for who, ask, said, points in rows]
    found = [
        (who, ask, said, other)
        for who, ask, said, points in rows
        for someone, question, other, fewer in rows
        if str(someone) == str(who) and question == ask and points - fewer >= max(gap, 1)
    ]
    check(folder, table, RATINGS, expected_pairs(found), min_gap=gap)


def test_a_signed_preference_is_the_score_gap_and_its_side(tmp_path: Path) -> None:
    rows = [
        {"who": 1, "asked": "q", "a": "x", "b": "y", "vote": -3},
        {"who": 2, "asked": "q", "a": "x", "b": "y", "vote": "1"},
    ]
    pairs = read(tmp_path, rows, CHOICES).pairs.set_index("user_id")
    assert pairs.loc["1", ["chosen", "score_gap"]].tolist() == ["x", 3.0]
    assert pairs.loc["2", ["chosen", "score_gap"]].tolist() == ["y", 1.0]


def test_the_best_of_four_beats_each_of_the_others(tmp_path: Path) -> None:
    columns = CHOICES | {"response_c": "c", "response_d": "d", "source_model": ["m1", "m2", "m3", "m4"]}
    row = {"who": 1, "asked": "q", "vote": "third", "m1": "A", "m2": "B", "m3": "C", "m4": "D"}
    rows = [row | {"a": "one", "b": "two", "c": "three", "d": None}]
    values = {"A": ["first"], "B": ["second"], "C": ["third"], "D": ["fourth"]}
    pairs = read(tmp_path, rows, columns, preference_values=values).pairs
    assert set(zip(pairs["chosen"], pairs["rejected"], strict=True)) == {("three", "one"), ("three", "two")}
    assert set(pairs["chosen_model"]) == {"C"}
    assert set(pairs["rejected_model"]) == {"A", "B"}


def test_a_list_of_annotations_becomes_a_row_per_person(tmp_path: Path) -> None:
    columns = CHOICES | {"user": "annotation.who", "preference": "annotation.vote", "item": "id"}
    rows = [
        {
            "id": 5, "asked": "q", "a": "x", "b": "y",
            "crowd": [{"who": 1, "vote": "left"}, {"who": 2, "vote": "right"}],
            "experts": [{"who": 3, "vote": "right"}],
        }
    ]  # fmt: skip
    corpus = read(
        tmp_path,
        rows,
        columns,
        preference_values=VOTES,
        annotations=["crowd", "experts"],
        traits={"worker": "annotation.list"},
    )
    assert made(corpus) == {("1", "q", "x", "y"), ("2", "q", "y", "x"), ("3", "q", "y", "x")}
    assert set(corpus.pairs["item"]) == {"5"}
    assert corpus.users["worker"].tolist() == ["crowd", "crowd", "experts"]


def test_the_prompt_may_stand_inside_the_answers(tmp_path: Path) -> None:
    before = [user("hello"), assistant("hi"), user("why ?")]
    inside = {"who": 1, "good": [*before, assistant("so")], "bad": [*before, assistant("no")]}
    columns = {name: column for name, column in PAIRS.items() if name != "prompt"}
    pair = read(tmp_path, [inside], columns).pairs.iloc[0]
    assert (pair["prompt"], pair["chosen"], pair["rejected"], pair["turn"]) == (before, "so", "no", 1)
    apart = {"who": 1, "asked": before, "good": [assistant("so")], "bad": "no"}
    again = read(tmp_path, [apart], PAIRS).pairs.iloc[0]
    assert again["prompt"] == before
    assert again["pair_id"] == pair["pair_id"]
    both = {"who": 1, "asked": before} | inside
    assert read(tmp_path, [both], PAIRS).pairs.iloc[0]["prompt"] == before
    short = read(tmp_path, [inside], columns, history="none").pairs.iloc[0]
    assert short["prompt"] == [user("why ?")]


def test_chats_written_as_json_into_a_csv_are_chats(tmp_path: Path) -> None:
    before = [user("hello"), assistant("hi"), user("why ?")]
    columns = {name: column for name, column in PAIRS.items() if name != "prompt"}
    inside = {"who": 1, "good": [*before, assistant("[so]")], "bad": [*before, assistant("no")]}
    as_chats = read(tmp_path, [inside], columns).pairs.iloc[0]
    file = tmp_path / "own.csv"

    def read_csv(write: Callable[[Any], str]) -> pd.Series:
        pd.DataFrame([{name: write(value) for name, value in inside.items()}]).to_csv(file, index=False)
        data = {"source": "table", "path": str(file), "columns": columns}
        return load_corpus(TableData.model_validate(data)).pairs.iloc[0]

    as_json = read_csv(json.dumps)
    for name in ("prompt", "chosen", "rejected", "pair_id"):
        assert as_json[name] == as_chats[name]
    with pytest.raises(
        StudyError, match=r"own\.csv: line 2, column good: .*as Python prints them.*json\.dumps"
    ):
        read_csv(str)
    texts = {"who": 1, "asked": "[1] why ?", "good": '[{"a": 1}]', "bad": "[{broken"}
    kept = read(tmp_path, [texts], PAIRS).pairs.iloc[0]
    assert (kept["chosen"], kept["rejected"]) == ('[{"a": 1}]', "[{broken")


def test_chats_that_make_no_pair_are_dropped_and_counted(tmp_path: Path) -> None:
    columns = {name: column for name, column in PAIRS.items() if name != "prompt"}
    ask = user("why ?")
    rows = [
        {"who": 1, "good": [ask, assistant("so")], "bad": [ask, assistant("no")]},
        {"who": 1, "good": [ask, assistant("so")], "bad": [user("how ?"), assistant("no")]},
        {"who": 1, "good": [ask, assistant("so"), ask, assistant("x")], "bad": [ask, assistant("no")]},
        {"who": 1, "good": [ask, assistant("so")], "bad": [ask, assistant("so")]},
    ]
    corpus = read(tmp_path, rows, columns)
    assert len(corpus.pairs) == 1
    assert corpus.dropped == {
        "answers to different prompts": 1,
        "answers of several turns": 1,
        "identical answers": 1,
    }


def test_text_that_marks_its_speakers_is_read_only_if_the_format_is_named(tmp_path: Path) -> None:
    text = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: why ?\n\nAssistant: {}"
    rows = [{"good": text.format("so"), "bad": text.format("no")}]
    columns = {"chosen": "good", "rejected": "bad"}
    corpus = read(tmp_path, rows, columns, format="human_assistant", anonymous=True)
    pair = corpus.pairs.iloc[0]
    assert pair["prompt"] == [user("hello"), assistant("hi"), user("why ?")]
    assert (pair["chosen"], pair["rejected"], corpus.anonymous) == ("so", "no", True)
    with pytest.raises(StudyError, match=r"data\.columns\.prompt: missing.*human_assistant"):
        read(tmp_path, rows, columns, anonymous=True)
    with pytest.raises(StudyError, match=r"rows\.jsonl: line 1, column good.*'Human:'.*'plain'"):
        read(tmp_path, [{"good": "plain", "bad": "x"}], columns, format="human_assistant", anonymous=True)


def test_who_chose_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"columns\.user: names who chose.*anonymous: true"):
        read(tmp_path, [], {"prompt": "p", "chosen": "c", "rejected": "r"})
    with pytest.raises(ValidationError, match="exactly one shape"):
        read(tmp_path, [], {"user": "u", "prompt": "p", "chosen": "c"})
    with pytest.raises(StudyError, match=r"no column 'u', which names the person.*groups of people"):
        read(
            tmp_path,
            [{"p": "q", "c": "x", "r": "y"}],
            {"user": "u", "prompt": "p", "chosen": "c", "rejected": "r"},
        )


def test_empty_prompts_and_placeholders_are_dropped_and_counted(tmp_path: Path) -> None:
    row = {"who": "u", "asked": "q", "good": "x", "bad": "y"}
    rows = [row, row | {"asked": "EMPTY STRING"}, row | {"asked": " "}, row | {"bad": None}]
    corpus = read(tmp_path, rows, PAIRS)
    assert len(corpus.pairs) == 1
    assert corpus.dropped == {"empty prompt": 2, "empty answer": 1}
    ratings = [
        {"who": "u", "asked": ask, "said": said, "points": points}
        for ask in ("q", "EMPTY STRING")
        for said, points in (("x", 1), ("y", 2))
    ]
    assert read(tmp_path, ratings, RATINGS).dropped == {"empty prompt": 2}


def test_history_is_the_persons_own_conversation(tmp_path: Path) -> None:
    columns = RATINGS | {"conversation": "talk", "turn": "turn"}
    rows = [
        {"who": who, "talk": "t", "turn": turn, "asked": f"{who}{turn}", "said": said, "points": points}
        for who in "ab"
        for turn in (0, 1)
        for said, points in (("better", 9), ("worse", 1))
    ]
    pairs = read(tmp_path, rows, columns).pairs
    prompts = {(row.user_id, row.turn): row.prompt for row in pairs.itertuples()}
    assert prompts["a", 1] == [user("a0"), assistant("better"), user("a1")]
    assert prompts["b", 0] == [user("b0")]


# --- traits ------------------------------------------------------------------------------------------

PAIR = {"asked": "q", "good": "x", "bad": "y"}


def test_traits_are_numbers_levels_booleans_and_ages(tmp_path: Path) -> None:
    rows = [
        PAIR | {"who": 1, "height": "1.8", "town": " Rome ", "smokes": True, "born": "1990-06-30"},
        PAIR | {"who": 2, "height": 1.6, "town": "Oslo", "smokes": False, "born": "1990-07-01"},
        PAIR | {"who": 3, "height": None, "town": None, "smokes": None, "born": None},
    ]
    traits = {
        "height": {"column": "height", "between": [1, 3]},
        "town": "town",
        "smokes": "smokes",
        "age": {"column": "born", "age_on": "2020-06-30"},
    }
    users = read(tmp_path, rows, PAIRS, traits=traits).users
    assert users["height"].tolist()[:2] == [1.8, 1.6]
    assert users["town"].tolist()[:2] == ["Rome", "Oslo"]
    assert users["smokes"].tolist()[:2] == ["true", "false"]
    assert users["age"].tolist()[:2] == [30.0, 29.0]
    assert users.loc[2, ["height", "town", "smokes", "age"]].isna().all()
    with pytest.raises(StudyError, match=r"line 2, column height: not between 1 and 1\.7.*1\.8|line 1"):
        read(tmp_path, rows, PAIRS, traits={"height": {"column": "height", "between": [1, 1.7]}})


def test_a_trait_that_differs_between_rows_of_a_user_names_both(tmp_path: Path) -> None:
    rows = [PAIR | {"who": 1, "age": 30}, PAIR | {"who": 2, "age": 4}, PAIR | {"who": "1", "age": 31}]
    with pytest.raises(StudyError) as caught:
        read(tmp_path, rows, PAIRS, traits={"age": "age"})
    for part in ("line 3, column age", "'1'", "31", "30", "line 1"):
        assert part in str(caught.value)
    rows[2]["age"] = None  # not known in this row: no contradiction
    assert read(tmp_path, rows, PAIRS, traits={"age": "age"}).users["age"].tolist() == [30.0, 4.0]


def test_traits_may_stand_in_a_second_table(tmp_path: Path) -> None:
    rows = [PAIR | {"who": 1.0}, PAIR | {"who": 2}]
    people = tmp_path / "people.csv"
    people.write_text("id,age,town\n2,40,Oslo\n1,30,Rome\n9,50,Bern\n")
    more = {"traits": {"age": "age", "town": "town"}, "people": {"path": str(people), "user": "id"}}
    users = read(tmp_path, rows, PAIRS, **more).users
    assert users[["user_id", "age", "town"]].to_numpy().tolist() == [["1", 30.0, "Rome"], ["2", 40.0, "Oslo"]]
    people.write_text("id,age,town\n2,40,Oslo\n")
    with pytest.raises(StudyError, match=r"data\.people: user '1'.*no row in .*people\.csv"):
        read(tmp_path, rows, PAIRS, **more)


def test_nested_names_and_filters(tmp_path: Path) -> None:
    rows = [
        {"by": {"id": who}, "talk": {"asked": "q"}, "good": "x", "bad": "y", "lang": lang, "n": n}
        for who, lang, n in ((1, "en", 1), (2, "de", 1), (3, "en", 2))
    ]
    columns = {"user": "by.id", "prompt": "talk.asked", "chosen": "good", "rejected": "bad"}
    corpus = read(tmp_path, rows, columns, where={"lang": ["en"], "n": [1]})
    assert corpus.users["user_id"].tolist() == ["1"]
    with pytest.raises(StudyError, match=r"data\.where\.lang.*found: de, en"):
        read(tmp_path, rows, columns, where={"lang": ["fr"]})
    with pytest.raises(StudyError, match=r"no column 'by\.name'"):
        read(tmp_path, rows, columns | {"user": "by.name"})


# --- formats -----------------------------------------------------------------------------------------


def frame_of(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows)


WRITERS: dict[str, Callable[[Path, Rows], object]] = {
    "rows.jsonl": write_jsonl,
    "rows.json": lambda path, rows: path.write_text(json.dumps(rows, indent=1)),
    "lines.json": write_jsonl,
    "rows.csv": lambda path, rows: frame_of(rows).to_csv(path, index=False),
    "rows.tsv": lambda path, rows: frame_of(rows).to_csv(path, index=False, sep="\t"),
    "rows.parquet": lambda path, rows: frame_of(rows).to_parquet(path),
    "rows.arrow": lambda path, rows: frame_of(rows).to_feather(path, compression="uncompressed"),
    "rows.jsonl.gz": lambda path, rows: path.write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    ),
    "rows.csv.zst": lambda path, rows: path.write_bytes(
        pa.compress(frame_of(rows).to_csv(index=False).encode(), codec="zstd", asbytes=True)
    ),
}
SIMPLE = [
    {
        "who": number % 4,
        "asked": f"why, {number} ?",
        "said": f'"so" {part}\nnext',
        "points": 10 * part + number,
    }
    for number in range(8)
    for part in (1, 2)
]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_pairs(tmp_path: Path, name: str) -> None:
    expected = read(tmp_path, SIMPLE, RATINGS)
    file = tmp_path / name
    WRITERS[name](file, SIMPLE)
    same(load_corpus(TableData.model_validate({"path": str(file), "columns": RATINGS})), expected)


def test_a_folder_a_glob_and_shards_read_like_one_file(tmp_path: Path) -> None:
    expected = read(tmp_path, SIMPLE, RATINGS)
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    for shard in range(3):
        frame_of(SIMPLE[shard::3]).to_parquet(folder / f"train-{shard}.parquet")
    (tmp_path / "data" / "README.md").write_text("words")
    for path in (tmp_path / "data", folder / "*.parquet"):
        same(load_corpus(TableData.model_validate({"path": str(path), "columns": RATINGS})), expected)
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StudyError, match="several formats"):
        load_corpus(TableData.model_validate({"path": str(folder), "columns": RATINGS}))


def test_nested_parquet_reads_like_json(tmp_path: Path) -> None:
    rows = [
        {"by": {"id": who}, "good": [user("q"), assistant("x")], "bad": [user("q"), assistant("y")]}
        for who in range(3)
    ]
    columns = {"user": "by.id", "chosen": "good", "rejected": "bad"}
    expected = read(tmp_path, rows, columns)
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    same(load_corpus(TableData.model_validate({"path": str(file), "columns": columns})), expected)
    with pytest.raises(StudyError, match=r"no column 'by\.name', which names the person .*by\.id"):
        load_corpus(TableData.model_validate({"path": str(file), "columns": columns | {"user": "by.name"}}))


def test_a_data_set_on_the_hub_is_loaded_with_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    asked_for = {}

    def load(path: str, name: str | None, split: str, revision: str) -> datasets.Dataset:
        asked_for.update(path=path, name=name, split=split, revision=revision)
        return datasets.Dataset.from_list(SIMPLE)

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = {"path": "somebody/ratings", "table": "en", "revision": "abc", "split": "test", "columns": RATINGS}
    same(load_corpus(TableData.model_validate(data)), read(tmp_path, SIMPLE, RATINGS))
    assert asked_for == {"path": "somebody/ratings", "name": "en", "split": "test", "revision": "abc"}


def test_a_whole_number_is_the_same_name_in_any_format(tmp_path: Path) -> None:
    rows = [PAIR | {"who": 2**60 + 1}, PAIR | {"who": None}]
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows[:1]), file)
    data = TableData.model_validate({"path": str(file), "columns": PAIRS})
    assert load_corpus(data).users["user_id"].tolist() == [str(2**60 + 1)]
    same(load_corpus(data), read(tmp_path, rows[:1], PAIRS))
    pq.write_table(pa.Table.from_pylist(rows), file)
    with pytest.raises(StudyError, match=r"rows\.parquet: row 2, column who: a value is needed"):
        load_corpus(data)


POLL = {"user": "who", "prompt": "p", "response_a": "a", "response_b": "b", "preference": "vote"}
BALLOT = {"who": 1, "p": "why", "a": "so it is", "b": "no", "vote": "left"}
SIDES = {"A": ["left"], "B": ["right"]}


def test_a_value_is_the_same_however_a_csv_writes_it(tmp_path: Path) -> None:
    """A csv holds whole numbers as 3.0 where other rows of the column are empty, and booleans as True."""
    file = tmp_path / "rows.csv"
    rows = [(7, 1, "True"), ("7.0", "2.0", "TRUE"), ("7.00", 1, "true"), ("x.0", 2, "False")]
    file.write_text("who,p,a,b,vote,native\n" + "".join(
        f"{who},why {number},so it is,no,{vote},{native}\n" for number, (who, vote, native) in enumerate(rows)
    ))  # fmt: skip
    data = {"path": str(file), "columns": POLL, "traits": {"native": "native"}}
    corpus = load_corpus(TableData.model_validate(data | {"preference_values": {"A": [1], "B": [2.0]}}))
    assert corpus.users[["user_id", "native"]].to_numpy().tolist() == [["7", "true"], ["x.0", "false"]]
    assert sorted(corpus.pairs["chosen"]) == ["no", "no", "so it is", "so it is"]
    only = load_corpus(TableData.model_validate(
        data | {"preference_values": {"A": [1], "B": [2]}, "where": {"native": [True]}}
    ))  # fmt: skip
    assert len(only.pairs) == 3


def test_whole_numbers_that_a_database_exports_as_decimals_are_names(tmp_path: Path) -> None:
    rows = [BALLOT | {"who": Decimal(number)} for number in (7, 2**60 + 1)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    data = {"path": str(tmp_path / "rows.parquet"), "columns": POLL, "preference_values": SIDES}
    users = load_corpus(TableData.model_validate(data)).users["user_id"]
    assert users.tolist() == [str(2**60 + 1), "7"]


def test_an_answer_that_is_missing_is_counted(tmp_path: Path) -> None:
    rows = [BALLOT, BALLOT | {"p": "how", "b": None}, BALLOT | {"p": "who", "a": None}]
    assert read(tmp_path, rows, POLL, preference_values=SIDES).dropped == {"empty answer": 2}


def test_a_name_inside_an_annotation_is_written_with_a_dot(tmp_path: Path) -> None:
    votes = [{"by": {"id": number}, "vote": "left"} for number in range(3)]
    columns = POLL | {"user": "annotation.by.id", "preference": "annotation.vote"}
    rows = [{**BALLOT, "votes": votes}]
    corpus = read(tmp_path, rows, columns, annotations="votes", preference_values=SIDES)
    assert corpus.users["user_id"].tolist() == ["0", "1", "2"]
    with pytest.raises(StudyError, match=r"no annotation has 'of\.id'; valid: by, vote"):
        read(tmp_path, rows, columns | {"user": "annotation.of.id"}, annotations="votes",
             preference_values=SIDES)  # fmt: skip


INFINITE = float("inf")
NO_VALUE: dict[str, tuple[dict[str, Any], str]] = {
    "a list as the preference": ({"vote": ["left"]}, r"column vote: one word.*\['left'\]"),
    "an infinite trait": ({"height": INFINITE}, "column height: a finite number"),
    "born after the day": ({"born": "2030-01-01"}, "column born: a date of birth at most 130 years before"),
    "born in year 1": ({"born": "0001-01-01"}, "column born: a date of birth"),
}


@pytest.mark.parametrize("name", NO_VALUE)
def test_an_impossible_value_is_named(tmp_path: Path, name: str) -> None:
    change, message = NO_VALUE[name]
    row = BALLOT | {"born": "1990-01-01", "height": 180.0}
    pq.write_table(pa.Table.from_pylist([row | change]), tmp_path / "rows.parquet")
    data = {
        "path": str(tmp_path / "rows.parquet"), "columns": POLL, "preference_values": SIDES,
        "traits": {"age": {"column": "born", "age_on": "2025-01-01"}, "height": "height"},
    }  # fmt: skip
    with pytest.raises(StudyError, match=rf"rows\.parquet: row 1, {message}"):
        load_corpus(TableData.model_validate(data))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("points", INFINITE, "finite"),
        ("at", INFINITE, "finite"),
        ("at", 1.5, "whole"),
        ("at", -1.0, "between"),
    ],
)
def test_a_score_or_turn_that_is_none_is_named(
    tmp_path: Path, column: str, value: float, message: str
) -> None:
    columns = {"user": "who", "prompt": "p", "response": "said", "score": "points", "turn": "at"}
    row = {"who": 1, "p": "why", "said": "so", "points": 2.0, "at": 0.0}
    pq.write_table(
        pa.Table.from_pylist([row, row | {"said": "no", column: value}]), tmp_path / "rows.parquet"
    )
    data = {"path": str(tmp_path / "rows.parquet"), "columns": columns}
    with pytest.raises(StudyError, match=rf"row 2, column {column}: .*{message}"):
        load_corpus(TableData.model_validate(data))


MISSING: list[tuple[dict[str, Any], Any, list[Any]]] = [
    ({}, "NA", [172.0, None]),
    ({}, " prefer not to say ", [172.0, None]),
    ({"missing_values": [-99]}, -99, [172.0, None]),
    ({"missing_values": []}, "NA", ["172", "NA"]),
]


@pytest.mark.parametrize(("said", "value", "expected"), MISSING)
def test_what_means_missing_is_no_level_of_a_trait(
    tmp_path: Path, said: dict[str, Any], value: Any, expected: list[Any]
) -> None:
    rows = [BALLOT | {"who": 1, "height": 172}, BALLOT | {"who": 2, "height": value}]
    corpus = read(tmp_path, rows, POLL, preference_values=SIDES, traits={"height": "height"}, **said)
    found = corpus.users["height"]
    assert [None if pd.isna(height) else height for height in found] == expected


def test_an_answer_without_a_score_makes_no_pair_and_is_counted(tmp_path: Path) -> None:
    """It still is what the conversation went on with."""
    columns = RATINGS | {"conversation": "talk", "turn": "at"}
    rows = [
        {"who": 1, "talk": 1, "at": at, "asked": f"why {at} ?", "said": said, "points": points}
        for at, said, points in [(0, "unrated", "n/a"), (1, "good", 5), (1, "bad", 2), (1, "odd", None)]
    ]
    corpus = read(tmp_path, rows, columns)
    assert made(corpus) == {("1", "why 1 ?", "good", "bad")}
    assert [message["content"] for message in corpus.pairs["prompt"][0]][:2] == ["why 0 ?", "unrated"]
    assert corpus.dropped == {"missing score": 2}


def test_a_preference_that_means_something_is_not_missing() -> None:
    data = {"path": "rows.csv", "columns": POLL, "preference_values": {"A": ["a"], "B": ["b"], "tie": ["NA"]}}
    with pytest.raises(ValueError, match=r"preference_values: 'NA' stands in missing_values"):
        TableData.model_validate(data)
    assert TableData.model_validate(data | {"missing_values": []}).missing_values == []


def test_a_word_with_two_meanings_is_refused() -> None:
    data = {"path": "rows.csv", "columns": POLL, "preference_values": {"A": [1], "B": ["1.0", 2]}}
    with pytest.raises(ValueError, match=r"preference_values: '1' has two meanings"):
        TableData.model_validate(data)

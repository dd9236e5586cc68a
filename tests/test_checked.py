"""What is trained is checked: after the checks, the template and max_length, and before any training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan.tables import StudyTables, load_tables, render_tables, study_corpus
from orchestrator.study.study import Study
from training.data.checks import checked
from training.data.corpus import Corpus
from training.data.items import item_ids
from training.data.prompts import prompted
from training.data.sources import load_corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import Checks, HeldOut, Prompt, RandomSplit, TwinData
from training.tokenise import IDENTICAL, NO_ROOM

WORDS = """apple bridge coffee doctor evening forest garden history island jacket kitchen lamp market
    number ocean paper quiet river silver train""".split()  # noqa: SIM905


def words(rng: np.random.Generator, number: int) -> str:
    return " ".join(rng.choice(WORDS, number))


def corpus_of(rows: list[dict[str, Any]], **traits: Any) -> Corpus:
    """A corpus of rows with user_id, prompt (a text), chosen, rejected, and perhaps item."""
    pairs = pd.DataFrame(rows)
    pairs["prompt"] = [
        [{"role": "user", "content": text}] if isinstance(text, str) else text for text in pairs["prompt"]
    ]
    pairs["pair_id"] = [f"p{number:04d}" for number in range(len(pairs))]
    unknown = dict.fromkeys(("source_model", "chosen_model", "rejected_model"), pd.NA)
    pairs = pairs.assign(score_gap=float("nan"), turn=1, **unknown)
    users = pairs.groupby("user_id").size().rename("n_pairs").reset_index()
    return Corpus(pairs, users.assign(**traits), {}, generated=False)


def annotators(users: int = 12, items: int = 30, rated: int = 15, flipped: float = 0.3) -> Corpus:
    """People who rate some of the same items each; a share of the labels is flipped."""
    rng = np.random.default_rng(0)
    texts = [(words(rng, 4), words(rng, 8), words(rng, 9)) for _ in range(items)]
    rows = []
    for user in range(users):
        for item in rng.permutation(items)[:rated]:
            prompt, *answers = texts[item]
            chosen, rejected = answers[::-1] if rng.random() < flipped else answers
            rows.append({"user_id": f"u{user:02d}", "prompt": prompt, "chosen": chosen, "rejected": rejected})
    return corpus_of(rows)


def without_item(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.drop(columns="item", errors="ignore")


# --- held out by item ---------------------------------------------------------------------------------


def overlap(table: pd.DataFrame, column: str) -> int:
    held = table["fold"] == "heldout"
    return int(table.loc[held, column].isin(table.loc[~held, column]).sum())


def test_a_text_that_several_people_rated_is_on_one_side() -> None:
    corpus = annotators()
    table = assign(corpus, HeldOut(share=0.25), None)
    assert overlap(table, "item") == overlap(table, "user_id") == 0
    assert set(table["fold"]) == {"train", "heldout"}
    by_user = assign(corpus, HeldOut(share=0.25, by="user"), None)
    held = by_user["fold"] == "heldout"
    assert len(by_user) == len(corpus.pairs)
    assert overlap(by_user, "user_id") == 0
    assert overlap(by_user, "item") == held.sum() == 45
    by_item = assign(corpus, HeldOut(share=0.25, by="item"), None)
    assert len(by_item) == len(corpus.pairs)
    assert overlap(by_item, "item") == 0 < overlap(by_item, "user_id")


def test_people_who_share_no_text_are_held_out_as_before() -> None:
    corpus = load_corpus(TwinData(users=60, history="none"))
    default, by_user, both = (assign(corpus, HeldOut(by=by), None) for by in (None, "user", "both"))
    pd.testing.assert_frame_equal(default, by_user)
    pd.testing.assert_frame_equal(default, both)
    assert len(default) == len(corpus.pairs)


rated_pairs = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.booleans(), st.sampled_from([None, "x", "y"])),
    min_size=8,
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(rated_pairs, st.sampled_from([None, "user", "item", "both"]), st.integers(0, 3), st.randoms())
def test_no_person_or_item_is_on_both_sides_and_the_order_of_rows_does_not_matter(rows, by, seed, shuffle):
    rows = [
        {
            "user_id": f"u{user}",
            "prompt": f"question {text}",
            "chosen": "yes" if label else "no",
            "rejected": "no" if label else "yes",
            "item": item,
        }
        for user, text, label, item in rows
    ]
    corpus = corpus_of(rows)
    corpus = replace(corpus, pairs=corpus.pairs.assign(item=item_ids(corpus.pairs)))
    table = assign(corpus, HeldOut(share=0.3, seed=seed, by=by), None)
    assert table["pair_id"].is_unique
    if by != "user":
        assert overlap(table, "item") == 0
        texts = corpus.pairs.set_index("pair_id")["prompt"].map(json.dumps)
        assert overlap(table.assign(text=table["pair_id"].map(texts)), "text") == 0
    if by != "item":
        assert overlap(table, "user_id") == 0
    mixed = list(range(len(rows)))
    shuffle.shuffle(mixed)
    again = assign(
        Corpus(corpus.pairs.iloc[mixed].reset_index(drop=True), corpus.users, {}, False),
        HeldOut(share=0.3, seed=seed, by=by),
        None,
    )
    folds = table.set_index("pair_id")["fold"].sort_index()
    pd.testing.assert_series_equal(again.set_index("pair_id")["fold"].sort_index(), folds)


def test_an_item_is_named_by_the_data_or_by_its_text() -> None:
    rows = [
        {"user_id": "u1", "prompt": "a", "chosen": "x", "rejected": "y", "item": "i1"},
        {"user_id": "u2", "prompt": "a", "chosen": "y", "rejected": "x", "item": "i2"},  # the text of row 0
        {"user_id": "u3", "prompt": "b", "chosen": "x", "rejected": "y", "item": "i2"},  # the name of row 1
        {"user_id": "u4", "prompt": "c", "chosen": "x", "rejected": "y", "item": None},
    ]
    items = item_ids(corpus_of(rows).pairs)
    assert items.nunique() == 2
    assert items[:3].nunique() == 1
    unnamed = item_ids(corpus_of([{**row, "item": None} for row in rows]).pairs)
    assert [unnamed[0] == unnamed[row] for row in range(4)] == [True, True, False, False]


# --- pairs without sense ------------------------------------------------------------------------------

PAIR = {"user_id": "u1", "prompt": "why ?", "chosen": "because", "rejected": "no idea"}
FLIPPED = PAIR | {"chosen": "no idea", "rejected": "because"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (PAIR, "the same pair again"),
        (PAIR | {"prompt": "EMPTY STRING"}, "empty prompt"),
        (PAIR | {"prompt": " \u200b"}, "empty prompt"),
        (PAIR | {"chosen": "EMPTY STRING"}, "empty answer"),
        (PAIR | {"rejected": "\u200b\ufeff\u2060"}, "empty answer"),
        (PAIR | {"rejected": "\x00"}, "empty answer"),
        (PAIR | {"rejected": "n/a"}, "empty answer"),
        (PAIR | {"rejected": "because\u200b "}, "answers that look the same"),
    ],
    ids=str,
)
def test_a_pair_without_sense_is_dropped_and_counted(row: dict[str, str], reason: str) -> None:
    corpus = checked(corpus_of([PAIR, row]), Checks(placeholders=["EMPTY STRING", "n/a"]))
    assert corpus.dropped == {reason: 1}
    assert corpus.pairs["pair_id"].tolist() == ["p0000"]
    assert corpus.users["n_pairs"].tolist() == [1]


def test_traits_that_are_counted_are_counted_without_the_dropped_pairs() -> None:
    long = PAIR | {"prompt": "why is that so ?", "chosen": "EMPTY STRING"}
    corpus = corpus_of([PAIR, PAIR | {"prompt": "how ?"}, long], median_prompt_length=99.0)
    users = checked(corpus, Checks()).users
    assert users[["n_pairs", "median_prompt_length"]].to_numpy().tolist() == [[2, 5.0]]


def test_a_pair_with_both_labels_is_dropped_or_counted() -> None:
    other = PAIR | {"user_id": "u2"}
    corpus = corpus_of([PAIR, FLIPPED, PAIR, other, other | {"prompt": "how ?"}])
    dropping, keeping = checked(corpus, Checks()), checked(corpus, Checks(contradictory="keep"))
    assert dropping.dropped == {"labelled both ways by one person": 3}
    assert dropping.pairs["user_id"].tolist() == ["u2", "u2"]
    assert dropping.users["user_id"].tolist() == ["u2"]
    assert keeping.kept == {"labelled both ways by one person": 3}
    assert len(keeping.pairs) == 5
    assert checked(corpus_of([PAIR, PAIR]), Checks(repeated="keep")).kept == {"the same pair again": 1}
    with pytest.raises(StudyError, match="none of 2 pairs is left"):
        checked(corpus_of([PAIR, FLIPPED]), Checks())


def test_a_study_without_such_pairs_is_left_alone() -> None:
    corpus = load_corpus(TwinData(users=60, history="full"))
    same = checked(corpus, Checks())
    pd.testing.assert_frame_equal(without_item(same.pairs), without_item(corpus.pairs))
    assert same.users is corpus.users
    assert same.pairs["item"].is_unique
    assert (same.dropped, same.kept) == (corpus.dropped, {})
    assert prompted(corpus, Prompt()) is corpus


# --- prompts ------------------------------------------------------------------------------------------


def test_a_system_prompt_states_the_traits_of_the_user() -> None:
    with_system = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "why ?"}]
    rows = [PAIR, PAIR | {"user_id": "u2"}, PAIR | {"user_id": "u3", "prompt": with_system}]
    corpus = corpus_of(rows, age=["18-24", None, "65+"], prefs_safety=[50.0, 12.5, np.nan])
    pairs = prompted(corpus, Prompt(system="Be brief.", with_traits=["age", "prefs_safety"])).pairs
    assert [chat[0] for chat in pairs["prompt"]] == [
        {"role": "system", "content": "Be brief.\nThe user's age: 18-24.\nThe user's safety: 50."},
        {"role": "system", "content": "Be brief.\nThe user's safety: 12.5."},
        {"role": "system", "content": "Be brief.\nThe user's age: 65+.\n\nBe kind."},
    ]
    assert all([message["role"] for message in chat] == ["system", "user"] for chat in pairs["prompt"])
    assert pairs["item"].nunique() == 2  # what u1 and u2 rated is still the same item
    with pytest.raises(StudyError, match=r"with_traits: no trait 'agee'.*age"):
        prompted(corpus, Prompt(with_traits=["agee"]))


# --- after the template and max_length ----------------------------------------------------------------


def study(**keys: Any) -> Study:
    return Study.model_validate(
        {
            "study": "checked",
            "data": {"source": "twin", "users": 40, "history": "none"},
            "splits": {"S1": {"by": "random", "predicted": "A = B"}},
            "methods": {"dpo": {}},
            "seeds": [1],
            "training": {"max_steps": 2, "batch_size": 4, "max_length": 64, "dtype": "float32"},
        }
        | keys
    )


def tables_of(of_study: Study, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> StudyTables:
    monkeypatch.setattr("training.data.sources.load_corpus", lambda _: corpus)
    return load_tables(of_study)


@pytest.fixture
def people() -> Corpus:
    """12 people with 8 pairs each."""
    rng = np.random.default_rng(1)
    rows = [
        {
            "user_id": f"u{user:02d}",
            "prompt": words(rng, 5),
            "chosen": words(rng, 6),
            "rejected": words(rng, 7),
        }
        for user in range(12)
        for _ in range(8)
    ]
    return corpus_of(rows)


def test_a_group_that_loses_its_held_out_pairs_is_refused_before_any_training(
    people: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path
) -> None:
    of_study = study(model={"path": str(tiny_folder)})
    table = tables_of(of_study, people, monkeypatch).groups["S1"]
    lost = table.loc[(table["group"] == "B") & (table["fold"] == "heldout"), "pair_id"]
    assert len(lost)
    long_prompt = [{"role": "user", "content": " ".join(WORDS * 4)}]
    prompts = [
        long_prompt if pair_id in set(lost) else prompt
        for pair_id, prompt in zip(people.pairs["pair_id"], people.pairs["prompt"], strict=True)
    ]
    corpus = Corpus(people.pairs.assign(prompt=prompts), people.users, {}, False)
    tables = tables_of(of_study, corpus, monkeypatch)  # the texts look fine
    with pytest.raises(StudyError, match=rf"S1: group B has no held-out pair .*{len(lost)} {NO_ROOM}"):
        render_tables(of_study, tables, tmp_path)


def test_an_arm_that_shrinks_below_a_batch_is_refused_before_any_training(
    people: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path
) -> None:
    of_study = study(model={"path": str(tiny_folder)})
    table = tables_of(of_study, people, monkeypatch).groups["S1"]
    lost = set(table.loc[(table["group"] == "A") & (table["fold"] == "train"), "pair_id"].iloc[3:])
    start = " ".join(WORDS * 4)
    same = people.pairs["pair_id"].isin(lost)
    answers = {
        side: people.pairs[side].where(~same, start + people.pairs[side]) for side in ("chosen", "rejected")
    }
    tables = tables_of(of_study, Corpus(people.pairs.assign(**answers), people.users, {}, False), monkeypatch)
    with pytest.raises(StudyError, match=rf"group A has 3 training pairs.*{len(lost)} {IDENTICAL}"):
        render_tables(of_study, tables, tmp_path)


def test_balanced_groups_are_balanced_after_the_drops(
    people: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path
) -> None:
    balanced = RandomSplit(predicted="A = B", match_pairs=True).model_dump()
    of_study = study(model={"path": str(tiny_folder)}, splits={"S1": balanced})
    pairs = people.pairs
    twice = pairs["user_id"].isin(sorted(pairs["user_id"].unique())[:3]) & (pairs.index % 2 == 0)
    start = " ".join(WORDS * 4)
    same = {side: pairs[side].where(~twice, start + pairs[side]) for side in ("chosen", "rejected")}
    tables = tables_of(of_study, Corpus(pairs.assign(**same), people.users, {}, False), monkeypatch)
    after = render_tables(of_study, tables, tmp_path)
    assert after.rendered is not None
    dropped = set(after.rendered.dropped[IDENTICAL])
    assert dropped == set(pairs.loc[twice, "pair_id"])
    before, now = tables.groups["S1"], after.groups["S1"]
    assert dropped <= set(now["pair_id"])  # a cell counts them
    now = now[~now["pair_id"].isin(dropped)]
    sizes = now[now["fold"] == "train"].groupby("group").size()
    assert sizes["A"] == sizes["B"]
    held = {name: set(table.loc[table["fold"] == "heldout", "user_id"]) for name, table in
            (("before", before), ("now", now))}  # fmt: skip
    assert held["now"] <= held["before"]


def test_a_study_of_which_nothing_is_dropped_trains_the_pairs_that_it_did(
    tmp_path: Path, tiny_folder: Path
) -> None:
    """The twin's groups follow from its users alone, as they did before pairs were checked."""
    of_study = study(model={"path": str(tiny_folder)}, training={"max_length": 1024, "batch_size": 4})
    tables = load_tables(of_study)
    rendered = render_tables(of_study, tables, tmp_path)
    assert rendered.rendered is not None
    assert rendered.rendered.dropped == {}
    assert rendered.groups is tables.groups
    corpus = load_corpus(of_study.data)
    pd.testing.assert_frame_equal(without_item(study_corpus(of_study).pairs), without_item(corpus.pairs))
    ids = np.sort(corpus.users["user_id"].to_numpy(dtype=str))
    drawn = set(np.random.default_rng(0).permutation(ids)[: round(0.2 * len(ids))])
    baseline = tables.groups["baseline"]
    assert baseline["pair_id"].tolist() == corpus.pairs["pair_id"].tolist()
    assert ((baseline["fold"] == "heldout") == baseline["user_id"].isin(drawn)).all()

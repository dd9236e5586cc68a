"""Pairs, splits and the twin: no user in two groups or folds, no pair lost or doubled, the truth found."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import people, twin
from training.data.corpus import Corpus
from training.data.sources import load_corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import CategorySplit, HeldOut, MedianSplit, RandomSplit, SplitSpec, TwinData
from training.table_data import TableData

TWIN = TwinData(users=120, history="none")
AGE = CategorySplit(
    column="age",
    a=["18-24 years old", "25-34 years old"],
    b=["35-44 years old", "45-54 years old", "55-64 years old", "65+ years old"],
    predicted="A > B",
)


def prism(folder: Path, **change: object) -> TableData:
    return TableData.model_validate({"source": "prism", "path": str(folder)} | change)


@pytest.fixture(scope="module")
def data() -> Corpus:
    return load_corpus(TWIN)


def test_pairs_by_an_independent_count(data: Corpus) -> None:
    """Counts with a plain loop over the interactions, as one would by hand."""
    utterances = twin.tables(TWIN).utterances
    expected = set()
    for (_, turn), rows in utterances.groupby(["interaction_id", "turn"]):
        if turn == 0:
            continue
        first, second = rows.to_dict("records")
        answers = {first["model_response"], second["model_response"]}
        if first["score"] != second["score"] and len(answers) == 2 and "EMPTY STRING" not in answers:
            better, worse = sorted([first, second], key=lambda row: -row["score"])
            gap = better["score"] - worse["score"]
            expected.add((better["user_id"], better["model_response"], worse["model_response"], gap))
    made = data.pairs[["user_id", "chosen", "rejected", "score_gap"]].itertuples(index=False, name=None)
    assert set(made) == expected
    assert data.pairs["pair_id"].is_unique


def test_the_order_of_the_answers_does_not_matter(data: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = twin.tables(TWIN)
    monkeypatch.setattr(
        twin,
        "tables",
        lambda _: twin.TwinTables(
            tables.survey.sample(frac=1, random_state=1), tables.utterances.sample(frac=1, random_state=2)
        ),
    )
    again = load_corpus(TWIN)
    pd.testing.assert_frame_equal(again.pairs, data.pairs)
    pd.testing.assert_frame_equal(again.users, data.users)


def test_history_holds_the_turns_before_and_ends_with_the_user() -> None:
    full = load_corpus(TwinData(users=30, history="full")).pairs
    for prompt, turn in zip(full["prompt"], full["turn"], strict=True):
        assert [message["role"] for message in prompt] == ["user", "assistant"] * turn + ["user"]


splits = st.one_of(
    st.just(AGE),
    st.builds(
        MedianSplit, column=st.sampled_from(["prefs_safety", "mean_score_gap"]), predicted=st.just("A < B")
    ),
    st.builds(RandomSplit, seed=st.integers(0, 5), predicted=st.just("A = B")),
    st.none(),
)


@settings(deadline=None, max_examples=30)
@given(splits, st.builds(HeldOut, share=st.floats(0.05, 0.6), seed=st.integers(0, 5)))
def test_a_user_is_in_one_group_and_fold_and_no_pair_is_doubled(
    split: SplitSpec | None, held_out: HeldOut
) -> None:
    data = load_corpus(TWIN)
    table = assign(data, held_out, split)
    assert table["pair_id"].is_unique
    assert (table.groupby("user_id")[["group", "fold"]].nunique() == 1).all(axis=None)
    whole = assign(data, held_out, None)
    assert table["pair_id"].isin(whole["pair_id"]).all()
    folds = whole.set_index("pair_id")["fold"]  # the same users are held out in any split
    assert (folds[table["pair_id"]].to_numpy() == table["fold"].to_numpy()).all()


def test_no_user_who_belongs_to_a_group_is_left_out(data: Corpus) -> None:
    table = assign(data, HeldOut(), AGE)
    ages = data.users.set_index("user_id")["age"]
    member = ages[ages.isin([*AGE.a, *AGE.b])].index
    assert set(table["user_id"]) == set(member)
    assert set(table.loc[table["group"] == "A", "user_id"]) == set(ages[ages.isin(AGE.a)].index)


def test_a_median_split_puts_the_median_itself_in_a(data: Corpus) -> None:
    table = assign(data, HeldOut(), MedianSplit(column="prefs_helpfulness", predicted="A < B"))
    value = data.users.set_index("user_id")["prefs_helpfulness"]
    median = float(np.median(value))
    in_a = set(table.loc[table["group"] == "A", "user_id"])
    assert in_a == set(value[value >= median].index)
    assert (value == median).any()


def test_match_pairs_balances_training_pairs_and_keeps_the_held_out_ones(data: Corpus) -> None:
    plain = assign(data, HeldOut(), AGE)
    matched = assign(data, HeldOut(), AGE.model_copy(update={"match_pairs": True}))
    sizes = matched[matched["fold"] == "train"].groupby("group").size()
    assert sizes["A"] == sizes["B"]
    held = [set(table.loc[table["fold"] == "heldout", "pair_id"]) for table in (plain, matched)]
    assert held[0] == held[1]


def test_a_condition_holds_the_source_model_fixed_or_balances_it(data: Corpus) -> None:
    models = data.pairs.set_index("pair_id")["source_model"]
    one = str(models.value_counts().index[0])
    fixed = assign(data, HeldOut(), AGE.model_copy(update={"source_models": [one]}))
    assert set(fixed["pair_id"].map(models)) == {one}
    balanced = assign(data, HeldOut(), AGE.model_copy(update={"match_source_models": True}))
    train = balanced[balanced["fold"] == "train"]
    counts = train.groupby([train["pair_id"].map(models), "group"]).size().unstack("group")
    assert (counts["A"] == counts["B"]).all()
    assert len(counts) > 10
    with pytest.raises(StudyError, match=r"splits\.S\.source_models.*'gpt-x'"):
        assign(data, HeldOut(), AGE.model_copy(update={"source_models": ["gpt-x"]}), place="splits.S")


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        (CategorySplit(column="agee", a=["x"], b=["y"], predicted="A > B"), ["agee", "'age'", "gender"]),
        (
            CategorySplit(column="age", a=["young"], b=["65+ years old"], predicted="A > B"),
            ["young", "18-24"],
        ),
        (MedianSplit(column="age", predicted="A > B"), ["age", "category"]),
        (AGE.model_copy(update={"b": AGE.a}), ["18-24 years old", "in a and in b"]),
    ],
    ids=["column", "category", "not numeric", "both"],
)
def test_a_split_that_cannot_be_made_is_reported_with_its_place(
    data: Corpus, split: SplitSpec, parts: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        assign(data, HeldOut(), split, place="splits.S1")
    for part in ["splits.S1", *parts]:
        assert part in str(caught.value)


def test_a_twin_depends_on_its_spec_alone() -> None:
    spec = TwinData(users=60, seed=3)
    twin.tables.cache_clear()
    first = twin.tables(spec).utterances
    twin.tables.cache_clear()
    pd.testing.assert_frame_equal(first, twin.tables(spec).utterances)
    assert not twin.tables(TwinData(users=60, seed=4)).utterances.equals(first)


def test_a_twin_of_prisms_size_has_its_shape_and_its_planted_truth() -> None:
    """Compares with published moments: Kirk et al. 2024, and the cut points of the ordered logit."""
    spec = TwinData(users=1500, history="none")
    tables, data = twin.tables(spec), load_corpus(spec)
    utterances = tables.utterances
    assert len(utterances) == pytest.approx(68_371, rel=0.03)
    assert utterances["conversation_id"].nunique() == pytest.approx(8_011, rel=0.03)
    assert utterances["interaction_id"].nunique() == pytest.approx(27_172, rel=0.03)
    assert utterances["score"].agg(["mean", "std"]).to_numpy() == pytest.approx([65.1, 29.3], abs=1.5)
    assert utterances["model_name"].nunique() == 21
    assert len(data.pairs) == pytest.approx(18_064, rel=0.05)
    assert len(data.users) == pytest.approx(1_393, rel=0.02)
    assert data.pairs["score_gap"].quantile([0.25, 0.5, 0.75]).to_numpy() == pytest.approx([6, 14, 29], abs=1)
    slider = tables.survey["prefs_helpfulness"]
    assert (slider.mean(), slider.std()) == pytest.approx((89.4, 14.4), abs=1)
    assert set(data.dropped) == {"empty answer", "identical answers", "tie"}

    gap = data.users.set_index("user_id")["mean_score_gap"]
    for effect in twin.truth(spec).effects.itertuples():
        value = data.users.set_index("user_id")[effect.trait]
        in_a = value.isin(effect.levels) if effect.levels else value >= value.median()
        ratio = gap[in_a].mean() / gap[~in_a].mean()
        if effect.predicted == "A = B":
            assert ratio == pytest.approx(1, abs=0.1)
        else:
            assert (ratio > 1.1) == (effect.predicted == "A > B")
            assert (ratio < 1 / 1.1) == (effect.predicted == "A < B")


def test_a_twin_without_effects_has_none() -> None:
    users = load_corpus(TwinData(users=1500, history="none", strength=0)).users
    young = users["age"].isin(AGE.a)
    means = users.groupby(young)["mean_score_gap"].mean()
    assert means[True] == pytest.approx(means[False], rel=0.1)
    truth = twin.truth(TwinData(users=1500, strength=0)).effects
    assert truth["log_odds_population"].abs().max() < 1e-3


def test_a_twin_on_disk_reads_as_prism_and_has_its_truth_beside_it(tmp_path: Path) -> None:
    twin.main(["--users", "40", "--seed", "7", "--out", str(tmp_path)])
    read = load_corpus(prism(tmp_path))
    made = load_corpus(TwinData(users=40, seed=7, history="full"))
    pd.testing.assert_frame_equal(read.pairs, made.pairs)
    pd.testing.assert_frame_equal(read.users, made.users[read.users.columns], check_dtype=False)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert {effect["trait"] for effect in truth["effects"]} == {
        "age", "education", "prefs_safety", "reside_region",
    }  # fmt: skip
    assert len(truth["models"]) == 21


def survey_row(**change: object) -> dict[str, object]:
    traits = ("age", "gender", "education", "employment_status", "marital_status", "english_proficiency")
    sliders = dict.fromkeys(people.SLIDER_MOMENTS, 50)
    regions = {"birth_region": "Asia", "reside_region": "Asia"}
    row = {"user_id": "u1", "lm_familiarity": None, "stated_prefs": sliders, "location": regions}
    return row | dict.fromkeys(traits, "x") | change


def utterance_row(**change: object) -> dict[str, object]:
    row = {
        "utterance_id": "ut1", "interaction_id": "int1", "conversation_id": "c1", "user_id": "u1", "turn": 1,
        "within_turn_id": 0, "model_name": "m", "user_prompt": "why ?", "model_response": "because",
        "score": 80,
        "if_chosen": True,
    }  # fmt: skip
    return row | change


JsonRows = list[dict[str, object]]


def two_answers() -> JsonRows:
    worse = utterance_row(utterance_id="ut2", model_response="no idea", score=30, if_chosen=False)
    return [utterance_row(), worse]


def read_prism(tmp_path: Path, survey: JsonRows, utterances: JsonRows) -> Corpus:
    for name, rows in (("survey", survey), ("utterances", utterances)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_corpus(prism(tmp_path))


def test_a_local_prism_folder_becomes_pairs(tmp_path: Path) -> None:
    corpus = read_prism(tmp_path, [survey_row()], two_answers())
    assert corpus.pairs[["chosen", "rejected", "score_gap"]].to_numpy().tolist() == [
        ["because", "no idea", 50.0]
    ]
    assert corpus.users["prefs_safety"].tolist() == [50]


@pytest.mark.parametrize(
    ("survey", "utterances", "parts"),
    [
        ([survey_row()], [utterance_row(score=101)], ["utterances.jsonl: line 1", "score", "101"]),
        ([survey_row()], [utterance_row(), utterance_row()], ["utterances.jsonl: line 2", "ut1", "twice"]),
        (
            [survey_row(stated_prefs=dict.fromkeys(people.SLIDER_MOMENTS, 400))],
            [utterance_row()],
            ["survey.jsonl: line 1", "stated_prefs.", "400"],
        ),
        ([{"user_id": "u1"}], [utterance_row()], ["survey.jsonl", "no column 'age'"]),
        (
            [survey_row(), survey_row(age="y")],
            [utterance_row()],
            ["survey.jsonl: line 2", "age", "'y'", "'x'"],
        ),
        ([survey_row(user_id="u2")], two_answers(), ["'u1'", "no row in", "survey.jsonl"]),
    ],
    ids=["score", "duplicate", "slider", "column", "two ages", "stranger"],
)
def test_a_value_that_breaks_the_schema_is_reported_with_file_line_and_column(
    tmp_path: Path, survey: JsonRows, utterances: JsonRows, parts: list[str]
) -> None:
    if len(utterances) == 1:
        utterances = [*utterances, utterance_row(utterance_id="ut9", model_response="no idea", score=3)]
    with pytest.raises(StudyError) as caught:
        read_prism(tmp_path, survey, utterances)
    for part in parts:
        assert part in str(caught.value)


# Numbers from the reader that PRISM had of its own (commit 6f06587), on the twin of 120 people, seed 0.
BEFORE = {
    "pairs": "f39efd0fd79ddc7c",
    "users": "3f00079f25848369",
    "age": "384d621ab3c56e81",
    "safety": "2127956c4e40e046",
    "gap": "a5fdda0b7d0827a8",
    "random": "b82d460af26b63d0",
    "none": "9ec959f870b033a9",
    "matched": "005743595ab515a6",
}


def digest(frame: pd.DataFrame) -> str:
    rows = json.dumps(frame.to_dict("records"), sort_keys=True)
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def test_prisms_pairs_and_splits_are_those_of_the_reader_it_had_before(tmp_path: Path) -> None:
    """Ids, texts, models, gaps and histories of 1,481 pairs, the users' traits, and who is in which group."""
    twin.write(TwinData(users=120), tmp_path)
    for corpus in (load_corpus(TwinData(users=120)), load_corpus(prism(tmp_path))):
        columns = [
            "pair_id", "user_id", "source_model", "chosen_model", "rejected_model", "score_gap", "turn",
            "prompt", "chosen", "rejected",
        ]  # fmt: skip
        about = corpus.users[["user_id", "age", "prefs_safety", "mean_score_gap", "n_pairs"]]
        splits = {
            "age": AGE,
            "safety": MedianSplit(column="prefs_safety", predicted="A < B"),
            "gap": MedianSplit(column="mean_score_gap", predicted="A < B"),
            "random": RandomSplit(predicted="A = B"),
            "none": None,
            "matched": AGE.model_copy(update={"match_source_models": True}),
        }
        found = {"pairs": digest(corpus.pairs[columns]), "users": digest(about)}
        for name, split in splits.items():
            found[name] = digest(assign(corpus, HeldOut(), split)[["pair_id", "group", "fold"]])
        assert found == BEFORE
        assert corpus.dropped == {"empty answer": 6, "identical answers": 4, "tie": 52}
    any_models = load_corpus(prism(tmp_path, models="any", min_gap=5))
    ids = hashlib.sha256("".join(any_models.pairs["pair_id"]).encode()).hexdigest()[:16]
    assert (len(any_models.pairs), ids) == (3366, "e0164f444d373b91")
    assert any_models.dropped["gap below 5"] == 874


def test_an_empty_prompt_of_prism_is_dropped_and_counted(tmp_path: Path) -> None:
    silent = [row | {"user_prompt": "EMPTY STRING", "interaction_id": "int2"} for row in two_answers()]
    silent = [row | {"utterance_id": f"s{number}"} for number, row in enumerate(silent)]
    corpus = read_prism(tmp_path, [survey_row()], [*two_answers(), *silent])
    assert len(corpus.pairs) == 1
    assert corpus.dropped == {"empty prompt": 2}

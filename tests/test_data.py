"""Pairs, splits and the twin: nobody in two groups or folds, nothing lost or doubled, planted truth found."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import pairs, prism, sources, twin
from training.data.corpus import Corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import (
    CategorySplit,
    HeldOut,
    MedianSplit,
    PairsData,
    PrismData,
    RandomSplit,
    SplitSpec,
    TwinData,
)

TWIN = TwinData(users=120, history="none")
AGE = CategorySplit(
    column="age",
    a=["18-24 years old", "25-34 years old"],
    b=["35-44 years old", "45-54 years old", "55-64 years old", "65+ years old"],
    predicted="A > B",
)


@pytest.fixture(scope="module")
def data() -> Corpus:
    return sources.load(TWIN)


def test_pairs_by_an_independent_count(data: Corpus) -> None:
    """A plain loop over the interactions, as one would do by hand."""
    told = twin.tables(TWIN).utterances
    expected = set()
    for (_, turn), rows in told.groupby(["interaction_id", "turn"]):
        if turn == 0:
            continue
        first, second = rows.to_dict("records")
        said = {first["model_response"], second["model_response"]}
        if first["score"] != second["score"] and len(said) == 2 and "EMPTY STRING" not in said:
            better, worse = sorted([first, second], key=lambda row: -row["score"])
            gap = better["score"] - worse["score"]
            expected.add((better["user_id"], better["model_response"], worse["model_response"], gap))
    got = data.pairs[["user_id", "chosen", "rejected", "score_gap"]].itertuples(index=False, name=None)
    assert set(got) == expected
    assert data.pairs["pair_id"].is_unique


def test_the_order_of_the_answers_does_not_matter(data: Corpus) -> None:
    tables = twin.tables(TWIN)
    shuffled = prism.PrismTables(
        tables.survey.sample(frac=1, random_state=1), tables.utterances.sample(frac=1, random_state=2), True
    )
    again = pairs.corpus(shuffled, TWIN)
    pd.testing.assert_frame_equal(again.pairs, data.pairs)
    pd.testing.assert_frame_equal(again.users, data.users)


def test_history_holds_the_turns_before_and_ends_with_the_user() -> None:
    full = sources.load(TwinData(users=30, history="full")).pairs
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
def test_groups_and_folds_are_of_users_and_no_pair_is_doubled(
    split: SplitSpec | None, held_out: HeldOut
) -> None:
    data = sources.load(TWIN)
    table = assign(data, held_out, split)
    assert table["pair_id"].is_unique
    assert (table.groupby("user_id")[["group", "fold"]].nunique() == 1).all(axis=None)
    whole = assign(data, held_out, None)
    assert table["pair_id"].isin(whole["pair_id"]).all()
    folds = whole.set_index("pair_id")["fold"]
    assert (folds[table["pair_id"]].to_numpy() == table["fold"].to_numpy()).all()  # the same users, any split


def test_nobody_who_belongs_to_a_group_is_left_out(data: Corpus) -> None:
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


def test_match_pairs_balances_training_and_leaves_the_held_out_alone(data: Corpus) -> None:
    plain = assign(data, HeldOut(), AGE)
    matched = assign(data, HeldOut(), AGE.model_copy(update={"match_pairs": True}))
    sizes = matched[matched["fold"] == "train"].groupby("group").size()
    assert sizes["A"] == sizes["B"]
    held = [set(table.loc[table["fold"] == "heldout", "pair_id"]) for table in (plain, matched)]
    assert held[0] == held[1]


def test_a_condition_holds_the_source_model_fixed_or_alike(data: Corpus) -> None:
    models = data.pairs.set_index("pair_id")["source_model"]
    one = str(models.value_counts().index[0])
    fixed = assign(data, HeldOut(), AGE.model_copy(update={"source_models": [one]}))
    assert set(fixed["pair_id"].map(models)) == {one}
    alike = assign(data, HeldOut(), AGE.model_copy(update={"match_source_models": True}))
    train = alike[alike["fold"] == "train"]
    counts = train.groupby([train["pair_id"].map(models), "group"]).size().unstack("group")
    assert (counts["A"] == counts["B"]).all()
    assert len(counts) > 10
    with pytest.raises(StudyError, match=r"splits\.S\.source_models.*'gpt-x'"):
        assign(data, HeldOut(), AGE.model_copy(update={"source_models": ["gpt-x"]}), place="splits.S")


@pytest.mark.parametrize(
    ("split", "named"),
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
def test_a_split_that_cannot_be_made_names_the_place(
    data: Corpus, split: SplitSpec, named: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        assign(data, HeldOut(), split, place="splits.S1")
    for part in ["splits.S1", *named]:
        assert part in str(caught.value)


def test_a_twin_is_its_spec_and_nothing_else() -> None:
    spec = TwinData(users=60, seed=3)
    twin.tables.cache_clear()
    first = twin.tables(spec).utterances
    twin.tables.cache_clear()
    pd.testing.assert_frame_equal(first, twin.tables(spec).utterances)
    assert not twin.tables(TwinData(users=60, seed=4)).utterances.equals(first)


def test_a_twin_of_prisms_size_has_its_shape_and_its_planted_truth() -> None:
    """Published moments: Kirk et al. 2024, and the ordered logit's cut points."""
    spec = TwinData(users=1500, history="none")
    tables, data = twin.tables(spec), sources.load(spec)
    said = tables.utterances
    assert len(said) == pytest.approx(68_371, rel=0.03)
    assert said["conversation_id"].nunique() == pytest.approx(8_011, rel=0.03)
    assert said["interaction_id"].nunique() == pytest.approx(27_172, rel=0.03)
    assert said["score"].agg(["mean", "std"]).to_numpy() == pytest.approx([65.1, 29.3], abs=1.5)
    assert said["model_name"].nunique() == 21
    assert len(data.pairs) == pytest.approx(18_064, rel=0.05)
    assert len(data.users) == pytest.approx(1_393, rel=0.02)
    assert data.pairs["score_gap"].quantile([0.25, 0.5, 0.75]).to_numpy() == pytest.approx([6, 14, 29], abs=1)
    slider = tables.survey["prefs_helpfulness"]
    assert (slider.mean(), slider.std()) == pytest.approx((89.4, 14.4), abs=1)
    assert set(data.dropped) == {"empty answer", "identical answers", "tie"}

    gap = data.users.set_index("user_id")["mean_score_gap"]
    for effect in twin.truth(spec).effects.itertuples():
        value = data.users.set_index("user_id")[effect.trait]
        a = value.isin(effect.levels) if effect.levels else value >= value.median()
        ratio = gap[a].mean() / gap[~a].mean()
        if effect.predicted == "A = B":
            assert ratio == pytest.approx(1, abs=0.1)
        else:
            assert (ratio > 1.1) == (effect.predicted == "A > B")
            assert (ratio < 1 / 1.1) == (effect.predicted == "A < B")


def test_a_twin_without_effects_has_none() -> None:
    users = sources.load(TwinData(users=1500, history="none", strength=0)).users
    young = users["age"].isin(AGE.a)
    means = users.groupby(young)["mean_score_gap"].mean()
    assert means[True] == pytest.approx(means[False], rel=0.1)
    truth = twin.truth(TwinData(users=1500, strength=0)).effects
    assert truth["log_odds_population"].abs().max() < 1e-3


def test_a_twin_on_disk_is_prism_to_its_reader_and_its_truth_lies_beside(tmp_path: Path) -> None:
    twin.main(["--users", "40", "--seed", "7", "--out", str(tmp_path)])
    read = sources.load(PrismData(path=str(tmp_path), history="full"))
    made = sources.load(TwinData(users=40, seed=7, history="full"))
    pd.testing.assert_frame_equal(read.pairs, made.pairs)
    pd.testing.assert_frame_equal(read.users, made.users[read.users.columns], check_dtype=False)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert {effect["trait"] for effect in truth["effects"]} == {
        "age", "education", "prefs_safety", "reside_region",
    }  # fmt: skip
    assert len(truth["models"]) == 21


ROW = {
    "user_id": "u1", "interaction_id": "i1", "prompt": "why ?", "chosen": "because", "rejected": "no idea",
    "kind": "within_model",
}  # fmt: skip


def ready(tmp_path: Path, *rows: dict[str, str]) -> Corpus:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sources.load(PairsData(path=str(path)))


def test_unusable_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    got = ready(
        tmp_path,
        ROW,
        ROW,
        ROW | {"chosen": "EMPTY STRING"},
        ROW | {"rejected": " "},
        ROW | {"rejected": "because"},
        ROW | {"kind": "cross_model"},
        ROW | {"user_id": "u2"},
    )
    assert len(got.pairs) == 2
    assert got.dropped == {"empty answer": 2, "identical answers": 1, "the same pair again": 1}


def test_a_sample_of_users_keeps_all_their_pairs_and_asks_for_no_more_than_there_are(tmp_path: Path) -> None:
    rows = [
        ROW | {"user_id": f"u{user}", "prompt": f"why {pair} ?"} for user in range(9) for pair in range(3)
    ]
    ready(tmp_path, *rows)
    some = sources.load(PairsData(path=str(tmp_path / "pairs.jsonl"), users=4))
    assert some.pairs.groupby("user_id").size().tolist() == [3] * 4
    with pytest.raises(StudyError, match=r"data\.users: 10"):
        sources.load(PairsData(path=str(tmp_path / "pairs.jsonl"), users=10))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{broken", ["line 2"]),
        (json.dumps(ROW | {"kind": "?"}), ["line 2", "kind"]),
        ("{}", ["line 2", "user_id"]),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, named: list[str]) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + line + "\n")
    with pytest.raises(StudyError) as caught:
        sources.load(PairsData(path=str(path)))
    for part in [str(path), *named]:
        assert part in str(caught.value)


def survey_row(**change: object) -> dict[str, object]:
    traits = ("age", "gender", "education", "employment_status", "marital_status", "english_proficiency")
    row = {"user_id": "u1", "lm_familiarity": None, "stated_prefs": {"safety": 50}, "location": {}}
    return row | dict.fromkeys(traits, "x") | change


def utterance_row(**change: object) -> dict[str, object]:
    row = {
        "utterance_id": "ut1", "interaction_id": "int1", "conversation_id": "c1", "user_id": "u1", "turn": 1,
        "within_turn_id": 0, "model_name": "m", "user_prompt": "why ?", "model_response": "because",
        "score": 80,
        "if_chosen": True,
    }  # fmt: skip
    return row | change


Rows = list[dict[str, object]]


def folder(tmp_path: Path, survey: Rows, utterances: Rows) -> Corpus:
    for name, rows in (("survey", survey), ("utterances", utterances)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sources.load(PrismData(path=str(tmp_path)))


def test_a_local_prism_folder_becomes_pairs(tmp_path: Path) -> None:
    worse = utterance_row(utterance_id="ut2", model_response="no idea", score=30, if_chosen=False)
    got = folder(tmp_path, [survey_row()], [utterance_row(), worse])
    assert got.pairs[["chosen", "rejected", "score_gap"]].to_numpy().tolist() == [
        ["because", "no idea", 50.0]
    ]
    assert got.users["prefs_safety"].tolist() == [50]


@pytest.mark.parametrize(
    ("survey", "utterances", "named"),
    [
        ([survey_row()], [utterance_row(score=101)], ["utterances", "row 1", "score", "101"]),
        ([survey_row()], [utterance_row(), utterance_row()], ["utterances", "row 2", "ut1", "twice"]),
        (
            [survey_row(stated_prefs={"safety": 400})],
            [utterance_row()],
            ["survey", "row 1", "stated_prefs.safety"],
        ),
        ([{"user_id": "u1"}], [utterance_row()], ["survey", "row 1", "lm_familiarity"]),
    ],
    ids=["score", "duplicate", "slider", "column"],
)
def test_a_table_that_breaks_the_schema_names_file_row_and_column(
    tmp_path: Path, survey: Rows, utterances: Rows, named: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        folder(tmp_path, survey, utterances)
    for part in named:
        assert part in str(caught.value)

"""Traits of any data reach the splits, the survey models and the groups: a planted effect is found."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from orchestrator import groups, predict
from orchestrator.study.files import load
from training.data.sources import load_corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import CategorySplit, HeldOut, MedianSplit, QuantileSplit
from training.table_data import TableData

STUDY = """
study: own
data:
  source: table
  path: {folder}/ratings.jsonl
  columns: {{user: worker, item: task, prompt: question, response: answer, score: stars}}
  people: {{path: {folder}/workers.csv, user: worker}}
  traits: {{town: city, height: height, veteran: veteran}}
splits: {{S1: {{by: random, predicted: A = B}}}}
methods: {{dpo: {{}}}}
seeds: [1]
"""
WORDS = ["river", "stone", "lamp", "winter", "doctor", "apple", "train", "market", "coffee", "window"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of 150 made-up people, of whom those from Rome give gaps that are three times as large."""
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "worker": range(150),
            "city": rng.choice(["Rome", "Oslo", "rather not say"], 150, p=[0.5, 0.4, 0.1]),
            "height": rng.normal(170, 10, 150).round(),
            "veteran": rng.random(150) < 0.5,
        }
    )
    people.to_csv(tmp_path / "workers.csv", index=False)
    rows = [
        {
            "worker": int(person.worker),
            "task": task,
            "question": f"q{task} ?",
            "stars": stars,
            "answer": answer,
        }
        for person in people.itertuples()
        for task in rng.choice(40, 8, replace=False).tolist()
        for answer, stars in (
            (" ".join(rng.choice(WORDS, 5)), 50),
            (
                " ".join(rng.choice(WORDS, 9)),
                50 - int(np.clip(rng.exponential(18 if person.city == "Rome" else 6), 1, 49)),
            ),
        )
    ]
    (tmp_path / "ratings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(folder=tmp_path))
    return file


def test_the_planted_trait_becomes_a_split(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No trait, level or cut is named: all traits are tried, from their most common levels, at quartiles."""
    written = study.parent / "splits.yaml"
    command = ["--config", str(study), "data.missing_values=[Rather not say]", "--write", str(written)]
    assert predict.main(command) == 0
    assert "generated" not in capsys.readouterr().out
    splits = yaml.safe_load(written.read_text())["splits"]
    assert [split["column"] for split in splits.values()] == ["town"]
    (split,) = splits.values()
    assert (split["a"], split["b"], split["predicted"]) == (["Rome"], ["Oslo"], "A > B")
    table = pd.read_csv(study.parent / "runs/own/prediction/ordered_logit.csv")
    assert set(table["trait"]) == {"town", "height", "veteran"}
    assert set(table["level"].dropna()) <= {"Oslo", "Rome", "true", "false"}


def test_the_study_may_name_traits_levels_and_cuts(study: Path) -> None:
    command = ["--config", str(study), "survey.traits={veteran: true, height: null}", "survey.cuts=[5, 20]"]
    assert predict.main(command) == 0
    table = pd.read_csv(study.parent / "runs/own/prediction/ordered_logit.csv")
    assert table["trait"].tolist() == ["veteran", "height"]
    assert str(table["level"].iloc[0]).lower() == "false"
    with pytest.raises(StudyError, match=r"survey\.traits.*'wieght'.*height"):
        predict.main(["--config", str(study), "survey.traits={wieght: null}"])


def test_groups_of_own_traits_need_the_range_of_the_score_for_the_icc(study: Path) -> None:
    split = "splits={T: {by: category, column: town, a: [Rome], b: [Oslo], predicted: A > B}}"
    page = study.parent / "runs/own/groups/groups.md"
    assert groups.main(["--config", str(study), split]) == 0
    assert "`gap_icc` is left out" in page.read_text()
    assert groups.main(["--config", str(study), split, "data.score_range=[1, 100]"]) == 0
    assert "`gap_icc` is left out" not in page.read_text()
    assert set(pd.read_csv(page.with_name("measures.csv"))["measure"]) == {"gap_icc", "consistency"}


def test_pairs_without_scores_predict_nothing(study: Path) -> None:
    rows = study.parent / "pairs.csv"
    rows.write_text("who,p,c,r\n1,why,so,no\n2,why,so,no\n")
    data = f"data={{source: table, path: {rows}, columns: {{user: who, prompt: p, chosen: c, rejected: r}}}}"
    text = study.read_text()
    study.write_text(text[: text.index("data:")] + text[text.index("splits:") :])
    with pytest.raises(StudyError, match=r"no pair has a score gap"):
        predict.main(["--config", str(study), data])


def test_splits_by_category_median_and_quantile_of_any_trait(study: Path) -> None:
    corpus = load_corpus(load(study).data)
    traits = corpus.users.set_index("user_id")

    def members(split: CategorySplit | MedianSplit | QuantileSplit) -> dict[str, set[str]]:
        table = assign(corpus, HeldOut(by="user") if "by" in HeldOut.model_fields else HeldOut(), split)
        return {group: set(rows["user_id"]) for group, rows in table.groupby("group")}

    veterans = members(CategorySplit(column="veteran", a=[True], b=["false"], predicted="A = B"))
    assert veterans["A"] == set(traits.index[traits["veteran"] == "true"])
    assert len(veterans["A"]) + len(veterans["B"]) == len(traits)
    tallest = members(QuantileSplit(column="height", above=0.8, below=0.2, predicted="A = B"))
    heights = np.sort(traits["height"].to_numpy())
    assert tallest["A"] == set(traits.index[traits["height"] >= np.quantile(heights, 0.8)])
    assert tallest["B"] == set(traits.index[traits["height"] <= np.quantile(heights, 0.2)])
    of_number = f"{traits['height'].mode()[0]:g}"
    one_height = members(
        CategorySplit(column="height", a=[of_number], b=[f"{heights[0]:g}"], predicted="A = B")
    )
    assert one_height["B"] == set(traits.index[traits["height"] == heights[0]])
    with pytest.raises(StudyError, match=r"split: the quantiles.*'height'.*further apart"):
        members(QuantileSplit(column="height", above=0.2, below=0.8, predicted="A = B"))
    with pytest.raises(StudyError, match=r"'town' is not numeric \(a user has '\w+'\); use `by: category`"):
        members(QuantileSplit(column="town", predicted="A = B"))


def test_the_fingerprint_follows_the_data_and_not_the_name_of_the_description(study: Path) -> None:
    from training.data.fingerprint import fingerprint

    pairs = study.parent / "pairs.jsonl"
    row = {"user_id": 1, "interaction_id": 1, "prompt": "why", "chosen": "so", "rejected": "no"}
    pairs.write_text(json.dumps(row))
    described = TableData.model_validate({"source": "pairs", "path": str(pairs)})
    spelled_out = TableData.model_validate(described.model_dump(exclude={"source"}))
    assert fingerprint(described) == fingerprint(spelled_out)
    copy = study.parent / "copy.jsonl"
    copy.write_text(json.dumps(row))
    assert fingerprint(described.model_copy(update={"path": str(copy)})) == fingerprint(described)
    copy.write_text(json.dumps(row | {"chosen": "yes"}))
    moved = described.model_copy(update={"path": str(copy), "seed": 1})
    assert fingerprint(moved) != fingerprint(described.model_copy(update={"seed": 1}))
    workers = load(study).data
    before = fingerprint(workers.model_copy(update={"seed": 2}))
    with (study.parent / "workers.csv").open("a") as stream:
        stream.write("150,Rome,150,True\n")
    assert fingerprint(workers.model_copy(update={"seed": 3})) != before

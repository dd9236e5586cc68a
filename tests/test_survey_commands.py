"""`predict` derives splits from the survey, `groups` shows who is in them: both on planted effects."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from orchestrator import groups, predict
from orchestrator.study.files import CONFIGS, load
from training.data import twin
from training.data.sources import load_corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import HeldOut, TwinData


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_the_planted_traits_become_splits_of_a_study_file(home: Path) -> None:
    written = home / "splits.yaml"
    assert predict.main(["--set", "data.users=1500", "--write", str(written)]) == 0
    splits = yaml.safe_load(written.read_text())["splits"]
    by_trait = {split["column"]: split for split in splits.values()}
    for effect in twin.truth(TwinData(users=1500)).effects.itertuples():
        if effect.predicted == "A = B":
            continue
        split = by_trait[effect.trait]
        if effect.levels:  # A of a category is the side with the larger gaps
            assert set(effect.levels) <= set(split["a"])
            assert not set(effect.levels) & set(split["b"])
        assert split["predicted"] == effect.predicted
    table = pd.read_csv(home / "runs/demo/prediction/ordered_logit.csv")
    safety = table[table["trait"] == "prefs_safety"].iloc[0]
    assert safety["low"] < -0.041 < safety["high"]  # the population-averaged effect of the planted -0.045

    study = yaml.safe_load((CONFIGS / "demo.yaml").read_text()) | {"splits": splits}
    file = home / "study.yaml"
    file.write_text(yaml.safe_dump(study))
    assert set(load(file, []).splits) == set(splits)


def test_the_users_that_evaluate_the_splits_do_not_choose_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = load_corpus(TwinData(users=300, history="none"))
    held_out = assign(corpus, HeldOut(share=0.25), None)["fold"].to_numpy() == "heldout"
    other_gaps = np.random.default_rng(0).permutation(corpus.pairs["score_gap"])
    other = replace(
        corpus,
        pairs=corpus.pairs.assign(score_gap=np.where(held_out, other_gaps, corpus.pairs["score_gap"])),
    )
    tables: dict[tuple[bool, bool], str] = {}
    for changed in (False, True):
        monkeypatch.setattr(predict, "study_corpus", lambda _, data=other if changed else corpus: data)
        for all_users, flag in ((False, []), (True, ["--all-users"])):
            assert predict.main(["--write", str(home / "s.yaml"), *flag]) == 0
            tables[changed, all_users] = (home / "runs/demo/prediction/ordered_logit.csv").read_text()
            said = capsys.readouterr().out
            assert ("not independent of the choice of splits" in said) == all_users
            assert ("without the 70 held-out users" in said) == (not all_users)
            assert ("not independent" in (home / "s.yaml").read_text()) == all_users
            assert not re.search(r"\b0\.000+\b", said)
    assert tables[False, False] == tables[True, False]
    assert tables[False, True] != tables[True, True]


def test_what_is_left_out_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["survey.min_users=12", "survey.correction=bh"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"left out: reside_region 'Asia' with \d+ users; fewer than survey.min_users 12", said)
    assert "p (Benjamini-Hochberg)" in said
    table = pd.read_csv(home / "runs/demo/prediction/ordered_logit.csv")
    assert (table["users"].dropna() >= 12).all()
    assert "Asia" not in set(table["level"])


def test_group_sizes_are_shown_beside_the_published_ones(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = CONFIGS / "reference" / "splits.csv"
    twin.write(TwinData(users=200), home / "prism")
    arguments = ["--config", str(CONFIGS / "v5.yaml"), f"data.path={home / 'prism'}"]
    assert groups.main([*arguments, "--published", str(published)]) == 0
    sizes = pd.read_csv(home / "runs/v5/groups/sizes.csv").set_index(["split", "group"])
    assert sizes.loc[("S1_age", "A"), "published_users"] == 706
    assert sizes.loc[("S5_behavioral", "B"), "published_pairs"] == 9991
    assert (sizes["pairs"] == sizes["train"] + sizes["heldout"]).all()
    assert sizes.loc[("S3_safety", "A"), "users"] > 60
    assert "| S6_region | B |" in capsys.readouterr().out
    measures = pd.read_csv(home / "runs/v5/groups/measures.csv")
    assert set(measures["split"]) == set(load(CONFIGS / "v5.yaml", []).splits)


def test_a_table_without_published_sizes_is_named(home: Path) -> None:
    wrong = home / "wrong.csv"
    wrong.write_text("split,users\nS1_age,3\n")
    with pytest.raises(StudyError, match=r"--published: .*wrong\.csv.*pairs_a"):
        groups.main(["--published", str(wrong)])


@pytest.mark.parametrize("name", ["v5", "v5b"])
def test_the_published_studies_split_as_their_notes_say(name: str) -> None:
    study = load(CONFIGS / f"{name}.yaml", [])
    splits = {
        "v5": ["S1_age", "S2_personalisation", "S3_safety", "S4_familiarity", "S5_behavioral", "S6_region"],
        "v5b": ["S1_age", "S2_education", "S3_personalisation", "S4_safety", "S5_factuality",
                "S6_helpfulness", "S7_diversity", "S8_region"],
    }  # fmt: skip
    assert list(study.splits) == splits[name]
    assert [split.predicted for split in study.splits.values()][-1] == "A = B"

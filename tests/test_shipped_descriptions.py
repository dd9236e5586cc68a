"""The shipped descriptions, on made-up rows of the shape that each data set's public card shows.

No real row of these data sets was at hand. What the fields are called was compared with public code that
reads them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.study.files import load
from training.data import twin
from training.data.corpus import Corpus
from training.data.sources import load_corpus
from training.data.splits import assign
from training.spec import CategorySplit, HeldOut, RandomSplit, TwinData
from training.table_data import TableData, shipped_names

Rows = list[dict[str, Any]]


def chat(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[position % 2], "content": text} for position, text in enumerate(texts)]


def annotation(who: str, preference: str) -> dict[str, Any]:
    return {
        "evaluator": who, "overall_pref": preference, "helpful_pref": "Tie", "truthful_pref": "Tie",
        "harmless_pref": "Tie", "overall_confidence": "fairly-confident", "time_spent": 9,
        "timestamp": "2024-01-01 00:00:00",
    }  # fmt: skip


MULTIPREF = [
    {
        "comparison_id": f"c{number}", "prompt_id": f"p{number}", "text": f"why {number} ?", "category": "QA",
        "source": "made up", "subject_study": None, "highest_level_degree": None, "model_a": "m1",
        "model_b": "m2", "completion_a": "because", "completion_b": "who knows",
        "normal_worker_annotations": [
            annotation("w1", "A-is-clearly-better"), annotation("w2", "B-is-slightly-better"),
        ],
        "expert_worker_annotations": [annotation("e1", "A-is-slightly-better"), annotation("e2", "Tie")],
    }
    for number in range(3)
]  # fmt: skip
COMMUNITY_ALIGNMENT = [
    {
        "conversation_id": number, "assigned_lang": "en", "annotator_id": who, "in_balanced_subset": True,
        "is_pregenerated_first_prompt": True, "first_turn_prompt": f"why {number} ?",
        "first_turn_preferred_response": f"response_{'abcd'[who % 4]}", "first_turn_feedback": "",
        **{f"first_turn_response_{letter}": f"because {letter}" for letter in "abcd"},
        "second_turn_prompt": None, "annotator_age": "18-34" if who % 2 else "55+",
        "annotator_gender": "female", "annotator_education_level": "Some post-secondary",
        "annotator_political": "Centre", "annotator_ethnicity": "x", "annotator_country": "Italy",
    }
    for who in range(6)
    for number in range(3)
]  # fmt: skip
HELPSTEER3 = [
    {
        "domain": "general", "language": "english", "context": chat("hello", "hi", f"why {number} ?"),
        "response1": "because", "response2": "who knows", "overall_preference": preference,
        "individual_preference": [{"score": preference, "reasoning": "x", "feedback1": "", "feedback2": ""}],
    }
    for number, preference in enumerate((-3, 2, 0, 1))
]  # fmt: skip
CHATBOT_ARENA = [
    {
        "question_id": f"q{number}", "model_a": "m1", "model_b": "m2", "winner": winner,
        "judge": f"arena_user_{number % 2}", "conversation_a": chat(f"why {number} ?", "because", *more),
        "conversation_b": chat(f"why {number} ?", "who knows", *more), "turn": 1 + len(more) // 2,
        "anony": True, "language": "English", "tstamp": 1682351591.1322, "openai_moderation": {},
        "toxic_chat_tag": {},
    }
    for number, (winner, more) in enumerate(
        [("model_a", ()), ("model_b", ()), ("tie", ()), ("tie (bothbad)", ()), ("model_a", ("so ?", "yes"))]
    )
]  # fmt: skip
ULTRAFEEDBACK = [
    {
        "prompt": f"why {number} ?", "prompt_id": f"p{number}", "chosen": chat(f"why {number} ?", "because"),
        "rejected": chat(f"why {number} ?", "who knows"), "messages": chat(f"why {number} ?", "because"),
        "score_chosen": 8.0, "score_rejected": 8.0 - gap,
    }
    for number, gap in enumerate((3.0, 0.5, 0.0))
]  # fmt: skip
HH_RLHF = [
    {
        "chosen": f"\n\nHuman: hello\n\nAssistant: hi\n\nHuman: why {number} ?\n\nAssistant: because",
        "rejected": f"\n\nHuman: hello\n\nAssistant: hi\n\nHuman: why {number} ?\n\nAssistant: who knows",
    }
    for number in range(3)
]
READY_PAIRS = [
    {"user_id": who, "interaction_id": f"i{who}", "prompt": "why ?", "chosen": "because", "rejected": "no"}
    for who in range(3)
]
MADE_UP: dict[str, Rows] = {
    "multipref": MULTIPREF,
    "community_alignment": COMMUNITY_ALIGNMENT,
    "helpsteer3": HELPSTEER3,
    "chatbot_arena": CHATBOT_ARENA,
    "ultrafeedback": ULTRAFEEDBACK,
    "hh_rlhf": HH_RLHF,
    "pairs": READY_PAIRS,
}


def read(folder: Path, name: str, **change: Any) -> Corpus:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in MADE_UP[name]))
    return load_corpus(TableData.model_validate({"source": name, "path": str(file)} | change))


def made(corpus: Corpus) -> list[tuple[Any, ...]]:
    columns = ["user_id", "item", "chosen", "rejected"]
    return sorted(corpus.pairs[columns].itertuples(index=False, name=None))


def test_every_shipped_description_is_tried_here() -> None:
    assert {*MADE_UP, "prism"} == set(shipped_names())


@pytest.mark.parametrize("name", MADE_UP)
def test_a_study_file_needs_no_more_than_the_name_and_the_path(tmp_path: Path, name: str) -> None:
    corpus = read(tmp_path, name)
    study = tmp_path / "study.yaml"
    study.write_text(
        f"study: s\ndata: {{source: {name}, path: {tmp_path / 'rows.jsonl'}}}\n"
        "splits: {S1: {by: random, predicted: A = B}}\nmethods: {dpo: {}}\nseeds: [1]\n"
    )
    again = load_corpus(load(study).data)
    assert made(again) == made(corpus)
    groups = assign(corpus, HeldOut(share=0.3), RandomSplit(predicted="A = B"))
    assert set(groups["group"]) == {"A", "B"}


def test_multipref_has_a_row_per_annotator(tmp_path: Path) -> None:
    corpus = read(tmp_path, "multipref")
    assert made(corpus) == sorted(
        (who, f"c{number}", *answers)
        for number in range(3)
        for who, answers in {
            "w1": ("because", "who knows"),
            "w2": ("who knows", "because"),
            "e1": ("because", "who knows"),
        }.items()
    )
    assert corpus.dropped == {"tie": 3}
    experts, crowd = "expert_worker_annotations", "normal_worker_annotations"
    split = CategorySplit(column="worker", a=[experts], b=[crowd], predicted="exploratory")
    groups = assign(corpus, HeldOut(), split)
    assert groups.groupby("group")["user_id"].agg(set).to_dict() == {"A": {"e1"}, "B": {"w1", "w2"}}
    winners = corpus.pairs.set_index("user_id")["chosen_model"]
    assert set(winners["w1"]) == {"m1"}
    assert set(winners["w2"]) == {"m2"}


def test_community_alignment_pairs_the_best_with_each_of_the_others(tmp_path: Path) -> None:
    corpus = read(tmp_path, "community_alignment")
    assert len(corpus.pairs) == 6 * 3 * 3
    third = corpus.pairs[(corpus.pairs["user_id"] == "2") & (corpus.pairs["item"] == "0")]
    assert set(third["chosen"]) == {"because c"}
    assert set(third["rejected"]) == {"because a", "because b", "because d"}
    assert corpus.users["age"].tolist() == ["55+", "18-34"] * 3


def test_helpsteer3_counts_the_prompts_as_people_and_keeps_the_size(tmp_path: Path) -> None:
    corpus = read(tmp_path, "helpsteer3")
    gaps = dict(
        zip(
            corpus.pairs["prompt"].map(lambda chat: chat[-1]["content"]),
            corpus.pairs["score_gap"],
            strict=True,
        )
    )
    assert gaps == {"why 0 ?": 3.0, "why 1 ?": 2.0, "why 3 ?": 1.0}
    assert corpus.pairs["chosen"].value_counts().to_dict() == {"because": 1, "who knows": 2}
    assert corpus.dropped == {"tie": 1}
    assert corpus.anonymous
    assert len(corpus.users) == 3


def test_chatbot_arena_leaves_out_ties_and_long_conversations(tmp_path: Path) -> None:
    corpus = read(tmp_path, "chatbot_arena")
    assert made(corpus) == [
        ("arena_user_0", "q0", "because", "who knows"),
        ("arena_user_1", "q1", "who knows", "because"),
    ]
    assert corpus.dropped == {"tie": 2, "answers of several turns": 1}


def test_ultrafeedback_has_its_score_gaps(tmp_path: Path) -> None:
    corpus = read(tmp_path, "ultrafeedback")
    assert sorted(corpus.pairs["score_gap"]) == [0.5, 3.0]
    assert corpus.dropped == {"tie": 1}
    assert len(read(tmp_path, "ultrafeedback", min_gap=1).pairs) == 1


def test_hh_rlhf_has_its_conversations(tmp_path: Path) -> None:
    pair = read(tmp_path, "hh_rlhf").pairs.iloc[0]
    assert [message["role"] for message in pair["prompt"]] == ["user", "assistant", "user"]
    assert (pair["chosen"], pair["rejected"]) == ("because", "who knows")


def test_prism_reads_a_folder_of_any_format(tmp_path: Path) -> None:
    twin.write(TwinData(users=40), tmp_path / "lines")
    expected = load_corpus(TwinData(users=40))
    tables = twin.tables(TwinData(users=40))
    folder = tmp_path / "parquet"
    folder.mkdir()
    tables.utterances.to_parquet(folder / "utterances.parquet")
    twin.nested(tables.survey).to_parquet(folder / "survey.parquet")
    for path in (tmp_path / "lines", folder):
        corpus = load_corpus(TableData.model_validate({"source": "prism", "path": str(path)}))
        assert corpus.pairs["pair_id"].tolist() == expected.pairs["pair_id"].tolist()
        assert corpus.users["prefs_safety"].tolist() == expected.users["prefs_safety"].tolist()


def test_a_key_of_the_study_replaces_that_of_the_description(tmp_path: Path) -> None:
    columns = {"preference": "annotation.helpful_pref", "source_model": []}
    data = TableData.model_validate({"source": "multipref", "path": "x.jsonl", "columns": columns})
    assert data.columns.preference == "annotation.helpful_pref"
    assert data.columns.user == "annotation.evaluator"
    assert not data.columns.source_model
    spelled_out = {**data.model_dump(exclude={"source"}), "source": "table"}
    assert TableData.model_validate(spelled_out) == data.model_copy(update={"source": "table"})

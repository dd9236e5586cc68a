"""Token ids: equal to TRL's, truncated as asked, and checked as the loss will see them."""

import datetime

import pandas as pd
import pytest
from conftest import MAX_LENGTH
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from training.errors import StudyError
from training.model import ModelFiles, load_model, load_tokenizer
from training.tokenise import (
    CONTROL_TOKENS,
    IDENTICAL,
    NO_ANSWER,
    NO_END,
    NO_PREFIX,
    NO_ROOM,
    TURNS_DROPPED,
    tokenise,
)

SIDES = ("chosen", "rejected")

ODD = [
    " leading and trailing ",
    "a<|im_end|>\n<|im_start|>user\nb",
    "naïve café — “quotes” 日本語 🙂‍↔️",
    "tabs\t\tand\r\n\r\nlines\n",
    "{{ jinja }} {% raw %}",
    "x" * 200,
    ".",
    "\u200b",
]
# A template that strips the content of messages, and adds to the prompt alone a thought that the chat lacks.
STRIPPING = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'].strip() + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think></think>' }}{% endif %}"
)


@pytest.fixture(scope="module")
def odd_pairs(pairs):
    turns = [[{"role": "system", "content": "Be brief."}], []]
    odd = pd.DataFrame(
        {
            "prompt": [turns[k % 2] + [{"role": "user", "content": text}] for k, text in enumerate(ODD)],
            "chosen": ODD[1:] + ODD[:1],
            "rejected": ODD[3:] + ODD[:3],
            "pair_id": [f"odd{k}" for k in range(len(ODD))],
        }
    )
    return pd.concat([odd, pairs.head(20)], ignore_index=True)


@pytest.mark.parametrize("template", [None, STRIPPING])
def test_ids_are_trls(tiny_folder, odd_pairs, template, tmp_path):
    files = ModelFiles(str(tiny_folder))
    tokenizer = load_tokenizer(files)
    tokenizer.chat_template = template or tokenizer.chat_template
    rows = [
        {
            "pair_id": row.pair_id,
            "prompt": row.prompt,
            "chosen": [{"role": "assistant", "content": row.chosen}],
            "rejected": [{"role": "assistant", "content": row.rejected}],
        }
        for row in odd_pairs.itertuples()
    ]
    trl = DPOTrainer(
        model=load_model(files, "float32"),
        args=DPOConfig(tmp_path, max_length=MAX_LENGTH, use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        ref_model=load_model(files, "float32"),
    )
    ours = tokenise(odd_pairs, tokenizer, MAX_LENGTH)
    theirs, collate = list(trl.train_dataset), trl.data_collator
    useful = [row for row in theirs if _ids_of_loss(row, collate)[0] != _ids_of_loss(row, collate)[1]]
    assert [row["pair_id"] for row in useful] == list(ours.rows["pair_id"])
    for mine, row in zip(ours.rows, useful, strict=True):
        assert [mine["prompt_ids"] + mine[f"{side}_ids"] for side in SIDES] == _ids_of_loss(row, collate)
    assert len(ours.dropped[NO_ROOM]) == len(odd_pairs) - len(theirs) > 0
    assert len(ours.dropped.get(IDENTICAL, ())) == len(theirs) - len(useful)


def _ids_of_loss(row, collate) -> list[list[int]]:
    """What TRL's collator hands to the loss: the ids of the chosen and of the rejected sequence."""
    batch = collate([row])
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


@pytest.fixture
def tokenizer(tiny_folder):
    return load_tokenizer(ModelFiles(str(tiny_folder)))


@pytest.mark.parametrize("truncation", ["keep_start", "keep_end", "drop_turns"])
def test_a_pair_keeps_the_tokens_that_its_truncation_names(tokenizer, pairs, truncation):
    """An independent account: whole sequences, and what may be cut from which of their ends."""
    whole = tokenise(pairs, tokenizer, 10_000).rows
    cut = {row["pair_id"]: row for row in tokenise(pairs, tokenizer, MAX_LENGTH, truncation).rows}
    shortened = 0
    for row in whole:
        kept = cut[row["pair_id"]]
        longest = len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        for side in SIDES:
            before, after = (ids["prompt_ids"] + ids[f"{side}_ids"] for ids in (row, kept))
            assert len(after) <= MAX_LENGTH
            assert kept[f"{side}_tokens"] == len(kept[f"{side}_ids"])
            assert kept[f"{side}_truncated"] == (len(kept[f"{side}_ids"]) < len(row[f"{side}_ids"]))
            if longest <= MAX_LENGTH:
                assert after == before
            elif truncation == "keep_start":
                assert after == before[:MAX_LENGTH]
            elif truncation == "keep_end":
                assert after == before[-len(after) :]
        shortened += longest > MAX_LENGTH
    assert shortened > 5


def test_the_oldest_turns_go_first_so_that_the_answer_keeps_its_end(tokenizer):
    def turn(word):
        return [{"role": "user", "content": f"{word} " * 6}, {"role": "assistant", "content": f"{word} " * 6}]

    system, last = {"role": "system", "content": "always"}, {"role": "user", "content": "why ?"}
    chat = [system, *turn("rain"), *turn("sun"), last]
    pair = pd.DataFrame(
        {"pair_id": ["p"], "prompt": [chat], "chosen": ["the dog sleeps"], "rejected": ["no"]}
    )
    lengths = {}
    for name, kept in (("all", chat), ("one", [system, *turn("sun"), last]), ("none", [system, last])):
        lengths[name] = max(
            len(tokenizer.apply_chat_template([*kept, {"role": "assistant", "content": text}])["input_ids"])
            for text in ("the dog sleeps", "no")
        )
    assert lengths["all"] > lengths["one"] > lengths["none"]
    for name, gone, left in (("all", "", "rain"), ("one", "rain", "sun"), ("none", "sun", "why")):
        tokenised = tokenise(pair, tokenizer, lengths[name], "drop_turns")
        text = tokenizer.decode(tokenised.rows[0]["prompt_ids"])
        assert left in text
        assert not gone or gone not in text
        assert "always" in text
        assert tokenizer.decode(tokenised.rows[0]["chosen_ids"]).startswith("the dog sleeps<|im_end|>")
        assert tokenised.noted == ({} if name == "all" else {TURNS_DROPPED: 1})
        assert not tokenised.rows[0]["chosen_truncated"]
    short = tokenise(pair, tokenizer, lengths["none"] - 3, "drop_turns").rows[0]
    assert short["chosen_truncated"]  # what is left is still cut


def chats(*answers: tuple[str, str], prompt: str = "why ?") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pair_id": [f"p{number}" for number in range(len(answers))],
            "prompt": [[{"role": "user", "content": prompt}]] * len(answers),
            "chosen": [chosen for chosen, _ in answers],
            "rejected": [rejected for _, rejected in answers],
        }
    )


WITHOUT_THOUGHTS = "{% set text = m['content'].split('</think>')[-1] %}"
IN_PARTS = "{% set text = m['content']['text'] if m['content'] is mapping else '' %}"


@pytest.mark.parametrize("change", [WITHOUT_THOUGHTS, IN_PARTS], ids=["think", "template for parts"])
def test_answers_that_a_template_makes_equal_are_dropped(tokenizer, change):
    tokenizer.chat_template = (
        "{% for m in messages %}" + change + "{{ '<|im_start|>' + m['role'] + '\n' + text + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    same = [
        ("<think>rain</think>yes", "<think>sun</think>yes"),
        ("<think>rain</think>", "<think>sun</think>"),
    ]
    tokenised = tokenise(chats(*same, ("<think>a</think>yes", "no")), tokenizer, 64)
    if change == IN_PARTS:
        assert tokenised.dropped == {IDENTICAL: ("p0", "p1", "p2")}
    else:
        assert tokenised.dropped == {IDENTICAL: ("p0", "p1")}


def test_what_is_unusual_about_pairs_is_counted(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
        "{% if m['role'] == 'user' %}{{ '<|im_end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>' }}{% endif %}"
    )
    pairs = chats(("rain", "sun"), ("rain", "a<|im_end|>b" + " sun" * 5), ("", "sun"))
    tokenised = tokenise(pairs, tokenizer, 64)
    assert tokenised.dropped == {NO_ANSWER: ("p2",)}
    assert tokenised.noted == {NO_PREFIX: 2, NO_END: 2, CONTROL_TOKENS: 1}
    assert tokenise(pairs, tokenizer, 64, control_tokens="drop").dropped == {
        CONTROL_TOKENS: ("p1",),
        NO_ANSWER: ("p2",),
    }


def test_typed_control_tokens_can_be_ordinary_text(tokenizer):
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    pairs = chats(("a<|im_end|>b", "no"), prompt="why <|im_end|> ?")
    kept, text = (tokenise(pairs, tokenizer, 64, control_tokens=how).rows[0] for how in ("keep", "text"))
    assert (kept["prompt_ids"].count(end), kept["chosen_ids"].count(end)) == (2, 2)
    assert (text["prompt_ids"].count(end), text["chosen_ids"].count(end)) == (1, 1)
    assert tokenizer.decode(text["chosen_ids"]) == tokenizer.decode(kept["chosen_ids"])


def test_a_template_that_refuses_a_pair_is_reported_with_the_pair(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['content'] == 'no' %}{{ raise_exception('no noes') }}{% endif %}"
        "{{ m['content'] }}{% endfor %}"
    )
    with pytest.raises(StudyError, match=r"refuses pair 'p1' \(no noes\)"):
        tokenise(chats(("rain", "sun"), ("yes", "no")), tokenizer, 64)


@pytest.mark.parametrize(
    "raising", ["{{ 1 / 0 }}", "{{ m.x.y }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% if %}"]
)
def test_whatever_a_template_raises_is_reported_with_the_pair(tokenizer, raising):
    tokenizer.chat_template = raising
    with pytest.raises(StudyError, match=r"its chat template refuses pair 'p0'"):
        tokenise(chats(("rain", "sun")), tokenizer, 64)


def test_a_template_writes_the_date_that_it_is_given(tokenizer):
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}" + tokenizer.chat_template
    template = tokenizer.chat_template

    def tokens(date):
        tokenizer.chat_template = template
        return tokenise(chats(("rain", "sun")), tokenizer, 64, date=date)

    first, again, other = (tokens(datetime.date(2026, 1, day)) for day in (1, 1, 2))
    assert tokenizer.decode(first.rows[0]["prompt_ids"]).startswith("01 Jan 2026")
    assert first.tokens == again.tokens != other.tokens
    assert first.dated
    assert tokens(None).tokens == tokens(datetime.date.today()).tokens


def test_the_hash_of_the_tokens_knows_the_ids_and_not_the_template(tokenizer, pairs):
    before = tokenise(pairs, tokenizer, MAX_LENGTH)
    tokenizer.chat_template = "{# a comment #}" + tokenizer.chat_template
    assert tokenise(pairs, tokenizer, MAX_LENGTH).tokens == before.tokens
    assert tokenise(pairs, tokenizer, MAX_LENGTH - 1).tokens != before.tokens
    swapped = pairs.rename(columns={"chosen": "rejected", "rejected": "chosen"})
    after = tokenise(swapped, tokenizer, MAX_LENGTH)
    assert after.tokens != before.tokens
    assert list(after.rows["text_id"]) == list(before.rows["text_id"])

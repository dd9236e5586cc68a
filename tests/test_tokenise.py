"""Token ids against TRL's own preparation of the same pairs."""

import pandas as pd
import pytest
from conftest import MAX_LENGTH
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from training.model import ModelFiles, load_model, load_tokenizer
from training.tokenise import tokenise

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
    for column in ("pair_id", "prompt_ids", "chosen_ids", "rejected_ids"):
        assert list(ours.rows[column]) == list(trl.train_dataset[column])
    assert len(ours.dropped) == len(odd_pairs) - len(trl.train_dataset) > 0


def test_the_tokens_of_a_truncated_answer_are_those_that_remain(tiny_folder, odd_pairs):
    rows = tokenise(odd_pairs, load_tokenizer(ModelFiles(str(tiny_folder))), MAX_LENGTH).rows.to_pandas()
    for side in ("chosen", "rejected"):
        whole = rows["prompt_ids"].str.len() + rows[f"{side}_ids"].str.len()
        assert (rows[f"{side}_truncated"] == (whole > MAX_LENGTH)).all()
        assert (rows["prompt_tokens"] + rows[f"{side}_tokens"] == whole.clip(upper=MAX_LENGTH)).all()
        assert rows[f"{side}_truncated"].any()

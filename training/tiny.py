"""A tiny chat model of Qwen2's architecture, built from a study's own text in seconds.

It has about one million parameters, its own byte-level BPE tokenizer and a ChatML template. It is pre-trained
just long enough for likelihoods to mean something: answers differ in how on-policy they are, so WPO weights
differ from 1. It is deterministic: one thread, explicit seeds.
"""

import math
import shutil
import tempfile
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

# A change below makes another model: raise TINY_RECIPE (training/model_path.py), which is in its fingerprint.
VOCABULARY = 1024
SEQUENCE_TOKENS = 128  # tokens per pre-training sequence
STEP_SEQUENCES = 4  # sequences per pre-training step
# The share of the text that is read, once: a model that knew it all by heart would make every WPO weight 1.
SHARE = 1 / 16
MIN_STEPS, MAX_STEPS = 8, 300
LEARNING_RATE = 4e-3

END, START_TURN, END_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build(conversations: list[list[dict[str, str]]], out: Path, seed: int) -> Path:
    """Train tokenizer and model on chat conversations (lists of {"role", "content"}) and save them at `out`.

    The files are written under a temporary name beside `out`, which is renamed, so that `out` is whole or
    absent. Returns `out`.
    """
    tokenizer = train_tokenizer(conversations)
    rng = np.random.default_rng(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a sum split over threads rounds differently on another machine
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Qwen2ForCausalLM(configuration(tokenizer))
        pretrain(model, tokenizer, conversations, rng)
    finally:
        torch.set_num_threads(threads)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=out.name, dir=out.parent))
    logging.disable_progress_bar()
    try:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return out


def train_tokenizer(conversations: list[list[dict[str, str]]]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: it can spell any text, and the study's text in few tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, START_TURN, END_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (message["role"] + "\n" + message["content"] for chat in conversations for message in chat)
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=END, eos_token=END_TURN)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def configuration(tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    """Return a small Qwen2.5 architecture: grouped-query attention, SwiGLU, RMSNorm, tied embeddings."""
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def pretrain(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: list[list[dict[str, str]]],
    rng: np.random.Generator,
) -> None:
    """Train the model on next tokens of a share of the conversations, concatenated and cut into sequences.

    Where the share does not fill `MIN_STEPS` steps, more of the text is read, and a short text again.
    """
    share, step_tokens = math.ceil(len(conversations) * SHARE), STEP_SEQUENCES * SEQUENCE_TOKENS
    ids: list[int] = []
    for count, k in enumerate(cycle(rng.permutation(len(conversations)))):
        if count >= share and len(ids) >= MIN_STEPS * step_tokens:
            break
        ids += tokenizer.apply_chat_template(conversations[k], tokenize=True, return_dict=False)
    whole_steps = torch.tensor(ids[: len(ids) // step_tokens * step_tokens])
    batches = whole_steps.view(-1, STEP_SEQUENCES, SEQUENCE_TOKENS)[:MAX_STEPS]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=len(batches), pct_start=0.1
    )
    model.train()
    for batch in batches:
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()

"""Each architecture computes stock TRL's numbers, or is refused before anything is trained.

`make test` runs one family per cause; `make families` runs all of them.
"""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MAX_LENGTH
from datasets import Dataset
from families import (
    EXPERT_LOSS,
    FAMILIES,
    GPT,
    PACKED,
    PADDED,
    REFUSED,
    SIZES,
    WITHOUT_EXPERT_LOSS,
    config_of,
)
from test_trainer import assert_same, loss_and_gradients, make_batch, trl_config
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, OPTConfig
from trl import DPOTrainer

from training import tiny
from training.arm import ArmTask, Execution, train_arm
from training.errors import StudyError
from training.layout import Layout
from training.layout_check import TOLERANCE, check_layout
from training.likelihood import Answers
from training.limits import refuse_sequences
from training.model import ModelFiles, load_model, load_tokenizer
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData
from training.trainer import PairTrainer

ALWAYS = {
    "Llama with dropout",
    "GPT-BigCode",
    "Gemma 2",
    "Cohere",
    "Granite",
    "Qwen3-MoE",
    "Mistral with window",
    "Doge",
    "Doge beyond its window",
}
TRAINING = TrainingSpec(max_length=MAX_LENGTH, dtype="float32")
METHODS = [MethodSpec(), MethodSpec(use_weighting=True, wpo_clamp="trl")]
BATCH = 8


def marked(families):
    return [
        family if family in ALWAYS else pytest.param(family, marks=pytest.mark.slow) for family in families
    ]


@pytest.fixture(scope="module")
def few(pairs):
    return pairs.iloc[:12]


def save(family, few, folder):
    """Save a random model of the family, with a tokenizer for the pairs, in `folder`."""
    tokenizer = tiny.train_tokenizer(
        [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in few.itertuples()]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config_of(family, len(tokenizer)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def plain_logps(model, row, side):
    ids = torch.tensor([(row["prompt_ids"] + row[f"{side}_ids"])[:MAX_LENGTH]])
    logits = model(input_ids=ids).logits[0, row["prompt_tokens"] - 1 : -1].float()
    return float(logits.log_softmax(-1).gather(1, ids[0, row["prompt_tokens"] :, None]).sum())


@pytest.mark.parametrize("family", marked([family for family in FAMILIES if family not in REFUSED]))
def test_scores_losses_and_gradients_are_stock_trls(family, few, tmp_path):
    save(family, few, tmp_path / "model")
    files = ModelFiles(str(tmp_path / "model"))
    scored = score(few, ModelSpec(path=files.path), TwinData(), TRAINING, tmp_path)
    assert (scored.check.layout is Layout.PACKED) == (family in PACKED or family in EXPERT_LOSS)
    table, reference = open_scored(scored.path), load_model(files, "float32")
    with torch.no_grad():
        for side in ("chosen", "rejected"):
            expected = [plain_logps(reference, row, side) for row in table]
            np.testing.assert_allclose(table[f"ref_{side}_logps"][:], expected, atol=5e-5, rtol=1e-6)
    policy, generator = load_model(files, "float32"), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    chats = [
        {
            "prompt": row.prompt,
            "chosen": [{"role": "assistant", "content": row.chosen}],
            "rejected": [{"role": "assistant", "content": row.rejected}],
        }
        for row in few.itertuples()
    ]
    for method in METHODS:
        if family in WITHOUT_EXPERT_LOSS:
            method = method.model_copy(update={"router_aux_loss_coef": 0.0})
        common = {"model": copy.deepcopy(policy), "processing_class": load_tokenizer(files)}
        stock = DPOTrainer(
            **common,
            ref_model=reference,
            args=trl_config(method, tmp_path),
            train_dataset=Dataset.from_list(chats),
        )
        expected = loss_and_gradients(
            stock, make_batch(stock, stock.train_dataset.select(range(BATCH)).to_list())
        )
        common["model"] = copy.deepcopy(policy)
        ours = PairTrainer(
            method,
            "test",
            BATCH,
            scored.check.layout,
            **common,
            args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
            train_dataset=table,
        )
        assert_same(
            loss_and_gradients(ours, make_batch(ours, table.select(range(BATCH)).to_list())), expected
        )


@pytest.mark.parametrize("family", marked(WITHOUT_EXPERT_LOSS))
def test_an_experts_loss_that_trl_cannot_compute_is_refused_before_training(family, few, tmp_path):
    save(family, few, tmp_path / "model")
    files = ModelFiles(str(tmp_path / "model"))
    table = open_scored(score(few, ModelSpec(path=files.path), TwinData(), TRAINING, tmp_path).path)
    training = TRAINING.model_copy(update={"max_steps": 1, "batch_size": 4})
    task = ArmTask("cell arm A", files, MethodSpec(), training, 0, np.arange(8))
    with pytest.raises(StudyError, match="router_aux_loss_coef: 0"):
        train_arm(task, table, Execution(micro_batch=4))


def test_the_experts_loss_is_not_cut_into_micro_batches(few, tmp_path):
    save("Qwen3-MoE", few, tmp_path / "model")
    files = ModelFiles(str(tmp_path / "model"))
    scored = score(few, ModelSpec(path=files.path), TwinData(), TRAINING, tmp_path)
    training = TRAINING.model_copy(update={"max_steps": 1, "batch_size": 4})

    def train(method):
        task = ArmTask("cell arm A", files, method, training, 0, np.arange(8))
        return train_arm(task, open_scored(scored.path), Execution(micro_batch=2, check=scored.check))

    with pytest.raises(
        StudyError, match=r"load-balancing loss .* micro-batch of 2 .*router_aux_loss_coef: 0"
    ):
        train(MethodSpec())
    assert train(MethodSpec(router_aux_loss_coef=0.0)).layout is Layout.PACKED


def test_a_weight_for_the_loss_of_experts_that_a_model_lacks_is_refused(scored, tiny_folder):
    training = TRAINING.model_copy(update={"max_steps": 1, "batch_size": 4})
    method = MethodSpec(router_aux_loss_coef=0.01)
    task = ArmTask("cell arm A", ModelFiles(str(tiny_folder)), method, training, 0, np.arange(8))
    with pytest.raises(StudyError, match=r"router_aux_loss_coef: 0.01, but qwen2 has no experts"):
        train_arm(task, scored, Execution(micro_batch=4))


@pytest.mark.parametrize("family", ["Llama", "Gemma 2", "Qwen3-MoE"])
def test_half_precision_is_judged_by_its_own_rounding(family, few, tmp_path):
    """Both layouts are farther from float32 than its tolerance, and no farther than rounding takes them."""
    save(family, few, tmp_path / "model")
    check = check_layout(load_model(ModelFiles(str(tmp_path / "model")), "bfloat16"), "cpu")
    assert (check.layout is Layout.PADDED) == (family in PADDED)
    assert check.plain.logps > TOLERANCE
    assert check.distance.logps > TOLERANCE


@pytest.mark.parametrize("family", marked(REFUSED))
def test_what_cannot_be_right_is_refused_before_training(family, few, tmp_path):
    save(family, few, tmp_path / "model")
    with pytest.raises(StudyError, match=r"name another model"):
        score(few, ModelSpec(path=str(tmp_path / "model")), TwinData(), TRAINING, tmp_path)


def llama(tokens=64, **more):
    arguments = {**SIZES, **more}
    return LlamaConfig(vocab_size=tokens, **arguments)


@pytest.mark.parametrize(
    ("config", "max_length", "message"),
    [
        (llama(), 64, r"makes token 70, and its embedding has 64 rows"),
        (GPT2Config(vocab_size=80, **GPT), 257, r"max_length: 257, but .* has 256 positions; set .* 256"),
        (
            OPTConfig(vocab_size=80, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, ffn_dim=96,
                      word_embed_proj_dim=64, max_position_embeddings=256),
            257,
            r"has 256 positions",
        ),
        (
            llama(80, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
            257,
            r"longest sequence of a batch beyond 256 tokens",
        ),
    ],
    ids=["a token without a row", "learned positions", "learned positions, shifted", "dynamic RoPE"],
)  # fmt: skip
def test_sequences_that_a_model_cannot_take_are_refused(config, max_length, message):
    model = AutoModelForCausalLM.from_config(config)
    answers = Answers([[1, 2, 70], [3, 4]], [1, 1])
    with pytest.raises(StudyError, match=message):
        refuse_sequences(model, answers, max_length)
    if config.vocab_size > 70:
        refuse_sequences(model, answers, max_length - 1)


def test_the_page_lists_every_family():
    page = (Path(__file__).parent.parent / "docs/training.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ")]
    for group, word in (
        (PACKED, "packed"),
        (PADDED, "padded"),
        (EXPERT_LOSS, "experts"),
        (WITHOUT_EXPERT_LOSS, "router_aux_loss_coef: 0"),
        (REFUSED, "refused"),
    ):
        text = " ".join(row for row in rows if word in row)
        assert not [family for family in group if family not in text]

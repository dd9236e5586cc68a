"""The branches that training takes on a card, with a stand-in for what only a card has (`tests/card.py`)."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from card import take_the_cpu_for_a_card, varlen_attn
from conftest import MAX_LENGTH
from families import config_of
from test_packed import SMALL
from test_trainer import assert_same, loss_and_gradients, make_batch, trl_config
from transformers import AutoModelForCausalLM, LlamaConfig
from trl.trainer.utils import add_fused_lm_head
from waits import Waits

from bench.card_job import make_model
from training import hardware, packed
from training.arm import ArmTask, Execution, train_arm
from training.evaluate import heldout_margins
from training.layout import Layout
from training.layout_check import check_layout
from training.likelihood import Answers, padded
from training.model import ModelFiles, load_model, load_tokenizer
from training.packed_row import PackedRow
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData
from training.trainer import PairTrainer

FLOAT32 = (torch.float32,)  # in which the stand-in, unlike the kernel, can be compared closely


def random_answers(rng: np.random.Generator) -> Answers:
    """Return up to eight sequences, of which some share a prompt and some answers are the same."""
    ids, starts = [], []
    for _ in range(rng.integers(1, 4)):
        prompt = rng.integers(0, 300, rng.integers(1, 15)).tolist()
        for _ in range(rng.integers(1, 4)):
            ids.append(prompt + rng.integers(0, 300, rng.integers(1, 20)).tolist())
            starts.append(len(prompt))
    order = rng.permutation(len(ids))
    return Answers([ids[k] for k in order], [starts[k] for k in order])


def plain_logps(model, answers):
    """Return the log-probability of each answer from plain logits of that sequence alone: [B]."""
    logps = []
    for ids, start in zip(answers.ids, answers.starts, strict=True):
        log_pi = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1].log_softmax(-1)
        logps.append(log_pi.gather(1, torch.tensor(ids[start:])[:, None]).sum())
    return torch.stack(logps)


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_random_batches_compute_what_each_answer_does_alone(count, monkeypatch):
    """Log-probabilities and gradients, through the kernel's arguments and TRL's head as Triton has it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL)).eval()
    alone = copy.deepcopy(model)
    take_the_cpu_for_a_card(monkeypatch, dtypes=FLOAT32)
    add_fused_lm_head(model)
    rng = np.random.default_rng(0)
    for _ in range(count):
        answers = random_answers(rng)
        weights = torch.from_numpy(rng.normal(size=len(answers.ids))).float()
        expected, row = plain_logps(alone, answers), PackedRow.of(*padded(answers))
        got = packed.fused_forward(model, model, row, fused_lm_head=True).log_probs.sum(1)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4)
        for logps, one in ((expected, alone), (got, model)):
            one.zero_grad()
            (weights @ logps).backward()
        ours, theirs = (torch.cat([p.grad.flatten() for p in m.parameters()]) for m in (model, alone))
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize(
    "method",
    [MethodSpec(), MethodSpec(use_weighting=True), MethodSpec(use_weighting=True, wpo_alignment="greedy")],
    ids=["dpo", "wpo", "wpo greedy"],
)
def test_a_loss_and_its_gradients_are_those_of_the_cpu(
    method, layout, scored, tiny_folder, tmp_path, monkeypatch
):
    full = load_model(ModelFiles(str(tiny_folder)), "float32")
    with torch.no_grad():
        for parameter in full.parameters():
            parameter *= 1.02

    def numbers():
        trainer = PairTrainer(
            method,
            "test",
            12,
            layout,
            model=copy.deepcopy(full),
            args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
            train_dataset=scored,
            processing_class=load_tokenizer(ModelFiles(str(tiny_folder))),
        )
        return loss_and_gradients(trainer, make_batch(trainer))

    on_the_cpu = numbers()
    take_the_cpu_for_a_card(monkeypatch, dtypes=FLOAT32)
    assert_same(numbers(), on_the_cpu)


def test_joined_rows_compute_what_each_does_alone(monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL)).eval()
    add_fused_lm_head(model)
    rng = np.random.default_rng(2)
    rows = [PackedRow.of(*padded(random_answers(rng))) for _ in range(5)]

    def logps(row):
        return packed.fused_row(model, model, row, fused_lm_head=True).log_probs[0]

    on_the_cpu = logps(PackedRow.joined(rows))
    take_the_cpu_for_a_card(monkeypatch, dtypes=FLOAT32)
    torch.testing.assert_close(logps(PackedRow.joined(rows)), torch.cat([logps(row) for row in rows]))
    torch.testing.assert_close(logps(PackedRow.joined(rows)), on_the_cpu)


def test_a_row_moves_whole(monkeypatch):
    row = PackedRow.of(*padded(random_answers(np.random.default_rng(1)))).to("meta")
    tensors = [value for value in vars(row).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 8
    assert {tensor.device.type for tensor in tensors} == {"meta"}


ARM = TrainingSpec(max_steps=4, batch_size=8, learning_rate=1e-3, max_length=MAX_LENGTH, logging_steps=2)
ZERO2 = json.loads((Path(__file__).parents[1] / "configs/deepspeed/zero2.json").read_text())


def test_an_arm_has_the_curve_that_it_has_on_the_cpu(scored, tiny_folder, monkeypatch):
    """In bfloat16 under ZeRO-2, with the sizes of chunks and batches of a card."""
    task = ArmTask("a", ModelFiles(str(tiny_folder)), MethodSpec(), ARM, 1, np.arange(48))

    def run():
        arm = train_arm(task, scored, Execution(4, ZERO2))
        return arm, heldout_margins(arm.model, scored, np.arange(48, 64), MAX_LENGTH, "a", arm.layout)

    cpu, cpu_margins = run()
    take_the_cpu_for_a_card(monkeypatch)
    card, card_margins = run()
    assert card.layout is Layout.PACKED
    curves = [arm.curve.query("metric != 'accuracy'") for arm in (card, cpu)]  # it counts signs of about 0
    pd.testing.assert_frame_equal(*curves, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(card_margins["margin"], cpu_margins["margin"], atol=0.5)
    with hardware.deterministic_kernels(True):
        again, _ = run()
    pd.testing.assert_frame_equal(again.curve, card.curve, check_exact=True)


# --- what a card lacks ------------------------------------------------------------------------------


def llama(**sizes):
    return LlamaConfig(**SMALL | sizes)


def broken(error):
    def kernel(*_, **__):
        raise error

    return kernel


def wrong(*args, **more):
    return 1.5 * varlen_attn(*args, **more)


PADDED_BECAUSE = {
    "T4": ({"capability": (7, 5)}, llama(), None, "on compute capability 7.5, before 8.0, where bfloat16 is"),
    "heads of 12": ({}, llama(head_dim=12), None, "heads of size 12, not a multiple of 8 up to 256"),
    "heads of 264": ({}, llama(head_dim=264), None, "heads of size 264, not"),
    "unequal heads": ({}, config_of("DeepSeek-V3", 300), None, "heads of 32 for queries, 32 for keys and 24"),
    "the kernel fails": ({}, llama(), broken(RuntimeError("bad stride")), "RuntimeError: bad stride"),
    "no image": (
        {},
        llama(),
        broken(torch.AcceleratorError("no kernel image is available")),
        "no kernel image",
    ),
    "wrong numbers": ({}, llama(), wrong, "packed it is"),
}


@pytest.mark.parametrize("case", PADDED_BECAUSE)
def test_a_model_that_the_card_cannot_pack_is_padded(case, monkeypatch):
    card, config, kernel, reason = PADDED_BECAUSE[case]
    take_the_cpu_for_a_card(monkeypatch, **card)
    if kernel:
        monkeypatch.setattr(packed, "_kernel", lambda: kernel)
    check = check_layout(random_model(config, torch.bfloat16), "cpu")
    assert check.layout is Layout.PADDED
    assert reason in check.reason


def random_model(config, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).to(dtype).eval()


def test_float32_on_a_card_is_padded(monkeypatch):
    take_the_cpu_for_a_card(monkeypatch)
    check = check_layout(random_model(llama(), torch.float32), "cpu")
    assert (check.layout, check.reason) == (Layout.PADDED, "no kernel for packed rows in float32")


def test_a_torch_without_the_kernel_pads(monkeypatch):
    kernel = packed._kernel
    take_the_cpu_for_a_card(monkeypatch)
    monkeypatch.setattr(packed, "_kernel", kernel.__wrapped__)
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
    check = check_layout(random_model(llama(), torch.bfloat16), "cpu")
    assert check.reason == f"torch {torch.__version__} has no kernel for packed rows"


def test_a_card_that_is_lost_is_no_property_of_the_model(monkeypatch):
    take_the_cpu_for_a_card(monkeypatch)
    lost = broken(torch.AcceleratorError("CUDA error: unspecified launch failure"))
    monkeypatch.setattr(packed, "_kernel", lambda: lost)
    with pytest.raises(torch.AcceleratorError):
        check_layout(random_model(llama(), torch.bfloat16), "cpu")


def test_an_arm_on_a_card_without_the_kernel_is_padded_and_says_so(scored, tiny_folder, monkeypatch):
    """The pairs were scored on a better card of the cluster."""
    take_the_cpu_for_a_card(monkeypatch)
    files = ModelFiles(str(tiny_folder))
    scored_with = check_layout(load_model(files, "bfloat16"), "cpu")
    take_the_cpu_for_a_card(monkeypatch, capability=(7, 0))
    task = ArmTask("a", files, MethodSpec(), ARM.model_copy(update={"max_steps": 1}), 1, np.arange(48))
    told = []
    arm = train_arm(task, scored, Execution(8, ZERO2, scored_with), tell=told.append)
    assert (scored_with.layout, arm.layout) == (Layout.PACKED, Layout.PADDED)
    assert "compute capability 7.0" in told[0]
    assert any(note.startswith("layout: padded (no kernel") for note in arm.notes)


# --- what a step costs ------------------------------------------------------------------------------

WAITS_PER_STEP = {Layout.PACKED: 0, Layout.PADDED: 4}
MOST = {"none": (0, 4000), "zero2": (1, 6000)}  # waits besides these, and operations


OF_COUNTS = TrainingSpec(max_steps=3, max_length=MAX_LENGTH, logging_steps=9)


def scored_by_24_layers(pairs, folder):
    """Return a model with Qwen2.5-0.5B's layers and heads, which are narrow here, and pairs scored by it."""
    sizes = {"hidden_size": 112, "intermediate_size": 64, "num_hidden_layers": 24}
    make_model(
        pairs, folder / "model", sizes | {"num_attention_heads": 14, "num_key_value_heads": 2}, "bfloat16"
    )
    files = ModelFiles(str(folder / "model"))
    return files, open_scored(score(pairs, ModelSpec(path=files.path), TwinData(), OF_COUNTS, folder).path)


@pytest.mark.parametrize("engine", list(MOST))
@pytest.mark.parametrize("layout", list(Layout))
def test_a_step_of_24_layers_waits_rarely_and_launches_little(layout, engine, pairs, tmp_path, monkeypatch):
    """Counts a step of 8 pairs in bfloat16."""
    files, scored = scored_by_24_layers(pairs, tmp_path)
    take_the_cpu_for_a_card(monkeypatch, capability=(9, 0) if layout is Layout.PACKED else (7, 5))
    steps = []
    with Waits() as waits:

        def on_step(*_):
            steps.append((waits.by_module.total(), waits.operations))
            waits.by_module.clear()
            waits.operations = 0

        task = ArmTask("a", files, MethodSpec(use_weighting=True), OF_COUNTS, 1, np.arange(64))
        arm = train_arm(task, scored, Execution(8, ZERO2 if engine == "zero2" else None), on_step=on_step)
    assert arm.layout is layout
    print("counted:", steps)
    waits_of_step, operations = steps[1]
    most_waits, most_operations = MOST[engine]
    assert waits_of_step <= WAITS_PER_STEP[layout] + most_waits
    assert operations <= most_operations

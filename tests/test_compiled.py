"""Rows of a few lengths: fill changes no number, and compiled layers see few shapes."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
import torch._inductor.config
from card import take_the_cpu_for_a_card
from conftest import MAX_LENGTH
from launches import FUSED, launches
from test_card import FLOAT32, OF_COUNTS, ZERO2, scored_by_24_layers
from test_trainer import assert_same, loss_and_gradients, make_batch, trl_config

from training import packed, row_lengths
from training.arm import ArmTask, Execution, train_arm
from training.compiled import OFF, compile_layers, compiled_or_why_not
from training.evaluate import heldout_margins
from training.layout import Layout
from training.layout_check import check_layout, made_up_answers
from training.likelihood import padded
from training.lora_spec import LoraSpec
from training.model import ModelFiles, load_model, load_tokenizer
from training.packed_row import PackedRow
from training.spec import MethodSpec, TrainingSpec
from training.trainer import PairTrainer

ARM = TrainingSpec(
    max_steps=8, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=1
)
WPO = MethodSpec(use_weighting=True)
GREEDY = WPO.model_copy(update={"wpo_alignment": "greedy"})
METHODS = pytest.mark.parametrize("method", [MethodSpec(), WPO, GREEDY], ids=["dpo", "wpo", "wpo greedy"])


@METHODS
@pytest.mark.parametrize("card", [False, True], ids=["blocks", "kernel"])
def test_fill_changes_no_loss_and_no_gradient(method, card, scored, tiny_folder, tmp_path, monkeypatch):
    files = ModelFiles(str(tiny_folder))
    model = load_model(files, "float32")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.02
    if card:
        take_the_cpu_for_a_card(monkeypatch, dtypes=FLOAT32)
    trainer = PairTrainer(
        method,
        "test",
        12,
        Layout.PACKED,
        model=model,
        args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
        train_dataset=scored,
        processing_class=load_tokenizer(files),
    )
    batch = make_batch(trainer)
    expected, tokens = loss_and_gradients(trainer, batch), batch["row"].input_ids.shape[1]
    trainer.fill_rows((tokens - 1, tokens + 97, tokens + 500))
    batch = make_batch(trainer)
    assert batch["row"].input_ids.shape == (1, tokens + 97)
    assert_same(loss_and_gradients(trainer, batch), expected)


def run(scored, folder, compile, method=MethodSpec(), lora=None, on_step=None, **execution):  # noqa: B008
    """Train an arm; return it with its held-out margins and what it told."""
    told = []
    task = ArmTask("a", ModelFiles(str(folder)), method, ARM, 1, np.arange(48), lora=lora)
    execution = Execution(**{"micro_batch": 4} | execution, compile=compile)
    arm = train_arm(task, scored, execution, on_step=on_step, tell=told.append)
    return arm, heldout_margins(arm.model, scored, np.arange(48, 64), MAX_LENGTH, "a", arm.layout), told


def assert_equal_to_rounding(one, other):
    (arm, margins, _), (expected, expected_margins, _) = one, other
    pd.testing.assert_frame_equal(arm.curve, expected.curve, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(margins["margin"], expected_margins["margin"], atol=1e-4)


def test_an_arm_of_filled_rows_has_the_same_curve_and_margins(scored, tiny_folder, monkeypatch):
    plain = run(scored, tiny_folder, compile=False)
    monkeypatch.setattr("training.compiled.compiled_or_why_not", lambda *_: "")
    filled = run(scored, tiny_folder, compile=True)
    assert_equal_to_rounding(filled, plain)
    assert plain[0].notes == ()
    (note,) = filled[0].notes
    assert note.startswith("compiled for rows of ")
    assert note.endswith("% of the tokens are fill")


# --- where it does not work -------------------------------------------------------------------------


def test_an_arm_that_is_not_compiled_says_why_and_has_the_same_bits(scored, tiny_folder, monkeypatch):
    monkeypatch.setenv(OFF, "1")
    arm, margins, told = run(scored, tiny_folder, compile=True)
    plain, plain_margins, _ = run(scored, tiny_folder, compile=False)
    assert told[0].startswith(f"layers are not compiled: {OFF} is set")
    assert arm.notes == (f"not compiled: {OFF} is set",)
    pd.testing.assert_frame_equal(arm.curve, plain.curve, check_exact=True)
    pd.testing.assert_frame_equal(margins, plain_margins, check_exact=True)


def no_compiler(*_, **__):
    def call(*_, **__):
        raise RuntimeError("No working C++ compiler found")

    return call


def off_by_some(function, **_):
    return lambda *args, **more: 1.01 * function(*args, **more)


def nothing(function, **_):
    return function


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        (no_compiler, "RuntimeError: No working C++ compiler found"),
        (off_by_some, "compiled it is "),
        (nothing, "the compiler finds nothing to compile in its layers"),
    ],
)
def test_a_model_stays_as_it_is_where_compiling_fails(compiler, reason, tiny_folder, monkeypatch):
    monkeypatch.delenv(OFF, raising=False)
    monkeypatch.setattr(torch, "compile", compiler)
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    check = check_layout(model, "cpu")
    assert compiled_or_why_not(model, (96, 160), check).startswith(reason)
    assert compiled_or_why_not(model, (40,), check) == "rows of at most 40 tokens are too short to gain"
    assert not any("forward" in vars(module) for module in model.modules())


def test_only_rows_of_the_lengths_in_training_mode_are_compiled(tiny_folder, monkeypatch):
    calls = []

    def noted(function, **_):
        return lambda *args, **more: calls.append(more["row"].input_ids.shape[1]) or function(*args, **more)

    monkeypatch.setattr(torch, "compile", noted)
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    compile_layers(model, (96,))
    row = PackedRow.of(*padded(made_up_answers(model)))
    for train, one in ((True, row), (False, row.filled((96,))), (True, row.filled((96,)))):
        model.train(train)
        with packed.packed(model, one) as arguments:
            model(**arguments)
    model.train()
    model(input_ids=row.input_ids)
    assert calls == [96] * model.config.num_hidden_layers


def test_no_code_is_taken_from_a_folder_that_others_write_to(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.delenv(OFF, raising=False)
    monkeypatch.setattr(torch, "compile", nothing)
    monkeypatch.setattr("training.compiled.cache_dir", lambda: str(tmp_path))
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    for folder in (tmp_path, tmp_path / "new"):
        monkeypatch.setattr("training.compiled.default_cache_dir", lambda folder=folder: str(folder))
        compile_layers(model, (96,))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o777)
    reason = compiled_or_why_not(model, (96,), check_layout(model, "cpu"))
    assert (
        reason == f"PermissionError: others can write to {tmp_path}, from which torch takes code; remove it"
    )


# --- with the compiler ------------------------------------------------------------------------------


OPERATIONS_PER_COMPILED_STEP = 3100


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{}, {"activation_checkpointing": True}, {"micro_batch": 2, "deepspeed": ZERO2}, {"lora": LoraSpec(r=4)}],
    ids=["whole", "checkpointing", "micro-batches under ZeRO-2", "adapters"],
)
def test_a_compiled_arm_trains_as_others_do_and_compiles_each_length_once(
    more, scored, tiny_folder, monkeypatch
):
    from torch._dynamo.utils import counters

    assert OFF not in os.environ, f"unset {OFF}: this test compiles"
    torch.compiler.reset()
    counters.clear()
    monkeypatch.setattr(row_lengths, "LENGTHS", 2)
    filled, lengths = PackedRow.filled, []

    def noted(row, to):
        row = filled(row, to)
        lengths.append(row.input_ids.shape[1])
        return row

    monkeypatch.setattr(PackedRow, "filled", noted)
    graphs = []
    plain = run(scored, tiny_folder, compile=False, **more)
    lengths.clear()
    compiled = run(
        scored,
        tiny_folder,
        compile=True,
        on_step=lambda *_: graphs.append(counters["stats"]["unique_graphs"]) and False,
        **more,
    )
    assert compiled[0].notes[0].startswith("compiled for rows of "), compiled[0].notes
    assert_equal_to_rounding(compiled, plain)
    rows = np.array(lengths[-ARM.max_steps * 4 // more.get("micro_batch", 4) :]).reshape(ARM.max_steps, -1)
    print("graphs after each step:", list(zip(rows.tolist(), graphs, strict=True)))
    assert len({*rows.ravel()}) == 2
    for step in range(1, ARM.max_steps):
        if {*rows[step]} <= {*rows[:step].ravel()}:
            assert graphs[step] == graphs[step - 1]
    run(scored, tiny_folder, compile=True, method=WPO, **more)
    assert counters["stats"]["unique_graphs"] == graphs[-1]


@pytest.mark.slow
def test_a_compiled_step_of_24_layers_launches_less(pairs, tmp_path, monkeypatch):
    """Counts a step of 8 pairs under ZeRO-2, on the branches of a card."""
    files, scored = scored_by_24_layers(pairs, tmp_path)
    take_the_cpu_for_a_card(monkeypatch)
    monkeypatch.setattr(row_lengths, "LENGTHS", 1)  # the first step compiles, and the second is counted
    task = ArmTask("a", files, WPO, OF_COUNTS, 1, np.arange(64))

    def count(compile):
        profiles = []

        def on_step(step, _total):
            if step == 1:
                profiles.append(torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]))
                profiles[0].start()
            elif step == 2:
                profiles[0].stop()

        with torch._inductor.config.patch("cpp.enable_kernel_profile", True):
            arm = train_arm(task, scored, Execution(8, ZERO2, compile=compile), on_step=on_step)
        assert [note.split(" for ")[0] for note in arm.notes] == ["compiled"] * compile
        return launches(profiles[0].events())

    eager, compiled = count(compile=False), count(compile=True)
    print("counted:", eager.total(), compiled.total(), compiled[FUSED])
    assert eager.total() > 4500  # about as many as `Waits` counts
    assert eager[FUSED] == 0
    assert compiled.total() <= OPERATIONS_PER_COMPILED_STEP

"""Train with layers that `torch.compile` has compiled, one shape for each of a few lengths of rows.

A packed row has another length at every step, and a graph is compiled for one length. So rows are filled to a
few (`training/row_lengths.py`). What depends on a row's content, attention and the head, stays outside the
graphs. All layers of a model run the same graphs, and so do the arms that a process trains one after another.
"""

import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo.config
from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from training import packed
from training.layout import LayoutCheck
from training.layout_check import Values, agrees, distance_of, made_up_answers, values_of
from training.likelihood import Answers, logps, padded, row_values
from training.packed_row import PackedRow

OFF = "TORCH_COMPILE_DISABLE"  # torch's own switch
# Graphs of one function in one process: lengths, times kinds of models (dtypes, sizes, layers before the
# first adapter). Beyond it, torch computes without a graph.
MOST_GRAPHS = 64


def compile_layers(model: PreTrainedModel, lengths: Sequence[int]) -> None:
    """Let the model's layers be compiled for packed rows of these lengths in training mode.

    Any other call of a layer is computed as before. Nothing is compiled yet: each length is at its first row.

    Raises:
        PermissionError: Other users can write to a folder for what is compiled.
    """
    _refuse_folders_of_others()
    torch._dynamo.config.recompile_limit = MOST_GRAPHS
    leave_out: Any = torch.compiler.disable
    AttentionInterface.register(packed.ATTENTION_NAME, leave_out(packed.attention))
    for layer in _layers(model):
        # What transformers wraps in activation checkpointing, which no graph can hold.
        forward = type(layer).forward.__wrapped__
        compiled = torch.compile(forward, dynamic=False)
        vars(layer)["forward"] = partial(_forward, layer, compiled, frozenset(lengths))


def compiled_or_why_not(model: PreTrainedModel, lengths: Sequence[int], check: LayoutCheck) -> str:
    """Compile the model's layers if that works here; return "" or the reason why they stay as they are.

    It is tried on two made-up rows of the shortest length that holds them: the first has the
    log-probabilities and gradients that it has without graphs; the second needs no further graphs, which it
    would need with another length.

    Args:
        model: The model on its device, as it will be trained.
        lengths: The lengths of rows, ascending.
        check: How far the model in its own precision is from float32 on this device.
    """
    first = made_up_answers(model)
    second = Answers(first.ids[1:], first.starts[1:])
    tokens, fewer = (PackedRow.of(*padded(answers)).input_ids.shape[1] for answers in (first, second))
    length = next((length for length in lengths if length >= tokens), None)
    if os.environ.get(OFF) == "1":
        return f"{OFF} is set"
    if length is None:
        return f"rows of at most {max(lengths)} tokens are too short to gain"
    if not _layers(model):
        return f"{model.config.model_type} has no layers that transformers marks as such"
    expected = _numbers(model, first, length)
    try:
        compile_layers(model, (fewer, length))
        distance = distance_of(_numbers(model, first, length), expected)
        reason = "" if agrees(distance, check.plain) else f"compiled it is {distance} off"
        if not reason and not _needs_graphs(model, second, fewer):
            reason = "the compiler finds nothing to compile in its layers"
        if not reason and _needs_graphs(model, second, length):
            reason = "the compiler's graphs depend on what is in a row"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of the compiler: it has dozens, and any of them leaves the model as it was
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    if reason:
        for layer in _layers(model):
            vars(layer).pop("forward", None)
    else:
        compile_layers(model, lengths)
    return reason


def _refuse_folders_of_others() -> None:
    """Torch takes code from its folders, which are in /tmp by default, whoever made them."""
    for name in (default_cache_dir, cache_dir):
        folder = Path(name())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & stat.S_IWOTH:
            raise PermissionError(f"others can write to {folder}, from which torch takes code; remove it")


def _needs_graphs(model: PreTrainedModel, answers: Answers, length: int) -> bool:
    """Whether a row that is filled to this length needs graphs that are not there; none are compiled."""
    try:
        with torch.compiler.set_stance("fail_on_recompile"):
            _numbers(model, answers, length)
    except RuntimeError as error:
        if "fail_on_recompile" not in str(error):
            raise
        return True
    return False


def _layers(model: PreTrainedModel) -> list[GradientCheckpointingLayer]:
    return [module for module in model.base_model.modules() if isinstance(module, GradientCheckpointingLayer)]


def _forward(
    layer: GradientCheckpointingLayer,
    compiled: Any,
    lengths: frozenset[int],
    *args: Any,
    row: PackedRow | None = None,
    **more: Any,
) -> Any:
    if row is None:
        return type(layer).forward(layer, *args, **more)
    if not layer.training or row.input_ids.shape[1] not in lengths:
        return type(layer).forward(layer, *args, row=row, **more)
    if layer.gradient_checkpointing:
        return layer._gradient_checkpointing_func(partial(compiled, layer, row=row, **more), *args)
    return compiled(layer, *args, row=row, **more)


def _numbers(model: PreTrainedModel, answers: Answers, length: int) -> Values:
    """Return log-probabilities and gradients of a row that is filled to a length."""
    row = PackedRow.of(*padded(answers)).filled((length,)).to(model.device)
    return values_of(model, lambda model, _: row_values(model, logps, row), answers, train=True)

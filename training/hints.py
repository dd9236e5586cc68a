"""Suggest a valid name to somebody who wrote one that does not exist."""

import difflib
from collections.abc import Iterable

# What people look for, and what to use instead.
INSTEAD = {
    "num_train_epochs": "set epochs",
    "eval_steps": "set training.eval_every",
    "simpo_gamma": "set gamma",
    "reference_free": "set loss_type: simpo, the loss without a reference",
    "lora": "adapters belong to the model; write model: {lora: {r: 16}}",
    "peft": "adapters belong to the model; write model: {lora: {r: 16}}",
    "rpo_alpha": "set loss_type: [sigmoid, sft] and loss_weights",
    "gradient_accumulation_steps": "set resources.micro_batch, the pairs of a forward pass",
    "per_device_train_batch_size": "set resources.micro_batch, the pairs of a forward pass",
    "optim": "set optimizer: adamw or adamw_8bit",
}


def suggestion(wrong: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: what to use instead, or the nearest name, and all valid names."""
    names = sorted(valid)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    if wrong in INSTEAD:
        hint = f"{INSTEAD[wrong]}; "
    return f"{hint}valid: {', '.join(names)}"

"""Suggest a valid name to somebody who wrote one that does not exist."""

import difflib
from collections.abc import Iterable

# What people look for, and what to use instead.
INSTEAD = {
    "epochs": "set training.max_steps to training pairs x epochs / batch_size",
    "num_train_epochs": "set training.max_steps to training pairs x epochs / batch_size",
    "eval_every": "held-out pairs are scored after the last step; for earlier points, lower max_steps",
    "training": "all methods are trained alike; for another learning rate, write a second study",
    "ld_alpha": "it would need reference scores of its own; loss_type: sigmoid_norm divides by length",
    "simpo": "it has no reference, which every loss here has; sigmoid_norm is DPO normalised by length",
    "weights_from": "pairs are weighted by use_weighting (WPO) alone; data.min_gap leaves out small gaps",
    "margin_from": "no loss here has a target margin; data.min_gap leaves out small gaps",
    "lora": "adapters belong to the model; write model: {lora: {r: 16}}",
    "peft": "adapters belong to the model; write model: {lora: {r: 16}}",
    "optim": "the optimiser is AdamW in 32 bits; resources.deepspeed: zero2 divides its memory among workers",
}


def suggestion(wrong: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: what to use instead, or the nearest name, and all valid names."""
    names = sorted(valid)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    if wrong in INSTEAD:
        hint = f"{INSTEAD[wrong]}; "
    return f"{hint}valid: {', '.join(names)}"

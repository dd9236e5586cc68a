"""The optimiser of an arm: transformers' name for it, and what it needs."""

from importlib.util import find_spec

from training.errors import StudyError
from training.spec import TrainingSpec

_NAMES = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}


def optimizer_name(training: TrainingSpec) -> str:
    """Return transformers' name (`optim`) for the optimiser.

    Raises:
        StudyError: The optimiser needs a library that is not installed here.
    """
    if training.optimizer == "adamw_8bit" and find_spec("bitsandbytes") is None:
        raise StudyError(
            "training.optimizer: adamw_8bit needs bitsandbytes, which is not installed here; install it on "
            "every node (pip install bitsandbytes), or use adamw with resources.deepspeed: zero2, which "
            "divides its memory among workers"
        )
    return _NAMES[training.optimizer]


def why_not_without_deepspeed(training: TrainingSpec, workers: int) -> str:
    """Say why an arm cannot be trained without DeepSpeed, and the way out; "" if it can."""
    if workers > 1:
        return f"{workers} workers share an arm through it; set zero2, or one worker"
    if training.dtype == "float16":
        return "it scales the loss of float16; set zero2, or training.dtype: bfloat16"
    if training.optimizer != "adamw":
        return f"{training.optimizer} updates weights through it; set zero2, or training.optimizer: adamw"
    return ""

"""Hold a model's linear layers in 4 bits through bitsandbytes, where that is installed."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from training.errors import StudyError

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig


def refuse_without_library(place: str) -> None:
    """Raise StudyError if bitsandbytes is not installed.

    Args:
        place: The key in the message, for example `model.lora.quantise`.
    """
    if find_spec("bitsandbytes") is None:
        raise StudyError(
            f"{place}: 4bit needs bitsandbytes, which is not installed here; install it on every node (pip "
            "install 'preference-orchestrator[qlora]'), or remove the key for adapters on whole weights"
        )


def four_bits(dtype: str) -> "BitsAndBytesConfig":
    """Return the settings of QLoRA: NormalFloat-4, its constants quantised as well, computed in `dtype`.

    Raises:
        StudyError: bitsandbytes is not installed.
    """
    import torch
    from transformers import BitsAndBytesConfig

    refuse_without_library("model.lora.quantise")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )

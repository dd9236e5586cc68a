"""Hold a model's linear layers in 4 bits through bitsandbytes, where that is installed."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from training.errors import StudyError

if TYPE_CHECKING:
    from torch import nn
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


def keep_as_trained(model: "nn.Module") -> None:
    """Have layers of 4 bits compute in evaluation as they do in training.

    On CPUs with AVX-512 BF16, bitsandbytes would repack them in place, for inference alone: narrow layers do
    not fit that form, and no gradient passes it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]

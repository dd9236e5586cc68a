"""Compute a layer's activations again in its backward pass, instead of keeping them (Chen et al. 2016).

This takes about a third more time, and memory for one layer instead of all (arXiv 1604.06174). What is
computed is the same, dropout included.
"""

from contextlib import AbstractContextManager, nullcontext

from transformers import PreTrainedModel

from training.errors import StudyError
from training.packed import chosen_attention


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Switch activation checkpointing on in a model; it acts in training mode alone.

    Raises:
        StudyError: The model's class does not support it.
    """
    if not model.supports_gradient_checkpointing:
        raise StudyError(
            f"model {model.name_or_path}: {model.config.model_type} has no activation checkpointing; set "
            "activation_checkpointing: false in resources, and a smaller micro_batch"
        )
    config = model.config.get_text_config()

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return what surrounds a layer's forward pass, and its repetition in the backward pass.

        By then, the attention that the forward pass has chosen for the model is no longer chosen.
        """
        return nullcontext(), chosen_attention(config, config._attn_implementation)

    model.activation_checkpointing_enable({"use_reentrant": False, "context_fn": contexts})

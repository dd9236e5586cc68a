"""Refuse sequences that a model cannot take, or would score differently in another batch."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from training.errors import StudyError
from training.likelihood import Answers


def refuse_sequences(model: PreTrainedModel, answers: Answers, max_length: int) -> None:
    """Raise StudyError if the model has no place for a token or for a position of the sequences.

    The message names `training.max_length` where that has to be lower, and otherwise the token.
    """
    rows = model.get_input_embeddings().num_embeddings
    largest = max(max(ids) for ids in answers.ids)
    if largest >= rows:
        raise StudyError(
            f"model {model.name_or_path}: its tokenizer makes token {largest}, and its embedding has "
            f"{rows} rows; take the tokenizer that belongs to the weights, or resize the embedding"
        )
    learned, scaled = _learned_positions(model), _unscaled_positions(model.config.get_text_config())
    if learned is not None and max_length > learned:
        raise StudyError(
            f"training.max_length: {max_length}, but model {model.name_or_path} has {learned} positions; "
            f"set max_length to at most {learned}"
        )
    if scaled is not None and max_length > scaled:
        raise StudyError(
            f"training.max_length: {max_length}, but model {model.name_or_path} turns its positions by the "
            f"longest sequence of a batch beyond {scaled} tokens, so that scores would depend on the batch; "
            f"set max_length to at most {scaled}, or choose rope_type linear or yarn in config.json"
        )


def _learned_positions(model: PreTrainedModel) -> int | None:
    """Return how many positions have a learned embedding, or a row of MPT's table; None if all have one."""
    config = model.config.get_text_config()
    if config.model_type == "mpt":
        return int(config.max_seq_len)
    for name, module in model.get_decoder().named_modules():  # without the part that sees images
        last = name.rpartition(".")[2]
        if isinstance(module, nn.Embedding) and ("position" in last or last == "wpe"):
            limit = getattr(config, "max_position_embeddings", module.num_embeddings)
            return min(int(limit), module.num_embeddings)
    return None


def _unscaled_positions(config: Any) -> int | None:
    """Return up to which length a dynamic RoPE does not look at the batch; None if it never does."""
    rope = getattr(config, "rope_parameters", None) or {}
    parts = [part for part in (rope, *rope.values()) if isinstance(part, dict)]
    limits = [
        part.get("original_max_position_embeddings") or config.max_position_embeddings
        for part in parts
        if part.get("rope_type") in ("dynamic", "longrope")
    ]
    return min(limits, default=None)

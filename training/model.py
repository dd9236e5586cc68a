"""Load a model from its files: weights, tokenizer and configuration.

Weights come as safetensors or GGUF only, and no code is taken from a model's repository, so that loading a
model cannot run anything. Torch is imported where a model is loaded, not before: a plan needs none.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import StudyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class ModelFiles:
    """Where `from_pretrained` finds a model: a folder or hub id, and the GGUF file in it, if there is one."""

    path: str
    revision: str | None = None
    gguf_file: str | None = None


def load_tokenizer(files: ModelFiles) -> "PreTrainedTokenizerBase":
    """Load the tokenizer and give it a padding token; raise StudyError if it has no chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files.path, **_options(files))
    if tokenizer.chat_template is None:
        raise StudyError(
            f"model {files.path}: its tokenizer has no chat template, and preference pairs are chats; name "
            "another model, or add chat_template to its tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(files: ModelFiles) -> Any:
    """Load the configuration of a model's text part: its sizes, by their names in transformers."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(files.path, **_options(files)).get_text_config()


def load_model(files: ModelFiles, dtype: str) -> "PreTrainedModel":
    """Load the model to the CPU, in evaluation mode, with weights of `dtype` ("float32" or "bfloat16")."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Otherwise a model from GGUF counts as quantised, and transformers' Trainer refuses to tune it.
    unpacked = {"quantization_config": GgufConfig(dequantize=True)} if files.gguf_file else {}
    return AutoModelForCausalLM.from_pretrained(
        files.path, dtype=getattr(torch, dtype), use_safetensors=True, **unpacked, **_options(files)
    )


def _options(files: ModelFiles) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` besides the path."""
    options = {"revision": files.revision, "gguf_file": files.gguf_file}
    return {"trust_remote_code": False} | {key: value for key, value in options.items() if value is not None}

"""Load a model from its files: weights, tokenizer and configuration.

Weights come as safetensors or GGUF only, and no code is taken from a model's repository, so that loading a
model cannot run anything. Torch is imported where a model is loaded, not before: a plan needs none.
"""

import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import StudyError
from training.model_content import content_fingerprint
from training.quantised import four_bits, keep_as_trained

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NOISE = re.compile("dropout|pdrop|layerdrop|jitter_noise")  # names of such settings in configurations


@dataclass(frozen=True)
class ModelFiles:
    """Where `from_pretrained` finds a model.

    path: A folder or a hub id.
    revision: The commit of the hub.
    gguf_file: The GGUF file in the folder, if there is one.
    fingerprint: What the folder held when the study was planned (`training.model_content`), if it is known.
    quantise: How its linear layers are held, for example "4bit"; None holds them as they are.
    """

    path: str
    revision: str | None = None
    gguf_file: str | None = None
    fingerprint: str | None = None
    quantise: str | None = None

    def refuse_changed(self) -> None:
        """Raise StudyError if the folder no longer holds what it held when the study was planned."""
        found = self.fingerprint and content_fingerprint(Path(self.path))
        if found != self.fingerprint:
            raise StudyError(
                f"model {self.path}: its files have changed since the study was planned (fingerprint {found} "
                f"instead of {self.fingerprint}); put the planned files back, or start the sweep again"
            )


def load_tokenizer(files: ModelFiles) -> "PreTrainedTokenizerBase":
    """Load the tokenizer and give it a padding token.

    Raises:
        StudyError: It is damaged, lacks a chat template or an end token, or has changed since the plan.
    """
    from transformers import AutoTokenizer

    files.refuse_changed()
    with _readable(files):
        tokenizer = AutoTokenizer.from_pretrained(files.path, **_options(files))
    if tokenizer.chat_template is None:
        raise StudyError(
            f"model {files.path}: its tokenizer has no chat template, and preference pairs are chats; name "
            "another model, or add chat_template to its tokenizer_config.json"
        )
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise StudyError(
            f"model {files.path}: its tokenizer has neither a token that ends a text nor one that pads it; "
            "add eos_token or pad_token to its tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(files: ModelFiles) -> Any:
    """Load the configuration of a model's text part: its sizes, by their names in transformers."""
    return load_original_config(files).get_text_config()


def load_original_config(files: ModelFiles) -> Any:
    """Load the whole configuration of a model as its files have it."""
    from transformers import AutoConfig

    with _readable(files):
        return AutoConfig.from_pretrained(files.path, **_options(files))


def load_model(files: ModelFiles, dtype: str) -> "PreTrainedModel":
    """Load the model to the CPU, in evaluation mode, with weights of `dtype` ("float32" or "bfloat16").

    Dropout is off in it, in training mode as well (`without_dropout`).

    Raises:
        StudyError: The files are damaged or have changed since the study was planned, transformers cannot
            load the architecture, or a weight is missing, has another shape than config.json says, or is not
            finite.
    """
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    files.refuse_changed()
    # Otherwise a model from GGUF counts as quantised, and transformers' Trainer refuses to tune it.
    how = {"quantization_config": GgufConfig(dequantize=True)} if files.gguf_file else {}
    if files.quantise:
        how = {"quantization_config": four_bits(dtype)}
    config = without_dropout(load_original_config(files))
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise StudyError(
            f"model {files.path}: transformers has no causal language model of type {config.model_type}; "
            "name another model"
        )
    with _readable(files), _without_load_report():
        model, loaded = AutoModelForCausalLM.from_pretrained(
            files.path,
            config=config,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below, in one line
            output_loading_info=True,
            **how,
            **_options(files),
        )
    files.refuse_changed()  # while they were read
    _refuse_incomplete(model, loaded, files.path)
    if files.quantise:
        keep_as_trained(model)
    return model


@contextmanager
def _readable(files: ModelFiles) -> Iterator[None]:
    """Raise StudyError for what the libraries raise if a model's files are damaged or of an unknown kind."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    damaged = (SafetensorError, StrictDataclassError, FileNotFoundError, struct.error)
    unknown = (ImportError, LookupError, TypeError, ValueError)
    try:
        yield
    except (*damaged, *unknown) as error:
        reason = " ".join(str(error).split())[:200]
        file = files.gguf_file or _damaged_file(Path(files.path))
        raise StudyError(
            f"model {Path(files.path) / file}: it cannot be loaded ({reason}); save or "
            "download it again, or name another model"
        ) from error


def _damaged_file(folder: Path) -> str:
    """Return the name of the first file of weights that is cut or damaged; an empty text if none is."""
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError):
            return file.name
    return ""


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Leave out transformers' table of missing weights, which `_refuse_incomplete` tells in one line.

    The table stays where weights could not be converted, since transformers' error refers to it.
    """
    logger = logging.getLogger("transformers.modeling_utils")

    def wanted(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "LOAD REPORT" not in text or "CONVERSION" in text

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def without_dropout(config: Any) -> Any:
    """Set every dropout and jitter of a configuration and its parts to 0, and return it.

    TRL turns off `nn.Dropout` modules only; many models keep dropout as a number and apply it in a function.
    """
    from transformers import PreTrainedConfig

    for name, value in vars(config).items():
        if isinstance(value, PreTrainedConfig):
            without_dropout(value)
        elif _NOISE.search(name) and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, name, type(value)(0))
    return config


def _refuse_incomplete(model: "PreTrainedModel", loaded: dict[str, Any], path: str) -> None:
    """Raise StudyError unless every weight came from the model's files, with its shape, and is finite.

    Files may hold more, such as a model's vision part, but no further layers or experts like the model's.
    """
    missing = sorted(loaded["missing_keys"])
    if missing:
        raise StudyError(
            f"model {path}: its weights lack {_first(missing)}, which would be drawn at random; "
            "save the whole model, or name another"
        )
    kinds = {_kind(name) for name in model.state_dict()}
    unused = sorted(name for name in loaded["unexpected_keys"] if _kind(name) in kinds)
    if unused:
        raise StudyError(
            f"model {path}: config.json leaves out {_first(unused)} of its layers; correct config.json, or "
            "save the model again"
        )
    mismatched = sorted(loaded["mismatched_keys"])
    if mismatched:
        name, found, wanted = mismatched[0]
        raise StudyError(
            f"model {path}: {len(mismatched)} weights have another shape than config.json says, first "
            f"{name}: {list(found)} instead of {list(wanted)}; correct config.json or the weights"
        )
    not_finite = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if not_finite:
        raise StudyError(
            f"model {path}: {_first(not_finite)} holds numbers that are not finite; save the model again"
        )


def _kind(name: str) -> str:
    """Return a weight's name without the number of its layer or expert."""
    return re.sub(r"\d+", "#", name)


def _first(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _options(files: ModelFiles) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` besides the path."""
    options = {"revision": files.revision, "gguf_file": files.gguf_file}
    return {"trust_remote_code": False} | {key: value for key, value in options.items() if value is not None}
